// What is retired is freed, not before the last reader who may see it has left, and not much later.
#include "base/reclaimer.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace tarn::test {
namespace {

struct Counted final : Reclaimer::Object {
  explicit Counted(std::atomic<int>* c) : alive(c) { ++*alive; }
  ~Counted() override {
    value = 0;
    --*alive;
  }
  std::atomic<int>* const alive;
  int value = 42;
};

TEST(Reclaimer, WithoutReadersFreesAtOnce) {
  std::atomic<int> alive{0};
  Reclaimer reclaimer;
  for (int i = 0; i < 3; ++i) {
    reclaimer.Retire(new Counted(&alive));
    EXPECT_EQ(alive, 0);
  }
}

TEST(Reclaimer, WaitsForTheGuardThatMaySeeIt) {
  std::atomic<int> alive{0};
  Reclaimer reclaimer;
  {
    const Reclaimer::Guard guard(reclaimer);
    ASSERT_TRUE(guard);
    for (int i = 0; i < 10; ++i) reclaimer.Retire(new Counted(&alive));
    EXPECT_EQ(alive, 10);
  }
  reclaimer.Retire(new Counted(&alive));
  EXPECT_EQ(alive, 0);
}

TEST(Reclaimer, TheEndFreesWhatWaits) {
  std::atomic<int> alive{0};
  {
    Reclaimer reclaimer;
    const Reclaimer::Guard* const guard = new Reclaimer::Guard(reclaimer);
    reclaimer.Retire(new Counted(&alive));
    EXPECT_EQ(alive, 1);
    delete guard;
  }
  EXPECT_EQ(alive, 0);
}

TEST(Reclaimer, OneGuardAThread) {
  Reclaimer reclaimer, others;
  const Reclaimer::Guard outer(reclaimer);
  EXPECT_TRUE(outer);
  EXPECT_FALSE(Reclaimer::Guard(reclaimer)) << "inside one already";
  EXPECT_TRUE(Reclaimer::Guard(others));
  std::thread([&] { EXPECT_TRUE(Reclaimer::Guard(reclaimer)); }).join();
}

TEST(Reclaimer, ThreadsBeyondTheSlotsGetNone) {
  Reclaimer reclaimer;
  std::atomic<size_t> guarded{0}, arrived{0};
  constexpr size_t kThreads = Reclaimer::kSlots + 8;
  std::vector<std::thread> threads;
  for (size_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      const Reclaimer::Guard guard(reclaimer);
      guarded += static_cast<bool>(guard);
      for (++arrived; arrived < kThreads;) std::this_thread::yield();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(guarded, Reclaimer::kSlots);
  EXPECT_GE(guarded, Reclaimer::kSlots - 8);  // the runner's own threads have slots too
  std::thread([&] {
    EXPECT_TRUE(Reclaimer::Guard(reclaimer)) << "slots of threads that ended are used again";
  }).join();
}

// Readers follow a link while a writer swings it. A value freed too early is not 42 any more; sanitizers see more.
TEST(Reclaimer, ReadersNeverSeeWhatWasFreed) {
  std::atomic<int> alive{0};
  {
    Reclaimer reclaimer;
    std::atomic<Counted*> link{new Counted(&alive)};
    std::atomic<bool> stop{false};
    std::atomic<int> wrong{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < 3; ++i) {
      readers.emplace_back([&] {
        while (!stop) {
          const Reclaimer::Guard guard(reclaimer);
          wrong += !guard || link.load()->value != 42;
        }
      });
    }
    for (int i = 0; i < 20'000; ++i) reclaimer.Retire(link.exchange(new Counted(&alive)));
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong, 0);
    reclaimer.Retire(link.load());
    EXPECT_EQ(alive, 0);
  }
  EXPECT_EQ(alive, 0);
}

}  // namespace
}  // namespace tarn::test
