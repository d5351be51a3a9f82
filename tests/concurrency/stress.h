// Stress: many real threads on one store at once, each of which checks what must hold in any interleaving.
//
// The store under stress holds three things, and every write keeps their invariants:
//   mirrors   families "left" and "right": each writer changes both alike in one batch (put, delete, range delete)
//             and sets its head, a row in "default", to the number of the change. So under one snapshot left equals
//             right, no row is newer than its writer's head, and heads and rows never go back for a reader.
//   accounts  rows in "default" that transactions move amounts between: under one snapshot their sum is constant.
//   visitors  families that are made, filled, read and dropped again and again.
// Every row's value carries its key, so a row of another key is never taken for the right one.
//
// A writer knows all of its rows, because nobody else writes them: it reads each change back at once, and in the end
// the whole store must be exactly what the writers were told.
//
// Work is bounded by counts, not by time. Close() may come at any moment: from then on calls end in Invalid, which
// ends a thread's work; any other error, and any broken invariant, is a failure (the first few are kept).
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tarn/db.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

class Stress {
 public:
  static constexpr size_t kWriters = 3;

  // Makes the families and accounts. The store is empty.
  Stress(DB& db, uint64_t seed);

  // Runs all workers; `operations` scales the counts of each. When the writers have made `close_after` changes
  // together the store is closed under everybody's feet; 0: never.
  void Run(uint64_t operations, uint64_t close_after = 0);

  // The store (this one, a checkpoint of it, or the reopened one) obeys the invariants. `exact`: and its mirrors are
  // what the writers were told. REQUIRES of exact: no worker runs.
  void CheckStore(DB& db, bool exact, const std::string& where);

  std::vector<std::string> failures();
  uint64_t changes() const { return changes_; }
  uint64_t checkpoints() const { return checkpoints_; }

 private:
  using Rows = std::map<std::string, std::string>;
  struct Moment;  // what one snapshot shows
  class Writer;
  class Reader;

  // False when the thread should end: the store was closed, or something failed (and was noted).
  bool Good(const Status& status, const char* what);
  void Fail(const std::string& what);
  bool over() const { return failed_.load(std::memory_order_relaxed); }

  void Transfer(SeededRandom random, uint64_t operations);
  void NameSnapshots(SeededRandom random, uint64_t operations, int self);
  void Maintain(SeededRandom random, uint64_t operations);
  bool CopyAndCheck();
  void VisitFamilies(SeededRandom random, uint64_t operations, int self);
  bool VisitFamily(SeededRandom& random, const std::string& name, int self);
  void Changed(uint64_t close_after);
  bool CheckMoment(DB& db, const Snapshot* snapshot, const std::string& where, Moment* moment);

  DB& db_;
  const uint64_t seed_;
  ColumnFamily left_, right_;
  std::vector<Rows> truth_{kWriters};  // each writer's own; read when no worker runs
  std::atomic<uint64_t> changes_{0}, checkpoints_{0};
  std::atomic<bool> failed_{false}, closed_{false};
  std::mutex mutex_;  // guards: what went wrong
  std::vector<std::string> failures_;
};

}  // namespace tarn::test
