// RangeTombstones against the definition: a key is deleted by every tombstone whose range holds it. Random sets
// over a tiny keyspace, so that touching, nested, repeated and empty ranges all occur.

#include "format/range_tombstones.h"

#include <algorithm>
#include <functional>
#include <random>

#include "gtest/gtest.h"

namespace tarn {
namespace {

using Sequences = std::vector<Sequence>;

// The distinct sequences that delete `key`, newest first: straight from the definition.
Sequences Covering(const std::vector<RangeTombstone>& all, const std::string& key) {
  Sequences found;
  for (const RangeTombstone& t : all) {
    if (t.begin <= key && key < t.end) found.push_back(t.sequence);
  }
  std::sort(found.begin(), found.end(), std::greater<>());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

Sequences Stored(const RangeTombstones& set, const std::string& key) {
  const RangeTombstones::Fragment* fragment = set.Find(key);
  return fragment == nullptr ? Sequences() : fragment->sequences;
}

std::string Key(int i) { return std::string(1, static_cast<char>('a' + i)); }

std::vector<RangeTombstone> RandomTombstones(std::mt19937_64& random, int count) {
  std::vector<RangeTombstone> all;
  for (int i = 0; i < count; ++i) {
    all.push_back({Key(static_cast<int>(random() % 12)), Key(static_cast<int>(random() % 12)), 1 + random() % 9});
  }
  return all;
}

TEST(RangeTombstones, AnEmptySetCoversNothing) {
  const RangeTombstones none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.NewestCover("a", kMaxSequence), 0u);
  EXPECT_EQ(none.Find(""), nullptr);
  EXPECT_TRUE(none.Clip("", "").empty());
  EXPECT_TRUE(RangeTombstones({{"b", "b", 3}, {"c", "a", 4}}).empty());  // empty ranges delete nothing
}

TEST(RangeTombstones, OverlapIsCutIntoFragments) {
  const RangeTombstones set({{"c", "g", 5}, {"a", "e", 9}});
  ASSERT_EQ(set.fragments().size(), 3u);
  EXPECT_EQ(set.fragments()[0].begin, "a");
  EXPECT_EQ(set.fragments()[0].end, "c");
  EXPECT_EQ(set.fragments()[0].sequences, Sequences({9}));
  EXPECT_EQ(set.fragments()[1].sequences, Sequences({9, 5}));
  EXPECT_EQ(set.fragments()[2].begin, "e");
  EXPECT_EQ(set.fragments()[2].end, "g");
  EXPECT_EQ(set.fragments()[2].sequences, Sequences({5}));
}

TEST(RangeTombstones, BeginIsInsideAndEndIsNot) {
  const RangeTombstones set({{"b", "d", 7}});
  EXPECT_EQ(set.NewestCover("a", kMaxSequence), 0u);
  EXPECT_EQ(set.NewestCover("b", kMaxSequence), 7u);
  EXPECT_EQ(set.NewestCover("czzz", kMaxSequence), 7u);
  EXPECT_EQ(set.NewestCover("d", kMaxSequence), 0u);
}

TEST(RangeTombstones, ASnapshotSeesOnlyOlderTombstones) {
  const RangeTombstones set({{"a", "z", 10}, {"a", "z", 20}});
  EXPECT_EQ(set.NewestCover("k", 9), 0u);
  EXPECT_EQ(set.NewestCover("k", 10), 10u);
  EXPECT_EQ(set.NewestCover("k", 19), 10u);
  EXPECT_EQ(set.NewestCover("k", 20), 20u);
}

TEST(RangeTombstones, PiecesOfOneTombstoneJoinAgain) {
  const RangeTombstones set({{"m", "z", 4}, {"a", "m", 4}, {"a", "m", 4}});
  ASSERT_EQ(set.fragments().size(), 1u);
  EXPECT_EQ(set.fragments()[0].begin, "a");
  EXPECT_EQ(set.fragments()[0].end, "z");
  EXPECT_EQ(set.fragments()[0].sequences, Sequences({4}));
}

TEST(RangeTombstones, ClipCutsBothEnds) {
  const RangeTombstones set({{"b", "y", 4}, {"c", "d", 6}});
  const auto pieces = set.Clip("c", "f");
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces[0].begin, "c");
  EXPECT_EQ(pieces[0].end, "d");
  EXPECT_EQ(pieces[0].sequence, 6u);
  EXPECT_EQ(pieces[1].sequence, 4u);
  EXPECT_EQ(pieces[2].begin, "d");
  EXPECT_EQ(pieces[2].end, "f");
  EXPECT_TRUE(set.Clip("y", "").empty());
  EXPECT_TRUE(set.Clip("", "b").empty());
}

TEST(RangeTombstones, MemoryGrowsWithWhatItHolds) {
  const RangeTombstones small({{"a", "b", 1}});
  const RangeTombstones large({{std::string(1000, 'a'), std::string(1000, 'b'), 1}});
  EXPECT_GT(small.memory_bytes(), 0u);
  EXPECT_GT(large.memory_bytes(), small.memory_bytes() + 1900);
}

TEST(RangeTombstones, RandomSetsAgreeWithTheDefinition) {
  std::mt19937_64 random(20240611);
  for (int round = 0; round < 3000; ++round) {
    const auto all = RandomTombstones(random, 1 + static_cast<int>(random() % 10));
    const RangeTombstones set(all);
    const auto& fragments = set.fragments();
    for (size_t i = 0; i < fragments.size(); ++i) {
      ASSERT_LT(fragments[i].begin, fragments[i].end);
      ASSERT_FALSE(fragments[i].sequences.empty());
      if (i == 0) continue;
      ASSERT_LE(fragments[i - 1].end, fragments[i].begin);
    }
    for (int k = 0; k < 13; ++k) {
      for (const std::string& key : {Key(k), Key(k) + "5"}) {
        const Sequences expected = Covering(all, key);
        ASSERT_EQ(Stored(set, key), expected);
        const Sequence snapshot = random() % 11;
        const auto seen = std::find_if(expected.begin(), expected.end(), [&](Sequence s) { return s <= snapshot; });
        ASSERT_EQ(set.NewestCover(key, snapshot), seen == expected.end() ? 0 : *seen);
      }
    }
  }
}

TEST(RangeTombstones, ClippingToNeighboursLosesNothing) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 1000; ++round) {
    const auto all = RandomTombstones(random, 8);
    const RangeTombstones set(all);
    const std::string cut = Key(static_cast<int>(random() % 12)) + (random() % 2 ? "" : "x");
    auto pieces = set.Clip("", cut);
    for (const auto& piece : pieces) ASSERT_LE(piece.end, cut);
    for (auto& piece : set.Clip(cut, "")) {
      ASSERT_GE(piece.begin, cut);
      pieces.push_back(std::move(piece));
    }
    const RangeTombstones joined(pieces);
    ASSERT_EQ(joined.fragments().size(), set.fragments().size());
    for (int k = 0; k < 13; ++k) ASSERT_EQ(Stored(joined, Key(k)), Covering(all, Key(k)));
  }
}

}  // namespace
}  // namespace tarn
