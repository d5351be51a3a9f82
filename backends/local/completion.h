// What the result of one io_uring read means for the request behind it. For uring.cc; pure, because no file gives
// every result at will, and a test feeds them here (tests/faults/uring_completion_test.cc).
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace tarn::local {

inline constexpr int kMaxRetries = 16;  // EAGAIN and EINTR in a row before pread takes over

enum class Completion : uint8_t {
  kWhole,      // every byte is here
  kAgain,      // ask for the rest
  kPlainRead,  // the ring makes no progress: pread the rest, which blocks but ends
  kEndOfFile,  // no byte where some were wanted
  kFailed,     // -result is the errno
};

// One read on its way: `done` of `wanted` bytes are here.
struct ReadProgress {
  size_t wanted = 0;
  size_t done = 0;
  int retries = 0;
};

// Takes in the result of the last submission: a count of bytes, or -errno.
inline Completion Advance(ReadProgress* read, int result) {
  if (result == -EINTR || result == -EAGAIN) {
    return ++read->retries < kMaxRetries ? Completion::kAgain : Completion::kPlainRead;
  }
  if (result < 0) return Completion::kFailed;
  if (result == 0) return Completion::kEndOfFile;
  read->done += static_cast<size_t>(result);
  read->retries = 0;
  return read->done < read->wanted ? Completion::kAgain : Completion::kWhole;
}

}  // namespace tarn::local
