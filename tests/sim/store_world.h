// StoreWorld: a whole store on one thread, over any SimStorage, against StoreModel. What it demands:
//
//   1. Every answer is the model's. An error is allowed only if a fault was injected in this life of the process (or
//      while it is damaged, as Corruption); an error is never an empty or a short answer.
//   2. After a crash the store is in the state after some prefix of the commits, for all families at once, and not
//      older than what was acknowledged at the durability that the crash respects. Families and named snapshots are
//      exactly those that were acknowledged. What the reopened store showed, it keeps.
//   3. A failed call changed nothing that a reader sees. Whether it did is known after the next open; before, every
//      later write is refused if the store says that it is read-only, or else the failed one never happened.
//   4. After an open for writing the tables on disk are those that the manifest names. (A PUT of a dead process may
//      land later; that storage says so.)
//   5. Damaged bytes give right answers or Corruption, and Verify finds them when the manifest needs them.
//   6. Without faults every open succeeds and every write does.
//
// Threads: one.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tarn/db.h"
#include "tests/sim/storage.h"
#include "tests/sim/store_model.h"
#include "tests/sim/store_plan.h"
#include "tests/sim/world.h"

namespace tarn::test {

class StoreWorld final : public World {
 public:
  StoreWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage);
  ~StoreWorld() override;

  void Step(SeededRandom& random) override;
  void End() override;
  const std::string& failure() const override { return failure_; }
  const Tally& tally() const override { return tally_; }

 private:
  using Change = StoreModel::Change;
  // An iterator with the place where it must be.
  struct Walk {
    std::unique_ptr<Iterator> it;
    uint32_t family = 0;
    Commit at = 0;
    KeyId begin = 0, end = 0;  // the keys that it may show
    KeyId place = 0;           // keys().size(): nowhere
  };
  struct Held {
    std::unique_ptr<Snapshot> snapshot;
    Commit at = 0;
  };
  struct OpenTransaction {
    std::unique_ptr<Transaction> txn;
    Commit begin = 0;
    std::vector<Change> changes;
    std::vector<std::pair<uint32_t, KeyId>> tracked;
  };
  struct Moment {
    const Snapshot* snapshot = nullptr;
    Commit at = 0;
  };
  enum class Ending { kClosed, kFailed, kDied };

  // store_world.cc: steps, judgement
  void Run(StoreOp op, SeededRandom& random);
  void Differ(const std::string& what);
  // False, and a failure unless an error is excused just now, when `status` is an error.
  bool Good(const Status& status, const char* what);
  bool Excused(const Status& status) const;
  bool FaultsMet() const;  // in this life of the process
  uint64_t InjectedFaults() const;
  uint64_t LateRecords() const;  // of dead processes, landed so far
  template <typename Text>
  void Say(const Text& text) {
    if (options_.narrate) options_.narrate(text());
  }
  void Tell();  // the storage's part of the tally
  void Count(uint64_t calls = 1) { tally_.operations += calls; }

  // store_writes.cc
  void Write(SeededRandom& random);
  void Sync();
  void Transactions(SeededRandom& random);
  void BeginTransaction(SeededRandom& random);
  void TouchTransaction(OpenTransaction& open, SeededRandom& random);
  void CommitTransaction(OpenTransaction open, SeededRandom& random);
  Change DrawChange(SeededRandom& random, uint64_t n);
  ValueTag DrawValue(SeededRandom& random, uint64_t n) const;
  void AddTo(WriteBatch* batch, const Change& change);
  Durability DrawDurability(SeededRandom& random) const;
  std::string Show(const std::vector<Change>& changes) const;
  // What the store said to these changes.
  void Learn(const Status& status, const std::vector<Change>& changes, Durability durability, const char* what);

  // store_reads.cc
  void Get(SeededRandom& random);
  void MultiGet(SeededRandom& random);
  void CheckAnswer(uint32_t family, KeyId key, Commit at, const Status& status, const std::string& value);
  void ShortWalk(SeededRandom& random);
  void LongWalk(SeededRandom& random);
  Walk NewWalk(SeededRandom& random);
  void Move(Walk& walk, uint64_t moves, SeededRandom& random);
  void MoveOnce(Walk& walk, SeededRandom& random);
  void CheckPlace(Walk& walk, const char* move);
  void Forget(Walk& walk);
  Moment DrawMoment(SeededRandom& random) const;
  uint32_t DrawFamily(SeededRandom& random) const;
  void Snapshots(SeededRandom& random);

  // store_admin.cc
  void NamedSnapshots(SeededRandom& random);
  void Families(SeededRandom& random);
  void Flush(bool compact);
  void Verify();
  void ReadOnly();
  void SecondOpen();
  void Checkpoint();
  void Facts();
  void Rot(SeededRandom& random);
  void RotOnce(SeededRandom& random);
  void RotInLog(const Damage& damage);
  void RotInPlace(const Damage& damage, SeededRandom& random);
  bool Needed(const std::string& name);

  // store_life.cc: opening, dying and what must be there then
  Components Parts(SeededRandom& random, std::shared_ptr<Backend> backend);
  void Start(Ending ending, bool power, SeededRandom& random);
  bool TryOpen(SeededRandom& random);
  void Reopen(SeededRandom& random);
  void Kill(SeededRandom& random);
  void Die(SeededRandom& random);
  void LetGo();  // of everything that must be destroyed before the store
  void SwitchFaults(SeededRandom& random);
  void SettleAfter(Ending ending, bool power);
  bool SettleFamilies();
  bool SettleSnapshots();
  void CheckNames();
  // Compares the store with the states lowest..newest; the newest one that it equals, or a failure.
  bool FindState(DB& db, Commit lowest, Commit highest, const char* where, Commit* found);
  // The bytes of each key that is there; false, and perhaps a failure, when they could not be read.
  bool ReadRows(DB& db, uint32_t family, const Snapshot* snapshot, std::vector<std::string>* rows,
                std::vector<char>* present, const char* where);
  void CheckState(DB& db, const Snapshot* snapshot, Commit at, const char* where);

  const WorldOptions options_;
  std::unique_ptr<SimStorage> storage_;
  SeededRandom made_;  // chance of the world's making
  const StorePlan plan_;
  const KeySpace keys_;
  StoreModel model_;
  Settings settings_;
  std::shared_ptr<CompactionPolicy> compaction_;

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<SimScheduler> scheduler_;
  std::unique_ptr<DB> db_;
  std::vector<Held> held_;
  std::vector<Walk> walks_;
  std::vector<OpenTransaction> txns_;
  std::string buffer_, value_;

  bool faults_on_ = false;
  bool refuses_ = false;                 // the store said that it is read-only
  bool damaged_ = false;                 // some bytes are rotten just now
  uint64_t faults_before_ = 0;           // all injected faults when this life began
  uint64_t late_before_ = 0;             // and late records
  std::map<std::string, uint64_t> rot_;  // damage done, by kind
  uint64_t step_ = 0;
  Tally tally_;
  std::string failure_;
};

std::unique_ptr<World> MakeStoreWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage);

}  // namespace tarn::test
