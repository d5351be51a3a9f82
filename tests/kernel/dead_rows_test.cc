// Rows of deleted keys through the public door: what iterators remember of them saves steps, which the statistics
// show, and never changes what is seen. (The parts: tests/kernel_read; threads: tests/concurrency/iterators_test.cc.)
#include <gtest/gtest.h>

#include "tests/kernel/sim_store.h"

namespace tarn::test {
namespace {

struct DeadRows : testing::Test {
  std::shared_ptr<MemBackend> backend = std::make_shared<MemBackend>();
  std::unique_ptr<DB> db = *OpenSim(backend);
  uint64_t told = 0;  // of iterator.dead_keys

  // A queue of 1000 keys of which the first 900 were taken.
  void SetUp() override {
    for (uint64_t i = 0; i < 1000; ++i) Put(i);
    for (uint64_t i = 0; i < 900; ++i) Delete(i);
  }
  void Put(uint64_t n) { ASSERT_TRUE(db->Put(NumberedKey(n), "v").ok()); }
  void Delete(uint64_t n) { ASSERT_TRUE(db->Delete(NumberedKey(n)).ok()); }
  // The first key at or after n, and the last one at or before n.
  std::string From(uint64_t n, const ReadOptions& options = {}) {
    const auto it = db->NewIterator(options);
    it->Seek(NumberedKey(n));
    EXPECT_TRUE(it->status().ok()) << it->status().ToString();
    return it->valid() ? std::string(it->key()) : "none";
  }
  std::string UpTo(uint64_t n, const ReadOptions& options = {}) {
    const auto it = db->NewIterator(options);
    it->SeekForPrev(NumberedKey(n));
    EXPECT_TRUE(it->status().ok()) << it->status().ToString();
    return it->valid() ? std::string(it->key()) : "none";
  }
  // Dead keys passed one by one since the last call.
  uint64_t Passed() {
    const uint64_t before = told;
    told = db->Statistics().at("iterator.dead_keys");
    return told - before;
  }
};

TEST_F(DeadRows, ArePassedOnce) {
  EXPECT_EQ(From(0), NumberedKey(900));
  EXPECT_EQ(Passed(), 900u);
  for (const uint64_t n : {0, 450, 899}) {
    EXPECT_EQ(From(n), NumberedKey(900));
    EXPECT_EQ(Passed(), 1u) << "the one that it met, and no more";
    EXPECT_EQ(UpTo(n), "none");
    EXPECT_EQ(Passed(), 1u);
  }
  ASSERT_TRUE(db->Flush().ok());
  EXPECT_EQ(From(0), NumberedKey(900));
  EXPECT_EQ(Passed(), 1u) << "it does not matter where the tombstones lie";
  ASSERT_TRUE(db->Compact().ok());
  EXPECT_EQ(From(0), NumberedKey(900));
  EXPECT_EQ(Passed(), 0u) << "and at last they are gone";
  EXPECT_EQ(db->Statistics().at("iterator.dead_ranges_used"), 7u);
}

TEST_F(DeadRows, ArePassedOnceBackwardToo) {
  EXPECT_EQ(UpTo(899), "none");
  EXPECT_EQ(Passed(), 900u);
  EXPECT_EQ(UpTo(500), "none");
  EXPECT_EQ(From(500), NumberedKey(900));
  EXPECT_EQ(Passed(), 2u);
}

TEST_F(DeadRows, GrowAsTheQueueIsConsumed) {
  From(0);
  Passed();
  uint64_t passed = 0;
  for (uint64_t i = 900; i < 990; ++i) {
    Delete(i);
    EXPECT_EQ(From(0), NumberedKey(i + 1));
    passed += Passed();
  }
  EXPECT_LT(passed, 90u * 8) << "what is new is passed again only until it is worth remembering";
}

TEST_F(DeadRows, APutIsSeenWhereverItFalls) {
  for (const uint64_t n : {0, 1, 450, 898, 899}) {
    EXPECT_EQ(From(0), NumberedKey(900));
    Put(n);
    EXPECT_EQ(From(0), NumberedKey(n));
    EXPECT_EQ(UpTo(899), NumberedKey(n));
    EXPECT_EQ(From(n + 1), NumberedKey(900));
    EXPECT_EQ(From(n), NumberedKey(n));
    Delete(n);
  }
  EXPECT_EQ(From(0), NumberedKey(900));
  ASSERT_TRUE(db->Put("a", "before all").ok());
  EXPECT_EQ(UpTo(899), "a");
  auto transaction = db->Begin();
  transaction->Put({}, NumberedKey(300), "v");
  ASSERT_TRUE(transaction->Commit().ok());
  EXPECT_EQ(From(0), NumberedKey(300));
  ASSERT_TRUE(db->DeleteRange(NumberedKey(200), NumberedKey(950)).ok());
  EXPECT_EQ(From(0), NumberedKey(950));
  EXPECT_EQ(From(899), NumberedKey(950));
}

TEST_F(DeadRows, EachSnapshotSeesItsOwn) {
  const auto dead = db->GetSnapshot();
  Put(500);
  const auto alive = db->GetSnapshot();
  Delete(500);
  for (int round = 0; round < 3; ++round) {
    for (const bool now_first : {true, false}) {
      if (now_first) {
        EXPECT_EQ(From(0), NumberedKey(900));
      }
      EXPECT_EQ(From(0, {.snapshot = alive.get()}), NumberedKey(500));
      EXPECT_EQ(UpTo(899, {.snapshot = alive.get()}), NumberedKey(500));
      EXPECT_EQ(From(501, {.snapshot = alive.get()}), NumberedKey(900));
      EXPECT_EQ(From(0, {.snapshot = dead.get()}), NumberedKey(900));
    }
    ASSERT_TRUE(db->Flush().ok());
  }
}

TEST_F(DeadRows, BoundsAndPrefixesHold) {
  for (int round = 0; round < 2; ++round) {  // to learn, and to use it
    const std::string b100 = NumberedKey(100), b950 = NumberedKey(950), b300 = NumberedKey(300);
    EXPECT_EQ(From(0, {.lower_bound = b100, .upper_bound = b300}), "none");
    EXPECT_EQ(UpTo(999, {.lower_bound = b100, .upper_bound = b300}), "none");
    EXPECT_EQ(From(0, {.lower_bound = b300, .upper_bound = b950}), NumberedKey(900));
    EXPECT_EQ(UpTo(999, {.lower_bound = b300, .upper_bound = b950}), NumberedKey(949));
    EXPECT_EQ(From(0, {.prefix = "key000005"}), "none");
    EXPECT_EQ(From(0, {.prefix = "key000009"}), NumberedKey(900));
    EXPECT_EQ(From(0), NumberedKey(900));
  }
}

TEST_F(DeadRows, AFamilyTakesThemAlong) {
  auto family = db->CreateFamily("f");
  WriteBatch puts, deletes;
  for (uint64_t i = 0; i < 100; ++i) {
    puts.Put(*family, NumberedKey(i), "v");
    deletes.Delete(*family, NumberedKey(i));
  }
  ASSERT_TRUE(db->Write(puts).ok());
  ASSERT_TRUE(db->Write(deletes).ok());
  const auto it = db->NewIterator(*family);
  it->SeekToFirst();
  EXPECT_FALSE(it->valid());
  EXPECT_EQ(Passed(), 100u);
  EXPECT_EQ(From(0), NumberedKey(900)) << "in another family all is as it was";
  EXPECT_EQ(Passed(), 900u);
  ASSERT_TRUE(db->DropFamily(*family).ok());
  it->SeekToFirst();
  EXPECT_FALSE(it->valid());
  EXPECT_EQ(Passed(), 100u) << "it is found anew, by an iterator that still has it";
  family = db->CreateFamily("f");
  WriteBatch put;
  put.Put(*family, NumberedKey(50), "v");
  ASSERT_TRUE(db->Write(put).ok());
  const auto fresh = db->NewIterator(*family);
  fresh->SeekToFirst();
  EXPECT_TRUE(fresh->valid());
}

// What the log brings back was announced by another process: a walk as of an older moment must not pass for one of
// now.
TEST_F(DeadRows, RecoveredPutsAreSeenAfterAWalkAsOfBefore) {
  ASSERT_TRUE(db->CreateNamedSnapshot("before").ok());
  Put(500);
  db.reset();
  db = *OpenSim(backend);
  const auto before = db->OpenNamedSnapshot("before");
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(From(0, {.snapshot = before->get()}), NumberedKey(900));
  EXPECT_EQ(From(0), NumberedKey(500));
  EXPECT_EQ(From(0, {.snapshot = before->get()}), NumberedKey(900));
  EXPECT_EQ(UpTo(899), NumberedKey(500));
}

}  // namespace
}  // namespace tarn::test
