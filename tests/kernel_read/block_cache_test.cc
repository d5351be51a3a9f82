// The cache and the budget it lives in: the bound holds at every moment, needs push the cache out, a scan evicts
// nothing that is used, hits allocate nothing, and all of it under many threads.
#include "kernel/block_cache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "format/block_memory.h"
#include "tests/kernel_read/allocations.h"

namespace tarn::kernel {
namespace {

constexpr uint64_t kMiB = 1 << 20;

// A block that knows where it belongs, so that a mixed-up answer shows.
BlockRef MakeBlock(uint64_t table, uint64_t offset, size_t size = 4096) {
  std::string data(size, '\0');
  std::memcpy(data.data(), &table, sizeof(table));
  std::memcpy(data.data() + sizeof(table), &offset, sizeof(offset));
  return Block::Copy(data);
}

bool IsBlock(const BlockRef& block, uint64_t table, uint64_t offset) {
  uint64_t words[2];
  std::memcpy(words, block->bytes().data(), sizeof(words));
  return words[0] == table && words[1] == offset;
}

TEST(MemoryBudget, ChargesReleasesAndRefuses) {
  MemoryBudget budget(100);
  EXPECT_TRUE(budget.TryCharge(60));
  EXPECT_FALSE(budget.TryCharge(41));
  EXPECT_TRUE(budget.TryCharge(40));
  EXPECT_FALSE(budget.over());
  budget.Charge(50);  // a need is never refused
  EXPECT_TRUE(budget.over());
  EXPECT_FALSE(budget.TryCharge(0));
  budget.Release(150);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_FALSE(budget.TryCharge(UINT64_MAX));
  {
    MemoryCharge charge(budget, 30);
    MemoryCharge moved = std::move(charge);
    EXPECT_EQ(budget.used(), 30u);
    moved = MemoryCharge(budget, 10);
    EXPECT_EQ(moved.bytes(), 10u);
    EXPECT_EQ(budget.used(), 10u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockCache, FindsWhatWasInserted) {
  MemoryBudget budget(8 * kMiB);
  BlockCache cache(&budget);
  EXPECT_EQ(cache.Lookup(1, 0), nullptr);
  for (uint64_t table = 1; table <= 3; ++table) {
    for (uint64_t i = 0; i < 100; ++i) cache.Insert(table, i * 4096, MakeBlock(table, i * 4096));
  }
  for (uint64_t table = 1; table <= 3; ++table) {
    for (uint64_t i = 0; i < 100; ++i) {
      const BlockRef block = cache.Lookup(table, i * 4096);
      ASSERT_NE(block, nullptr);
      EXPECT_TRUE(IsBlock(block, table, i * 4096));
    }
  }
  EXPECT_FALSE(cache.Contains(4, 0));
  EXPECT_EQ(cache.Lookup(4, 0), nullptr);
  EXPECT_GT(cache.bytes(), 300u * 4096);
  EXPECT_EQ(budget.used(), cache.bytes());

  const uint64_t before = cache.bytes();
  const BlockRef kept = cache.Lookup(1, 0);
  cache.Insert(1, 0, MakeBlock(1, 0));  // twice is once
  EXPECT_EQ(cache.bytes(), before);
  EXPECT_EQ(cache.Lookup(1, 0), kept);
}

TEST(BlockCache, NeverPassesTheBudgetWhateverTheSizes) {
  const uint64_t seed = 20260711;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  MemoryBudget budget(2 * kMiB);
  BlockCache cache(&budget);
  for (uint64_t i = 0; i < 20000; ++i) {
    const size_t size = random() % 50 == 0 ? 64 + random() % (kMiB) : 64 + random() % 8192;
    cache.Insert(1, i, MakeBlock(1, i, size));
    ASSERT_LE(budget.used(), budget.limit());
    ASSERT_EQ(budget.used(), cache.bytes());
  }
  EXPECT_GT(cache.bytes(), budget.limit() * 3 / 10);  // and it does use the room it has
}

TEST(BlockCache, HoldsAsManySmallBlocksAsFit) {
  MemoryBudget budget(4 * kMiB);
  BlockCache cache(&budget);
  for (uint64_t i = 0; i < 4000; ++i) cache.Insert(1, i, MakeBlock(1, i));
  EXPECT_GT(cache.bytes(), budget.limit() - 16 * 4096);
}

TEST(BlockCache, FewLargeBlocksStillShareAllShards) {
  MemoryBudget budget(4 * kMiB + 64 * 1024);  // room for four, in sixteen shards
  BlockCache cache(&budget);
  for (uint64_t i = 0; i < 100; ++i) {
    cache.Insert(1, i, MakeBlock(1, i, kMiB));
    EXPECT_TRUE(cache.Contains(1, i)) << "the newest must find room, block " << i;
    EXPECT_LE(budget.used(), budget.limit());
  }
  EXPECT_GT(cache.bytes(), 3 * kMiB);
}

TEST(BlockCache, RefusesABlockLargerThanTheBudget) {
  MemoryBudget budget(kMiB);
  BlockCache cache(&budget);
  cache.Insert(1, 1, MakeBlock(1, 1));
  cache.Insert(1, 2, MakeBlock(1, 2, 2 * kMiB));
  EXPECT_FALSE(cache.Contains(1, 2));
  EXPECT_TRUE(cache.Contains(1, 1)) << "nothing was evicted for a block that cannot fit";
}

TEST(BlockCache, ShrinksWhenMemtablesGrow) {
  MemoryBudget budget(4 * kMiB);
  BlockCache cache(&budget);
  for (uint64_t i = 0; i < 2000; ++i) cache.Insert(1, i, MakeBlock(1, i));
  for (int i = 0; i < 3; ++i) {
    budget.Charge(kMiB);
    cache.Shrink();
    EXPECT_LE(budget.used(), budget.limit());
    EXPECT_EQ(budget.used(), cache.bytes() + (i + 1) * kMiB);
  }
  EXPECT_GT(cache.bytes(), kMiB / 2) << "it gives back no more than asked";
  budget.Charge(2 * kMiB);  // needs alone are over the limit: the cache ends, the needs stay
  cache.Shrink();
  EXPECT_EQ(cache.bytes(), 0u);
  cache.Insert(1, 1, MakeBlock(1, 1));
  EXPECT_EQ(cache.bytes(), 0u);
  budget.Release(5 * kMiB);
  cache.Insert(1, 1, MakeBlock(1, 1));
  EXPECT_TRUE(cache.Contains(1, 1));
}

// Memtables grow and go, beside a reader. What is evicted lies here and there, and yet its memory is given back:
// blocks move, and are found where they went.
TEST(BlockCache, ShrinkingGivesMemoryBack) {
  constexpr uint64_t kBlocks = 12'000;
  MemoryBudget budget(64 * kMiB);
  BlockCache cache(&budget);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> wrong{0};
  std::thread reader([&] {
    std::mt19937_64 random(1);
    while (!stop) {
      const Reclaimer::Guard guard(cache.reclaimer());
      const uint64_t table = 1 + random() % 4, offset = random() % kBlocks;
      const BlockRef block = cache.Peek(table, offset);
      if (block && !IsBlock(block, table, offset)) ++wrong;
    }
  });
  std::mt19937_64 random(7);
  for (int round = 0; round < 3; ++round) {
    for (uint64_t i = 0; i < 2 * kBlocks; ++i) {
      const uint64_t table = 1 + random() % 4, offset = random() % kBlocks;
      if (!cache.Lookup(table, offset)) cache.Insert(table, offset, MakeBlock(table, offset));
    }
    const uint64_t before = cache.bytes();
    for (int i = 0; i < 16; ++i) {
      budget.Charge(2 * kMiB);
      cache.Shrink();
      ASSERT_LE(budget.used(), budget.limit());
      ASSERT_EQ(budget.used(), cache.bytes() + (i + 1) * 2 * kMiB);
    }
    EXPECT_LE(cache.bytes(), before);
    EXPECT_GT(cache.bytes(), 28 * kMiB) << "it gives back no more than asked";
    EXPECT_LT(IdleBlockBytes(), 10 * kMiB);
    budget.Release(32 * kMiB);
    cache.EraseTable(1 + static_cast<uint64_t>(round));
  }
  stop = true;
  reader.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(budget.used(), cache.bytes());
  for (uint64_t table = 1; table <= 4; ++table) cache.EraseTable(table);
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST(BlockCache, AScanEvictsNothingThatIsUsed) {
  MemoryBudget budget(8 * kMiB);  // about 1900 blocks
  BlockCache cache(&budget);
  constexpr uint64_t kHot = 800;
  const auto use_hot = [&] {
    uint64_t found = 0;
    for (uint64_t i = 0; i < kHot; ++i) {
      if (cache.Lookup(1, i) != nullptr) {
        ++found;
      } else {
        cache.Insert(1, i, MakeBlock(1, i));
      }
    }
    return found;
  };
  for (int round = 0; round < 3; ++round) use_hot();
  for (uint64_t i = 0; i < 20000; ++i) cache.Insert(2, i, MakeBlock(2, i));  // ten times the cache
  EXPECT_GE(use_hot(), kHot * 95 / 100);
}

TEST(BlockCache, RemembersWhatLeftAMomentAgo) {
  MemoryBudget budget(4 * kMiB);  // about 960 blocks
  BlockCache cache(&budget);
  const auto scan = [&](uint64_t table, uint64_t blocks) {
    for (uint64_t i = 0; i < blocks; ++i) cache.Insert(table, i, MakeBlock(table, i));
  };
  scan(2, 1500);
  scan(1, 100);  // comes, is never used and leaves with the next scan, but its ghost stays
  scan(3, 1200);
  uint64_t left = 0;
  for (uint64_t i = 0; i < 100; ++i) left += cache.Contains(1, i) ? 0 : 1;
  ASSERT_GT(left, 90u);
  scan(1, 100);   // back: into the main queue
  scan(4, 2000);  // which a scan does not touch
  uint64_t kept = 0;
  for (uint64_t i = 0; i < 100; ++i) kept += cache.Contains(1, i) ? 1 : 0;
  EXPECT_GE(kept, 80u);  // not all: ghosts share slots
}

TEST(BlockCache, ForgetsATable) {
  MemoryBudget budget(8 * kMiB);
  BlockCache cache(&budget);
  for (uint64_t i = 0; i < 500; ++i) {
    cache.Insert(1, i, MakeBlock(1, i));
    cache.Insert(2, i, MakeBlock(2, i));
  }
  const uint64_t both = cache.bytes();
  cache.EraseTable(1);
  EXPECT_EQ(cache.bytes(), both / 2);
  EXPECT_EQ(budget.used(), both / 2);
  for (uint64_t i = 0; i < 500; ++i) {
    EXPECT_FALSE(cache.Contains(1, i));
    EXPECT_TRUE(cache.Contains(2, i));
  }
  cache.EraseTable(2);
  cache.EraseTable(2);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockCache, AnEvictedBlockLivesWhileItIsRead) {
  MemoryBudget budget(kMiB);
  BlockCache cache(&budget);
  cache.Insert(1, 7, MakeBlock(1, 7));
  const BlockRef held = cache.Lookup(1, 7);
  cache.EraseTable(1);
  EXPECT_TRUE(IsBlock(held, 1, 7));
}

TEST(BlockCache, AHitAllocatesNothing) {
  MemoryBudget budget(8 * kMiB);
  BlockCache cache(&budget);
  for (uint64_t i = 0; i < 1000; ++i) cache.Insert(1, i, MakeBlock(1, i));
  const uint64_t before = test::AllocationsOfThisThread();
  uint64_t found = 0;
  for (uint64_t i = 0; i < 2000; ++i) found += cache.Lookup(1, i) != nullptr ? 1 : 0;
  EXPECT_EQ(test::AllocationsOfThisThread(), before);
  EXPECT_EQ(found, 1000u);
}

TEST(BlockCache, GivesBackItsChargeAtTheEnd) {
  MemoryBudget budget(8 * kMiB);
  {
    BlockCache cache(&budget);
    for (uint64_t i = 0; i < 100; ++i) cache.Insert(1, i, MakeBlock(1, i));
    EXPECT_GT(budget.used(), 0u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

// Readers, writers, deleted tables and growing memtables at once: no answer is mixed up, and the sums are exact.
TEST(BlockCache, ManyThreads) {
  MemoryBudget budget(2 * kMiB);
  BlockCache cache(&budget);
  std::atomic<uint64_t> mixed_up{0}, over{0}, hits{0};
  const auto work = [&](uint64_t seed) {
    std::mt19937_64 random(seed);
    for (int i = 0; i < 20000; ++i) {
      const uint64_t table = random() % 4, offset = random() % 400;
      const uint64_t dice = random() % 1000;
      if (dice == 0) {
        cache.EraseTable(table);
      } else if (dice < 20) {
        MemoryCharge need(budget, random() % (256 << 10));
        cache.Shrink();
      } else if (const BlockRef block = cache.Lookup(table, offset); block != nullptr) {
        hits.fetch_add(1);
        if (!IsBlock(block, table, offset)) mixed_up.fetch_add(1);
      } else {
        cache.Insert(table, offset, MakeBlock(table, offset, 256 + random() % 8192));
      }
      if (cache.bytes() > budget.limit()) over.fetch_add(1);
    }
  };
  std::vector<std::thread> threads;
  for (uint64_t seed = 1; seed <= 4; ++seed) threads.emplace_back(work, seed);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(mixed_up.load(), 0u);
  EXPECT_EQ(over.load(), 0u);
  EXPECT_GT(hits.load(), 1000u);
  EXPECT_EQ(budget.used(), cache.bytes());
  for (uint64_t table = 0; table < 4; ++table) cache.EraseTable(table);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockCache, PeekBorrowsUntilTheGuardEnds) {
  MemoryBudget budget(8 * kMiB);
  BlockCache cache(&budget);
  cache.Insert(1, 0, MakeBlock(1, 0));
  const Reclaimer::Guard guard(cache.reclaimer());
  ASSERT_TRUE(guard);
  const BlockRef borrowed = cache.Peek(1, 0);
  ASSERT_TRUE(borrowed);
  EXPECT_FALSE(cache.Peek(1, 4096));
  cache.EraseTable(1);
  EXPECT_FALSE(cache.Peek(1, 0));
  EXPECT_TRUE(IsBlock(borrowed, 1, 0)) << "evicted, but not freed before the guard ends";
}

// Readers peek while others insert beyond the budget, so that entries are evicted, tables erased and buckets grown.
TEST(BlockCache, PeekBesideEverything) {
  MemoryBudget budget(8 * kMiB);
  BlockCache cache(&budget);
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> hits{0}, wrong{0};
  std::vector<std::thread> readers;
  for (uint64_t seed = 0; seed < 2; ++seed) {
    readers.emplace_back([&, seed] {
      std::mt19937_64 random(seed);
      while (!stop) {
        const Reclaimer::Guard guard(cache.reclaimer());
        if (!guard) ++wrong;
        const uint64_t table = 1 + random() % 4, offset = random() % 2000 * 4096;
        const BlockRef block = cache.Peek(table, offset);
        if (!block) continue;
        ++hits;
        if (!IsBlock(block, table, offset)) ++wrong;
      }
    });
  }
  std::mt19937_64 random(7);
  for (int i = 0; i < 30'000 || hits < 1000; ++i) {
    const uint64_t table = 1 + random() % 4, offset = random() % 2000 * 4096;
    if (!cache.Lookup(table, offset)) cache.Insert(table, offset, MakeBlock(table, offset));
    if (i % 5000 == 4999) cache.EraseTable(1 + random() % 4);
    ASSERT_LE(budget.used(), budget.limit());
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
}

}  // namespace
}  // namespace tarn::kernel
