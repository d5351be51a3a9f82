// Bulk work where the log is objects: it is sent once, in tables, and what was promised about it is kept
// (kernel/write_path.h, invariant 4).
#include <gtest/gtest.h>

#include "tests/kernel/sim_store.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kRows = 3000;  // of 100 bytes: several memtables
const std::string kValue(100, 'v');

// Counts what is sent to the log and to tables.
class Counting final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  uint64_t log_bytes = 0, table_bytes = 0;

 protected:
  Status Around(const Call& call, const Effect& effect) override {
    if (call.op == Op::kPutIfAbsent && call.name.starts_with("wal/")) log_bytes += call.bytes;
    if (call.op == Op::kBlobAppend && call.name.starts_with("table/")) table_bytes += call.bytes;
    return effect();
  }
};

class Bulk : public testing::Test {
 protected:
  Bulk() : counted_(std::make_shared<Counting>(bucket_)), db_(OpenSim(counted_).value()) { counted_->log_bytes = 0; }
  void Load(uint64_t first = 0) {
    for (uint64_t n = first; n < first + kRows; ++n) {
      ASSERT_TRUE(db_->Put(NumberedKey(n), kValue, Durability::kNone).ok());
    }
  }
  // What the next process finds when this one dies now: the rows from the first one on, and how many.
  uint64_t RowsAfterDeath() {
    const auto db = OpenSim(bucket_->CrashClone(1, CrashMode::kProcessKill)).value();
    uint64_t n = 0;
    const auto it = db->NewIterator({.prefix = "key"});
    for (it->SeekToFirst(); it->valid(); it->Next(), ++n) EXPECT_EQ(it->key(), NumberedKey(n)) << "a hole";
    EXPECT_TRUE(it->status().ok()) << it->status().ToString();
    return n;
  }

  const std::shared_ptr<MemBackend> bucket_ =
      std::make_shared<MemBackend>(MemOptions{.append = false, .locks = false});
  const std::shared_ptr<Counting> counted_;
  std::unique_ptr<DB> db_;
};

TEST_F(Bulk, IsSentOnceAndNotToTheLog) {
  Load();
  ASSERT_TRUE(db_->SyncWal().ok());
  EXPECT_LT(counted_->log_bytes, 5000u);
  EXPECT_LT(counted_->table_bytes, kRows * 150) << "and nothing was written twice";
  EXPECT_EQ(RowsAfterDeath(), kRows);
}

TEST_F(Bulk, LosesNothingBehindADurableCommit) {
  Load();
  ASSERT_TRUE(db_->Put("last", "x", Durability::kProcess).ok());
  EXPECT_EQ(RowsAfterDeath(), kRows);
  Load(kRows);
  EXPECT_LE(RowsAfterDeath(), 2 * kRows) << "a prefix";
  ASSERT_TRUE(db_->CreateNamedSnapshot("s").ok());
  EXPECT_EQ(RowsAfterDeath(), 2 * kRows);
}

TEST_F(Bulk, IsKeptByClose) {
  Load();
  ASSERT_TRUE(db_->Close().ok());
  EXPECT_EQ(RowsAfterDeath(), kRows);
}

TEST_F(Bulk, LittleWorkGathersIntoOneObject) {
  for (uint64_t n = 0; n < 50; ++n) ASSERT_TRUE(db_->Put(NumberedKey(n), kValue, Durability::kNone).ok());
  EXPECT_EQ(counted_->log_bytes, 0u);
  ASSERT_TRUE(db_->SyncWal().ok());
  EXPECT_GT(counted_->log_bytes, 5000u);
  EXPECT_EQ(counted_->table_bytes, 0u);
  EXPECT_EQ(RowsAfterDeath(), 50u);
}

}  // namespace
}  // namespace tarn::test
