#include "base/thread_pool.h"

#include <system_error>
#include <utility>

#include "base/assert.h"
#include "base/system_effects.h"

namespace tarn {

ThreadPool::ThreadPool(uint32_t threads, std::string name)
    : limit_(threads < 1 ? 1 : threads), name_(std::move(name)) {}

ThreadPool::~ThreadPool() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::Run(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    DCHECK(!stop_);
    // Tasks that wait for a thread count too: each idle thread is already promised to one of them.
    if (tasks_.size() >= idle_ && threads_.size() < limit_) {
      try {
        threads_.emplace_back([this] { Work(); });
      } catch (const std::system_error&) {
        // No more threads from the system: the ones we have take turns.
      }
    }
    if (!threads_.empty()) {
      tasks_.push_back(std::move(task));
      task = nullptr;
    }
  }
  if (task) {
    task();
  } else {
    work_.notify_one();
  }
}

void ThreadPool::Work() {
  NameThisThread(name_.c_str());
  std::unique_lock lock(mutex_);
  for (;;) {
    ++idle_;
    work_.wait(lock, [this] { return stop_ || !tasks_.empty(); });
    --idle_;
    if (tasks_.empty()) return;  // and stopping
    std::function<void()> task = std::move(tasks_.front());
    tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it captured is freed outside our lock
    lock.lock();
  }
}

}  // namespace tarn
