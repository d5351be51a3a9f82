// What a store tells about itself. (tests/tidy compares the list of names with docs/statistics.md.)
#include <gtest/gtest.h>

#include "tests/kernel/sim_store.h"

namespace tarn::test {
namespace {

TEST(Statistics, CountWhatHappened) {
  auto db = OpenSim(std::make_shared<MemBackend>());
  ASSERT_TRUE(db.ok());
  for (uint64_t i = 0; i < 100; ++i) ASSERT_TRUE((*db)->Put(NumberedKey(i), "v", Durability::kPower).ok());
  ASSERT_TRUE((*db)->Flush().ok());
  std::string value;
  ASSERT_TRUE((*db)->Get(NumberedKey(7), &value).ok());
  EXPECT_EQ((*db)->Get("absent", &value).code(), Code::kNotFound);
  ASSERT_TRUE((*db)->Get(NumberedKey(7), &value).ok());
  const auto facts = (*db)->Statistics();
  EXPECT_EQ(facts.at("write.batches"), 100u);
  EXPECT_EQ(facts.at("write.groups"), 100u);
  EXPECT_EQ(facts.at("wal.syncs"), 100u);
  EXPECT_EQ(facts.at("flush.count"), 1u);
  EXPECT_EQ(facts.at("tables.count"), 1u);
  EXPECT_EQ(facts.at("get.keys"), 3u);
  EXPECT_EQ(facts.at("get.found"), 2u);
  EXPECT_EQ(facts.at("filter.positives"), 1u);
  EXPECT_EQ(facts.at("get.hints_followed"), 1u);  // the second Get of key 7
  EXPECT_GT(facts.at("block_cache.hits"), 0u);
  EXPECT_EQ(facts.at("sequence.visible"), 100u);
  EXPECT_LE(facts.at("memory.used_bytes"), facts.at("memory.limit_bytes"));
}

// A merge writes large values as they are stored, except those that others overwrote and the first of each table.
TEST(Statistics, BlocksThatMergesTakeOver) {
  auto db = OpenSim(std::make_shared<MemBackend>()).value();
  const auto value = [](uint64_t i) { return NumberedKey(i) + std::string(9000, static_cast<char>('a' + i % 26)); };
  for (uint64_t i = 0; i < 50; ++i) ASSERT_TRUE(db->Put(NumberedKey(i), value(i)).ok());
  ASSERT_TRUE(db->Compact().ok());
  const uint64_t packed = db->Statistics().at("compaction.blocks_taken_over");
  for (uint64_t i = 0; i < 50; i += 5) ASSERT_TRUE(db->Put(NumberedKey(i), "small").ok());
  ASSERT_TRUE(db->Compact().ok());
  EXPECT_GE(db->Statistics().at("compaction.blocks_taken_over"), packed + 39);
  EXPECT_TRUE(db->Verify().ok());
  std::string read;
  for (uint64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(db->Get(NumberedKey(i), &read).ok());
    EXPECT_EQ(read, i % 5 == 0 ? "small" : value(i));
  }
}

TEST(Properties, AreForPeopleAndUnknownOnesAreNamed) {
  auto db = OpenSim(std::make_shared<MemBackend>());
  ASSERT_TRUE(db.ok());
  ASSERT_TRUE((*db)->CreateFamily("photos").ok());
  EXPECT_NE((*db)->Property("families")->find("photos"), std::string::npos);
  EXPECT_NE((*db)->Property("summary")->find("healthy"), std::string::npos);
  EXPECT_NE((*db)->Property("levels")->find("tombstones"), std::string::npos);
  EXPECT_EQ((*db)->Property("nonsense").status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace tarn::test
