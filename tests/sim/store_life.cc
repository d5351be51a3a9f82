// The life and death of the process that has the store open, and what must be there when it comes back.
#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "format/table.h"
#include "kernel/manifest.h"
#include "tests/sim/store_world.h"
#include "wal/record.h"

namespace tarn::test {
namespace {

constexpr uint32_t kNestedCrashes = 3;
constexpr uint64_t kNestedEffects = 40;
// With faults on, an open may fail so often before they are switched off.
constexpr int kFaultyOpens = 3;

}  // namespace

Components StoreWorld::Parts(SeededRandom& random, std::shared_ptr<Backend> backend) {
  scheduler_ = std::make_shared<SimScheduler>(random.Next());
  Components parts;
  parts.backend = std::move(backend);
  parts.clock = std::make_shared<VirtualClock>();
  parts.entropy = std::make_shared<SeededEntropy>(random.Next());
  parts.scheduler = scheduler_;
  parts.compaction = compaction_;
  parts.holder = "sim";
  return parts;
}

void StoreWorld::LetGo() {
  for (const Walk& walk : walks_) model_.Unhold(walk.at);
  for (const Held& held : held_) model_.Unhold(held.at);
  for (const OpenTransaction& open : txns_) model_.Unhold(open.begin);
  walks_.clear();
  held_.clear();
  txns_.clear();
}

// Opens the store again and again until it serves; it may be cut down in between.
void StoreWorld::Start(Ending ending, bool power, SeededRandom& random) {
  // A log whose write or sync failed, at the latest when it was closed, may have lost what a kill would have left.
  power |= FaultsMet() && (refuses_ || ending == Ending::kFailed || model_.newest() != model_.visible());
  faults_before_ = InjectedFaults();
  late_before_ = LateRecords();
  refuses_ = false;
  uint32_t crashes = 0;
  for (int attempt = 0;; ++attempt) {
    if (attempt == kFaultyOpens && faults_on_) {
      storage_->SetFaults(0, {});
      faults_on_ = false;
    }
    if (crashes < kNestedCrashes && ending != Ending::kClosed && random.OneIn(plan_.nested_crash_one_in)) {
      storage_->CrashAfter(1 + random.Below(kNestedEffects));
    }
    const bool open = TryOpen(random);
    if (open || !failure_.empty()) break;
    if (!storage_->stopped()) {
      if (attempt > 30) return Differ("the store does not open any more");
      if (ending == Ending::kClosed) ending = Ending::kFailed;
      continue;
    }
    const auto mode = static_cast<CrashMode>(random.Below(3));
    power |= mode != CrashMode::kProcessKill;
    ending = Ending::kDied;
    ++crashes;
    ++tally_.crashes;
    Say([&] { return "  the machine stops while it opens, mode " + std::to_string(static_cast<int>(mode)); });
    backend_.reset();
    storage_->Crash(random.Next(), mode);
  }
  if (!failure_.empty()) return;
  if (ending != Ending::kClosed) ++tally_.recoveries;
  // What is there is read without faults; they go on afterwards.
  storage_->SetFaults(0, {});
  SettleAfter(ending, power);
  if (faults_on_) storage_->SetFaults(random.Next(), plan_.rates);
}

bool StoreWorld::TryOpen(SeededRandom& random) {
  backend_ = storage_->Mount();
  Result<std::unique_ptr<DB>> db = DB::Open(settings_, Parts(random, backend_));
  Count();
  Say([&] { return "  open: " + db.status().ToString(); });
  if (!db.ok()) {
    Good(db.status(), "open");
    return false;
  }
  db_ = std::move(*db);
  return true;
}

void StoreWorld::Reopen(SeededRandom& random) {
  LetGo();
  const Status closed = db_->Close();
  Count();
  const bool well = Good(closed, "close");
  db_.reset();
  if (storage_->stopped()) return;  // Step sees it
  if (well) model_.Survives(Durability::kPower);
  if (random.OneIn(2)) {
    settings_ = DrawSettings(random);
    compaction_ = DrawCompaction(settings_, random);
  }
  Start(well ? Ending::kClosed : Ending::kFailed, false, random);
}

void StoreWorld::Kill(SeededRandom& random) { Die(random); }

// What the process had in memory is gone; its destructors run, but nothing that they do reaches the storage.
void StoreWorld::Die(SeededRandom& random) {
  const auto mode = static_cast<CrashMode>(random.Below(3));
  ++tally_.crashes;
  Say([&] { return "  crash, mode " + std::to_string(static_cast<int>(mode)); });
  storage_->Crash(random.Next(), mode);
  LetGo();
  db_.reset();
  backend_.reset();
  if (random.OneIn(3)) {
    settings_ = DrawSettings(random);
    compaction_ = DrawCompaction(settings_, random);
  }
  Start(Ending::kDied, mode != CrashMode::kProcessKill, random);
}

void StoreWorld::SwitchFaults(SeededRandom& random) {
  if (!faults_on_) {
    faults_on_ = true;
    return storage_->SetFaults(random.Next(), plan_.rates);
  }
  // When faults have ceased, a reopened store is as good as ever.
  faults_on_ = false;
  storage_->SetFaults(0, {});
  if (FaultsMet()) Reopen(random);
}

// The store has just been opened. Finds out which of the states that `ending` allows it is in, and goes on from
// there.
void StoreWorld::SettleAfter(Ending ending, bool power) {
  const Commit lowest = model_.floor(power);
  if (!SettleFamilies() || !SettleSnapshots()) return;
  Commit found = 0;
  const bool closed = ending == Ending::kClosed;
  if (!FindState(*db_, closed ? model_.visible() : lowest, closed ? model_.visible() : model_.newest(), "reopened",
                 &found)) {
    return;
  }
  Say([&] {
    return "  holds commit " + std::to_string(found) + " of " + std::to_string(lowest) + ".." +
           std::to_string(model_.newest());
  });
  model_.Settle(found);
  if (!model_.named().empty()) {
    auto named = model_.named().begin();
    std::advance(named, step_ % model_.named().size());
    const Result<std::unique_ptr<Snapshot>> snapshot = db_->OpenNamedSnapshot(named->first);
    Count();
    if (!snapshot.ok()) return Differ("reopened: " + snapshot.status().ToString());
    CheckState(*db_, snapshot->get(), named->second, "reopened, in a named snapshot");
  }
  if (failure_.empty()) CheckNames();
}

// Families as the store has them, each step in doubt decided either way.
bool StoreWorld::SettleFamilies() {
  std::vector<std::string> there = db_->ListFamilies();
  Count();
  const auto has = [&](const std::string& name) {
    return std::find(there.begin(), there.end(), name) != there.end();
  };
  for (const StoreModel::Doubt& doubt : model_.doubts()) {
    const uint32_t index = model_.FindFamily(doubt.name);
    const bool known = index < model_.families().size();
    if (doubt.what == StoreModel::Doubt::What::kCreateFamily && !known && has(doubt.name)) {
      model_.CreateFamily(doubt.name, {});
    } else if (doubt.what == StoreModel::Doubt::What::kDropFamily && known && !has(doubt.name)) {
      model_.DropFamily(index);
    }
  }
  for (const uint32_t index : model_.live()) {
    StoreModel::Family& family = model_.family(index);
    const Result<ColumnFamily> found = db_->FindFamily(family.name);
    Count();
    if (!found.ok()) return Differ("reopened: family " + family.name + ": " + found.status().ToString()), false;
    family.handle = *found;
  }
  if (there.size() != model_.live().size()) return Differ("reopened: a family that was not made, or dropped"), false;
  return true;
}

bool StoreWorld::SettleSnapshots() {
  std::map<std::string, Commit>& named = model_.named();
  const std::vector<NamedSnapshot> there = db_->ListNamedSnapshots();
  Count();
  const auto has = [&](const std::string& name) {
    return std::any_of(there.begin(), there.end(), [&](const NamedSnapshot& s) { return s.name == name; });
  };
  for (const StoreModel::Doubt& doubt : model_.doubts()) {
    if (doubt.what == StoreModel::Doubt::What::kMakeSnapshot && has(doubt.name)) named.emplace(doubt.name, doubt.at);
    if (doubt.what == StoreModel::Doubt::What::kDropSnapshot && !has(doubt.name)) named.erase(doubt.name);
  }
  for (const NamedSnapshot& snapshot : there) {
    if (!named.contains(snapshot.name)) return Differ("reopened: snapshot " + snapshot.name + " is back"), false;
  }
  if (there.size() != named.size()) return Differ("reopened: a named snapshot is lost"), false;
  return true;
}

// An open for writing has removed what no record names, and nothing else.
void StoreWorld::CheckNames() {
  if (FaultsMet() || faults_on_ || storage_->stopped()) return;
  kernel::Manifest manifest(*backend_);
  const Status loaded = manifest.Load();
  if (!Good(loaded, "reading the manifest")) return;
  const auto& tables = manifest.state().tables();
  const Result<ListPage> page = backend_->List("table/", "", tables.size() + 10);
  if (!page.ok()) return Differ("listing tables: " + page.status().ToString());
  std::vector<std::string> names;
  for (const BlobInfo& blob : page->blobs) names.push_back(blob.name);
  for (const auto& [number, table] : tables) {
    const auto it = std::find(names.begin(), names.end(), TableBlobName(number));
    if (it == names.end()) return Differ("the manifest names " + TableBlobName(number) + ", which is not there");
    names.erase(it);
  }
  for (const std::string& name : names) {
    if (FaultsMet()) break;  // a late PUT landed after the open had looked
    const uint64_t number = std::strtoull(name.c_str() + std::strlen("table/"), nullptr, 16);
    const auto blob =
        std::find_if(page->blobs.begin(), page->blobs.end(), [&](const auto& b) { return b.name == name; });
    const Status opens = Table::Open(*backend_, manifest.state().store_id(), number, blob->size).status();
    // A file that was deleted cannot be mended, and a crash may bring it back, damage included. What does not open as
    // a table of this store is not the store's to delete.
    if (!rot_.empty() && opens.code() == Code::kCorruption) continue;
    return Differ("an open for writing left " + name + ", which no record names: " + opens.ToString());
  }
  const Result<ListPage> log = backend_->List("wal/", "", 10000);
  if (!log.ok()) return Differ("listing the log: " + log.status().ToString());
  const uint64_t first = manifest.state().last().first_wal;
  for (const BlobInfo& blob : log->blobs) {
    const uint64_t number = std::strtoull(blob.name.c_str() + std::strlen("wal/"), nullptr, 16);
    const bool fence = blob.size == wal::kFenceObjectBytes;  // for ever: it may still keep somebody out
    if (FaultsMet()) break;                                  // as above
    if (number < first && !fence) return Differ("an open for writing left " + blob.name + ", which nothing needs");
  }
}

bool StoreWorld::ReadRows(DB& db, uint32_t family, const Snapshot* snapshot, std::vector<std::string>* rows,
                          std::vector<char>* present, const char* where) {
  const std::string& name = model_.families()[family].name;
  rows->resize(keys_.size());
  present->assign(keys_.size(), 0);
  const Result<ColumnFamily> handle = db.FindFamily(name);
  Count();
  if (!handle.ok()) return Differ(std::string(where) + ": " + handle.status().ToString()), false;
  const std::unique_ptr<Iterator> it = db.NewIterator(*handle, {.snapshot = snapshot, .fill_cache = false});
  KeyId key = 0;
  for (it->SeekToFirst(); it->valid(); it->Next()) {
    Count();
    while (key < keys_.size() && keys_[key] != it->key()) ++key;
    if (key == keys_.size()) {
      return Differ(std::string(where) + ": " + name + " has a key that is strange or out of order"), false;
    }
    (*rows)[key].assign(it->value());
    (*present)[key++] = 1;
  }
  return Good(it->status(), where);
}

bool StoreWorld::FindState(DB& db, Commit lowest, Commit highest, const char* where, Commit* found) {
  const std::vector<uint32_t>& live = model_.live();
  std::vector<std::vector<std::string>> rows(model_.families().size());
  std::vector<std::vector<char>> present(rows.size()), wrong(rows.size());
  uint64_t wrongs = 0;
  std::string first_wrong;
  const auto judge = [&](uint32_t family, KeyId key, Commit at) {
    const ValueTag* expected = model_.Get(family, key, at);
    const bool there = present[family][key] != 0;
    const bool right = there == (expected != nullptr) && (!there || IsValue(*expected, rows[family][key]));
    wrongs += static_cast<uint64_t>(!right) - static_cast<uint64_t>(wrong[family][key]);
    wrong[family][key] = !right;
    if (!right && first_wrong.empty()) {
      first_wrong = model_.families()[family].name + " key " + std::to_string(key) +
                    (there ? expected == nullptr ? " is there" : " has another value" : " is absent");
    }
  };
  for (const uint32_t family : live) {
    if (!ReadRows(db, family, nullptr, &rows[family], &present[family], where)) return false;
    wrong[family].assign(keys_.size(), 0);
    for (KeyId key = 0; key < keys_.size(); ++key) judge(family, key, highest);
  }
  const std::vector<StoreModel::Touch>& touches = model_.touches();
  size_t next = touches.size();
  while (next > 0 && touches[next - 1].commit > highest) --next;
  Commit at = highest;
  while (wrongs > 0 && at > lowest) {
    const Commit commit = at--;
    for (; next > 0 && touches[next - 1].commit == commit; --next) {
      judge(touches[next - 1].family, touches[next - 1].key, at);
    }
  }
  *found = at;
  if (wrongs == 0) return true;
  Differ(std::string(where) + ": " + first_wrong + "; none of the states " + std::to_string(lowest) + ".." +
         std::to_string(highest) + " that are allowed");
  return false;
}

void StoreWorld::CheckState(DB& db, const Snapshot* snapshot, Commit at, const char* where) {
  std::vector<std::string> rows;
  std::vector<char> present;
  for (const uint32_t family : model_.live()) {
    if (!ReadRows(db, family, snapshot, &rows, &present, where)) return;
    for (KeyId key = 0; key < keys_.size(); ++key) {
      const ValueTag* expected = model_.Get(family, key, at);
      if ((present[key] != 0) == (expected != nullptr) && (expected == nullptr || IsValue(*expected, rows[key])))
        continue;
      return Differ(std::string(where) + ": " + model_.families()[family].name + " key " + std::to_string(key) +
                    " is not as of commit " + std::to_string(at));
    }
  }
}

}  // namespace tarn::test
