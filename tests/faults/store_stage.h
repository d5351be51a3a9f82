// A store in a rich state on a ground whose calls may fail, and the model of what it must answer. For the sweeps of
// tests/faults.
//
// Three images are made once: "closed" (three levels, two families, range tombstones, a named snapshot, sealed log),
// "crashed" (the same life cut off with a memtable and a log tail that no sync saw) and the empty place. An operation
// runs on one of them, or on the closed one opened again with its caches cold and a tail of writes at every
// durability.
//
// The model is a list of states, one for each write in the order of the log. After a crash the store must be in one
// of them, not older than what had been acknowledged at the level that the crash respects. Families and named
// snapshots live in the manifest and are tracked apart: certainly there, or in doubt because their operation failed.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tarn/db.h"
#include "tests/faults/ground.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

using Rows = std::map<std::string, std::string>;
using Contents = std::map<std::string, Rows>;  // by family

// One change of a batch, for the store and for the model alike.
struct Change {
  enum class What : uint8_t { kPut, kDelete, kDeleteRange } what = What::kPut;
  std::string family, key, value;  // of a range: its end
};

struct StoreModel {
  std::vector<Contents> states = {{{"default", {}}}};
  size_t visible = 0;        // what this process reads
  size_t process_floor = 0;  // what a kill may not take back
  size_t power_floor = 0;    // nor a power cut
  std::set<std::string> families = {"default"}, doubtful_families;
  std::map<std::string, Contents> snapshots, doubtful_snapshots;

  const Contents& now() const { return states[visible]; }
  void Synced() { power_floor = process_floor = visible; }
};

// The images and the models that belong to them.
class StoreImages {
 public:
  explicit StoreImages(std::unique_ptr<Grounds> grounds);
  Grounds& grounds() { return *grounds_; }
  const StoreModel& model(const std::string& image) const { return models_.at(image); }

 private:
  const std::unique_ptr<Grounds> grounds_;
  std::map<std::string, StoreModel> models_;
};

enum class Start : uint8_t { kNothing, kClosed, kCrashed, kOpen, kOpenReadOnly };

class StoreStage {
 public:
  StoreStage(StoreImages& images, Start start);
  ~StoreStage();

  // The calls of operations. Each tells the model; each answer that is no error is compared with it.
  Status Open(bool read_only);
  Status Write(const std::vector<Change>& changes, const WriteOptions& options);
  Status Gets(const Snapshot* snapshot, const Contents& wanted);
  Status MultiGets();
  Status Scan(const Snapshot* snapshot, const Contents& wanted, bool forward);
  Status Seeks();
  DB& db() { return *db_; }
  bool is_open() const { return db_ != nullptr; }
  ColumnFamily Family(const std::string& name) const { return handles_.at(name); }
  void RunBackground() { scheduler_->RunAll(); }
  void Close();
  void Forget(const std::string& family) { handles_.erase(family); }  // it was dropped

  // Every read answers as the model says, or (with `errors_allowed`) with an error.
  void ExpectReads(bool errors_allowed);
  // A new process finds a store that agrees with the model.
  void ExpectAfter(Ending ending, uint64_t seed);
  void ExpectTarget(bool complete);

  Ground& ground() { return *ground_; }
  StoreModel model;

 private:
  Components Parts(std::shared_ptr<Backend> backend, uint64_t seed);
  Status LearnHandles();

  const std::unique_ptr<Ground> ground_;
  std::shared_ptr<SimScheduler> scheduler_;
  std::unique_ptr<DB> db_;
  std::map<std::string, ColumnFamily> handles_;
};

// A batch of the model's changes; families by the handles of one store.
WriteBatch BatchOf(const std::vector<Change>& changes, const std::map<std::string, ColumnFamily>& handles);
Contents Changed(Contents contents, const std::vector<Change>& changes);
std::string RowKey(uint64_t n);
Settings FaultSettings();

}  // namespace tarn::test
