#include "base/system_effects.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>

#include <array>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <thread>
#include <vector>

#include "base/assert.h"

namespace tarn {
namespace {

uint64_t Now(clockid_t id) {
  timespec ts;
  clock_gettime(id, &ts);
  return static_cast<uint64_t>(ts.tv_sec) * 1000000000ull + static_cast<uint64_t>(ts.tv_nsec);
}

class RealClock final : public Clock {
 public:
  uint64_t MonotonicNanos() override { return Now(CLOCK_MONOTONIC); }
  uint64_t WallNanos() override { return Now(CLOCK_REALTIME); }
  void SleepNanos(uint64_t nanos) override { std::this_thread::sleep_for(std::chrono::nanoseconds(nanos)); }
};

class RealEntropy final : public Entropy {
 public:
  void Fill(std::span<char> out) override {
    while (!out.empty()) {
      const ssize_t n = getrandom(out.data(), out.size(), 0);
      if (n < 0) {
        CHECK(errno == EINTR);
        continue;
      }
      out = out.subspan(static_cast<size_t>(n));
    }
  }
};

// One queue a lane; a worker takes the head of the first lane that has one, runs one quantum, and puts the task
// at the tail of its lane when it wants more. So lanes are strict priorities and tasks of a lane take turns.
class ThreadScheduler final : public Scheduler {
 public:
  explicit ThreadScheduler(uint32_t threads) {
    for (uint32_t i = 0; i < threads; ++i) workers_.emplace_back([this] { Work(); });
  }
  ~ThreadScheduler() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    work_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  void Submit(Lane lane, Task task) override {
    {
      std::lock_guard lock(mutex_);
      lanes_[static_cast<size_t>(lane)].push_back(std::move(task));
    }
    work_.notify_one();
  }
  void Await(std::mutex& mutex, const std::function<bool()>& ready) override {
    std::unique_lock lock(mutex, std::adopt_lock);
    changed_.wait(lock, ready);
    lock.release();  // the caller still owns it
  }
  void Notify() override { changed_.notify_all(); }

 private:
  void Work() {
    NameThisThread("tarn-worker");
    std::unique_lock lock(mutex_);
    for (;;) {
      work_.wait(lock, [this] { return stop_ || NextLane() != nullptr; });
      if (stop_) return;
      std::deque<Task>* lane = NextLane();
      Task task = std::move(lane->front());
      lane->pop_front();
      lock.unlock();
      const bool more = task();
      if (!more) task = nullptr;  // what it captured is freed outside our lock
      lock.lock();
      if (more) {
        lane->push_back(std::move(task));
        work_.notify_one();
      }
    }
  }
  std::deque<Task>* NextLane() {
    for (auto& lane : lanes_) {
      if (!lane.empty()) return &lane;
    }
    return nullptr;
  }

  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable_any changed_;  // waiters bring their own mutexes
  std::array<std::deque<Task>, 3> lanes_;
  std::vector<std::thread> workers_;
  bool stop_ = false;
};

}  // namespace

std::shared_ptr<Clock> SystemClock() {
  static const auto clock = std::make_shared<RealClock>();
  return clock;
}
std::shared_ptr<Entropy> SystemEntropy() {
  static const auto entropy = std::make_shared<RealEntropy>();
  return entropy;
}
std::shared_ptr<Scheduler> NewThreadScheduler(uint32_t threads) {
  return std::make_shared<ThreadScheduler>(threads < 1 ? 1 : threads);
}

void NameThisThread(const char* name) {
  char cut[16];
  size_t n = 0;
  while (n < sizeof(cut) - 1 && name[n] != 0) {
    cut[n] = name[n];
    ++n;
  }
  cut[n] = 0;
  pthread_setname_np(pthread_self(), cut);
}

}  // namespace tarn
