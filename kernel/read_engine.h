// ReadEngine: how blocks get from the backend into the hands of table readers. RFC 0001.
//
// Three ways to read, one rule for errors:
//   Load        one block, blocking, through the cache: cursors and single lookups.
//   RunProbes   many point lookups at once. Each probe is a small state machine that stops when it wants a block.
//               All wanted blocks, each once, are in flight together on a ReadQueue; as one arrives, the probes
//               that wait for it go on and want their next, so dependent reads of different probes overlap.
//   ScanSource  a cursor's view: neighbouring blocks in one large read, with or without keeping them in the cache.
// A probe or a load whose blocks are all cached touches neither the allocator nor the system.
//
// Errors: a failed read names blob and offset. A block whose checksum does not match is read once more, because
// the damage may have happened on the way; if it is still wrong it is Corruption. One bad block fails only the
// lookups that need it.
//
// Memory: buffers of reads in flight are charged to the budget, and all drivers together keep at most a quarter
// of it in flight (each always at least one read, so that everybody gets on).
//
// Threads: ReadEngine: any. ScanSource: one at a time. Lock order: mutex_ is taken alone.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "format/table.h"
#include "kernel/block_cache.h"
#include "kernel/pool_read_queue.h"
#include "kernel/statistics.h"
#include "tarn/sdk/backend.h"

namespace tarn::kernel {

class ScanAhead;
class ScanSource;

class ReadEngine final : public BlockSource {
 public:
  ReadEngine(Backend& backend, BlockCache& cache, Statistics& statistics);  // all outlive it
  ~ReadEngine() override;

  BlockRef Lookup(const Table& table, BlockHandle handle) override;
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override;
  // Reads missing blocks into the cache, neighbours together, up to the read-ahead size. Errors are left to
  // the Load that will want the block.
  void Prefetch(const Table& table, std::span<const BlockHandle> handles) override;

  // Drives a started probe as far as blocks in memory go, borrowing them. True: to its end. Otherwise it is given up.
  // REQUIRES: inside a guard of the cache's reclaimer; what the probe found is released before the guard ends.
  bool RunCached(TableProbe& probe);
  // The wanted block of each probe, borrowed, into `blocks`; null where it is not in memory. What is looked at is
  // fetched into the processor's cache for all of them together, so that their waits overlap. REQUIRES: as RunCached.
  void PeekAll(std::span<TableProbe* const> probes, std::span<BlockRef> blocks);
  void CountProbe(const TableProbe& probe);  // of one that came to its end by PeekAll
  // For probes: where point lookups of this store found their keys.
  LookupHints* hints() { return &hints_; }
  // Drives started probes to their end. Each probe ends with a status of its own.
  void RunProbes(std::span<TableProbe* const> probes);
  void RunProbe(TableProbe& probe);

 private:
  friend class ScanAhead;
  friend class ScanSource;
  class ProbeDriver;

  // The largest single read ahead: 1 MiB, less under a small budget.
  uint64_t read_ahead_bytes() const;
  MemoryCharge ChargeBuffer(uint64_t bytes);
  // Counts them in in_flight_bytes_. False, and does not: too much is in flight.
  bool CountInFlight(uint64_t bytes);
  void PrefetchIndex(const Table& table);
  void CountRetry(const Table& table);  // before a block that did not verify is read again
  Status CheckHandle(const Table& table, BlockHandle handle) const;
  // From the device; no cache on the way. `out` is filled or an error names the place.
  Status ReadBytes(const Table& table, uint64_t offset, std::span<char> out);
  Result<BlockRef> ReadBlock(const Table& table, BlockHandle handle);

  std::unique_ptr<ReadQueue> TakeQueue();
  void ReturnQueue(std::unique_ptr<ReadQueue> queue);
  // One that another thread may go on with. Not to be returned: it may be one of the pool.
  std::unique_ptr<ReadQueue> NewMovingQueue();
  std::unique_ptr<ReadQueue> NewQueue(ReadQueueSource* source);  // null: of the pool

  struct IdleQueue {
    uint64_t thread = 0;  // that used it last
    std::unique_ptr<ReadQueue> queue;
  };

  Backend& backend_;
  BlockCache& cache_;
  Statistics& statistics_;
  LookupHints hints_;
  const MemoryCharge hints_charge_;
  ReadPool pool_;                             // outlives the queues below
  std::atomic<uint64_t> in_flight_bytes_{0};  // of all probe drivers
  Mutex mutex_;
  std::vector<IdleQueue> idle_queues_ GUARDED_BY(mutex_);  // the one idle for longest first
};

}  // namespace tarn::kernel
