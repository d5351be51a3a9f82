// Power cuts and kills at every effect of a workload. After each: the lake opens, a deep check is clean, and the
// tree is the one after some operation between the last one that was synced and the one in flight.
//
// Everything is on one thread from one seed (virtual clock, simulated scheduler), so the n-th effect is the same
// in every run. TARN_SEED=n replays one seed.

#include <cstdlib>

#include "tests/lake/lake_fixture.h"
#include "tests/lake/model_fs.h"
#include "tests/support/crash_backend.h"

namespace tarn::lake {
namespace {

using test::CrashBackend;
using test::CrashMode;
using test::MemBackend;

Components Parts(std::shared_ptr<Backend> backend, uint64_t seed) {
  Components components;
  components.backend = std::move(backend);
  components.clock = std::make_shared<test::VirtualClock>();
  components.entropy = std::make_shared<test::SeededEntropy>(seed);
  components.scheduler = std::make_shared<test::SimScheduler>(seed);
  return components;
}

LakeOptions Options() {
  LakeOptions options;
  options.settings.memory_bytes = 16 << 20;
  options.settings.memtable_bytes = 256 << 10;  // tables are published and merged within the workload
  options.dirty_bytes = 1 << 20;
  return options;
}

// Runs the workload against the model, and keeps the model after every step: what a crash may leave.
class Workload {
 public:
  Workload(Lake* lake, uint64_t seed) : lake_(*lake), random_(seed) { states_.push_back(model_); }

  // Stops at the first failure, which is the crash.
  void Run() {
    for (int step = 0; step < 60 && alive_; ++step) Step();
  }
  // The states after the last synced step up to the one in flight. A step in flight may be done or not.
  bool Matches(Lake& lake, bool power, std::string* why) {
    const size_t first = power ? synced_ : acknowledged_;
    for (size_t i = states_.size(); i-- > first;) {
      *why = states_[i].Difference(lake.Head());
      if (why->empty()) return true;
    }
    *why += " (steps " + std::to_string(first) + " to " + std::to_string(states_.size() - 1) + ")";
    return false;
  }
  bool alive() const { return alive_; }

 private:
  // The model's next state is possible from now on; it is certain once the lake said yes.
  void Attempt(const ModelFs& next, bool done) {
    states_.push_back(next);
    alive_ = alive_ && done;
    if (alive_) {
      acknowledged_ = states_.size() - 1;
      model_ = next;
    }
  }
  void Synced(bool done) {
    alive_ = alive_ && done;
    if (alive_) synced_ = states_.size() - 1;
  }
  std::string AnyName() { return std::string(1, static_cast<char>('a' + random_.Below(5))); }
  Ino AnyDir() {
    std::vector<Ino> dirs;
    for (const auto& [ino, node] : model_.nodes()) {
      if (node.is_dir()) dirs.push_back(ino);
    }
    return dirs[random_.Below(dirs.size())];
  }
  // A name that is taken in that directory, if there is one.
  std::string Taken(Ino dir) {
    const auto& entries = model_.nodes().at(dir).entries;
    if (entries.empty()) return "none";
    auto at = entries.begin();
    std::advance(at, random_.Below(entries.size()));
    return at->first;
  }

  // The number of a new inode. One in flight, if it survives, has the next number.
  Ino Number(const Result<Attr>& made) {
    if (made.ok()) last_ino_ = made->ino;
    return made.ok() ? made->ino : last_ino_ + 1;
  }

  void AddFile() {
    const Ino dir = AnyDir();
    const std::string name = AnyName();
    if (model_.nodes().at(dir).entries.contains(name)) return;
    const auto made = lake_.Create(dir, name, 0644, 0, {});
    ModelFs next = model_;
    next.Add(dir, name, 0100644, "", Number(made));
    Attempt(next, made.ok());
    if (alive_) WriteFile(made->ino);
  }
  void WriteFile(Ino ino) {
    const std::string bytes = Pattern(random_.Below(200000), random_.Below(3));
    const uint64_t offset = random_.OneIn(3) ? random_.Below(200000) : 0;
    ModelFs next = model_;
    next.Write(ino, offset, bytes);
    const bool done = lake_.Write(ino, offset, bytes).ok() && lake_.Flush(ino).ok();
    Attempt(next, done);
  }
  void WriteAny() {
    for (const auto& [ino, node] : model_.nodes()) {
      if (node.is_regular() && random_.OneIn(2)) return WriteFile(ino);
    }
  }
  void TruncateAny() {
    for (const auto& [ino, node] : model_.nodes()) {
      if (!node.is_regular() || !random_.OneIn(2)) continue;
      const Ino number = ino;
      const uint64_t size = random_.Below(250000);
      ModelFs next = model_;
      next.Truncate(number, size);
      return Attempt(next, lake_.SetAttr(number, {.size = size}).ok());
    }
  }
  void Publish() {
    const Ino dir = AnyDir();
    const std::string name = AnyName();
    const auto stage = lake_.Stage({});
    alive_ = alive_ && stage.ok();
    const auto top = alive_ ? lake_.MakeDir(*stage, "t", 0755, {}) : Result<Attr>(Status::Io("dead"));
    const auto file = top.ok() ? lake_.Create(top->ino, "x", 0644, 0, {}) : top;
    const std::string bytes = Pattern(150000, random_.Below(3));
    alive_ = alive_ && file.ok() && lake_.Write(file->ino, 0, bytes).ok();
    if (!alive_) return;
    last_ino_ = file->ino;
    ModelFs next = model_;
    (void)next.RemoveTree(dir, name);  // ENOENT when nothing is there
    next.Add(dir, name, 0040755, "", top->ino);
    next.Add(top->ino, "x", 0100644, "", file->ino);
    next.Write(file->ino, 0, bytes);
    const bool done = lake_.Publish(*stage, "t", dir, name, RenameMode::kReplace, {.command = "import"}).ok();
    Attempt(next, done);
    Synced(done);
  }
  void Step() {
    ModelFs next = model_;
    const Ino dir = AnyDir(), other = AnyDir();
    const std::string name = Taken(dir), new_name = AnyName();
    switch (random_.Below(12)) {
      case 0:
      case 1: return AddFile();
      case 2:
      case 3: return WriteAny();
      case 4: return TruncateAny();
      case 5: {
        if (model_.nodes().at(dir).entries.contains(new_name)) return;
        const auto made = lake_.MakeDir(dir, new_name, 0755, {});
        next.Add(dir, new_name, 0040755, "", Number(made));
        return Attempt(next, made.ok());
      }
      case 6: {
        if (next.Rename(dir, name, other, new_name, RenameMode::kReplace) != 0) return;
        return Attempt(next, lake_.Rename(dir, name, other, new_name, RenameMode::kReplace).ok());
      }
      case 7: {
        if (next.Remove(dir, name, false) != 0) return;
        return Attempt(next, lake_.Unlink(dir, name).ok());
      }
      case 8: {
        if (!random_.OneIn(3) || next.RemoveTree(dir, name) != 0) return;
        return Attempt(next, lake_.RemoveTree(dir, name).ok());
      }
      case 9: return Synced(lake_.SyncAll().ok());
      case 10: return Publish();
      default: return Synced(lake_.AppendLog({.command = "step"}).ok());
    }
  }

  Lake& lake_;
  test::SeededRandom random_;
  ModelFs model_;
  std::vector<ModelFs> states_;
  Ino last_ino_ = kRootIno;
  size_t synced_ = 0, acknowledged_ = 0;
  bool alive_ = true;
};

class CrashTest : public ::testing::TestWithParam<CrashMode> {};

// The effects of a whole workload, without a crash.
uint64_t CountEffects(uint64_t seed) {
  auto disk = std::make_shared<MemBackend>();
  auto machine = std::make_shared<CrashBackend>(disk);
  auto lake = Lake::Init(Parts(machine, seed), Options());
  EXPECT_TRUE(lake.ok()) << lake.status().ToString();
  const uint64_t before = machine->effects();
  Workload workload(lake->get(), seed);
  workload.Run();
  EXPECT_TRUE(workload.alive());
  const uint64_t effects = machine->effects() - before;
  EXPECT_OK((*lake)->Close());
  return effects;
}

void ExpectGood(Lake& lake, Workload& workload, bool power) {
  const auto report = lake.Check(true, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->problems, std::vector<std::string>());
  std::string why;
  EXPECT_TRUE(workload.Matches(lake, power, &why)) << why;
}

void CrashOnce(uint64_t seed, uint64_t effect, CrashMode mode) {
  SCOPED_TRACE("seed " + std::to_string(seed) + " effect " + std::to_string(effect));
  auto disk = std::make_shared<MemBackend>();
  auto machine = std::make_shared<CrashBackend>(disk);
  auto lake = Lake::Init(Parts(machine, seed), Options());
  ASSERT_TRUE(lake.ok()) << lake.status().ToString();
  machine->CrashAt(effect, seed, mode);
  Workload workload(lake->get(), seed);
  workload.Run();
  auto survivor = machine->survivor();
  lake->reset();
  if (survivor == nullptr) survivor = machine->survivor();  // the crash hit the destructor's flush
  ASSERT_NE(survivor, nullptr);
  // The recovery itself is cut as well, at an early effect, and then done again.
  auto again = std::make_shared<CrashBackend>(survivor);
  again->CrashAt(1 + effect % 7, seed, mode);
  { const auto cut = Lake::Open(Parts(again, seed + 1), Options()); }
  if (again->survivor() != nullptr) survivor = again->survivor();
  const auto recovered = Lake::Open(Parts(survivor, seed + 2), Options());
  ASSERT_TRUE(recovered.ok()) << recovered.status().ToString();
  ExpectGood(**recovered, workload, mode != CrashMode::kProcessKill);
  EXPECT_OK((*recovered)->Close());
}

TEST_P(CrashTest, EveryEffectOfAWorkload) {
  uint64_t first_seed = 1, last_seed = 3;
  if (const char* replay = std::getenv("TARN_SEED")) first_seed = last_seed = std::strtoull(replay, nullptr, 0);
  for (uint64_t seed = first_seed; seed <= last_seed; ++seed) {
    const uint64_t effects = CountEffects(seed);
    ASSERT_GT(effects, 50u);
    for (uint64_t effect = 1; effect <= effects && !HasFailure(); ++effect) CrashOnce(seed, effect, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, CrashTest,
                         ::testing::Values(CrashMode::kProcessKill, CrashMode::kDropUnsynced, CrashMode::kTornSubset),
                         [](const auto& mode) -> std::string {
                           return mode.param == CrashMode::kProcessKill    ? "Kill"
                                  : mode.param == CrashMode::kDropUnsynced ? "DropUnsynced"
                                                                           : "TornSubset";
                         });

}  // namespace
}  // namespace tarn::lake
