// Settings: the plain values a store is opened with. For every user; most never set one.
//
// Three budgets rule: memory, threads, and (through the compaction policy) space. Each value has an observable
// effect. Parts that can be swapped (memtable, WAL, compaction, backend, clock) are objects and live in
// tarn/components.h instead.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "tarn/sdk/wal.h"

namespace tarn {

enum class Compression : uint8_t { kNone = 0, kLz4 = 1, kZstd = 2 };  // stored on disk: never renumber

struct Settings {
  // One budget for memtables, cached blocks (data, index, filter), and buffers. A bound. At least 8 MiB.
  uint64_t memory_bytes = 256ull << 20;
  // Threads that flush and compact. At least 1.
  uint32_t background_threads = 2;
  // Default of each write that does not say otherwise.
  Durability durability = Durability::kProcess;

  // Reads of a local store go past the page cache of the system, where the filesystem can: for data larger than
  // memory, of which the page cache would keep a second copy that memory_bytes does not count.
  bool direct_reads = false;

  // What Open does when the store is absent or present.
  bool create_if_missing = true;
  bool error_if_exists = false;
  // Opens a view of the store beside a live writer, which DB::CatchUp moves on; every write is refused as Invalid. On
  // S3 it also moves on by itself when a Get misses a table that the writer has deleted.
  bool read_only = false;

  // Compression of tables above the last level, and in it (where most bytes rest).
  Compression compression = Compression::kLz4;
  Compression last_level_compression = Compression::kZstd;
  // Bits of filter per key in each table; 0 writes none. 10 gives about 1 % false positives.
  uint32_t filter_bits_per_key = 10;
  // Data blocks are cut at this size before compression. 512 .. 1 MiB.
  uint32_t block_bytes = 4096;
  // Tables are cut at this size. At least 64 KiB.
  uint64_t table_bytes = 32ull << 20;
  // A memtable is flushed at this size; 0 = an eighth of the memory budget.
  uint64_t memtable_bytes = 0;
  // Size ratio T of neighbouring levels and number of runs a level gathers before it is merged down. 2 .. 32.
  uint32_t size_ratio = 4;

  // Tiering (docs/s3.md), for backends that keep some tables near and all of them far. A table is near while its
  // level is below near_levels (for some families, by name: below their own number; 0 keeps a family far) and at most
  // near_changes changes are newer than its newest one (0: however many). Judged by each flush and compaction, and at
  // open.
  uint32_t near_levels = 2;
  std::map<std::string, uint32_t> family_near_levels;
  uint64_t near_changes = 0;
  // Opens a store whose log is not here, because the disk or machine that has it is lost, as of its last durable
  // point: all that flushes have published. What was committed since is given up. Elsewhere it changes nothing.
  bool accept_lost_log = false;
};

}  // namespace tarn
