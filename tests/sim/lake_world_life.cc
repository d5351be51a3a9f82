// Processes of LakeWorld: how they end, what the next one finds, and what is wrong with the device.

#include <cerrno>

#include "tests/sim/lake_world.h"

namespace tarn::test {
namespace {

constexpr int kMostCuts = 4;  // of one recovery

uint64_t Times(const std::map<std::string, uint64_t>& faults, const std::string& kind) {
  const auto found = faults.find(kind);
  return found == faults.end() ? 0 : found->second;
}

}  // namespace

CrashMode LakeWorld::AnyMode() {
  const uint64_t dice = random_->Below(4);
  return dice == 0 ? CrashMode::kProcessKill : dice == 1 ? CrashMode::kDropUnsynced : CrashMode::kTornSubset;
}

void LakeWorld::QuietFaults() {
  storage_->SetFaults(0, {});
  fault_steps_ = 0;
}

// A lake whose making was cut is whole, or says that it is none, and can then be made in the emptied place.
void LakeWorld::CutInit() {
  storage_->CrashAfter(1 + random_->Below(40));
  const bool made = lake::Lake::Init(Parts(), options_).ok();
  storage_->Crash(random_->Next(), AnyMode());
  storage_->CrashAfter(0);
  ++tally_.crashes;
  auto opened = lake::Lake::Open(Parts(), options_);
  if (opened.ok()) {
    lake_ = std::move(*opened);
    ++tally_.recoveries;
    return;
  }
  const Code code = opened.status().code();
  if (made || (code != Code::kNotFound && code != Code::kInvalid)) {
    return Fail("after a cut init: " + opened.status().ToString());
  }
  const auto backend = storage_->Mount();
  const auto page = backend->List("", "", SIZE_MAX);
  if (!page.ok()) return Fail("list: " + page.status().ToString());
  for (const BlobInfo& blob : page->blobs) {
    const Status deleted = backend->Delete(blob.name);
    if (!deleted.ok()) return Fail("delete: " + deleted.ToString());
  }
}

void LakeWorld::DoKill() { EndLife(CrashMode::kProcessKill); }

void LakeWorld::DoPowerCut() { EndLife(random_->OneIn(3) ? CrashMode::kDropUnsynced : CrashMode::kTornSubset); }

void LakeWorld::DoArm() { storage_->CrashAfter(1 + random_->Below(60)); }

void LakeWorld::DoFaults() {
  storage_->SetFaults(random_->Next(), rates_);
  fault_steps_ = static_cast<uint32_t>(1 + random_->Below(60));
}

void LakeWorld::EndLife(CrashMode mode) {
  storage_->Crash(random_->Next(), mode);
  QuietFaults();
  ++tally_.crashes;
  if (narrate_) Say(mode == CrashMode::kProcessKill ? "  killed" : "  power lost");
  lake_.reset();
  // A sync that dropped pages has lost them for good, also to those who only die.
  const bool dropped = Times(storage_->faults(), "sync that drops pages") != drops_at_open_;
  Recover(mode != CrashMode::kProcessKill || dropped);
}

void LakeWorld::DoReopen() {
  if (narrate_) Say("  close and open");
  model_.AddVersionsOfAll();
  const Status closed = lake_->Close();
  ++tally_.operations;
  if (!closed.ok() && !Excused(closed)) return Fail("close: " + closed.ToString());
  if (closed.ok() && !must_reopen_) {
    model_.AddFlushOfAll(OrderIsKnown());
    Synced();
  }
  if (storage_->stopped()) return EndLife(AnyMode());
  QuietFaults();
  lake_.reset();
  Recover(Times(storage_->faults(), "sync that drops pages") != drops_at_open_);
}

// Opens what the last process left, perhaps after cuts and faults in the middle of it.
void LakeWorld::Recover(bool power) {
  opened_.clear();
  must_reopen_ = reopen_now_ = false;
  for (int attempt = 0;; ++attempt) {
    const bool last = attempt == kMostCuts;
    if (!last && random_->OneIn(3)) storage_->CrashAfter(1 + random_->Below(30));
    const bool faulty = !last && random_->OneIn(8);
    // Faults that the open survives may still have hit what it started in the background.
    faults_at_open_ = FaultCount();
    drops_at_open_ = Times(storage_->faults(), "sync that drops pages");
    if (faulty) storage_->SetFaults(random_->Next(), rates_);
    auto opened = lake::Lake::Open(Parts(), options_);
    QuietFaults();
    ++tally_.operations;
    if (opened.ok() && !storage_->stopped()) {
      lake_ = std::move(*opened);
      break;
    }
    if (!opened.ok() && !Excused(opened.status())) return Fail("open: " + opened.status().ToString());
    if (narrate_) Say("  open -> " + opened.status().ToString());
    if (opened.ok()) opened->reset();
    const bool stopped = storage_->stopped();
    if (!stopped && !random_->OneIn(2)) continue;  // the failed process goes on, and tries again
    const CrashMode mode = AnyMode();
    storage_->Crash(random_->Next(), mode);
    ++tally_.crashes;
    power = power || mode != CrashMode::kProcessKill ||
            Times(storage_->faults(), "sync that drops pages") != drops_at_open_;
  }
  storage_->CrashAfter(0);
  ++tally_.recoveries;
  trash_left_ = FaultCount() != faults_at_open_;
  Verify(power);
}

void LakeWorld::Verify(bool power) {
  std::string why;
  ModelFs found = ModelFs::Load(lake_->Head(), {}, &why);
  const auto commands = Commands();
  if (why.empty() && !commands.ok()) why = commands.status().ToString();
  if (why.empty()) why = model_.Recover(std::move(found), *commands, power, in_flight_);
  in_flight_ = {};
  if (!why.empty()) return Fail(std::string("after ") + (power ? "power loss: " : "the end of a process: ") + why);
  tally_.operations += model_.head.nodes().size();
  VerifySnapshots();
  if (failure_.empty() && random_->OneIn(4)) CheckAll(true);
  if (failure_.empty()) DoUsage();
}

void LakeWorld::VerifySnapshots() {
  std::map<std::string, NamedState> there;
  for (const lake::SnapshotInfo& info : lake_->ListSnapshots()) {
    const auto known = snapshots_.find(info.name);
    if (known == snapshots_.end()) return Fail("snapshot " + info.name + " is there, and should not be");
    const auto view = lake_->At(info.name);
    if (!view.ok()) return Fail("snapshot " + info.name + ": " + view.status().ToString());
    const std::string why = known->second.fs.Difference(**view);
    if (!why.empty()) return Fail("snapshot " + info.name + ": " + why);
    there[info.name] = {.fs = std::move(known->second.fs)};
    known->second.dropped = true;
  }
  for (const auto& [name, state] : snapshots_) {
    if (state.certain && !state.dropped) return Fail("snapshot " + name + " is gone");
  }
  snapshots_ = std::move(there);
}

void LakeWorld::CheckAll(bool deep) {
  const auto report = lake_->Check(deep, {});
  if (!Expect(report, 0, "check")) {  // it flushes first
    model_.AddVersionsOfAll();
    Acknowledge();
    return Resolve("check", {Now()});
  }
  model_.AddFlushOfAll(OrderIsKnown());
  Acknowledge();
  if (!report->problems.empty()) Fail("check finds: " + report->problems.front());
}

// Bytes at rest change: what is read is right or Corruption. Then they are mended, and the life goes on.
void LakeWorld::DoRot() {
  if (must_reopen_ || fault_steps_ > 0) return;
  DoSyncAll();
  if (!failure_.empty() || storage_->stopped() || must_reopen_) return;
  if (FaultCount() != faults_at_open_) return;  // the store may be read-only already, and says that instead
  const auto damage = storage_->Rot(random_->Next());
  if (!damage) return;
  ++tally_.faults["rot"];
  if (narrate_) Say("  " + damage->what + " in " + damage->name + " at " + std::to_string(damage->offset));
  ReadDamaged();
  // The next process meets damaged tables too. A damaged log may look like one that ends early, so it is mended.
  // Orphans and stages, which an open takes apart, would make it hard to say what it should show.
  const bool reopen = damage->name.starts_with("table/") && model_.head.Rootless().empty() && random_->OneIn(2);
  if (reopen && failure_.empty()) {
    lake_.reset();  // which closes it
    if (!storage_->stopped()) {
      auto opened = lake::Lake::Open(Parts(), options_);
      if (!opened.ok() && opened.status().code() != Code::kCorruption && !storage_->stopped()) {
        Fail("open with damage: " + opened.status().ToString());
      }
      if (opened.ok()) {
        lake_ = std::move(*opened);
        ReadDamaged();
      }
    }
  }
  damage->mend();
  if (failure_.empty()) EndLife(storage_->stopped() ? AnyMode() : CrashMode::kProcessKill);
}

void LakeWorld::ReadDamaged() {
  lake::View& head = lake_->Head();
  const auto fine = [&](const Status& status, const char* what) {
    ++tally_.operations;
    if (!status.ok() && status.code() != Code::kCorruption && !storage_->stopped()) {
      Fail(std::string(what) + " with damage: " + status.ToString());
    }
    return status.ok();
  };
  for (const auto& [ino, node] : model_.head.nodes()) {
    const auto attr = head.GetAttr(ino);
    if (fine(attr.status(), "getattr")) ExpectSame(SameAttr(*attr), "getattr with damage");
    if (node.is_dir()) {
      const auto entries = head.ReadDir(ino, {}, SIZE_MAX);
      if (fine(entries.status(), "readdir"))
        ExpectSame(entries->size() == node.entries.size(), "readdir with damage");
    } else if (node.is_regular()) {
      std::string bytes(node.content->size() + 1, '?');
      const auto got = head.Read(ino, 0, bytes);
      if (!fine(got.status(), "read")) continue;
      bytes.resize(*got);
      ExpectSame(bytes == *node.content, "read with damage");
    }
  }
  const auto report = lake_->Check(true, {});
  fine(report.status(), "check");
}

// Without files there are no rows of content, and only those of the lake itself besides.
void LakeWorld::EmptyLake() {
  while (!opened_.empty()) DoRelease();
  for (const Ino ino : Stages()) {
    Did(lake_->DropStage(ino), "drop stage", [ino](ModelFs& fs) {
      fs.DropStage(ino);
      return 0;
    });
  }
  const ModelFs all = model_.head;
  for (const auto& [name, ino] : all.nodes().at(lake::kRootIno).entries) {
    Did(lake_->RemoveTree(lake::kRootIno, name), "rmtree",
        [name = name](ModelFs& fs) { return fs.RemoveTree(lake::kRootIno, name); });
  }
  CheckAll(true);
  for (const char* family : {"inline", "extents", "chunks", "backrefs"}) {
    const auto rows = lake_->db().NewIterator(*lake_->db().FindFamily(family));
    rows->SeekToFirst();
    if (rows->valid() || !rows->status().ok()) Fail(std::string("an empty lake has rows in family ") + family);
  }
}

void LakeWorld::End() {
  if (!failure_.empty() || lake_ == nullptr) return;
  SeededRandom random(1);
  random_ = &random;
  storage_->CrashAfter(0);
  QuietFaults();
  if (storage_->stopped()) EndLife(CrashMode::kTornSubset);
  for (int round = 0; round < 2 && failure_.empty(); ++round) {
    DoReopen();
    storage_->CrashAfter(0);
    if (failure_.empty()) DoCompare();
    if (failure_.empty()) CheckAll(true);
  }
  if (failure_.empty()) EmptyLake();
  if (failure_.empty()) Expect(lake_->Close(), 0, "close");
  tally_.digest = storage_->digest();
  random_ = nullptr;
}

}  // namespace tarn::test
