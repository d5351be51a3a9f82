// Writers against iterators that remember which keys are dead (kernel/dead_ranges.h): what they remember must never
// hide a put from an iterator that was made after it.
//
// A writer owns three keys and alone changes them. It deletes all of them, which walkers, who do nothing but walk,
// notice and offer to be jumped over; then it puts the middle one back, at the very moment perhaps at which they are
// at it. After each put, iterators that the writer makes itself must show the key, coming from a dead key on either
// side: that is where they would jump. Then it puts the others back, so that nothing is left to remember, and begins
// anew: the first range of all is the one whose making no lock protects.
//
// Threads make each run another one. More: TARN_STRESS_OPS=n rounds of each writer. A torn protocol is noticed within
// the usual number of them (tests/mutation).
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tarn/db.h"
#include "tests/support/dead_rows.h"
#include "tests/support/from_environment.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {
namespace {

// A moment that the compiler may not take away: a turn is less than a nanosecond.
void Pause(uint64_t turns) {
  for (; turns > 0; --turns) std::atomic_signal_fence(std::memory_order_seq_cst);
}

// Spins, so that two threads go on at the same time; yields where there are fewer processors than threads.
void AwaitAtLeast(const std::atomic<uint64_t>& value, uint64_t at_least) {
  for (uint64_t turns = 1; value < at_least; ++turns) {
    if (turns % 4096 == 0) std::this_thread::yield();
  }
}

class WalkersAndWriters : public testing::Test {
 protected:
  void SetUp() override {
    Components parts;
    parts.backend = std::make_shared<MemBackend>();
    auto opened = DB::Open({}, std::move(parts));
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    db_ = std::move(*opened);
  }

  // The keys of all writers alternate, so that they lie in each other's ranges.
  static std::string Key(uint32_t n, uint32_t writer) { return std::string{"akz"[n]} + std::to_string(writer); }

  void Walk() {
    for (uint64_t n = 0; writing_ != 0; ++n) {
      const auto it = db_->NewIterator();
      const bool forward = n % 2 == 0;
      for (forward ? it->SeekToFirst() : it->SeekToLast(); it->valid(); forward ? it->Next() : it->Prev()) {
      }
      if (!it->status().ok()) ++wrong_;
    }
  }

  void Write(uint32_t self, uint64_t rounds) {
    for (uint64_t round = 0; round < rounds && wrong_ == 0; ++round) {
      WriteBatch all_gone, others_back;
      for (uint32_t n = 0; n < 3; ++n) all_gone.Delete(Key(n, self));
      for (uint32_t n = 0; n < 3; n += 2) others_back.Put(Key(n, self), "v");
      Must(db_->Write(all_gone, Durability::kNone));
      Pause(round * 7919 % 400);
      Must(db_->Put(Key(1, self), std::to_string(round), Durability::kNone));
      LookBack(self, round);
      Must(db_->Write(others_back, Durability::kNone));
      LookBack(self, round);
    }
    --writing_;
  }

  void LookBack(uint32_t self, uint64_t round) {
    const auto it = db_->NewIterator();
    for (const bool forward : {true, false}) {
      for (forward ? it->SeekToFirst() : it->SeekToLast(); it->valid(); forward ? it->Next() : it->Prev()) {
        if (it->key() == Key(1, self)) break;
      }
      if (it->valid() && it->value() == std::to_string(round)) continue;
      ++wrong_;
      ADD_FAILURE() << "round " << round << ": a walk " << (forward ? "forward" : "backward") << " misses "
                    << Key(1, self) << ", which was put before it; " << it->status().ToString();
    }
  }

  void Must(const Status& status) {
    if (status.ok()) return;
    ++wrong_;
    ADD_FAILURE() << status.ToString();
  }

  const LeastDeadRow least_{1};
  std::unique_ptr<DB> db_;
  std::atomic<uint32_t> writing_{0};
  std::atomic<uint64_t> wrong_{0};
};

class SomeWriters : public WalkersAndWriters, public testing::WithParamInterface<uint32_t> {};

TEST_P(SomeWriters, NoPutIsJumpedOver) {
  const uint32_t writers = GetParam();
  const uint64_t rounds = FromEnvironment("TARN_STRESS_OPS", 20000) / writers;
  writing_ = writers;
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < writers; ++i) threads.emplace_back([this, i, rounds] { Write(i, rounds); });
  for (int i = 0; i < 2; ++i) threads.emplace_back([this] { Walk(); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong_, 0u);
  EXPECT_GT(db_->Statistics().at("iterator.dead_ranges_used"), rounds / 10) << "no walk has used what others found";
}
// The narrowest place: a walk offers the first row of all, and a writer puts a key into it, both at once.
TEST_F(WalkersAndWriters, AnOfferAndAPutAtOnce) {
  const uint64_t rounds = FromEnvironment("TARN_STRESS_OPS", 20000);
  std::atomic<uint64_t> started{0}, walked{0};
  std::unique_ptr<Iterator> walk;
  std::thread walker([&] {
    for (uint64_t round = 1; round <= rounds; ++round) {
      AwaitAtLeast(started, round);
      walk->SeekToFirst();
      walked = round;
    }
  });
  WriteBatch all_gone, others_back;
  for (uint32_t n = 0; n < 3; ++n) all_gone.Delete(Key(n, 0));
  for (uint32_t n = 0; n < 3; n += 2) others_back.Put(Key(n, 0), "v");
  for (uint64_t round = 1; round <= rounds; ++round) {
    Must(db_->Write(others_back, Durability::kNone));
    Must(db_->Write(all_gone, Durability::kNone));
    walk = db_->NewIterator();
    started = round;
    Pause(round * 104729 % 16384);  // a walk takes longer than a put
    Must(db_->Put(Key(1, 0), std::to_string(round), Durability::kNone));
    AwaitAtLeast(walked, round);
    if (wrong_ == 0) LookBack(0, round);
  }
  walker.join();
  walk.reset();
}

INSTANTIATE_TEST_SUITE_P(Writers, SomeWriters, testing::Values(1, 3));

}  // namespace
}  // namespace tarn::test
