// WritePath: how a batch becomes durable, ordered and visible. The only place that gives out sequences.
//
// Group commit: writers queue up; the one at the head leads. It takes followers up to kMaxGroupBytes, gives
// their changes consecutive sequences, appends them to the log as one record at the strongest durability any
// of them asked for, adds them to the memtables, makes them visible, and wakes them. While a leader syncs, the
// next group gathers: this is what makes many small power-safe writes cheap.
//
// Invariants
//   1. Log before memtable, memtable before visible, visible before acknowledged.
//   2. Sequences in the log ascend without gaps within a segment chain.
//   3. Before a put becomes visible, no range that is remembered as dead has its key (kernel/dead_ranges.h).
//   4. Where the log is objects, each of which is a request, kNone groups gather in memory until somebody asks for
//   more.
//      When they have become too many for that (bulk work), the log does without them: until the next stronger
//      commit or Sync, which flushes instead, everything is in memtables only. So bulk work is sent once, in tables.
//      The log never holds a commit behind one that it did without.
//   5. After a failed log call nothing more is written: the store fails (Store::Fail), and what the failed record
//      held is in doubt until recovery reads the log.
//
// Threads: any. Lock order: queue_mutex_ is never held while work is done; wal_mutex_ is taken by the leader,
// by SyncWal and by Release, and nothing is taken under it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "kernel/pacer.h"
#include "kernel/store.h"
#include "tarn/write_batch.h"

namespace tarn::kernel {

class WritePath {
 public:
  struct Hooks {
    std::function<void()> memtable_switched;  // there is something to flush
    // Blocks while memtables hold as much memory as they may; an error when they cannot be emptied.
    std::function<Status()> wait_for_room;
    // Blocks until all memtables but the newest are in tables; an error when they cannot be.
    std::function<Status()> wait_for_flushes;
  };
  WritePath(Store& store, std::unique_ptr<WalWriter> wal, Hooks hooks);

  // `validate`, if given, runs when all earlier commits are visible and nothing else is being committed; its
  // error refuses the batch.
  Status Write(const WriteBatch& batch, Durability durability, const std::function<Status()>& validate = nullptr);
  // Runs `work` while no write is in progress.
  Status Exclusive(const std::function<Status()>& work);
  // Starts a new memtable set at a new log segment if the current set holds anything. Inside Exclusive only.
  Status SwitchMemSet();
  // Starts a new set for a changed list of families. Inside Exclusive only.
  Status RestartMemSet();

  // Puts into tables what the log did without. Inside Exclusive only.
  Status FlushUnlogged();

  Status SyncWal();
  Status ReleaseWal(uint64_t first_needed);
  // After FlushUnlogged(). Busy: a writer came between.
  Status Close();
  uint64_t wal_bytes();
  Pacer& pacer() { return pacer_; }

 private:
  struct Writer;
  // Ends the process when there is no memory: unwound half-way, a commit would leave a queue that nobody leads and a
  // log that the memtables do not know. What was acknowledged is in the log.
  Status Enter(Writer* writer) noexcept;
  std::vector<Writer*> TakeGroup(Writer* leader) REQUIRES(queue_mutex_);
  Status Lead(const std::vector<Writer*>& group);
  Status CommitGroup(const std::vector<Writer*>& group);
  Status AppendToLog(Sequence first, uint64_t count, Durability durability, const std::vector<Writer*>& group);
  void Gather() REQUIRES(wal_mutex_);
  Status LogGathered() REQUIRES(wal_mutex_);
  Status LogFailed(const Status& status);
  void AddToMemtables(Sequence first, Sequence last, const std::vector<Writer*>& group);
  void Push(std::shared_ptr<MemSet> fresh);
  std::shared_ptr<MemSet> NewMemSet(uint64_t first_wal);

  Store& store_;
  const Hooks hooks_;
  const bool objects_;           // the log is objects
  const uint32_t most_commits_;  // of one memtable set, at kProcess or kPower
  const uint64_t most_gathered_;
  Pacer pacer_;
  Mutex queue_mutex_;  // guards: who waits, in which order
  std::deque<Writer*> queue_ GUARDED_BY(queue_mutex_);
  Mutex wal_mutex_;  // guards: the log writer, and what it lacks
  std::unique_ptr<WalWriter> wal_ GUARDED_BY(wal_mutex_);
  std::vector<std::string> gathered_ GUARDED_BY(wal_mutex_);  // payloads that the log is still to get
  uint64_t gathered_bytes_ GUARDED_BY(wal_mutex_) = 0;
  bool unlogged_ GUARDED_BY(wal_mutex_) = false;  // the log did without some that may be in no table yet
  std::string payload_;                           // the leader's
  std::shared_ptr<MemSet> mem_;                   // the leader's: the newest memtables, which nobody else replaces
  uint32_t commits_ = 0;                          // the leader's: since the last switch
};

// Checks sizes and form of a batch before it is queued. Invalid names the change.
Status ValidateBatch(const WriteBatch& batch, const Version& version, const Store& store);

}  // namespace tarn::kernel
