// The block cache by itself, by one thread and by two: a lookup that hits, one that misses, an insertion which
// evicts. Blocks are small, so that the cache holds many of them and the bookkeeping is what costs.
#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>
#include <string>

#include "bench/micro/micro.h"
#include "kernel/block_cache.h"

namespace tarn::micro {
namespace {

using kernel::BlockCache;
using kernel::MemoryBudget;

constexpr uint64_t kBlocks = 10000;

BlockRef NewBlock() { return Block::Copy(std::string(256, '\0')); }

struct Full {
  MemoryBudget budget{64 << 20};  // room for all
  BlockCache cache{&budget};
  Full() {
    for (uint64_t i = 0; i < kBlocks; ++i) cache.Insert(1, i * 4096, NewBlock());
  }
};
Full& Shared() {
  static Full full;
  return full;
}

void BM_CacheLookup(benchmark::State& state, bool there) {
  BlockCache& cache = Shared().cache;
  uint64_t i = static_cast<uint64_t>(state.thread_index()) * kBlocks / 2;
  for (auto _ : state) {
    i = (i + kStride) % kBlocks;
    if ((cache.Lookup(there ? 1 : 2, i * 4096) != nullptr) != there) state.SkipWithError("a wrong answer");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_CacheLookup, hit, true)->ThreadRange(1, 2)->UseRealTime();
BENCHMARK_CAPTURE(BM_CacheLookup, miss, false)->ThreadRange(1, 2)->UseRealTime();

// One block that everybody asks for: the top index of a hot table.
void BM_CacheLookupSame(benchmark::State& state) {
  BlockCache& cache = Shared().cache;
  for (auto _ : state) {
    if (cache.Lookup(1, 4096) == nullptr) state.SkipWithError("a block is missing");
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_CacheLookupSame)->ThreadRange(1, 2)->UseRealTime();

struct Small {
  MemoryBudget budget{1 << 20};  // room for a few thousand: nearly every insertion evicts
  BlockCache cache{&budget};
  std::atomic<uint64_t> next{0};
};
Small& SharedSmall() {
  static Small small;
  return small;
}

void BM_CacheInsert(benchmark::State& state) {
  Small& small = SharedSmall();
  const BlockRef block = NewBlock();
  for (auto _ : state) small.cache.Insert(1, small.next.fetch_add(4096, std::memory_order_relaxed), block);
  if (small.cache.bytes() > small.budget.limit()) state.SkipWithError("the cache took more than its budget");
  if (small.cache.bytes() == 0) state.SkipWithError("the cache keeps nothing");
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_CacheInsert)->ThreadRange(1, 2)->UseRealTime();

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
