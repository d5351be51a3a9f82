// The thread scheduler: quanta, lanes, waiting, and an end that leaves nothing running.
#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <string>
#include <vector>

#include "base/system_effects.h"

namespace tarn {
namespace {

using Lane = Scheduler::Lane;

// A number that tests wait for, under one mutex, the way the kernel does.
class Counter {
 public:
  explicit Counter(Scheduler& scheduler) : scheduler_(scheduler) {}
  void Add() {
    std::lock_guard lock(mutex_);
    ++value_;
    scheduler_.Notify();
  }
  void AwaitValue(int value) {
    std::unique_lock lock(mutex_);
    scheduler_.Await(mutex_, [&] { return value_ >= value; });
    EXPECT_GE(value_, value);  // still under the lock
  }

 private:
  Scheduler& scheduler_;
  std::mutex mutex_;
  int value_ = 0;
};

TEST(SchedulerTest, ATaskRunsUntilItReturnsFalse) {
  const auto scheduler = NewThreadScheduler(2);
  Counter done(*scheduler);
  std::atomic<int> quanta{0};
  scheduler->Submit(Lane::kCompact, [&] {
    if (++quanta < 100) return true;
    done.Add();
    return false;
  });
  done.AwaitValue(1);
  EXPECT_EQ(quanta.load(), 100);
}

TEST(SchedulerTest, ATaskIsNeverRunByTwoThreadsAtOnce) {
  const auto scheduler = NewThreadScheduler(4);
  Counter done(*scheduler);
  std::atomic<int> inside[8] = {};
  std::atomic<bool> overlapped{false};
  for (auto& mine : inside) {
    scheduler->Submit(Lane::kIdle, [&, quanta = 0]() mutable {
      if (mine.fetch_add(1) != 0) overlapped = true;
      mine.fetch_sub(1);
      if (++quanta < 200) return true;
      done.Add();
      return false;
    });
  }
  done.AwaitValue(8);
  EXPECT_FALSE(overlapped.load());
}

TEST(SchedulerTest, EarlierLanesGoFirstAndTasksOfALaneTakeTurns) {
  const auto scheduler = NewThreadScheduler(1);
  Counter gate(*scheduler), started(*scheduler), done(*scheduler);
  // The only worker is held inside a quantum until everything is queued.
  scheduler->Submit(Lane::kFlush, [&] {
    started.Add();
    gate.AwaitValue(1);
    return false;
  });
  started.AwaitValue(1);
  std::string order;  // only the worker appends, and the end is awaited
  auto task = [&](char name) {
    return [&, name, quanta = 0]() mutable {
      order += name;
      if (++quanta < 2) return true;
      done.Add();
      return false;
    };
  };
  scheduler->Submit(Lane::kIdle, task('i'));
  scheduler->Submit(Lane::kCompact, task('c'));
  scheduler->Submit(Lane::kCompact, task('d'));
  scheduler->Submit(Lane::kFlush, task('f'));
  gate.Add();
  done.AwaitValue(4);
  EXPECT_EQ(order, "ffcdcdii");
}

TEST(SchedulerTest, FlushOvertakesADeepMergeBetweenTwoQuanta) {
  const auto scheduler = NewThreadScheduler(1);
  Counter flushed(*scheduler), merged(*scheduler);
  std::atomic<bool> flush_ran{false};
  int quanta_after_submit = 0;
  scheduler->Submit(Lane::kCompact, [&, submitted = false]() mutable {
    if (!submitted) {
      submitted = true;
      scheduler->Submit(Lane::kFlush, [&] {
        flush_ran = true;
        flushed.Add();
        return false;
      });
      return true;
    }
    ++quanta_after_submit;
    EXPECT_TRUE(flush_ran.load());
    merged.Add();
    return false;
  });
  flushed.AwaitValue(1);
  merged.AwaitValue(1);
  EXPECT_EQ(quanta_after_submit, 1);
}

TEST(SchedulerTest, DestructionWaitsForTheRunningQuantum) {
  std::atomic<bool> finished{false};
  auto scheduler = NewThreadScheduler(1);
  Counter started(*scheduler);
  scheduler->Submit(Lane::kCompact, [&] {
    started.Add();
    for (int i = 0; i < 10000; ++i) SystemClock()->MonotonicNanos();
    finished = true;
    return true;  // wants more, but there is no more
  });
  started.AwaitValue(1);
  scheduler.reset();
  EXPECT_TRUE(finished.load());
}

TEST(EffectsTest, MonotonicTimeDoesNotGoBackAndEntropyDiffers) {
  uint64_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const uint64_t now = SystemClock()->MonotonicNanos();
    ASSERT_GE(now, last);
    last = now;
  }
  std::string a(32, '\0'), b(32, '\0');
  SystemEntropy()->Fill(a);
  SystemEntropy()->Fill(b);
  EXPECT_NE(a, b);
  EXPECT_NE(a, std::string(32, '\0'));
}

}  // namespace
}  // namespace tarn
