// ModelRun: random operations on a DB and on the model, compared at each step. One seed, one run, one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tarn/db.h"
#include "tests/model/store_model.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

class ModelRun {
 public:
  struct Options {
    uint64_t seed = 1;
    uint64_t operations = 10000;
    bool crashes = false;  // crash and recover now and then, in all three modes of the mem backend
  };
  explicit ModelRun(const Options& options);
  ~ModelRun();

  // Stops at the first difference. `failure()` is empty when there was none, and else says seed, step and what.
  void Run();
  const std::string& failure() const { return failure_; }
  uint64_t operations() const { return step_; }
  uint64_t crashes() const { return crashes_; }

 private:
  struct Held {
    std::unique_ptr<Snapshot> snapshot;
    std::shared_ptr<const State> state;
  };

  void Open();
  void Step();
  void Write();
  void DurablePoint();
  void PointReads();
  void Walk();
  void WalkBackAndForth(Iterator& it, const std::vector<std::pair<std::string, std::string>>& rows);
  void Snapshots();
  void NamedSnapshots();
  void Transactions();
  void Families();
  void Maintenance();
  void Reopen();
  void CheckReadOnly();
  void CheckCheckpoint();
  void CheckAgainst(DB& db, const State& state, const std::string& where);
  void Crash();
  void RecoverHistory();
  void ForgetSnapshots();

  std::string RandomKey();
  std::string RandomValue();
  std::string RandomFamily();
  ColumnFamily Handle(const std::string& family);
  // The state that a read should see, with the options that make it so.
  std::shared_ptr<const State> RandomMoment(ReadOptions* options);
  void Must(const Status& status, const char* what);
  void Differ(const std::string& what);
  // The state after a commit of this durability; the history a crash may fall back to.
  void Committed(Durability durability);

  const Options options_;
  SeededRandom random_;
  std::shared_ptr<MemBackend> backend_;
  Settings settings_;
  std::unique_ptr<DB> db_;
  std::shared_ptr<SimScheduler> scheduler_;
  StoreModel model_;
  std::vector<Held> held_;
  std::map<std::string, std::shared_ptr<const State>> named_;
  // States since the last one that surely survives power loss (element 0); the second number counts the
  // elements that survive a mere kill.
  std::vector<std::shared_ptr<const State>> history_;
  size_t survives_kill_ = 1;
  uint64_t step_ = 0, crashes_ = 0;
  std::string failure_;
};

}  // namespace tarn::test
