#include "kernel/parallel_run.h"

#include <algorithm>
#include <utility>

#include "base/thread_pool.h"

namespace tarn::kernel {

Status ParallelRun::Run(size_t count, const std::function<Status(size_t)>& work) {
  const auto workers = static_cast<uint32_t>(std::min<size_t>(parallel_, count));
  alone_ = workers <= 1;
  if (alone_) return Work(count, work);
  ThreadPool pool(workers, "tarn-transfer");
  {
    MutexLock lock(mutex_);
    working_ = workers;
  }
  for (uint32_t i = 0; i < workers; ++i) pool.Run([&] { WorkAside(count, work); });
  return Watch();
}

Status ParallelRun::Work(size_t count, const std::function<Status(size_t)>& work) {
  for (size_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < count;) TARN_TRY(work(i));
  return {};
}

void ParallelRun::WorkAside(size_t count, const std::function<Status(size_t)>& work) {
  Stop(Work(count, work));
  MutexLock lock(mutex_);
  --working_;
  changed_.notify_all();
}

void ParallelRun::Stop(const Status& why) {
  if (why.ok()) return;
  MutexLock lock(mutex_);
  if (first_error_.ok()) first_error_ = why;
  stopped_.store(true, std::memory_order_relaxed);
}

// On the caller's thread: tells how far the others have come, until all of them are through.
Status ParallelRun::Watch() {
  uint64_t told = UINT64_MAX;
  for (bool over = false; !over;) {
    const uint64_t done = done_.load(std::memory_order_relaxed);
    if (done != told && !stopped_.load(std::memory_order_relaxed)) Stop(Tell(done));
    told = done;
    std::unique_lock lock(mutex_.native());
    changed_.wait(lock, [this]() NO_THREAD_SAFETY_ANALYSIS { return Over() || std::exchange(ticked_, false); });
    over = Over();
  }
  MutexLock lock(mutex_);
  return first_error_;
}

Status ParallelRun::Moved(uint64_t bytes) {
  const uint64_t done = done_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  if (alone_) return Tell(done);
  MutexLock lock(mutex_);
  ticked_ = true;
  changed_.notify_all();
  return stopped_.load(std::memory_order_relaxed) ? first_error_ : Status();
}

}  // namespace tarn::kernel
