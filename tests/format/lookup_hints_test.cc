// Hints: what they remember, and that a probe's answer never depends on them.
#include "format/lookup_hints.h"

#include <gtest/gtest.h>

#include <random>

#include "format/filter.h"
#include "tests/format/table_support.h"

namespace tarn::test {
namespace {

TEST(LookupHints, RemembersTheLastOfASlot) {
  LookupHints hints(1024);
  LookupHints::Hint hint;
  EXPECT_FALSE(hints.Get(77, 1, &hint));
  hints.Put(77, 1, {4096, 0});
  ASSERT_TRUE(hints.Get(77, 1, &hint));
  EXPECT_EQ(hint.offset, 4096u);
  EXPECT_EQ(hint.restart, 0u);
  EXPECT_FALSE(hints.Get(77, 2, &hint)) << "another table";
  EXPECT_FALSE(hints.Get(77 + (uint64_t{1} << 60), 1, &hint)) << "another key";
  hints.Put(77, 2, {(uint64_t{1} << 38) - 1, 1022});
  ASSERT_TRUE(hints.Get(77, 2, &hint));
  EXPECT_EQ(hint.offset, (uint64_t{1} << 38) - 1);
  EXPECT_EQ(hint.restart, 1022u);
  EXPECT_FALSE(hints.Get(77, 1, &hint)) << "overwritten";
}

TEST(LookupHints, WhatDoesNotFitIsNotRemembered) {
  LookupHints hints(1024);
  LookupHints::Hint hint;
  hints.Put(1, 1, {uint64_t{1} << 38, 0});
  hints.Put(1, 1, {0, 1023});
  EXPECT_FALSE(hints.Get(1, 1, &hint));
}

TEST(LookupHints, TakesAPowerOfTwoAndNoMoreThanItMay) {
  EXPECT_EQ(LookupHints(7).memory_bytes(), 0u);
  EXPECT_EQ(LookupHints(1000).memory_bytes(), 512u);
  EXPECT_EQ(LookupHints(64 << 20).memory_bytes(), 2u << 20);
  LookupHints none(0);
  LookupHints::Hint hint;
  none.Prefetch(5);
  none.Put(5, 1, {0, 0});
  EXPECT_FALSE(none.Get(5, 1, &hint));
}

std::string AnswerWith(LookupHints* hints, const Built& built, BlobSource& source, std::string_view key,
                       Sequence snapshot, bool* followed) {
  TableProbe probe;
  probe.Start(built.table.get(), key, snapshot, hints);
  while (probe.Run(source) == TableProbe::Step::kNeedBlock) {
    probe.Supply(source.Load(*built.table, probe.wanted()));
  }
  *followed = probe.by_hint();
  return Answer(probe);
}

TEST(LookupHints, AFollowedHintNeedsOneBlock) {
  const Entries entries = Numbered(2000);
  const Built built = Build(entries, {}, {1024, Compression::kNone, 10});
  LookupHints hints(1 << 20);
  BlobSource source(/*keep=*/true);
  bool followed = false;
  int followed_hints = 0;
  for (int i = 0; i < 2000; ++i) {
    const std::string key = Key(i), first = AnswerWith(&hints, built, source, key, 9, &followed);
    EXPECT_FALSE(followed);
    TableProbe probe;
    probe.Start(built.table.get(), key, 9, &hints);
    EXPECT_LT(probe.wanted().offset, built.table->filter().offset) << "a data block comes first";
    EXPECT_EQ(AnswerWith(&hints, built, source, key, 9, &followed), first);
    followed_hints += followed ? 1 : 0;
  }
  EXPECT_GT(followed_hints, 1900) << "all but the first keys of blocks, which newer versions could precede";

  BlobSource empty;  // the block has left the cache: the regular way, and its blocks, are there as ever
  AnswerWith(&hints, built, empty, Key(778), 9, &followed);
  EXPECT_FALSE(followed);
  EXPECT_EQ(empty.loads.size(), 4u);
}

// Hints that lead anywhere in the data blocks, and to no block at all.
TEST(LookupHints, AWrongHintChangesNoAnswer) {
  std::mt19937 rng(5);
  uint64_t followed_hints = 0;
  for (uint32_t seed = 1; seed <= 12; ++seed) {
    const Entries entries = Mixed(seed, 600);
    const Built built = Build(entries, {}, {256, Compression::kNone, 10});
    BlobSource source(/*keep=*/true);
    bool followed = false;
    for (const auto& [key, value] : entries) AnswerWith(nullptr, built, source, UserKeyOf(key), 99, &followed);
    LookupHints hints(64 << 10);
    for (const auto& [internal_key, value] : entries) {
      for (int i = 0; i < 8; ++i) {
        const std::string key = std::string(UserKeyOf(internal_key)) + (i == 7 ? "?" : "");
        const Sequence snapshot = rng() % 42;
        const uint64_t offset = source.loads[rng() % source.loads.size()] + (rng() % 16 == 0 ? 1 : 0);
        if (i > 0) hints.Put(FilterHash(key), built.table->number(), {offset, static_cast<uint32_t>(rng() % 4)});
        const std::string answer = AnswerWith(&hints, built, source, key, snapshot, &followed);
        ASSERT_EQ(answer, ExpectedAnswer(entries, key, snapshot)) << seed << " " << i;
        followed_hints += followed ? 1 : 0;
      }
    }
  }
  EXPECT_GT(followed_hints, 100u) << "some of them were right by chance";
}

}  // namespace
}  // namespace tarn::test
