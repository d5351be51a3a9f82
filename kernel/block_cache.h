// BlockCache: verified, decompressed blocks in memory, as many as the memory budget leaves.
//
// Replacement is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a new
// block enters a *small* queue of about a tenth of the bytes; only if it is asked for again there does it move
// to the *main* queue, otherwise it leaves and only its fingerprint stays, in a *ghost* list; a block that is
// back while the ghost remembers it goes straight to main. So a scan passes through the small queue and evicts
// nothing that is read twice. In contrast to LRU a hit moves nothing: it bumps a 2-bit counter.
//
// The cache is cut into shards by hash, one mutex each, held for a few dozen instructions. A hit allocates
// nothing and makes no system call. Evicted blocks are freed outside the mutex, and live on while a reader
// holds them. Inside a guard of reclaimer() a reader may also Peek: no mutex, no count.
//
// When memtables grow, the cache gives blocks back, and these lie anywhere: their slabs would stay. So Shrink moves
// blocks out of the emptiest slabs until little memory is idle, and what the budget says is what the process takes.
//
// Invariants: bytes() is exactly what is charged to the budget for blocks, bookkeeping included; the cache never
// charges past the limit; table numbers are never used twice in a store, so an entry never goes stale.
//
// Threads: any. Lock order: a shard's mutex is taken last and alone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "base/reclaimer.h"
#include "format/block.h"
#include "kernel/memory_budget.h"

namespace tarn::kernel {

class BlockCache {
 public:
  explicit BlockCache(MemoryBudget* budget);  // the budget outlives the cache
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // Null when it is not here.
  BlockRef Lookup(uint64_t table, uint64_t offset);
  // The same, borrowed until the guard ends. A block that is being moved to a larger hash table may be missed.
  // REQUIRES: inside a guard of reclaimer().
  BlockRef Peek(uint64_t table, uint64_t offset);
  // Fetches what Peek will look at into the processor's cache: first kBucket, and when that may be there, kEntry. Who
  // peeks at many blocks overlaps the waits so. REQUIRES: inside a guard of reclaimer().
  enum class Way : uint8_t { kBucket, kEntry };
  void Prefetch(uint64_t table, uint64_t offset, Way way);
  Reclaimer& reclaimer() { return reclaimer_; }
  // Whether it is here, without counting as a use.
  bool Contains(uint64_t table, uint64_t offset);
  // Keeps the block, unless the needs of others leave no room for it. A block that is here already stays.
  void Insert(uint64_t table, uint64_t offset, BlockRef block);
  // Forgets all blocks of a table that is being deleted. What a last reader of it inserts later ages out.
  void EraseTable(uint64_t table);
  // Gives blocks back until the budget holds or the cache is empty, and their memory. Call it after
  // MemoryBudget::Charge.
  void Shrink();

  uint64_t bytes() const;  // charged
  MemoryBudget& budget() { return *budget_; }

 private:
  struct Entry;
  struct Buckets;
  class Shard;
  static constexpr size_t kShards = 16;

  Shard& ShardOf(uint64_t hash);
  bool EvictOne(size_t preferred);
  bool EmptySlab();
  bool Move(uint64_t mark, const void* place);
  size_t PickVictim(size_t preferred);

  MemoryBudget* const budget_;
  Reclaimer reclaimer_;  // before the shards, whose blocks it frees
  std::array<std::unique_ptr<Shard>, kShards> shards_;
  std::atomic<uint64_t> bytes_{0};
  std::atomic<size_t> hand_{0};  // where the search for a shard to evict from starts
};

}  // namespace tarn::kernel
