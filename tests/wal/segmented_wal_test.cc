// The segmented writer beyond the contract: what it refuses, how often it writes and syncs, what it counts.
#include <string>
#include <utility>

#include "tests/support/fault_backend.h"
#include "tests/wal/wal_fixture.h"

namespace tarn::wal {
namespace {

using SegmentedWalTest = WalFixture;

TEST_F(SegmentedWalTest, RefusesWhatItCannotDo) {
  EXPECT_EQ(strategy_->Open(*disk_, "short", 1).status().code(), Code::kInvalid);
  EXPECT_EQ(strategy_->Open(*disk_, kStore, 0).status().code(), Code::kInvalid);
  EXPECT_EQ(strategy_->Replay(*disk_, "short", 1, {}).status().code(), Code::kInvalid);
  EXPECT_TRUE(disk_->List("", "", 10).value().blobs.empty());
}

TEST_F(SegmentedWalTest, APayloadOf4GiBIsRefusedAndHarmsNothing) {
  const auto writer = OpenAt(1);
  const char byte = 'x';
  // Only the size is looked at; the bytes do not exist.
  EXPECT_EQ(writer->Append(std::string_view(&byte, size_t{1} << 32), Durability::kPower).code(), Code::kInvalid);
  ASSERT_TRUE(writer->Append("small", Durability::kPower).ok());
  EXPECT_EQ(Replay().payloads, std::vector<std::string>{"small"});
}

TEST_F(SegmentedWalTest, TheSegmentBeingWrittenCannotBeReleased) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append("x", Durability::kPower).ok());
  EXPECT_EQ(writer->Release(2).code(), Code::kInvalid);
  EXPECT_EQ(Replay().payloads.size(), 1u);
}

TEST_F(SegmentedWalTest, WritesAndSyncsAsOftenAsTheLevelsAsk) {
  test::FaultBackend counting(disk_);
  uint64_t writes = 0, syncs = 0;
  auto count = [&](const test::Call& call) {
    writes += call.op == test::Op::kLogAppend;
    syncs += call.op == test::Op::kLogSync;
    return false;
  };
  counting.Arm({.only = count});
  const auto writer = strategy_->Open(counting, kStore, 1).value();
  auto take = [&] { return std::pair(std::exchange(writes, 0), std::exchange(syncs, 0)); };
  using Counts = std::pair<uint64_t, uint64_t>;

  EXPECT_EQ(take(), Counts(0, 0));  // the header waits for the first record
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(writer->Append("x", Durability::kNone).ok());
  EXPECT_EQ(take(), Counts(0, 0));
  ASSERT_TRUE(writer->Append("x", Durability::kProcess).ok());
  EXPECT_EQ(take(), Counts(1, 0));
  ASSERT_TRUE(writer->Append("x", Durability::kPower).ok());
  EXPECT_EQ(take(), Counts(1, 1));
  ASSERT_TRUE(writer->Sync().ok());
  EXPECT_EQ(take(), Counts(0, 0));  // nothing to make durable
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer->Append(std::string(100 << 10, 'n'), Durability::kNone).ok());
  EXPECT_EQ(take(), Counts(1, 0));  // 256 KiB are reached
  ASSERT_TRUE(writer->Append(std::string(1 << 20, 'l'), Durability::kNone).ok());
  EXPECT_EQ(take(), Counts(2, 0));  // what was kept and the header, then the large payload as it is
  ASSERT_TRUE(writer->Rotate().ok());
  EXPECT_EQ(take(), Counts(2, 2));  // sync, seal, sync; the header of the next
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(take(), Counts(1, 2));  // sync, seal, sync
}

TEST_F(SegmentedWalTest, LiveBytesAreTheBytesOfTheFiles) {
  auto bytes_on_disk = [&] {
    uint64_t bytes = 0;
    const ListPage page = disk_->List(kNamePrefix, "", 100).value();
    for (const BlobInfo& blob : page.blobs) bytes += blob.size;
    return bytes;
  };
  uint64_t next = 1;
  for (int generation = 0; generation < 3; ++generation) {
    const auto writer = OpenAt(next);
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(writer->Append(std::string(static_cast<size_t>(i) * 1000, 'x'), Durability::kNone).ok());
      ASSERT_TRUE(writer->Sync().ok());
      EXPECT_EQ(writer->live_bytes(), bytes_on_disk());
      if (i % 2 == 1) {
        ASSERT_TRUE(writer->Rotate().ok());
      }
    }
    ASSERT_TRUE(writer->Release(writer->segment() - 1).ok());
    ASSERT_TRUE(writer->Close().ok());
    EXPECT_EQ(writer->live_bytes(), bytes_on_disk());
    next = writer->segment() + 1;
  }
}

TEST_F(SegmentedWalTest, ManySegmentsAreListedByPage) {
  const auto writer = OpenAt(1);
  for (int i = 0; i < 2100; ++i) {
    ASSERT_TRUE(writer->Append(std::to_string(i), Durability::kNone).ok());
    ASSERT_TRUE(writer->Rotate().ok());
  }
  const Replayed replayed = Replay();
  ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
  ASSERT_EQ(replayed.payloads.size(), 2100u);
  for (size_t i = 0; i < replayed.payloads.size(); ++i) ASSERT_EQ(replayed.payloads[i], std::to_string(i));
}

// Without Close a writer leaves what a dead process would: what it kept in memory is gone.
TEST_F(SegmentedWalTest, DestructionIsNoClose) {
  {
    const auto writer = OpenAt(1);
    ASSERT_TRUE(writer->Append("process", Durability::kProcess).ok());
    ASSERT_TRUE(writer->Append("none", Durability::kNone).ok());
  }
  EXPECT_EQ(Replay().payloads, std::vector<std::string>{"process"});
}

}  // namespace
}  // namespace tarn::wal
