#include "tests/faults/store_stage.h"

#include <algorithm>

namespace tarn::test {
namespace {

using What = Change::What;

Components PartsOn(std::shared_ptr<Backend> backend, std::shared_ptr<SimScheduler> scheduler, uint64_t seed) {
  Components parts;
  parts.backend = std::move(backend);
  parts.clock = std::make_shared<VirtualClock>();
  parts.entropy = std::make_shared<SeededEntropy>(seed);
  parts.scheduler = std::move(scheduler);
  return parts;
}

std::string Value(uint64_t n) {
  SeededRandom random(n);
  std::string value = "value" + std::to_string(n) + ":";
  while (value.size() < 300) value += static_cast<char>('a' + random.Below(26));
  return value;
}

// Rows first..last by `step` of both families, with values that `version` sets apart.
std::vector<Change> Span(uint64_t first, uint64_t last, uint64_t step, uint64_t version) {
  std::vector<Change> changes;
  for (uint64_t n = first; n <= last; n += step) {
    changes.push_back({What::kPut, "default", RowKey(n), Value(n + 1000 * version)});
    if (n % 3 == 0) changes.push_back({What::kPut, "other", RowKey(n), Value(n + 1000 * version + 500)});
  }
  return changes;
}

// The life behind the images, told to the model as it goes.
class Life {
 public:
  Life(const std::shared_ptr<Backend>& backend, StoreModel* model) : model_(*model) {
    auto opened = DB::Open(FaultSettings(), PartsOn(backend, std::make_shared<SimScheduler>(1), 1));
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    db_ = std::move(*opened);
    handles_["default"] = {};
    handles_["other"] = db_->CreateFamily("other").value();
    model_.families.insert("other");
    model_.states[0]["other"] = {};
  }
  void Write(const std::vector<Change>& changes) {
    EXPECT_TRUE(db_->Write(BatchOf(changes, handles_), Durability::kProcess).ok());
    model_.states.push_back(Changed(model_.now(), changes));
    model_.process_floor = ++model_.visible;
  }
  void Levels() {
    Write(Span(1, 60, 1, 1));
    EXPECT_TRUE(db_->Compact().ok());
    EXPECT_TRUE(db_->CreateNamedSnapshot("old").ok());
    model_.snapshots["old"] = model_.now();
    Write(Span(1, 60, 4, 2));
    Write({{What::kDeleteRange, "default", RowKey(30), RowKey(36)}, {What::kDelete, "other", RowKey(9), ""}});
    EXPECT_TRUE(db_->Flush().ok());
    Write(Span(2, 60, 7, 3));
    Write({{What::kDelete, "default", RowKey(5), ""}});
    EXPECT_TRUE(db_->Flush().ok());
    model_.Synced();
  }
  void Tail() {
    Write({{What::kPut, "default", RowKey(33), "back"}, {What::kDelete, "default", RowKey(8), ""}});
    Write(Span(3, 60, 11, 4));
  }
  DB& db() { return *db_; }

 private:
  StoreModel& model_;
  std::unique_ptr<DB> db_;
  std::map<std::string, ColumnFamily> handles_;
};

// All rows of all families of `db`; what cannot be read is an error.
Result<Contents> ReadAll(DB& db, const Snapshot* snapshot) {
  Contents all;
  for (const std::string& name : db.ListFamilies()) {
    TARN_ASSIGN(const ColumnFamily family, db.FindFamily(name));
    Rows& rows = all[name];
    const auto walk = db.NewIterator(family, {.snapshot = snapshot});
    for (walk->SeekToFirst(); walk->valid(); walk->Next()) rows.emplace(walk->key(), walk->value());
    TARN_TRY(walk->status());
  }
  return all;
}

// Whether `seen` is `state` in the families that are there.
bool SameRows(const Contents& seen, const Contents& state) {
  return std::all_of(seen.begin(), seen.end(), [&](const auto& family) {
    const auto wanted = state.find(family.first);
    return wanted == state.end() ? family.second.empty() : wanted->second == family.second;
  });
}

void ExpectFamilies(const Contents& seen, const StoreModel& model) {
  for (const std::string& name : model.families) EXPECT_TRUE(seen.contains(name)) << "family " << name << " is lost";
  for (const auto& [name, rows] : seen) {
    EXPECT_TRUE(model.families.contains(name) || model.doubtful_families.contains(name)) << "family " << name;
  }
}

void ExpectSnapshots(DB& db, const StoreModel& model) {
  std::set<std::string> listed;
  for (const NamedSnapshot& named : db.ListNamedSnapshots()) listed.insert(named.name);
  for (const auto& [name, contents] : model.snapshots) EXPECT_TRUE(listed.contains(name)) << "snapshot " << name;
  for (const std::string& name : listed) {
    const bool sure = model.snapshots.contains(name);
    ASSERT_TRUE(sure || model.doubtful_snapshots.contains(name)) << "snapshot " << name << " was never made";
    const auto held = db.OpenNamedSnapshot(name);
    ASSERT_TRUE(held.ok()) << held.status().ToString();
    const auto seen = ReadAll(db, held->get());
    ASSERT_TRUE(seen.ok()) << seen.status().ToString();
    EXPECT_TRUE(SameRows(*seen, sure ? model.snapshots.at(name) : model.doubtful_snapshots.at(name)))
        << "snapshot " << name << " changed";
  }
}

uint64_t BlobsBelow(Backend& backend, const std::string& prefix) {
  const auto page = backend.List(prefix, "", 10000);
  EXPECT_TRUE(page.ok()) << page.status().ToString();
  return page.ok() ? page->blobs.size() : 0;
}

}  // namespace

std::string RowKey(uint64_t n) {
  const std::string digits = std::to_string(n);
  return "row" + std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
}

Settings FaultSettings() {
  Settings settings;
  settings.memory_bytes = 8ull << 20;
  settings.memtable_bytes = 64ull << 10;
  settings.table_bytes = 64ull << 10;
  settings.block_bytes = 2048;
  settings.durability = Durability::kProcess;
  return settings;
}

WriteBatch BatchOf(const std::vector<Change>& changes, const std::map<std::string, ColumnFamily>& handles) {
  WriteBatch batch;
  for (const Change& change : changes) {
    const ColumnFamily family = handles.at(change.family);
    switch (change.what) {
      case What::kPut: batch.Put(family, change.key, change.value); break;
      case What::kDelete: batch.Delete(family, change.key); break;
      case What::kDeleteRange: batch.DeleteRange(family, change.key, change.value); break;
    }
  }
  return batch;
}

Contents Changed(Contents contents, const std::vector<Change>& changes) {
  for (const Change& change : changes) {
    Rows& rows = contents[change.family];
    switch (change.what) {
      case What::kPut: rows[change.key] = change.value; break;
      case What::kDelete: rows.erase(change.key); break;
      case What::kDeleteRange: rows.erase(rows.lower_bound(change.key), rows.lower_bound(change.value)); break;
    }
  }
  return contents;
}

StoreImages::StoreImages(std::unique_ptr<Grounds> grounds) : grounds_(std::move(grounds)) {
  StoreModel model;
  {
    Life life(grounds_->Workshop(), &model);
    life.Levels();
    life.Tail();
    models_["crashed"] = model;
    grounds_->Keep("crashed");
    EXPECT_TRUE(life.db().Close().ok());
  }
  model.Synced();
  models_["closed"] = model;
  grounds_->Keep("closed");
}

StoreStage::StoreStage(StoreImages& images, Start start)
    : ground_(start == Start::kNothing
                  ? images.grounds().Empty()
                  : images.grounds().FromImage(start == Start::kCrashed ? "crashed" : "closed")) {
  if (start != Start::kNothing) model = images.model(start == Start::kCrashed ? "crashed" : "closed");
  if (start != Start::kOpen && start != Start::kOpenReadOnly) return;
  EXPECT_TRUE(Open(start == Start::kOpenReadOnly).ok());
  if (start == Start::kOpenReadOnly || !is_open()) return;
  // A tail at every durability.
  EXPECT_TRUE(Write({{What::kPut, "default", RowKey(40), "power"}}, Durability::kPower).ok());
  EXPECT_TRUE(Write(Span(10, 60, 13, 5), Durability::kProcess).ok());
  EXPECT_TRUE(
      Write({{What::kDeleteRange, "other", RowKey(12), RowKey(20)}, {What::kDelete, "default", RowKey(7), ""}},
            Durability::kProcess)
          .ok());
  EXPECT_TRUE(Write({{What::kPut, "other", RowKey(13), "none"}}, Durability::kNone).ok());
}

StoreStage::~StoreStage() = default;

Components StoreStage::Parts(std::shared_ptr<Backend> backend, uint64_t seed) {
  scheduler_ = std::make_shared<SimScheduler>(seed);
  return PartsOn(std::move(backend), scheduler_, seed);
}

Status StoreStage::Open(bool read_only) {
  Settings settings = FaultSettings();
  settings.read_only = read_only;
  TARN_ASSIGN(auto backend, ground_->Store(read_only));
  TARN_ASSIGN(db_, DB::Open(settings, Parts(std::move(backend), 7)));
  if (!read_only) model.Synced();  // recovery published it
  return LearnHandles();
}

Status StoreStage::LearnHandles() {
  for (const std::string& name : model.families) {
    TARN_ASSIGN(handles_[name], db_->FindFamily(name));
  }
  return {};
}

Status StoreStage::Write(const std::vector<Change>& changes, const WriteOptions& options) {
  model.states.push_back(Changed(model.now(), changes));
  const uint64_t fired = ground_->fired();
  const Status written = db_->Write(BatchOf(changes, handles_), options);
  if (!written.ok()) {
    if (ground_->fired() == fired) model.states.pop_back();  // refused without touching the device: not in doubt
    return written;
  }
  model.visible = model.states.size() - 1;
  const Durability level = options.use_default ? FaultSettings().durability : options.durability;
  if (level != Durability::kNone) model.process_floor = model.visible;
  if (level == Durability::kPower) model.power_floor = model.visible;
  return {};
}

Status StoreStage::Gets(const Snapshot* snapshot, const Contents& wanted) {
  Status first;
  for (const auto& [name, family] : handles_) {
    const Rows& rows = wanted.contains(name) ? wanted.at(name) : Rows();
    for (uint64_t n = 1; n <= 61; n += 3) {
      const auto row = rows.find(RowKey(n));
      std::string value;
      const Status got = db_->Get(family, RowKey(n), &value, {.snapshot = snapshot});
      if (got.ok()) {
        EXPECT_TRUE(row != rows.end() && row->second == value) << "a wrong value of " << RowKey(n);
      } else if (got.code() == Code::kNotFound) {
        EXPECT_TRUE(row == rows.end()) << RowKey(n) << " is said to be absent";
      } else if (first.ok()) {
        first = got;
      }
    }
  }
  return first;
}

Status StoreStage::MultiGets() {
  Status first;
  for (const auto& [name, family] : handles_) {
    const Rows& rows = model.now().contains(name) ? model.now().at(name) : Rows();
    std::vector<std::string> keys;
    for (uint64_t n = 0; n <= 61; n += 2) keys.push_back(RowKey(n));
    std::vector<std::string> values;
    const auto statuses = db_->MultiGet(family, {keys.begin(), keys.end()}, &values);
    EXPECT_EQ(statuses.size(), keys.size());
    for (size_t i = 0; i < statuses.size(); ++i) {
      const auto row = rows.find(keys[i]);
      if (statuses[i].ok()) {
        EXPECT_TRUE(row != rows.end() && row->second == values[i]) << "a wrong value of " << keys[i];
      } else if (statuses[i].code() == Code::kNotFound) {
        EXPECT_TRUE(row == rows.end()) << keys[i] << " is said to be absent";
      } else if (first.ok()) {
        first = statuses[i];
      }
    }
  }
  return first;
}

// A walk sees the rows in order and without a gap, to the end or to an error.
Status StoreStage::Scan(const Snapshot* snapshot, const Contents& wanted, bool forward) {
  for (const auto& [name, family] : handles_) {
    const Rows& rows = wanted.contains(name) ? wanted.at(name) : Rows();
    std::vector<std::pair<std::string, std::string>> order(rows.begin(), rows.end());
    if (!forward) std::reverse(order.begin(), order.end());
    size_t at = 0;
    const auto walk = db_->NewIterator(family, {.snapshot = snapshot});
    for (forward ? walk->SeekToFirst() : walk->SeekToLast(); walk->valid(); forward ? walk->Next() : walk->Prev()) {
      const bool same = at < order.size() && order[at].first == walk->key() && order[at].second == walk->value();
      EXPECT_TRUE(same) << "a walk shows " << walk->key() << " as number " << at << " of " << name;
      if (!same) return {};
      ++at;
    }
    TARN_TRY(walk->status());
    EXPECT_EQ(at, order.size()) << "a walk over " << name << " ended early and said that all was well";
  }
  return {};
}

// Jumps over one cursor that survives an error: each seek starts anew.
Status StoreStage::Seeks() {
  Status first;
  const Rows& rows = model.now().at("default");
  const auto walk = db_->NewIterator();
  for (uint64_t n = 1; n <= 64; n = n * 2 + 1) {
    for (const bool up : {true, false}) {
      up ? walk->Seek(RowKey(n)) : walk->SeekForPrev(RowKey(n));
      if (!walk->status().ok()) {
        EXPECT_FALSE(walk->valid());
        if (first.ok()) first = walk->status();
        continue;
      }
      auto wanted = up ? rows.lower_bound(RowKey(n)) : rows.upper_bound(RowKey(n));
      const bool some = up ? wanted != rows.end() : wanted != rows.begin();
      if (!up && some) --wanted;
      EXPECT_EQ(walk->valid(), some) << "seek " << RowKey(n);
      if (walk->valid() && some) {
        EXPECT_TRUE(walk->key() == wanted->first && walk->value() == wanted->second);
      }
    }
  }
  return first;
}

void StoreStage::Close() {
  if (db_ != nullptr && db_->Close().ok()) model.Synced();
  db_.reset();
}

void StoreStage::ExpectReads(bool errors_allowed) {
  for (const Status& status : {Gets(nullptr, model.now()), MultiGets(), Scan(nullptr, model.now(), true),
                               Scan(nullptr, model.now(), false), Seeks()}) {
    if (!errors_allowed) {
      EXPECT_TRUE(status.ok()) << "reads did not recover: " << status.ToString();
    }
  }
}

void StoreStage::ExpectAfter(Ending ending, uint64_t seed) {
  const auto backend = ground_->After(ending, seed);
  auto opened = DB::Open(FaultSettings(), PartsOn(backend, std::make_shared<SimScheduler>(seed), seed));
  ASSERT_TRUE(opened.ok()) << "does not open again: " << opened.status().ToString();
  DB& db = **opened;
  // Before background work starts anything new: no blob is there that no record names.
  EXPECT_EQ(db.Statistics().at("tables.count"), BlobsBelow(*backend, "table/")) << "orphans were left";
  EXPECT_EQ(BlobsBelow(*backend, "wal/"), 1u) << "log segments were left";
  const auto seen = ReadAll(db, nullptr);
  ASSERT_TRUE(seen.ok()) << seen.status().ToString();
  const size_t floor = ending == Ending::kPowerLost ? model.power_floor : model.process_floor;
  const auto first = model.states.begin() + static_cast<ptrdiff_t>(floor);
  EXPECT_TRUE(std::any_of(first, model.states.end(), [&](const Contents& state) { return SameRows(*seen, state); }))
      << "the rows are none of the states " << floor << " to " << model.states.size() - 1;
  ExpectFamilies(*seen, model);
  ExpectSnapshots(db, model);
  const Status verified = db.Verify();
  EXPECT_TRUE(verified.ok()) << verified.ToString();
  EXPECT_TRUE(db.Put("after", "all", Durability::kPower).ok());
  EXPECT_TRUE(db.Close().ok());
}

void StoreStage::ExpectTarget(bool complete) {
  Settings settings = FaultSettings();
  settings.create_if_missing = false;
  auto opened = DB::Open(settings, PartsOn(ground_->TargetAfter(), std::make_shared<SimScheduler>(3), 3));
  if (!opened.ok()) {
    EXPECT_FALSE(complete) << opened.status().ToString();
    const bool unfinished = opened.status().message().find("not completed") != std::string_view::npos;
    EXPECT_TRUE(opened.status().code() == Code::kNotFound || unfinished)
        << "half a copy: " << opened.status().ToString();
    return;
  }
  const auto seen = ReadAll(**opened, nullptr);
  ASSERT_TRUE(seen.ok()) << seen.status().ToString();
  EXPECT_TRUE(SameRows(*seen, model.now())) << "the copy differs";
  const Status verified = (*opened)->Verify();
  EXPECT_TRUE(verified.ok()) << verified.ToString();
}

}  // namespace tarn::test
