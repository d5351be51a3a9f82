// Work on many blobs, several at once, with one place that knows how far it has come and whether to stop. For copying
// and verifying tables.
//
// The first error stops everyone at their next Moved(); what has begun by then is not waited out. The user's callback
// is only ever called on the caller's thread.
//
// Threads: Run by one; Moved by whoever works.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>

#include "base/mutex.h"
#include "tarn/status.h"

namespace tarn::kernel {

class ParallelRun {
 public:
  using Progress = std::function<Status(uint64_t done_bytes, uint64_t total_bytes)>;
  // `progress` may be null. Both outlive it.
  ParallelRun(uint32_t parallel, uint64_t total_bytes, const Progress& progress)
      : parallel_(parallel), total_(total_bytes), progress_(progress) {}

  // work(0) .. work(count - 1); with parallel 1 all on the caller's thread, in order.
  Status Run(size_t count, const std::function<Status(size_t)>& work);
  // So many bytes further; 0: nothing moved, but the user may have given up. An error ends the work.
  Status Moved(uint64_t bytes);

 private:
  Status Work(size_t count, const std::function<Status(size_t)>& work);
  void WorkAside(size_t count, const std::function<Status(size_t)>& work);
  Status Watch();
  bool Over() NO_THREAD_SAFETY_ANALYSIS { return working_ == 0; }
  void Stop(const Status& why) EXCLUDES(mutex_);
  Status Tell(uint64_t done) const { return progress_ ? progress_(done, total_) : Status(); }

  const uint32_t parallel_;
  const uint64_t total_;
  const Progress& progress_;
  bool alone_ = false;  // no threads but the caller's
  std::atomic<size_t> next_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> stopped_{false};
  Mutex mutex_;  // guards: who is still at work, and how it went
  std::condition_variable changed_;
  uint32_t working_ GUARDED_BY(mutex_) = 0;
  bool ticked_ GUARDED_BY(mutex_) = false;
  Status first_error_ GUARDED_BY(mutex_);
};

}  // namespace tarn::kernel
