// MemSet: the memtables of all families between two rotations of the log, as one unit.
//
// All families are switched and flushed together, at a boundary of the log. So a log segment is needed by
// exactly one MemSet, one manifest record publishes a flush, and no crash can leave families at different
// places of the log.
//
// Threads: Add by one writer at a time (the leader of the write path); readers at any time. The list of
// families of a set is fixed; creating a family starts a new set.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "format/range_tombstones.h"
#include "kernel/memory_budget.h"
#include "tarn/sdk/memtable.h"

namespace tarn::kernel {

// Range tombstones of one memtable. A key may be covered in several of them.
using TombstoneSets = std::vector<std::shared_ptr<const RangeTombstones>>;

// One family's part: the strategy's memtable, and the range tombstones beside it. These are kept as sets whose
// sizes are the powers of two that add up to their number, so that n tombstones cost n log n to add, one by one
// with reads in between, and a read looks into log n sets.
class FamilyMem {
 public:
  explicit FamilyMem(std::unique_ptr<Memtable> table) : table_(std::move(table)) {}

  void Add(Kind kind, Sequence sequence, std::string_view key, std::string_view value);
  const Memtable& table() const { return *table_; }
  // The tombstones added so far; never null. What was handed out does not change.
  std::shared_ptr<const TombstoneSets> tombstones() const EXCLUDES(mutex_);
  // The newest of them, as of the snapshot, that deletes the key; 0 = none.
  Sequence NewestCover(std::string_view user_key, Sequence snapshot) const;
  // As they were added. REQUIRES: nothing is added any more.
  const std::vector<RangeTombstone>& all_tombstones() const { return list_; }
  bool has_tombstones() const { return tombstone_count_.load(std::memory_order_acquire) > 0; }
  uint64_t entries() const { return entries_.load(std::memory_order_relaxed); }
  size_t memory_bytes() const;
  bool empty() const { return entries() == 0 && !has_tombstones(); }

 private:
  void AddTombstone(RangeTombstone tombstone);

  const std::unique_ptr<Memtable> table_;
  std::atomic<uint64_t> entries_{0};
  std::atomic<uint64_t> tombstone_count_{0};
  std::atomic<size_t> tombstone_bytes_{0};
  std::vector<RangeTombstone> list_;  // the writer's, then the flush's
  mutable Mutex mutex_;               // guards: which sets are current
  std::shared_ptr<const TombstoneSets> sets_ GUARDED_BY(mutex_) = std::make_shared<TombstoneSets>();
};

class MemSet {
 public:
  MemSet(const MemtableStrategy& strategy, const std::vector<uint32_t>& families, uint64_t first_wal,
         MemoryBudget* budget);
  ~MemSet();

  FamilyMem* Find(uint32_t family) const;  // null: not in this set
  const std::map<uint32_t, std::unique_ptr<FamilyMem>>& families() const { return families_; }
  uint64_t first_wal() const { return first_wal_; }  // oldest log segment with changes of this set
  size_t memory_bytes() const;
  bool empty() const;
  // Charges the budget with what was added since the last call; the destructor releases it. By the writer.
  void ChargeGrowth();

  // The last sequence added to this set; 0 when none was.
  Sequence last_sequence() const { return last_sequence_.load(std::memory_order_acquire); }
  void set_last_sequence(Sequence s) { last_sequence_.store(s, std::memory_order_release); }

 private:
  std::map<uint32_t, std::unique_ptr<FamilyMem>> families_;
  const uint64_t first_wal_;
  MemoryBudget* const budget_;
  uint64_t charged_ = 0;
  std::atomic<Sequence> last_sequence_{0};
};

}  // namespace tarn::kernel
