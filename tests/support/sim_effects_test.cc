#include "tests/support/sim_effects.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace tarn::test {
namespace {

using Lane = Scheduler::Lane;

TEST(VirtualClock, MovesOnlyWhenAsked) {
  VirtualClock clock(5);
  EXPECT_EQ(clock.MonotonicNanos(), 5u);
  EXPECT_EQ(clock.MonotonicNanos(), 10u);
  clock.SleepNanos(1'000'000'000'000);
  EXPECT_EQ(clock.MonotonicNanos(), 1'000'000'000'015u);
  clock.Advance(100);
  EXPECT_EQ(clock.MonotonicNanos(), 1'000'000'000'120u);
  const uint64_t wall = clock.WallNanos();
  EXPECT_GT(clock.WallNanos(), wall);
}

TEST(SeededEntropy, SameSeedSameBytes) {
  auto draw = [](uint64_t seed) {
    SeededEntropy entropy(seed);
    std::string out(37, '\0');
    entropy.Fill(out);
    entropy.Fill(std::span(out).subspan(0, 5));
    return out;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

// Five tasks of three quanta in one lane: the order in which the seed runs them.
std::string Order(uint64_t seed) {
  SimScheduler scheduler(seed);
  std::string order;
  for (char name = 'a'; name < 'f'; ++name) {
    scheduler.Submit(Lane::kCompact, [&order, name, left = 3]() mutable {
      order += name;
      return --left > 0;
    });
  }
  EXPECT_EQ(scheduler.queued(), 5u);
  EXPECT_EQ(scheduler.RunAll(), 15u);
  EXPECT_EQ(scheduler.queued(), 0u);
  return order;
}

TEST(SimScheduler, SeedDecidesTheOrder) {
  EXPECT_EQ(Order(1), Order(1));
  EXPECT_NE(Order(1), Order(2));
  for (char name = 'a'; name < 'f'; ++name) {
    const std::string order = Order(3);
    EXPECT_EQ(std::count(order.begin(), order.end(), name), 3);
  }
}

TEST(SimScheduler, EarlierLanesGoFirst) {
  SimScheduler scheduler(1);
  std::string order;
  scheduler.Submit(Lane::kIdle, [&] { return order += 'i', false; });
  scheduler.Submit(Lane::kCompact, [&, left = 2]() mutable {
    order += 'c';
    if (left == 2) scheduler.Submit(Lane::kFlush, [&] { return order += 'f', false; });
    return --left > 0;
  });
  scheduler.RunAll();
  EXPECT_EQ(order, "cfci");
  EXPECT_FALSE(scheduler.RunOne());
}

TEST(SimScheduler, AwaitRunsTasksUntilReady) {
  SimScheduler scheduler(1);
  std::mutex mutex;
  int steps = 0;
  scheduler.Submit(Lane::kCompact, [&] {
    std::lock_guard lock(mutex);  // free while a quantum runs
    return ++steps < 100;
  });
  mutex.lock();
  scheduler.Await(mutex, [&] { return steps >= 10; });
  EXPECT_EQ(steps, 10);
  scheduler.Await(mutex, [&] { return steps >= 10; });
  EXPECT_EQ(steps, 10) << "nothing runs when it is ready already";
  EXPECT_FALSE(mutex.try_lock());
  mutex.unlock();
}

TEST(SimScheduler, ATaskMayAwaitAnother) {
  SimScheduler scheduler(1);
  std::mutex mutex;
  bool inner_done = false, outer_done = false;
  scheduler.Submit(Lane::kFlush, [&] {
    std::unique_lock lock(mutex);
    scheduler.Await(mutex, [&] { return inner_done; });
    outer_done = true;
    return false;
  });
  scheduler.Submit(Lane::kIdle, [&] {
    std::lock_guard lock(mutex);
    inner_done = true;
    return false;
  });
  scheduler.RunAll();
  EXPECT_TRUE(inner_done && outer_done);
}

TEST(SimSchedulerDeathTest, AwaitThatCanNeverEndIsReported) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        SimScheduler scheduler(1);
        std::mutex mutex;
        mutex.lock();
        scheduler.Await(mutex, [] { return false; });
      },
      "Await would never end");
}

}  // namespace
}  // namespace tarn::test
