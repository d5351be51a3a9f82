// Statistics: the cumulative counters of one open store. Names and meanings: docs/statistics.md.
//
// A counter exists only if some code adds to it. Adding is one relaxed atomic add on a stripe of the calling
// thread, so that threads which read cached blocks do not fight over one cache line; Get() sums the stripes.
//
// Threads: any. Get() sees every Add() that happened before it, and perhaps later ones.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tarn::kernel {

enum class Counter : uint8_t {
  // Added by the read engine.
  kFilterNegatives,       // a table's filter said no: a table lookup that cost no data block
  kFilterPositives,       // the filter said maybe, and a version was there
  kFilterFalsePositives,  // the filter said maybe, and nothing was there
  kHintsFollowed,         // a hint led straight to the version; the filter was not asked
  kBlockHits,             // blocks found in the cache
  kBlockMisses,           // blocks that had to come from the backend
  kBlocksPrefetched,      // misses that arrived with an earlier, larger read
  kReadRequests,          // reads asked of the backend
  kReadBytes,             // bytes they asked for
  kReadRetries,           // blocks read again because their checksum did not match
  // Added by iterators.
  kDeadKeys,        // deleted keys that were passed one by one
  kDeadRangesUsed,  // stretches of them that were jumped over
  // Added by the engine, its write path and its background work.
  kGets,  // keys asked for by Get and MultiGet
  kGetsFound,
  kWrites,        // batches committed
  kWriteGroups,   // groups they were committed in
  kWrittenBytes,  // keys and values of users
  kWalBytes,
  kWalSyncs,
  kFlushes,
  kFlushBytes,  // bytes of tables written by flushes
  kCompactions,
  kCompactionReadBytes,
  kCompactionWriteBytes,
  kBlocksTakenOver,  // blocks of one large value that a merge wrote as they were stored
  kEntriesDropped,   // versions and tombstones that no reader needs any more
  kWriteDelayNanos,  // time writers were slowed down to let compaction keep up
  kTransactionsCommitted,
  kTransactionConflicts,
  kManifestRecords,
  kCount
};

class Statistics {
 public:
  Statistics() = default;
  Statistics(const Statistics&) = delete;
  Statistics& operator=(const Statistics&) = delete;

  void Add(Counter counter, uint64_t n = 1) {
    const size_t stripe = ThisThreadsStripe();
    std::atomic<uint64_t>& value = stripes_[stripe].values[static_cast<size_t>(counter)];
    if (stripe < kStripes - 1) {  // no other thread writes here, so the addition need not be atomic
      value.store(value.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    } else {
      value.fetch_add(n, std::memory_order_relaxed);
    }
  }
  uint64_t Get(Counter counter) const {
    uint64_t sum = 0;
    for (const Stripe& stripe : stripes_) {
      sum += stripe.values[static_cast<size_t>(counter)].load(std::memory_order_relaxed);
    }
    return sum;
  }
  // As users see it: "block_cache.hits".
  static constexpr std::string_view name(Counter counter) { return kNames[static_cast<size_t>(counter)]; }

 private:
  static constexpr size_t kCounters = static_cast<size_t>(Counter::kCount);
  static constexpr size_t kStripes =
      64;  // one for each of the first threads of the process; the others share the last
  static constexpr std::array<std::string_view, kCounters> kNames = {"filter.negatives",
                                                                     "filter.positives",
                                                                     "filter.false_positives",
                                                                     "get.hints_followed",
                                                                     "block_cache.hits",
                                                                     "block_cache.misses",
                                                                     "block_cache.prefetched",
                                                                     "read.requests",
                                                                     "read.bytes",
                                                                     "read.retries",
                                                                     "iterator.dead_keys",
                                                                     "iterator.dead_ranges_used",
                                                                     "get.keys",
                                                                     "get.found",
                                                                     "write.batches",
                                                                     "write.groups",
                                                                     "write.user_bytes",
                                                                     "wal.bytes",
                                                                     "wal.syncs",
                                                                     "flush.count",
                                                                     "flush.bytes",
                                                                     "compaction.count",
                                                                     "compaction.read_bytes",
                                                                     "compaction.write_bytes",
                                                                     "compaction.blocks_taken_over",
                                                                     "compaction.entries_dropped",
                                                                     "write.delay_nanos",
                                                                     "transaction.commits",
                                                                     "transaction.conflicts",
                                                                     "manifest.records"};
  static_assert(!kNames.back().empty(), "one name for each counter");

  struct alignas(64) Stripe {
    std::array<std::atomic<uint64_t>, kCounters> values{};
  };
  static size_t ThisThreadsStripe() {
    static std::atomic<size_t> next_thread{0};
    thread_local const size_t stripe = std::min(next_thread.fetch_add(1, std::memory_order_relaxed), kStripes - 1);
    return stripe;
  }

  std::array<Stripe, kStripes> stripes_;
};

}  // namespace tarn::kernel
