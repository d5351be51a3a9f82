// The rarer calls of a store: families, named snapshots, maintenance, other openers, and damage at rest.
#include <algorithm>

#include "kernel/manifest.h"
#include "tests/sim/store_world.h"

namespace tarn::test {
namespace {

constexpr size_t kHeldSnapshots = 6;
// One after the other, each mended before the next.
constexpr int kDamages = 4;

// The last part of a name that a storage gives: "table/0000000000000007".
bool IsOf(const std::string& name, std::string_view folder) { return name.find(folder) != std::string::npos; }

}  // namespace

void StoreWorld::NamedSnapshots(SeededRandom& random) {
  const std::string name = "s" + std::to_string(random.Below(4));
  const bool there = model_.named().contains(name);
  const auto in_doubt = [&](StoreModel::Doubt::What what) {
    model_.doubts().push_back({what, name, model_.visible()});
  };
  Count();
  switch (random.Below(4)) {
    case 0: {
      const Status dropped = db_->DropNamedSnapshot(name);
      if (dropped.ok() != there && (dropped.ok() || !Excused(dropped))) {
        return Differ("drop of snapshot " + name + ": " + dropped.ToString());
      }
      if (dropped.ok()) {
        model_.named().erase(name);
      } else if (there && !Good(dropped, "drop snapshot")) {
        in_doubt(StoreModel::Doubt::What::kDropSnapshot);
      }
      return;
    }
    case 1: {
      const Result<NamedSnapshot> made = db_->CreateNamedSnapshot(name);
      if (made.ok() == there && (made.ok() || !Excused(made.status()))) {
        return Differ("snapshot " + name + ": " + made.status().ToString());
      }
      if (made.ok()) {
        model_.named()[name] = model_.visible();
        model_.Survives(Durability::kPower);
      } else if (!there && !Good(made.status(), "make snapshot")) {
        in_doubt(StoreModel::Doubt::What::kMakeSnapshot);
      }
      return;
    }
    default: {
      if (held_.size() >= kHeldSnapshots) return;
      Result<std::unique_ptr<Snapshot>> opened = db_->OpenNamedSnapshot(name);
      if (opened.ok() != there) return Differ("opening snapshot " + name + ": " + opened.status().ToString());
      if (!there) return;
      held_.push_back({std::move(*opened), model_.named()[name]});
      model_.Hold(held_.back().at);
    }
  }
}

void StoreWorld::Families(SeededRandom& random) {
  const std::string name = "f" + std::to_string(random.Below(3));
  const uint32_t index = model_.FindFamily(name);
  const bool there = index < model_.families().size();
  Count();
  if (!there || random.OneIn(4)) {
    const Result<ColumnFamily> made = db_->CreateFamily(name);
    if (there && !made.ok() && made.status().code() == Code::kBusy) return;
    if (there && made.ok()) return Differ("family " + name + " was created twice");
    if (made.ok()) return model_.CreateFamily(name, *made);
    if (!Good(made.status(), "create family") && !there) {
      model_.doubts().push_back({StoreModel::Doubt::What::kCreateFamily, name});
    }
  } else if (random.OneIn(3)) {
    const Status dropped = db_->DropFamily(model_.families()[index].handle);
    if (Good(dropped, "drop family")) return model_.DropFamily(index);
    model_.doubts().push_back({StoreModel::Doubt::What::kDropFamily, name});
  } else {
    const Result<ColumnFamily> found = db_->FindFamily(name);
    if (!found.ok() || !(*found == model_.families()[index].handle)) Differ("family " + name + " is another one");
  }
}

void StoreWorld::Flush(bool compact) {
  const Status done = compact ? db_->Compact() : db_->Flush();
  Count();
  if (Good(done, compact ? "compact" : "flush")) model_.Flushed();
}

void StoreWorld::Verify() {
  const Status verified = db_->Verify();
  Count();
  Good(verified, "verify");
}

void StoreWorld::ReadOnly() {
  if (!model_.doubts().empty() || refuses_) return;  // the reader may know more than the writer
  Settings settings = settings_;
  settings.read_only = true;
  Components parts;
  parts.backend = backend_;
  parts.scheduler = scheduler_;
  Result<std::unique_ptr<DB>> reader = DB::Open(settings, std::move(parts));
  Count();
  if (!reader.ok()) {
    Good(reader.status(), "read-only open");
    return;
  }
  Commit found = 0;
  if (!FindState(**reader, model_.floor(false), model_.newest(), "read-only", &found)) return;
  if ((*reader)->Put("x", "y").code() != Code::kInvalid) Differ("a read-only store took a write");
  // It follows a writer that moves on.
  Flush(step_ % 2 == 0);
  if (!failure_.empty() || !model_.doubts().empty() || refuses_) return;
  const Status caught_up = (*reader)->CatchUp();
  Count();
  if (!Good(caught_up, "catch up")) return;
  FindState(**reader, std::max(found, model_.floor(false)), model_.newest(), "a follower", &found);
}

void StoreWorld::SecondOpen() {
  if (backend_->features().locks == nullptr) return;  // it would take the store over: tests/kernel/takeover_test.cc
  Components parts;
  parts.backend = backend_;
  parts.scheduler = scheduler_;
  parts.holder = "the second";
  const Result<std::unique_ptr<DB>> second = DB::Open(settings_, std::move(parts));
  Count();
  if (second.ok()) return Differ("a store was opened twice for writing");
  if (second.status().code() != Code::kBusy) Good(second.status(), "second open");
}

void StoreWorld::Checkpoint() {
  const auto target = std::make_shared<MemBackend>();
  const Status copied = db_->Checkpoint(*target);
  Count();
  if (!Good(copied, "checkpoint")) return;
  model_.Flushed();
  Components parts;
  parts.backend = target;
  parts.scheduler = std::make_shared<SimScheduler>(step_);
  const Result<std::unique_ptr<DB>> copy = DB::Open(settings_, std::move(parts));
  Count();
  if (!copy.ok()) return Differ("open of a checkpoint: " + copy.status().ToString());
  Commit found = 0;
  FindState(**copy, model_.visible(), model_.visible(), "checkpoint", &found);
}

void StoreWorld::Facts() {
  Count(3);
  if (db_->Statistics().empty()) Differ("a store without statistics");
  const Result<std::string> summary = db_->Property("summary");
  if (!summary.ok()) Differ("property summary: " + summary.status().ToString());
  if (db_->ListNamedSnapshots().size() != model_.named().size()) Differ("other named snapshots");
}

// Whether the store cannot be read in full without this file. Asked before the damage is mended, so not of the
// file itself but of the manifest state in memory's place: the blobs that a fresh load would name.
bool StoreWorld::Needed(const std::string& name) {
  kernel::Manifest manifest(*backend_);
  if (!manifest.Load().ok()) return true;  // the damage is in the manifest, where it matters
  if (IsOf(name, "manifest/")) {
    const uint64_t number = std::strtoull(name.substr(name.rfind('/') + 1).c_str(), nullptr, 16);
    return number >= manifest.state().last().base && number <= manifest.state().last().number;
  }
  for (const auto& [number, table] : manifest.state().tables()) {
    if (name.ends_with(TableBlobName(number))) return true;
  }
  return false;
}

void StoreWorld::Rot(SeededRandom& random) {
  for (int n = 0; n < kDamages && failure_.empty(); ++n) RotOnce(random);
}

void StoreWorld::RotOnce(SeededRandom& random) {
  if (faults_on_ || storage_->stopped() || refuses_) return;
  const std::optional<Damage> damage = storage_->Rot(random.Next());
  if (!damage.has_value()) return;
  ++rot_[damage->what];
  Say([&] { return "  " + damage->what + " in " + damage->name + " at " + std::to_string(damage->offset); });
  damaged_ = true;
  if (IsOf(damage->name, "wal/")) {
    RotInLog(*damage);
  } else {
    RotInPlace(*damage, random);
  }
  damage->mend();
  damaged_ = false;
}

// The writer never reads its log; a process that comes now does. It finds the damage, or a prefix of the commits if
// what is lost was never promised to it by a later record.
void StoreWorld::RotInLog(const Damage& damage) {
  if (!model_.doubts().empty()) return;
  Settings settings = settings_;
  settings.read_only = true;
  Components parts;
  parts.backend = backend_;
  parts.scheduler = scheduler_;
  const Result<std::unique_ptr<DB>> reader = DB::Open(settings, std::move(parts));
  Count();
  if (!reader.ok()) {
    Good(reader.status(), "read-only open of a damaged log");
    return;
  }
  const Result<ListPage> segments = backend_->List("wal/", "", 10000);
  if (!segments.ok()) return Differ("listing the log: " + segments.status().ToString());
  // A segment that another continues was promised to it as a whole. In the newest one, a byte that changed is in one
  // record: if that was synced, a record behind it says so; if not, what was synced stands before it.
  // An empty segment continues nothing yet: its header, which says what it goes on from, comes with its first record.
  const auto last =
      std::find_if(segments->blobs.rbegin(), segments->blobs.rend(), [](const auto& b) { return b.size > 0; });
  const bool newest = last == segments->blobs.rend() || damage.name.ends_with(last->name);
  const bool witnessed = damage.what == "bit rot" && model_.floor(false) > model_.floor(true);
  Commit found = 0;
  FindState(**reader,
            !newest     ? model_.floor(false)
            : witnessed ? model_.floor(true)
                        : model_.base(),
            model_.newest(), "read-only, of a damaged log", &found);
}

void StoreWorld::RotInPlace(const Damage& damage, SeededRandom& random) {
  const bool needed = IsOf(damage.name, "table/") || IsOf(damage.name, "manifest/") ? Needed(damage.name) : false;
  const Status verified = db_->Verify();
  Count();
  if (verified.ok() && needed)
    return Differ(damage.what + " in " + damage.name + " at " + std::to_string(damage.offset) +
                  " was not found by Verify");
  if (!verified.ok() && verified.code() != Code::kCorruption) Good(verified, "verify of damaged bytes");
  for (int n = 0; n < 4 && failure_.empty(); ++n) {
    Get(random);
    if (failure_.empty()) MultiGet(random);
    if (failure_.empty()) ShortWalk(random);
  }
  if (failure_.empty() && random.OneIn(3)) Flush(true);
}

}  // namespace tarn::test
