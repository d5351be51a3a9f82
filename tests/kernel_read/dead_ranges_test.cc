// DeadRanges, one step of its protocol at a time: who saw what when decides whether a row becomes a range, stays a
// watch, or is forgotten. What threads do to it: tests/concurrency/iterators_test.cc.
#include "kernel/dead_ranges.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "tests/support/dead_rows.h"

namespace tarn::kernel {
namespace {

constexpr uint64_t kMany = 1 << 20;  // dead keys: cuts leave a row that is worth a seek

struct DeadRangesTest : testing::Test {
  Statistics stats;
  DeadRanges ranges{stats};

  // The range around a key as a snapshot finds it, or "none".
  std::string Around(std::string_view key, Sequence snapshot, uint32_t family = 0) {
    KeyRange found;
    return ranges.Find(family, key, snapshot, &found) ? found.begin + ".." + found.end : "none";
  }
  // A writer's whole commit.
  void Put(std::string_view key, Sequence sequence, uint32_t family = 0) {
    if (ranges.Announce(sequence)) ranges.Forget(family, key);
  }
  void Offer(const char* begin, const char* end, Sequence snapshot, uint32_t family = 0) {
    ranges.Offer(family, {begin, end}, kMany, snapshot);
  }
};

TEST_F(DeadRangesTest, WhatIsOfferedWithNoWriterAheadIsDead) {
  ranges.Announce(7);
  Offer("b", "d", 7);
  for (const char* key : {"b", "c", "czz"}) EXPECT_EQ(Around(key, 7), "b..d") << key;
  for (const char* key : {"", "a", "azz", "d", "e"}) EXPECT_EQ(Around(key, 7), "none") << key;
  EXPECT_EQ(Around("c", 9), "b..d") << "for later snapshots too";
  EXPECT_EQ(Around("c", 6), "none") << "and not for earlier ones";
  EXPECT_EQ(Around("c", 7, 1), "none") << "nor in another family";
  EXPECT_EQ(stats.Get(Counter::kDeadRangesUsed), 4u);
}

TEST_F(DeadRangesTest, BehindAWriterItIsOnlyWatched) {
  ranges.Announce(8);  // and not visible yet: this put may lie in the row
  Offer("b", "d", 7);
  EXPECT_EQ(Around("c", 8), "none");
  Offer("b", "d", 7);
  EXPECT_EQ(Around("c", 8), "none") << "a second look as of the same moment proves nothing";
  ranges.Announce(9);
  Offer("a", "c", 8);
  EXPECT_EQ(Around("b", 8), "b..c") << "the part that was watched since 8 and walked as of 8";
  EXPECT_EQ(Around("b", 7), "none");
  EXPECT_EQ(Around("c", 8), "none");
  EXPECT_EQ(Around("a", 9), "none");
}

TEST_F(DeadRangesTest, APutEndsTheWatchThatItFalls) {
  ranges.Announce(8);
  Offer("b", "d", 7);
  EXPECT_TRUE(ranges.Announce(9)) << "a watch is something to tell about";
  ranges.Forget(0, "c");
  ranges.Announce(10);
  Offer("b", "c", 9);  // a walk that saw the put of "c"
  EXPECT_EQ(Around("b", 9), "none") << "nothing watches since before 9";
}

TEST_F(DeadRangesTest, APutElsewhereLeavesTheWatch) {
  ranges.Announce(8);
  Offer("b", "d", 7);
  Put("d", 9);
  Put("c", 10, 1);
  ranges.Announce(11);
  Offer("b", "d", 10);
  EXPECT_EQ(Around("c", 10), "b..d");
}

TEST_F(DeadRangesTest, APutCutsARange) {
  Offer("b", "f", 0);
  Put("d", 1);
  EXPECT_EQ(Around("c", 1), "b..d");
  EXPECT_EQ(Around("d", 1), "none");
  EXPECT_EQ(Around("e", 1), std::string("d") + '\0' + "..f");
  Put("b", 2);
  EXPECT_EQ(Around("b", 2), "none");
  EXPECT_EQ(Around("c", 2), std::string("b") + '\0' + "..d");
  Put("f", 3);
  Put("a", 3);
  EXPECT_EQ(Around("e", 3), std::string("d") + '\0' + "..f") << "its end is not in it";
  Put("e", 4);
  Offer("b", "f", 4);
  EXPECT_EQ(Around("d", 4), "b..f") << "found dead again, it is one again";
  EXPECT_EQ(Around("d", 3), "none");
}

TEST_F(DeadRangesTest, ARangeIsForgottenWhenCutsLeaveNoRow) {
  const uint64_t row = ranges.least_row();
  ranges.Offer(0, {"b", "y"}, 2 * row, 0);
  ranges.Offer(1, {"b", "y"}, 2 * row - 1, 0);
  Put("k", 1, 1);
  EXPECT_EQ(Around("c", 1, 1), "none");
  Put("k", 2);
  EXPECT_EQ(Around("c", 2), "b..k");
  Put("h", 3);
  EXPECT_EQ(Around("c", 3), "none");
  Put("p", 4);
  EXPECT_FALSE(ranges.Announce(5)) << "and writers are as fast as before";
  ranges.Offer(0, {"b", "d"}, row, 5);
  ranges.Offer(0, {"c", "f"}, row, 5);
  ranges.Offer(0, {"d", "e"}, row, 5);
  Put("c", 6);
  EXPECT_EQ(Around("e", 6), std::string("c") + '\0' + "..f") << "what is joined has the keys of both";
  Put("d", 7);
  EXPECT_EQ(Around("e", 7), "none") << "and those of a row inside are not counted again";
}

TEST_F(DeadRangesTest, WithNothingKnownWritersNeedNotTell) {
  EXPECT_FALSE(ranges.Announce(1));
  Offer("b", "c", 1);
  EXPECT_TRUE(ranges.Announce(2));
  ranges.Forget(0, "b");
  EXPECT_TRUE(ranges.Announce(3)) << "what is left of it";
  ranges.DropFamily(0);
  EXPECT_FALSE(ranges.Announce(4));
}

TEST_F(DeadRangesTest, NeighboursAreJoinedSinceTheLater) {
  Offer("b", "c", 3);
  Offer("d", "e", 5);
  EXPECT_EQ(Around("b", 9), "b..c");
  Offer("c", "d", 4);
  for (const char* key : {"b", "c", "d"}) {
    EXPECT_EQ(Around(key, 4), "none") << key;
    EXPECT_EQ(Around(key, 5), "b..e") << key;
  }
  Offer("a", "z", 6);
  EXPECT_EQ(Around("b", 6), "a..z");
  Offer("c", "d", 7);
  EXPECT_EQ(Around("b", 7), "a..z");
}

TEST_F(DeadRangesTest, AFamilyTakesItsRangesAlong) {
  Offer("b", "c", 1);
  Offer("b", "d", 1, 1);
  ranges.DropFamily(0);
  EXPECT_EQ(Around("b", 1), "none");
  EXPECT_EQ(Around("b", 1, 1), "b..d");
}

TEST_F(DeadRangesTest, LongKeysAreNotKept) {
  const std::string longest(DeadRanges::kMaxRangeKeyBytes, 'x');
  ranges.Offer(0, {"b", longest + "x"}, kMany, 0);
  EXPECT_EQ(Around("x", 0), "none");
  ranges.Offer(0, {"b", longest}, kMany, 0);
  EXPECT_EQ(Around("c", 0), "b.." + longest);
  Put("c" + longest, 1);
  EXPECT_EQ(Around("c", 1), "b.." + ("c" + longest).substr(0, longest.size())) << "cut where it is still known";
  EXPECT_EQ(Around("d", 1), "none");
}

TEST_F(DeadRangesTest, TheLeastUsedGivesWay) {
  const auto key = [](size_t n) {
    return std::string{static_cast<char>('a' + n / 100), static_cast<char>(n % 100 + 1)};
  };
  for (size_t n = 0; n < DeadRanges::kMaxRanges; ++n) ranges.Offer(n % 3, {key(n), key(n) + "x"}, kMany, 0);
  EXPECT_NE(Around(key(0), 0, 0), "none");  // used now
  ranges.Offer(0, {"z", "zz"}, kMany, 0);
  EXPECT_NE(Around(key(0), 0, 0), "none");
  EXPECT_EQ(Around(key(1), 0, 1), "none");
  EXPECT_NE(Around(key(2), 0, 2), "none");
  EXPECT_NE(Around("z", 0, 0), "none");
}

// Keys 0..39 of one byte against a model that knows when each was put and deleted. Offers come from walks over what
// the model says is dead at their snapshot, writers stop between their steps; whatever Find says must be dead.
TEST(DeadRangesModel, NothingAliveIsEverInARange) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Statistics stats;
    DeadRanges ranges(stats);
    std::vector<std::set<int>> alive(1);  // by sequence: alive[s] is what snapshot s sees
    Sequence visible = 0;
    std::vector<int> told;  // puts of the commit in progress
    bool tell = false;
    for (int step = 0; step < 400; ++step) {
      const uint64_t dice = random() % 8;
      if (dice == 0 && alive.size() == visible + 1) {  // announce a commit of one change
        std::set<int> next = alive.back();
        const int key = static_cast<int>(random() % 40);
        const bool put = random() % 3 == 0;
        put ? (void)next.insert(key) : (void)next.erase(key);
        alive.push_back(std::move(next));
        tell = ranges.Announce(alive.size() - 1);
        if (put) told.push_back(key);
      } else if (dice == 1 && alive.size() > visible + 1) {  // tell of it and show it
        for (int key : told) {
          if (tell) ranges.Forget(0, std::string(1, static_cast<char>(key)));
        }
        told.clear();
        ++visible;
      } else {
        const Sequence snapshot = random() % 4 == 0 ? random() % (visible + 1) : visible;
        int key = static_cast<int>(random() % 40);
        KeyRange found;
        if (ranges.Find(0, std::string(1, static_cast<char>(key)), snapshot, &found)) {
          for (int k = 0; k < 40; ++k) {
            if (!found.Contains(std::string(1, static_cast<char>(k)))) continue;
            ASSERT_FALSE(alive[snapshot].contains(k)) << "key " << k << " at " << snapshot << " step " << step;
          }
        }
        const int begin = key;
        while (key < 40 && !alive[snapshot].contains(key)) ++key;
        if (key > begin) {
          const KeyRange row{std::string(1, static_cast<char>(begin)), std::string(1, static_cast<char>(key))};
          ranges.Offer(0, row, kMany, snapshot);
        }
      }
    }
    ASSERT_GT(stats.Get(Counter::kDeadRangesUsed), 20u);
  }
}

// A row is looked up when the walk was sent there, later only when it has some length, and offered when it has more.
TEST(DeadRow, LooksWhereItMayPay) {
  Statistics stats;
  const test::LeastDeadRow least(20);
  DeadRanges ranges(stats);
  ranges.Offer(0, {"a", "z"}, kMany, 0);
  DeadRow row(&ranges, 0, 0);
  row.Start();
  EXPECT_TRUE(row.Pass("b")) << "after a seek at once";
  EXPECT_EQ(row.range().begin + row.range().end, "az");
  EXPECT_FALSE(row.Pass("z"));
  row.Finish(true);
  EXPECT_FALSE(row.any());
  int passed = 1;
  while (!row.Pass("b")) ++passed;
  EXPECT_EQ(passed, 8) << "after a step later";
  row.Finish(true);
  EXPECT_EQ(stats.Get(Counter::kDeadKeys), 10u);
  KeyRange found;
  EXPECT_FALSE(ranges.Find(0, "z", 0, &found)) << "two keys are no row";
}

TEST(DeadRow, OffersWhatItPassedInEitherDirection) {
  for (const bool forward : {true, false}) {
    for (const int keys : {19, 20}) {
      for (const bool whole : {true, false}) {
        Statistics stats;
        const test::LeastDeadRow least(20);
        DeadRanges ranges(stats);
        DeadRow row(&ranges, 0, 0);
        for (int i = 0; i < keys; ++i)
          row.Pass(std::string(1, static_cast<char>(forward ? 'a' + i : 'a' + keys - 1 - i)));
        row.Finish(whole);
        KeyRange found;
        ASSERT_EQ(ranges.Find(0, "c", 0, &found), keys == 20 && whole);
        if (keys == 19 || !whole) continue;
        EXPECT_EQ(found.begin + ".." + found.end, std::string("a..t") + '\0');
      }
    }
  }
}

}  // namespace
}  // namespace tarn::kernel
