// SimStorage: the disk (or bucket) under a simulated process. The contract between worlds and kinds of storage:
// blob_storage (blobs in memory: a disk, or a bucket that throttles, loses answers and delivers late), file_storage
// (the local backend over a simulated POSIX filesystem) and s3_storage (the S3 backend over a simulated server).
//
// A process mounts it, dies, and the next one mounts what the crash left. Faults are drawn from the seed at each
// call, at the rates that are set; a fault that could not change what the caller sees is not counted.
//
// Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tarn/sdk/backend.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {

// Chances in a million for each call that the fault applies to. Kinds that a storage cannot have it ignores, and
// says so in its file.
struct FaultRates {
  uint32_t io_error = 0;        // the call fails and does nothing
  uint32_t io_after = 0;        // the call fails although it took effect
  uint32_t no_space = 0;        // writes
  uint32_t short_transfer = 0;  // reads and writes of files move fewer bytes than asked, or are interrupted
  uint32_t throttle = 0;        // object: 503 or a timeout before the effect
  uint32_t lost_answer = 0;     // object: the effect happened, the caller hears of a timeout
  uint32_t duplicate = 0;       // object: a conditional PUT is delivered twice, and the second answer is heard
  uint32_t late = 0;            // object: a PUT that timed out takes effect later, perhaps in another process's life
};

// Bytes at rest that changed behind the store's back.
struct Damage {
  std::string name;  // of the blob or file
  uint64_t offset = 0;
  std::string what;            // "bit rot", "misdirected write", "lost write", ...
  std::function<void()> mend;  // puts the right bytes back, so that the life can go on
};

class SimStorage {
 public:
  virtual ~SimStorage() = default;
  // What a process that starts now sees. What earlier mounts handed out fails with Io and changes nothing.
  virtual std::shared_ptr<Backend> Mount() = 0;
  // Every process that has it mounted dies now. REQUIRES for a cut inside a call: see CrashAfter.
  virtual void Crash(uint64_t seed, CrashMode mode) = 0;
  // The machine stops by itself at the effect'th call from now on that may change what a crash leaves: that call and
  // every later one fails with Io. The caller then calls Crash. 0 disarms. REQUIRES: not stopped()
  virtual void CrashAfter(uint64_t effects) = 0;
  virtual bool stopped() const = 0;  // by CrashAfter
  virtual void SetFaults(uint64_t seed, const FaultRates& rates) = 0;
  // Damages something at rest. Nothing when there is nothing to damage.
  virtual std::optional<Damage> Rot(uint64_t seed) = 0;
  // Faults injected so far, by kind; and the digest of all calls so far, in order, with names, sizes and results.
  virtual const std::map<std::string, uint64_t>& faults() const = 0;
  virtual uint64_t digest() const = 0;
};

}  // namespace tarn::test
