// ThreadPool: runs short-lived blocking calls on threads that are started only when needed.
//
// For calls that wait for a device or a network, not for background work: that goes to the Scheduler
// (tarn/sdk/effects.h), which has priorities and can be simulated.
//
// Threads: any may call Run. The destructor runs what is still queued, then joins.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tarn {

class ThreadPool {
 public:
  // At most `threads` (at least 1) run at once; none is started yet. `name` is what ps and gdb show.
  ThreadPool(uint32_t threads, std::string name);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Starts a thread if none is idle and there may be more. When the system grants no thread at all, the task
  // runs in the caller: slower, never lost.
  void Run(std::function<void()> task);

 private:
  void Work();

  const uint32_t limit_;
  const std::string name_;
  std::mutex mutex_;  // guards all below
  std::condition_variable work_;
  std::deque<std::function<void()>> tasks_;
  std::vector<std::thread> threads_;
  size_t idle_ = 0;
  bool stop_ = false;
};

}  // namespace tarn
