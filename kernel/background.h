// Background: flushes memtables and runs compactions, in quanta on the scheduler, and tells the pacer how far
// behind it is.
//
// One flush runs at a time, oldest memtables first. Compactions are chosen by the policy; two of one family
// never share a level, so runs enter a level in the order of their age.
//
// Invariants
//   1. Outputs are durable before the manifest names them; inputs are deleted after the manifest has dropped
//      them and no reader is left.
//   2. Log segments are released after the record that supersedes them is durable.
//   3. A full device stops nothing for good: a flush that finds no space keeps its memtables and is tried again
//      when the next writer needs room. Any other error of the write side fails the store.
//
// Threads: any may call; the work itself runs on scheduler threads. Lock order: under mutex_ only the view is
// looked at (Store::view_mutex_) and the policy asked; nothing under it waits for the device.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "base/mutex.h"
#include "compaction/job.h"
#include "kernel/store.h"

namespace tarn::kernel {

class Background {
 public:
  struct Hooks {
    std::function<Status(uint64_t first_needed)> release_wal;
    std::function<void(double pressure)> set_pressure;
  };
  Background(Store& store, Hooks hooks);

  // There may be something to do; starts tasks as far as allowed.
  void Kick() EXCLUDES(mutex_);
  // Until memtables take no more than their share of memory.
  Status WaitForRoom() EXCLUDES(mutex_);
  // Until every memtable set older than the active one is in tables.
  Status WaitForFlushes() EXCLUDES(mutex_);
  // Merges all runs of each family into one at the deepest level, dropping all that no snapshot sees. One caller
  // after the other.
  Status CompactAll() EXCLUDES(mutex_);
  // Starts nothing new and waits for what runs (it is abandoned at its next quantum).
  void Stop() EXCLUDES(mutex_);

 private:
  class FlushTask;
  class CompactTask;
  class PlaceTask;
  struct FamilyLevel {
    uint32_t family, level;
    friend auto operator<=>(const FamilyLevel&, const FamilyLevel&) = default;
  };

  bool stopping() const { return stopping_.load(std::memory_order_relaxed); }
  void StartFlush() REQUIRES(mutex_);
  void StartCompactions() REQUIRES(mutex_);
  bool StartCompaction(const Version& version) REQUIRES(mutex_);
  void Launch(uint32_t family, const CompactionPlan& plan, const Version& version) REQUIRES(mutex_);
  void StartPlacing() REQUIRES(mutex_);
  void FlushDone(const Status& status) EXCLUDES(mutex_);
  void CompactionDone(const std::vector<FamilyLevel>& levels, const Status& status) EXCLUDES(mutex_);
  void UpdatePressure() REQUIRES(mutex_);  // so that the last one to set it has seen the newest view
  bool MemoryIsShort() const;
  bool Halted() const;       // nothing will be started any more
  Status WhyHalted() const;  // OK when it is not
  Status CompactFamily(uint32_t family) EXCLUDES(mutex_);

  Store& store_;
  const Hooks hooks_;
  std::atomic<bool> stopping_{false};
  Mutex mutex_;  // guards: what is running
  bool flushing_ GUARDED_BY(mutex_) = false;
  uint64_t flush_attempts_ GUARDED_BY(mutex_) = 0;
  Status flush_status_ GUARDED_BY(mutex_);  // of the last attempt
  // After the last flush: the first log segment of the oldest memtables.
  uint64_t flushed_before_ GUARDED_BY(mutex_) = 0;
  uint32_t compactions_ GUARDED_BY(mutex_) = 0;
  bool placing_ GUARDED_BY(mutex_) = false;      // a PlaceTask is under way
  bool place_again_ GUARDED_BY(mutex_) = false;  // the version has changed since it looked
  bool manual_ GUARDED_BY(mutex_) = false;       // a manual compaction is under way: nothing else is started
  Status compaction_status_ GUARDED_BY(mutex_);  // of the last one
  std::set<FamilyLevel> busy_ GUARDED_BY(mutex_);
};

}  // namespace tarn::kernel
