#include "tests/model/model_run.h"

#include <algorithm>

namespace tarn::test {
namespace {

// A small alphabet and few lengths, so that keys collide, share prefixes and touch at their ends.
constexpr std::string_view kAlphabet("ab\x00\xff", 4);

std::string Show(std::string_view bytes) {
  std::string text = "\"";
  for (unsigned char c : bytes) {
    if (c >= 0x20 && c < 0x7f) {
      text += static_cast<char>(c);
    } else {
      constexpr char kHex[] = "0123456789abcdef";
      text += std::string("\\x") + kHex[c >> 4] + kHex[c & 15];
    }
    if (text.size() > 60) return text + "...\"";
  }
  return text + "\"";
}

}  // namespace

ModelRun::ModelRun(const Options& options)
    : options_(options), random_(options.seed), backend_(std::make_shared<MemBackend>()) {
  // Small parts, so that a short run meets flushes, many tables, levels and cache misses.
  settings_.memory_bytes = 8ull << 20;
  settings_.memtable_bytes = 64ull << 10 << random_.Below(3);
  settings_.table_bytes = 64ull << 10;
  settings_.block_bytes = random_.OneIn(2) ? 512 : 4096;
  settings_.size_ratio = static_cast<uint32_t>(2 + random_.Below(4));
  settings_.filter_bits_per_key = random_.OneIn(3) ? 0 : 10;
  settings_.compression = static_cast<Compression>(random_.Below(3));
  history_.push_back(model_.state());
  Open();
}

ModelRun::~ModelRun() { ForgetSnapshots(); }

void ModelRun::Differ(const std::string& what) {
  if (!failure_.empty()) return;
  failure_ = "seed " + std::to_string(options_.seed) + (options_.crashes ? " with crashes" : "") + ", step " +
             std::to_string(step_) + ": " + what;
}

void ModelRun::Must(const Status& status, const char* what) {
  if (!status.ok()) Differ(std::string(what) + ": " + status.ToString());
}

void ModelRun::Open() {
  scheduler_ = std::make_shared<SimScheduler>(random_.Next());
  Components parts;
  parts.backend = backend_;
  parts.clock = std::make_shared<VirtualClock>();
  parts.entropy = std::make_shared<SeededEntropy>(random_.Next());
  parts.scheduler = scheduler_;
  Result<std::unique_ptr<DB>> db = DB::Open(settings_, std::move(parts));
  Must(db.status(), "open");
  if (db.ok()) db_ = std::move(*db);
}

void ModelRun::Run() {
  while (failure_.empty() && step_ < options_.operations) {
    ++step_;
    Step();
  }
  if (failure_.empty()) CheckAgainst(*db_, *model_.state(), "at the end");
  if (failure_.empty()) Must(db_->Verify(), "verify");
}

void ModelRun::Step() {
  if (random_.OneIn(4)) scheduler_->RunOne();
  const uint64_t dice = random_.Below(1000);
  if (dice < 500) {
    Write();
  } else if (dice < 780) {
    PointReads();
  } else if (dice < 900) {
    Walk();
  } else if (dice < 930) {
    Snapshots();
  } else if (dice < 965) {
    Transactions();
  } else if (dice < 975) {
    NamedSnapshots();
  } else if (dice < 982) {
    DurablePoint();
  } else if (dice < 990) {
    Maintenance();
  } else if (dice < 995) {
    Families();
  } else {
    options_.crashes&& random_.OneIn(2) ? Crash() : Reopen();
  }
}

std::string ModelRun::RandomKey() {
  std::string key;
  for (uint64_t i = random_.Below(5); i > 0; --i) key += kAlphabet[random_.Below(kAlphabet.size())];
  if (random_.OneIn(500)) key.append(random_.Below(3000), 'k');
  return key;
}

std::string ModelRun::RandomValue() {
  if (random_.OneIn(20)) return {};
  const uint64_t size = random_.OneIn(50) ? random_.Below(20000) : random_.Below(60);
  std::string value = std::to_string(step_) + ":";
  while (value.size() < size) value += static_cast<char>('a' + random_.Below(random_.OneIn(2) ? 26 : 1));
  return value;
}

std::string ModelRun::RandomFamily() {
  const auto state = model_.state();
  auto it = state->begin();
  std::advance(it, random_.Below(state->size()));
  return it->first;
}

ColumnFamily ModelRun::Handle(const std::string& family) {
  const Result<ColumnFamily> handle = db_->FindFamily(family);
  Must(handle.status(), "find family");
  return handle.ok() ? *handle : ColumnFamily{};
}

void ModelRun::Committed(Durability durability) {
  history_.push_back(model_.state());
  if (durability >= Durability::kProcess) survives_kill_ = history_.size();
  if (durability == Durability::kPower) {
    history_.erase(history_.begin(), history_.end() - 1);
    survives_kill_ = 1;
  }
}

void ModelRun::Write() {
  WriteBatch batch;
  std::vector<StoreModel::Change> changes;
  for (uint64_t i = random_.OneIn(4) ? 1 + random_.Below(8) : 1; i > 0; --i) {
    const std::string family = RandomFamily();
    const ColumnFamily handle = Handle(family);
    const std::string key = RandomKey();
    const uint64_t dice = random_.Below(20);
    if (dice < 13) {
      changes.push_back({StoreModel::Change::What::kPut, family, key, RandomValue()});
      batch.Put(handle, key, changes.back().value);
    } else if (dice < 19) {
      changes.push_back({StoreModel::Change::What::kDelete, family, key, ""});
      batch.Delete(handle, key);
    } else {
      changes.push_back({StoreModel::Change::What::kDeleteRange, family, key, RandomKey()});
      batch.DeleteRange(handle, key, changes.back().value);
    }
  }
  const uint64_t dice = random_.Below(20);
  const Durability durability = dice < 8 ? Durability::kNone : dice < 18 ? Durability::kProcess : Durability::kPower;
  Must(db_->Write(batch, durability), "write");
  model_.Apply(changes);
  Committed(durability);
}

void ModelRun::DurablePoint() {
  Must(db_->SyncWal(), "sync");
  Committed(Durability::kPower);
}

std::shared_ptr<const State> ModelRun::RandomMoment(ReadOptions* options) {
  options->fill_cache = !random_.OneIn(4);
  if (held_.empty() || random_.OneIn(2)) return model_.state();
  const Held& held = held_[random_.Below(held_.size())];
  options->snapshot = held.snapshot.get();
  return held.state;
}

void ModelRun::PointReads() {
  ReadOptions options;
  const auto state = RandomMoment(&options);
  const std::string family = RandomFamily();
  const auto rows = state->find(family);
  if (rows == state->end()) return;  // the snapshot is older than the family
  std::vector<std::string> keys(random_.OneIn(3) ? 1 + random_.Below(20) : 1);
  for (std::string& key : keys) key = RandomKey();
  std::vector<std::string> values(1);
  std::vector<Status> statuses(1);
  if (keys.size() == 1) {
    statuses[0] = db_->Get(Handle(family), keys[0], &values[0], options);
  } else {
    statuses = db_->MultiGet(Handle(family), {keys.begin(), keys.end()}, &values, options);
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const auto expected = rows->second.find(keys[i]);
    if (expected == rows->second.end()) {
      if (statuses[i].code() != Code::kNotFound) {
        Differ("get of absent " + Show(keys[i]) + " in " + family + ": " + statuses[i].ToString() + " " +
               Show(values[i]));
      }
    } else if (!statuses[i].ok() || values[i] != expected->second) {
      Differ("get " + Show(keys[i]) + " in " + family + ": " + statuses[i].ToString() + " " + Show(values[i]) +
             ", expected " + Show(expected->second));
    }
  }
}

void ModelRun::Walk() {
  ReadOptions options;
  const auto state = RandomMoment(&options);
  const std::string family = RandomFamily();
  const auto rows = state->find(family);
  if (rows == state->end()) return;
  std::string lower, upper, prefix;
  if (random_.OneIn(3)) lower = RandomKey();
  if (random_.OneIn(3)) upper = RandomKey();
  if (random_.OneIn(3)) prefix = RandomKey();
  options.lower_bound = lower;
  options.upper_bound = upper;
  options.prefix = prefix;
  const std::unique_ptr<Iterator> it = db_->NewIterator(Handle(family), options);
  WalkBackAndForth(*it, RowsWithin(rows->second, lower, upper, prefix));
}

void ModelRun::WalkBackAndForth(Iterator& it, const std::vector<std::pair<std::string, std::string>>& rows) {
  const auto count = static_cast<int64_t>(rows.size());
  int64_t at = -1;  // out of [0, count): nowhere
  const auto first_from = [&](std::string_view key) {
    return std::lower_bound(rows.begin(), rows.end(), key,
                            [](const auto& row, std::string_view k) { return row.first < k; }) -
           rows.begin();
  };
  for (uint64_t moves = 1 + random_.Below(30); moves > 0 && failure_.empty(); --moves) {
    const uint64_t dice = random_.Below(10);
    const bool nowhere = at < 0 || at >= count;
    std::string move;
    if (nowhere || dice == 0) {
      const std::string key = RandomKey();
      switch (random_.Below(4)) {
        case 0: it.SeekToFirst(), at = 0, move = "first"; break;
        case 1: it.SeekToLast(), at = count - 1, move = "last"; break;
        case 2: it.Seek(key), at = first_from(key), move = "seek " + Show(key); break;
        default: {
          it.SeekForPrev(key);
          at = first_from(key);
          if (at == count || rows[static_cast<size_t>(at)].first != key) --at;
          move = "seek for prev " + Show(key);
        }
      }
    } else if (dice < 7) {
      it.Next(), ++at, move = "next";
    } else {
      it.Prev(), --at, move = "prev";
    }
    const bool expected = at >= 0 && at < count;
    Must(it.status(), "iterator");
    if (it.valid() != expected) {
      Differ("iterator after " + move + (expected ? " is nowhere" : " is on " + Show(it.key())));
    } else if (expected && (it.key() != rows[static_cast<size_t>(at)].first ||
                            it.value() != rows[static_cast<size_t>(at)].second)) {
      Differ("iterator after " + move + " shows " + Show(it.key()) + " = " + Show(it.value()) + ", expected " +
             Show(rows[static_cast<size_t>(at)].first) + " = " + Show(rows[static_cast<size_t>(at)].second));
    }
  }
}

void ModelRun::Snapshots() {
  if (held_.size() < 4 && random_.OneIn(2)) {
    held_.push_back({db_->GetSnapshot(), model_.state()});
  } else if (!held_.empty()) {
    held_.erase(held_.begin() + static_cast<int64_t>(random_.Below(held_.size())));
  }
}

void ModelRun::NamedSnapshots() {
  const std::string name = "s" + std::to_string(random_.Below(4));
  const uint64_t dice = random_.Below(4);
  if (dice == 0) {
    const Status dropped = db_->DropNamedSnapshot(name);
    if (dropped.ok() != (named_.erase(name) > 0)) Differ("drop of snapshot " + name + ": " + dropped.ToString());
  } else if (dice == 1) {
    const Result<NamedSnapshot> made = db_->CreateNamedSnapshot(name);
    if (made.ok() == named_.contains(name)) Differ("snapshot " + name + ": " + made.status().ToString());
    if (made.ok()) {
      named_[name] = model_.state();
      Committed(Durability::kPower);
    }
  } else if (held_.size() < 6) {
    Result<std::unique_ptr<Snapshot>> opened = db_->OpenNamedSnapshot(name);
    if (opened.ok() != named_.contains(name)) Differ("opening snapshot " + name + ": " + opened.status().ToString());
    if (opened.ok()) held_.push_back({std::move(*opened), named_[name]});
  }
}

// Two transactions interleaved with a plain write: the model says which must conflict.
void ModelRun::Transactions() {
  const std::string family = RandomFamily();
  const ColumnFamily handle = Handle(family);
  const std::unique_ptr<Transaction> txn = db_->Begin();
  const Rows before = model_.state()->at(family);
  std::vector<std::string> touched;
  std::vector<StoreModel::Change> changes;
  for (uint64_t i = 1 + random_.Below(4); i > 0; --i) {
    const std::string key = RandomKey();
    const bool own =
        std::find_if(changes.begin(), changes.end(), [&](const auto& c) { return c.key == key; }) != changes.end();
    if (random_.OneIn(2)) {
      std::string value;
      const Status got = txn->Get(handle, key, &value);
      if (!own && (got.ok() != before.contains(key) || (got.ok() && before.at(key) != value))) {
        Differ("transaction get " + Show(key) + ": " + got.ToString());
      }
    } else {
      changes.push_back({StoreModel::Change::What::kPut, family, key, RandomValue()});
      txn->Put(handle, key, changes.back().value);
    }
    touched.push_back(key);
  }
  bool conflict = false;
  if (random_.OneIn(2)) {
    const std::string key = RandomKey();
    WriteBatch batch;
    batch.Put(handle, key, "other");
    Must(db_->Write(batch, Durability::kProcess), "write beside a transaction");
    model_.Apply({{StoreModel::Change::What::kPut, family, key, "other"}});
    Committed(Durability::kProcess);
    conflict = std::find(touched.begin(), touched.end(), key) != touched.end();
  }
  if (random_.OneIn(5)) return txn->Rollback();
  const Status committed = txn->Commit(Durability::kProcess);
  if (committed.ok() == conflict || (!committed.ok() && committed.code() != Code::kBusy)) {
    Differ(std::string("transaction ") + (conflict ? "with" : "without") + " conflict: " + committed.ToString());
  }
  if (committed.ok()) {
    model_.Apply(changes);
    Committed(Durability::kProcess);
  }
}

void ModelRun::Families() {
  const std::string name = "f" + std::to_string(random_.Below(3));
  if (!model_.state()->contains(name)) {
    Must(db_->CreateFamily(name).status(), "create family");
    model_.CreateFamily(name);
  } else if (random_.OneIn(3) && held_.empty() && named_.empty()) {
    // Named and held snapshots of the model would still show it; the store drops it at once, from all views.
    Must(db_->DropFamily(Handle(name)), "drop family");
    model_.DropFamily(name);
  } else {
    return;
  }
  // The manifest is durable at once while rows may still be lost: a crash model of both is not worth having.
  Must(db_->SyncWal(), "sync");
  Committed(Durability::kPower);
}

void ModelRun::Maintenance() {
  switch (random_.Below(8)) {
    case 0: return CheckReadOnly();
    case 1: return CheckCheckpoint();
    case 2: return Must(db_->Compact(), "compact"), Committed(Durability::kPower);
    case 3: scheduler_->RunAll(); return;
    default: return Must(db_->Flush(), "flush"), Committed(Durability::kPower);
  }
}

void ModelRun::ForgetSnapshots() { held_.clear(); }

void ModelRun::Reopen() {
  ForgetSnapshots();
  Must(db_->Close(), "close");
  db_.reset();
  Committed(Durability::kPower);
  Open();
  if (failure_.empty()) CheckAgainst(*db_, *model_.state(), "after a reopen");
}

void ModelRun::CheckReadOnly() {
  // Unsynced bytes of level "none" are still in the writer; a read-only store sees what reached the log.
  DurablePoint();
  Settings settings = settings_;
  settings.read_only = true;
  Components parts;
  parts.backend = backend_;
  parts.scheduler = scheduler_;
  Result<std::unique_ptr<DB>> reader = DB::Open(settings, std::move(parts));
  Must(reader.status(), "read-only open");
  if (!reader.ok()) return;
  CheckAgainst(**reader, *model_.state(), "read-only");
  if ((*reader)->Put("x", "y").code() != Code::kInvalid) Differ("a read-only store took a write");
}

void ModelRun::CheckCheckpoint() {
  const auto target = std::make_shared<MemBackend>();
  Must(db_->Checkpoint(*target), "checkpoint");
  Committed(Durability::kPower);
  Components parts;
  parts.backend = target;
  parts.scheduler = scheduler_;
  Result<std::unique_ptr<DB>> copy = DB::Open(settings_, std::move(parts));
  Must(copy.status(), "open of a checkpoint");
  if (copy.ok()) CheckAgainst(**copy, *model_.state(), "checkpoint");
}

void ModelRun::CheckAgainst(DB& db, const State& state, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [name, rows] : state) names.push_back(name);
  std::vector<std::string> families = db.ListFamilies();
  std::sort(families.begin(), families.end());
  if (families != names) return Differ(where + ": other column families");
  for (const auto& [name, rows] : state) {
    const Result<ColumnFamily> handle = db.FindFamily(name);
    if (!handle.ok()) return Differ(where + ": " + handle.status().ToString());
    const std::unique_ptr<Iterator> it = db.NewIterator(*handle);
    auto expected = rows.begin();
    for (it->SeekToFirst(); it->valid() && expected != rows.end(); it->Next(), ++expected) {
      if (it->key() != expected->first || it->value() != expected->second) {
        return Differ(where + ": " + name + " has " + Show(it->key()) + " = " + Show(it->value()) + ", expected " +
                      Show(expected->first) + " = " + Show(expected->second));
      }
    }
    if (!it->status().ok()) return Differ(where + ": " + it->status().ToString());
    if (it->valid()) return Differ(where + ": " + name + " has the extra key " + Show(it->key()));
    if (expected != rows.end()) return Differ(where + ": " + name + " lacks " + Show(expected->first));
  }
}

void ModelRun::Crash() {
  const auto mode = static_cast<CrashMode>(random_.Below(3));
  std::shared_ptr<MemBackend> after = backend_->CrashClone(random_.Next(), mode);
  ForgetSnapshots();
  db_.reset();
  backend_ = std::move(after);
  ++crashes_;
  if (mode == CrashMode::kProcessKill)
    history_.erase(history_.begin(), history_.begin() + static_cast<int64_t>(survives_kill_) - 1);
  Open();
  if (failure_.empty()) RecoverHistory();
}

// The store must be one of the states that the crash allowed; the model goes on from there.
void ModelRun::RecoverHistory() {
  for (auto state = history_.rbegin(); state != history_.rend(); ++state) {
    CheckAgainst(*db_, **state, "after a crash");
    if (failure_.empty()) {
      model_.Reset(*state);
      // Recovery has written everything into tables, so this is a durable point.
      Committed(Durability::kPower);
      return;
    }
    if (std::next(state) != history_.rend()) failure_.clear();
  }
  failure_ += " (none of the " + std::to_string(history_.size()) + " states that the crash allowed)";
}

}  // namespace tarn::test
