// Records what a store does to its backend, in order, and how many reads are in flight. For tests that pin the
// order of effects (golden traces) and that prove reads overlap.
//
// One line for each effect, at the moment when it starts; an effect that fails is followed by " -> <code>":
//
//   create table/1          append table/1 4096     finish table/1        put-if-absent manifest/1 80
//   create-append wal/1     append wal/1 23         sync wal/1            delete wal/1
//   lock lock               open table/1            list wal/             read table/1 0 4096
//   submit table/1 0 4096   complete table/1 0 4096   delete-many wal/1 7  space
//
// Threads: any; lines of concurrent calls come in the order in which they started.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/wrapping_backend.h"

namespace tarn::test {

struct TraceOptions {
  bool sizes = true;    // false writes "*" in place of counts of bytes and offsets
  bool lookups = true;  // false leaves out what changes nothing: open, read, submit, complete, list, space
};

class TraceBackend final : public WrappingBackend {
 public:
  explicit TraceBackend(std::shared_ptr<Backend> inner, TraceOptions options = {})
      : WrappingBackend(std::move(inner)), options_(options) {}

  std::vector<std::string> TakeLines();  // and forgets them
  // The most reads that were ever between their start and their end at once: those inside BlobReader::Read and
  // those submitted to a queue and not yet back, together.
  uint64_t max_reads_in_flight() const;
  // Called by each BlobReader::Read while it counts as in flight, before it touches the backend inside.
  void SetReadHook(std::function<void(const Call&)> hook);

 private:
  Status Around(const Call& call, const Effect& effect) override;
  std::string Line(const Call& call) const;

  const TraceOptions options_;
  mutable std::mutex mutex_;  // guards what follows; not held during effects
  std::vector<std::string> lines_;
  uint64_t taken_ = 0;  // lines handed out before lines_[0]
  uint64_t in_flight_ = 0;
  uint64_t max_in_flight_ = 0;
  std::function<void(const Call&)> read_hook_;
};

// Holds `count` threads back until all of them have come: the hook that proves reads overlap, without sleeping.
// Once open it stays open. Arrive returns false after a minute, so that a broken test fails instead of hanging.
class Rendezvous {
 public:
  explicit Rendezvous(uint64_t count) : missing_(count) {}
  bool Arrive();

 private:
  std::mutex mutex_;
  std::condition_variable all_here_;
  uint64_t missing_;
};

}  // namespace tarn::test
