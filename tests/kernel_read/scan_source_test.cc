// Cursors over a ScanSource: few large reads for a long scan, small ones for a short scan, the cache filled or left
// alone as asked, and errors only where the walk needs the bad bytes.
#include "kernel/scan_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "kernel/read_engine.h"
#include "tests/kernel_read/watched_backend.h"

namespace tarn::kernel {
namespace {

using test::KeyOf;
using test::MakeTable;
using test::SeenRead;
using test::ValueOf;
using testing::HasSubstr;

constexpr uint64_t kKeys = 20000;  // about 2.3 MB in blocks of 4 KiB

class ScanSourceTest : public testing::Test {
 protected:
  ScanSourceTest() : table_(MakeTable(backend_, 1, 0, kKeys)) { backend_.Forget(); }

  // Walks all of the table; the keys that were right until the end or an error.
  static uint64_t Walk(Cursor& cursor) {
    uint64_t i = 0;
    for (cursor.SeekToFirst(); cursor.valid(); cursor.Next(), ++i) {
      if (UserKeyOf(cursor.key()) != KeyOf(i) || cursor.value() != ValueOf(i)) break;
    }
    return i;
  }
  uint64_t LargestRead() const {
    uint64_t largest = 0;
    for (const SeenRead& read : backend_.reads()) largest = std::max(largest, read.bytes);
    return largest;
  }

  test::WatchedBackend backend_{/*queues=*/true};
  MemoryBudget budget_{256 << 20};
  BlockCache cache_{&budget_};
  Statistics statistics_;
  ReadEngine engine_{backend_, cache_, statistics_};
  const uint64_t hints_ = budget_.used();  // what the engine charges from the start
  std::shared_ptr<Table> table_;
};

TEST_F(ScanSourceTest, AOneTimeScanReadsInLargePiecesAndLeavesTheCacheAlone) {
  {
    ScanSource source(engine_, /*fill_cache=*/false);
    const auto cursor = table_->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
    EXPECT_TRUE(cursor->status().ok());
  }
  EXPECT_EQ(cache_.bytes(), 0u);
  EXPECT_EQ(budget_.used(), hints_);
  EXPECT_EQ(LargestRead(), 1u << 20);
  uint64_t large = 0, bytes = 0;
  for (const SeenRead& read : backend_.reads()) {
    large += read.bytes > 100'000 ? 1 : 0;
    bytes += read.bytes;
  }
  EXPECT_LE(large, 4u);
  EXPECT_LT(bytes, table_->blob().size() * 11 / 10) << "next to nothing is read twice";
  EXPECT_GT(statistics_.Get(Counter::kBlocksPrefetched), statistics_.Get(Counter::kBlockMisses) / 2);
  EXPECT_EQ(statistics_.Get(Counter::kReadBytes), bytes);
}

TEST_F(ScanSourceTest, AFillingScanGrowsItsReadsAndKeepsTheBlocks) {
  {
    ScanSource source(engine_, /*fill_cache=*/true);
    const auto cursor = table_->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
  }
  std::vector<uint64_t> sizes;
  for (const SeenRead& read : backend_.reads()) {
    if (read.bytes > 8192) sizes.push_back(read.bytes);
  }
  ASSERT_GE(sizes.size(), 4u);
  EXPECT_LE(sizes.front(), 16u << 10);
  EXPECT_TRUE(std::is_sorted(sizes.begin(), sizes.end() - 1));
  EXPECT_GT(LargestRead(), 256u << 10);
  EXPECT_EQ(budget_.used(), cache_.bytes() + hints_) << "the window was given back";

  backend_.Forget();
  ScanSource source(engine_, true);
  const auto cursor = table_->NewCursor(source);
  EXPECT_EQ(Walk(*cursor), kKeys);
  EXPECT_TRUE(backend_.reads().empty());
}

TEST_F(ScanSourceTest, AShortScanReadsLittle) {
  ScanSource source(engine_, true);
  const auto cursor = table_->NewCursor(source);
  cursor->Seek(SeekKey(KeyOf(5000), kMaxSequence));
  for (int i = 0; i < 20; ++i) cursor->Next();
  EXPECT_EQ(UserKeyOf(cursor->key()), KeyOf(5020));
  uint64_t bytes = 0;
  for (const SeenRead& read : backend_.reads()) bytes += read.bytes;
  EXPECT_LT(bytes, 64u << 10);
}

TEST_F(ScanSourceTest, AHoleInTheCacheIsNotReadByTheMegabyte) {
  {
    ScanSource source(engine_, true);
    const auto cursor = table_->NewCursor(source);
    Walk(*cursor);
  }
  // Every eighth block is gone.
  MemoryBudget budget(256 << 20);
  BlockCache holed(&budget);
  ReadEngine engine(backend_, holed, statistics_);
  uint64_t blocks = 0;
  for (uint64_t offset = 0; offset < table_->blob().size(); ++offset) {
    const BlockRef block = cache_.Lookup(1, offset);
    if (block != nullptr && ++blocks % 8 != 0) holed.Insert(1, offset, block);
  }
  backend_.Forget();
  ScanSource source(engine, true);
  const auto cursor = table_->NewCursor(source);
  EXPECT_EQ(Walk(*cursor), kKeys);
  EXPECT_LE(LargestRead(), 16u << 10);
}

TEST_F(ScanSourceTest, WalksBackwardAndTurns) {
  ScanSource source(engine_, false);
  const auto cursor = table_->NewCursor(source);
  uint64_t i = kKeys;
  for (cursor->SeekToLast(); cursor->valid(); cursor->Prev()) {
    --i;
    ASSERT_EQ(UserKeyOf(cursor->key()), KeyOf(i));
    ASSERT_EQ(cursor->value(), ValueOf(i));
  }
  EXPECT_EQ(i, 0u);
  EXPECT_TRUE(cursor->status().ok());
  cursor->Seek(SeekKey(KeyOf(1000), kMaxSequence));
  for (uint64_t at = 1000; at < 3000; ++at, cursor->Next()) ASSERT_EQ(UserKeyOf(cursor->key()), KeyOf(at));
  for (uint64_t at = 3000; at > 2000; --at, cursor->Prev()) ASSERT_EQ(UserKeyOf(cursor->key()), KeyOf(at));
  for (uint64_t at = 2000; at < 9000; ++at, cursor->Next()) ASSERT_EQ(UserKeyOf(cursor->key()), KeyOf(at));
}

// For merges (Cursor::stored): also of blocks that are larger than what is read ahead. Never bytes that were not
// verified, nor another block's.
TEST_F(ScanSourceTest, SaysHowALargeValueIsStored) {
  for (const size_t value_bytes : {size_t{6000}, size_t{3} << 20}) {
    const auto table = MakeTable(backend_, value_bytes, 0, 9, value_bytes);
    const auto stored = [&](bool fill_cache) {
      ScanSource source(engine_, fill_cache);
      const auto cursor = table->NewCursor(source);
      uint64_t at_hand = 0;
      for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) {
        const std::string_view bytes = cursor->stored();
        if (bytes.empty()) continue;
        ++at_hand;
        // Not compressed: value, one restart point and their count, method and checksum.
        EXPECT_EQ(bytes.substr(bytes.size() - 17 - value_bytes, value_bytes), cursor->value());
      }
      EXPECT_TRUE(cursor->status().ok());
      return at_hand;
    };
    EXPECT_EQ(stored(true), 0u) << "a walk of a user";
    cache_.EraseTable(table->number());
    EXPECT_EQ(stored(false), 8u) << "the first block comes by itself";
    bool spoil = false;
    backend_.hook = [&](const SeenRead& read, std::span<char> out) {
      spoil = read.bytes > value_bytes && !spoil;  // each window, but not the block alone that is read then
      if (spoil) std::fill(out.begin(), out.end(), '!');
      return Status::Ok();
    };
    EXPECT_EQ(stored(false), 0u);
    backend_.hook = nullptr;
    stored(true);
    EXPECT_EQ(stored(false), 0u) << "from the cache";
  }
}

TEST_F(ScanSourceTest, OneSourceServesTablesInTurn) {
  const auto second = MakeTable(backend_, 2, 0, kKeys);
  ScanSource source(engine_, false);
  for (const auto& table : {table_, second, table_}) {
    const auto cursor = table->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
  }
}

TEST_F(ScanSourceTest, WhenLargeReadsFailSmallOnesGoOn) {
  backend_.hook = [](const SeenRead& read, std::span<char>) {
    return read.bytes > 8192 ? Status::Io("too much at once") : Status::Ok();
  };
  for (const bool fill_cache : {false, true}) {
    ScanSource source(engine_, fill_cache);
    const auto cursor = table_->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
    EXPECT_TRUE(cursor->status().ok());
  }
  EXPECT_EQ(budget_.used(), cache_.bytes() + hints_);
}

TEST_F(ScanSourceTest, BadBytesStopTheWalkWhereTheyAre) {
  const uint64_t bad = table_->blob().size() / 2;
  std::atomic<int> left{0};
  backend_.hook = [&](const SeenRead& read, std::span<char> out) {
    if (read.offset <= bad && bad < read.offset + read.bytes && left.fetch_sub(1) > 0) out[bad - read.offset] ^= 4;
    return Status::Ok();
  };
  for (const bool fill_cache : {false, true}) {
    left = 1'000'000;  // stays bad
    {
      ScanSource source(engine_, fill_cache);
      const auto cursor = table_->NewCursor(source);
      const uint64_t seen = Walk(*cursor);
      EXPECT_GT(seen, kKeys * 4 / 10);
      EXPECT_LT(seen, kKeys * 6 / 10);
      EXPECT_FALSE(cursor->valid());
      EXPECT_EQ(cursor->status().code(), Code::kCorruption);
      EXPECT_THAT(cursor->status().ToString(), HasSubstr(TableBlobName(1)));
    }
    cache_.EraseTable(1);
    left = 1;  // bad on the way, once
    ScanSource source(engine_, fill_cache);
    const auto cursor = table_->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
    EXPECT_LE(left.load(), 0);
    cache_.EraseTable(1);
  }
}

TEST_F(ScanSourceTest, ASmallBudgetMakesSmallWindows) {
  MemoryBudget budget(8 << 20);
  BlockCache cache(&budget);
  ReadEngine engine(backend_, cache, statistics_);
  ScanSource source(engine, false);
  const auto cursor = table_->NewCursor(source);
  const uint64_t before = budget.used();
  uint64_t most = 0;
  for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) most = std::max(most, budget.used());
  EXPECT_EQ(LargestRead(), 64u << 10);
  EXPECT_EQ(most - before, 64u << 10) << "the window is charged";
}

TEST_F(ScanSourceTest, TheEnginePrefetchesNeighboursTogether) {
  const auto cursor = table_->NewCursor(engine_);
  EXPECT_EQ(Walk(*cursor), kKeys);
  EXPECT_LT(backend_.reads().size(), statistics_.Get(Counter::kBlockMisses) / 4);
  backend_.Forget();
  EXPECT_EQ(Walk(*cursor), kKeys);
  EXPECT_TRUE(backend_.reads().empty());
}

// With a budget so small that the table is many pieces.
class NetworkScanTest : public ScanSourceTest {
 protected:
  NetworkScanTest() {
    backend_.set_latency(LatencyClass::kNetwork);
    engine_ = std::make_unique<ReadEngine>(backend_, cache_, statistics_);
    backend_.Forget();
  }
  MemoryBudget budget_{8 << 20};
  BlockCache cache_{&budget_};
  std::unique_ptr<ReadEngine> engine_;
};

TEST_F(NetworkScanTest, AWalkHasSeveralReadsUnderWayAndReadsNothingTwice) {
  for (const bool fill_cache : {false, true}) {
    backend_.Forget();
    const uint64_t used = budget_.used() - cache_.bytes();
    {
      ScanSource source(*engine_, fill_cache);
      const auto cursor = table_->NewCursor(source);
      EXPECT_EQ(Walk(*cursor), kKeys);
      EXPECT_TRUE(cursor->status().ok());
    }
    EXPECT_EQ(backend_.peak(), 4u);
    EXPECT_EQ(budget_.used() - cache_.bytes(), used) << "all buffers were given back";
    uint64_t bytes = 0;
    for (const SeenRead& read : backend_.reads()) bytes += read.bytes;
    EXPECT_LT(bytes, table_->blob().size() * 102 / 100);
    EXPECT_LT(backend_.reads().size(), table_->blob().size() / (64 << 10) + 12) << "its index was read at once";
    cache_.EraseTable(1);
  }
}

// As merges do, over backends whose queues follow them and over such whose queues do not.
TEST_F(NetworkScanTest, AnotherThreadGoesOnWithAWalk) {
  for (const bool may_move : {true, false}) {
    backend_.may_move = may_move;
    ScanSource source(*engine_, /*fill_cache=*/false);
    const auto cursor = table_->NewCursor(source);
    cursor->SeekToFirst();
    uint64_t at = 0;
    while (at < kKeys) {
      std::thread([&] {
        for (const uint64_t until = at + 500; at < until && cursor->valid(); ++at, cursor->Next()) {
          ASSERT_EQ(UserKeyOf(cursor->key()), KeyOf(at));
          ASSERT_EQ(cursor->value(), ValueOf(at));
        }
      }).join();
      ASSERT_TRUE(at % 500 == 0 && !HasFailure());
    }
    EXPECT_FALSE(cursor->valid());
    EXPECT_TRUE(cursor->status().ok());
  }
}

TEST_F(NetworkScanTest, AWalkThatEndsJumpsOrTurnsIsRight) {
  for (const bool fill_cache : {false, true}) {
    ScanSource source(*engine_, fill_cache);
    const auto cursor = table_->NewCursor(source);
    for (const uint64_t from : {0, 9000, 3000, 15000, 100}) {
      cursor->Seek(SeekKey(KeyOf(from), kMaxSequence));
      uint64_t at = from;
      for (; at < from + 4000; ++at, cursor->Next()) ASSERT_EQ(UserKeyOf(cursor->key()), KeyOf(at));
      for (; at > from + 2000; --at, cursor->Prev()) ASSERT_EQ(cursor->value(), ValueOf(at));
      for (; at < from + 3000; ++at, cursor->Next()) ASSERT_EQ(cursor->value(), ValueOf(at));
    }
    EXPECT_TRUE(cursor->status().ok());
    cache_.EraseTable(1);
  }
}

TEST_F(NetworkScanTest, ItGoesOnInTheNextTableAsFastAsBefore) {
  const auto second = MakeTable(backend_, 2, 0, kKeys);
  ScanSource source(ScanSourceTest::engine_, true);  // with a budget for large windows
  std::vector<uint64_t> first;                       // windows of the tables
  for (const auto& table : {table_, second}) {
    backend_.Forget();
    const auto cursor = table->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
    for (const SeenRead& read : backend_.reads()) {
      if (read.offset > 10'000 || read.bytes <= 8192) continue;
      first.push_back(read.bytes);
      break;
    }
  }
  EXPECT_EQ(first, (std::vector<uint64_t>{256 << 10, 1 << 20}));
}

TEST_F(NetworkScanTest, FailuresAheadStopNobodyAndBadBytesAreReported) {
  backend_.hook = [](const SeenRead& read, std::span<char>) {
    return read.bytes > 8192 && read.offset % 3 == 0 ? Status::Io("too much at once") : Status::Ok();
  };
  {
    ScanSource source(*engine_, false);
    const auto cursor = table_->NewCursor(source);
    EXPECT_EQ(Walk(*cursor), kKeys);
    EXPECT_TRUE(cursor->status().ok());
  }
  const uint64_t bad = table_->blob().size() / 2;
  backend_.hook = [&](const SeenRead& read, std::span<char> out) {
    if (read.offset <= bad && bad < read.offset + read.bytes) out[bad - read.offset] ^= 4;
    return Status::Ok();
  };
  ScanSource source(*engine_, false);
  const auto cursor = table_->NewCursor(source);
  EXPECT_LT(Walk(*cursor), kKeys * 6 / 10);
  EXPECT_EQ(cursor->status().code(), Code::kCorruption);
}

}  // namespace
}  // namespace tarn::kernel
