// MergeJob: turns sorted inputs into new tables. Flush and compaction are both this job; it knows no policy.
//
// It runs in quanta (Step), each bounded by bytes read, so the scheduler can interleave more urgent work, and
// it can be dropped between two quanta: unfinished tables never existed; finished ones are listed in outputs()
// and the owner deletes them.
//
// Which versions survive is decided by drop_rules.h. Tables are cut at `table_bytes`, never between two
// versions of one user key. Range tombstones are clipped to the tables they are written to.
//
// Threads: one at a time; it touches nothing but its inputs and the backend.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "format/table_builder.h"
#include "tarn/sdk/cursor.h"

namespace tarn {

struct MergeSpec {
  std::vector<std::unique_ptr<Cursor>> inputs;
  std::vector<RangeTombstone> tombstones;  // of all inputs
  std::vector<Sequence> retained;          // snapshots that must keep their view; any order. "Now" is implied.
  bool bottom = false;                     // nothing older lies below: tombstones may be dropped
  std::string store_id;
  TableOptions table;
  uint64_t table_bytes = 32ull << 20;
  std::function<uint64_t()> new_table_number;
};

class MergeJob {
 public:
  MergeJob(Backend& backend, MergeSpec spec);
  ~MergeJob();

  // Works through about `quantum_bytes` of input. True: call again. False: done or failed, see status().
  bool Step(uint64_t quantum_bytes);
  const Status& status() const;
  // Tables that are durable and published. All of them once Step returned false with an OK status.
  const std::vector<TableMeta>& outputs() const;
  uint64_t bytes_read() const;  // keys and values seen so far
  uint64_t entries_dropped() const;
  uint64_t blocks_taken_over() const;  // as they were stored, see TableBuilder::Add

 private:
  struct Rep;
  std::unique_ptr<Rep> rep_;
};

}  // namespace tarn
