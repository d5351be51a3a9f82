// LakeWorld: a whole lake on one thread, over any SimStorage, against LakeModel. What it demands:
//
//   1. Every call answers like the model: the same errno, attributes, names, bytes. Another error is allowed only if
//   a
//      fault was injected in this life of the process, and is then Io, NoSpace or Unavailable.
//   2. After a crash the lake opens, and is in the state after some prefix of its commits, which holds all that was
//      acknowledged (kill) or synced (power loss). Each call is one commit or none; PunchHole and a flush followed by
//      a change of size are the commits that lake.h and docs/formats/lake.md say. Orphans and stages are gone. Named
//      snapshots and records of the log are exactly those that were acknowledged, with what they held.
//   3. A failed call left the state before it or after it, live and after the next open.
//   4. Checks find nothing, also deep ones; the count of inodes is right; when all files are gone, so are all rows.
//   5. Damaged bytes give right answers or Corruption.
//   6. Without faults every open and every call succeeds.
//
// Steps are lake calls. Which of them, how often, how large, and the settings of the store below are drawn from the
// seed of the world.
//
// Threads: one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lake/lake.h"
#include "tests/sim/lake_model.h"
#include "tests/sim/storage.h"
#include "tests/sim/world.h"

namespace tarn::test {

class LakeWorld final : public World {
 public:
  LakeWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage);
  ~LakeWorld() override;

  void Step(SeededRandom& random) override;
  void End() override;
  const std::string& failure() const override { return failure_; }
  const Tally& tally() const override { return tally_; }

 private:
  using Ino = lake::Ino;
  using ModelFs = lake::ModelFs;
  using Change = std::function<int(ModelFs&)>;  // returns an errno
  struct Action {
    const char* name;
    uint32_t weight;
    void (LakeWorld::*run)();
  };
  // What a call that failed may have left.
  struct Outcome {
    ModelFs fs;
    std::vector<std::string> log;
  };
  struct NamedState {
    ModelFs fs;
    bool certain = true;   // false: an error hides whether it was created
    bool dropped = false;  // true: an error hides whether it was dropped
  };

  // lake_world.cc: settings, choices, judgement.
  void DrawActions(SeededRandom& random);
  void DrawSettings(SeededRandom& random);
  Components Parts();
  void Fail(const std::string& what);
  void Say(const std::string& line);
  void Note(const Status& status, const char* what);  // an error that is excused
  bool Excused(const Status& status) const;
  uint64_t FaultCount() const;
  // Of flushes. After an error nobody knows which files are dirty, and since when.
  bool OrderIsKnown() const { return !flushes_by_itself_ && FaultCount() == faults_at_open_; }
  bool Expect(const Status& status, int wanted, const char* what);  // counts a call; true: it is as the model says
  template <typename T>
  bool Expect(const Result<T>& result, int wanted, const char* what) {
    return Expect(result.status(), wanted, what);
  }
  void ExpectSame(bool same, const char* what, const std::string& detail = {});
  Ino AnyInode();
  Ino AnyFile();
  Ino AnyDir();
  std::string AnyName();
  std::string AnyEntry(Ino dir);
  uint64_t AnyOffset();
  std::string AnyBytes();
  std::string Pattern(size_t size);

  // lake_world_changes.cc: calls that change something.
  void Did(const Status& status, const char* what, const Change& change);
  void Resolve(const char* what, std::vector<Outcome> outcomes);
  void Acknowledge();
  void Synced();
  Outcome Now() const { return {model_.head, model_.log}; }
  Outcome After(const Change& change) const;
  void AddNode(uint32_t mode);
  void DoCreate();
  void DoMakeDir();
  void DoSymlink();
  void DoLink();
  void DoUnlink();
  void DoRemoveDir();
  void DoRemoveTree();
  void DoRename();
  void DoSetXattr();
  void DoRemoveXattr();
  void DoSetAttr();
  void DoWrite();
  void DoTruncate();
  void DoPunch();
  void DoOpen();
  void DoRelease();
  void DoFlush();
  void DoSync();
  void DoSyncAll();
  void DoStage();
  void DoPublish();
  void DoDropStage();
  void DoAppendLog();
  void DoCreateSnapshot();
  void DoDropSnapshot();
  void DoMaintain();

  // lake_world_reads.cc: calls that do not.
  void DoLookup();
  void DoGetAttr();
  void DoReadDir();
  void DoRead();
  void DoSeek();
  void DoReadLink();
  void DoGetXattr();
  void DoReadLog();
  void DoUsage();
  void DoReadSnapshot();
  void DoCompare();
  void DoCheck();
  void DoBeside();
  bool ExpectRead(const Status& status, int wanted, const char* what);
  template <typename T>
  bool ExpectRead(const Result<T>& result, int wanted, const char* what) {
    return ExpectRead(result.status(), wanted, what);
  }
  const ModelFs::Node* Node(Ino ino) const;
  std::vector<Ino> Stages() const;
  bool SameAttr(const lake::Attr& attr) const;
  Result<std::vector<std::string>> Commands();  // of the log, oldest first

  // lake_world_life.cc: processes, crashes, faults and damage.
  void DoReopen();
  void DoKill();
  void DoPowerCut();
  void DoArm();
  void DoFaults();
  void DoRot();
  void CutInit();
  void EndLife(CrashMode mode);
  CrashMode AnyMode();
  void Recover(bool power);
  void Verify(bool power);
  void VerifySnapshots();
  void ReadDamaged();
  void CheckAll(bool deep);
  void EmptyLake();
  void QuietFaults();

  const Narrator narrate_;
  const std::unique_ptr<SimStorage> storage_;
  lake::LakeOptions options_;
  bool flushes_by_itself_ = false;  // the budget of dirty bytes is small
  std::vector<Action> actions_;
  uint32_t total_weight_ = 0;
  uint32_t most_nodes_ = 40;
  FaultRates rates_;
  std::shared_ptr<Clock> clock_;
  std::shared_ptr<SimScheduler> scheduler_;

  SeededRandom* random_ = nullptr;  // of the step in progress
  std::unique_ptr<lake::Lake> lake_;
  LakeModel model_;
  LakeModel::Place in_flight_;  // of a creation that was cut
  std::map<std::string, NamedState> snapshots_;
  std::vector<Ino> opened_;
  uint64_t lives_ = 0, names_ = 0;
  uint64_t faults_at_open_ = 0, faults_at_call_ = 0, drops_at_open_ = 0;
  uint32_t fault_steps_ = 0;  // until the faults end
  bool must_reopen_ = false;  // a write failed, and every later one will
  bool reopen_now_ = false;   // the count of links is behind until the next open
  bool trash_left_ = false;   // an error may have left something for the next open to reclaim
  std::string failure_;
  Tally tally_;
};

std::unique_ptr<World> MakeLakeWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage);

}  // namespace tarn::test
