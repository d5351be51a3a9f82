// ReadEngine: how blocks get from the backend into the hands of table readers. RFC 0001.
//
// Three ways to read, one rule for errors:
//   Load        one block, blocking, through the cache: cursors and single lookups.
//   RunProbes   many point lookups at once. Each probe is a small state machine that stops when it wants a block.
//               All wanted blocks, each once, are in flight together on a ReadQueue; as one arrives, the probes
//               that wait for it go on and want their next, so dependent reads of different probes overlap.
//   ScanSource  a cursor's view: contiguous blocks in one large read, with or without keeping them in the cache.
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

class ReadEngine final : public BlockSource {
 public:
  ReadEngine(Backend& backend, BlockCache& cache, Statistics& statistics);  // all outlive it
  ~ReadEngine() override;

  BlockRef Lookup(const Table& table, BlockHandle handle) override;
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override;
  // Reads missing blocks into the cache, neighbours together, up to the read-ahead size. Errors are left to
  // the Load that will want the block.
  void Prefetch(const Table& table, std::span<const BlockHandle> handles) override;

  // Drives started probes to their end. Each probe ends with a status of its own.
  void RunProbes(std::span<TableProbe* const> probes);
  void RunProbe(TableProbe& probe);

 private:
  friend class ScanSource;
  class ProbeDriver;

  // The largest single read ahead: 1 MiB, less under a small budget.
  uint64_t read_ahead_bytes() const;
  MemoryCharge ChargeBuffer(uint64_t bytes);
  Status CheckHandle(const Table& table, BlockHandle handle) const;
  // From the device; no cache on the way. `out` is filled or an error names the place.
  Status ReadBytes(const Table& table, uint64_t offset, std::span<char> out);
  Result<BlockRef> ReadBlock(const Table& table, BlockHandle handle);
  void CountProbe(const TableProbe& probe);

  std::unique_ptr<ReadQueue> TakeQueue();
  void ReturnQueue(std::unique_ptr<ReadQueue> queue);

  Backend& backend_;
  BlockCache& cache_;
  Statistics& statistics_;
  ReadPool pool_;  // outlives the queues below
  std::atomic<uint64_t> in_flight_bytes_{0};  // of all probe drivers
  Mutex mutex_;
  std::vector<std::unique_ptr<ReadQueue>> idle_queues_ GUARDED_BY(mutex_);
};

// A BlockSource for cursors. Prefetch() only remembers what is to come; the first Load that misses reads from
// there on, as many contiguous blocks as the read-ahead size allows, and later Loads take theirs from memory.
// With fill_cache the size starts small and doubles, so that a short scan stays cheap, and blocks that were used
// are kept in the cache; without it the size is the largest at once and the cache is left as it is.
// Cheap to make: give each table cursor or run its own.
class ScanSource final : public BlockSource {
 public:
  ScanSource(ReadEngine& engine, bool fill_cache) : engine_(engine), fill_cache_(fill_cache) {}

  BlockRef Lookup(const Table& table, BlockHandle handle) override;
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override;
  void Prefetch(const Table& table, std::span<const BlockHandle> handles) override;

 private:
  // What is known of one table: which blocks are to come, and the bytes that were read ahead.
  struct Window {
    uint64_t table = 0;
    std::vector<BlockHandle> coming;  // as hinted
    size_t position = 0;              // in `coming`: where the last read ahead ended
    uint64_t begin = 0, end = 0;      // of `bytes`, in the blob
    size_t unread = 0;                // blocks in `bytes` that nobody took yet
    uint64_t next_bytes = 0;          // size of the next read ahead
    std::unique_ptr<char[]> bytes;
    MemoryCharge charge;
  };
  Window* Find(uint64_t table);
  bool ReadAhead(const Table& table, BlockHandle handle, Window& window);
  Result<BlockRef> Take(const Table& table, BlockHandle handle, Window& window);

  ReadEngine& engine_;
  const bool fill_cache_;
  std::vector<Window> windows_;  // few: one for each table that is being read
};

}  // namespace tarn::kernel
