#include "tests/corruption/store_subject.h"

#include <gtest/gtest.h>

#include "format/manifest_record.h"

namespace tarn::test {
namespace {

constexpr const char* kSnapshotName = "s";

Settings MatrixSettings(Compression compression) {
  Settings settings = SmallSettings();
  settings.block_bytes = 512;
  settings.compression = compression;
  return settings;
}

void Must(const Status& status) {
  if (!status.ok()) ADD_FAILURE() << status.ToString();
}

// Writes to a store and to the plain maps.
class Builder {
 public:
  explicit Builder(uint64_t seed) : seed_(seed), disk_(std::make_shared<MemBackend>()) {}

  void Open(Compression compression) {
    db_.reset();
    auto opened = OpenSim(disk_, MatrixSettings(compression), seed_);
    Must(opened.status());
    db_ = std::move(*opened);
    for (const std::string& name : db_->ListFamilies()) families_[name] = *db_->FindFamily(name);
  }
  void AddFamily(const std::string& name) { families_[name] = *db_->CreateFamily(name); }
  void Put(const std::string& family, int key, const std::string& value, Durability level = Durability::kProcess) {
    WriteBatch batch;
    batch.Put(families_.at(family), NumberedKey(key), value);
    Must(db_->Write(batch, level));
    rows[family][NumberedKey(key)] = value;
  }
  void Delete(const std::string& family, int key) {
    WriteBatch batch;
    batch.Delete(families_.at(family), NumberedKey(key));
    Must(db_->Write(batch));
    rows[family].erase(NumberedKey(key));
  }
  void DeleteRange(const std::string& family, int begin, int end, Durability level = Durability::kProcess) {
    WriteBatch batch;
    batch.DeleteRange(families_.at(family), NumberedKey(begin), NumberedKey(end));
    Must(db_->Write(batch, level));
    auto& map = rows[family];
    map.erase(map.lower_bound(NumberedKey(begin)), map.lower_bound(NumberedKey(end)));
  }
  void Both(int begin, int end, int step, const std::string& value) {
    for (int i = begin; i < end; i += step) {
      Put("default", i, value + std::to_string(i));
      if (i % 2 == 0) Put("f2", i, value + value);
    }
  }
  DB& db() { return *db_; }
  Image Kill() const { return ImageOf(*disk_->CrashClone(1, CrashMode::kProcessKill)); }
  Image Close() {
    Must(db_->Close());
    return ImageOf(*disk_);
  }

  Rows rows{{"default", {}}, {"f2", {}}};

 private:
  const uint64_t seed_;
  std::shared_ptr<MemBackend> disk_;
  std::unique_ptr<DB> db_;
  std::map<std::string, ColumnFamily> families_;
};

std::string Scan(Iterator& it, bool forward, Status* status) {
  std::string text;
  for (forward ? it.SeekToFirst() : it.SeekToLast(); it.valid(); forward ? it.Next() : it.Prev()) {
    text.append(it.key()).append("=").append(it.value()).append("\n");
  }
  *status = it.status();
  return text;
}

std::string GetText(const Status& got, const std::string& value) {
  return got.ok() ? value : got.code() == Code::kNotFound ? "absent" : "";
}
Status GetError(const Status& got) { return got.code() == Code::kNotFound ? Status() : got; }

}  // namespace

SoundStore BuildStore(Left left, uint64_t seed) {
  SoundStore sound;
  Builder builder(seed);
  builder.Open(Compression::kLz4);
  builder.AddFamily("f2");
  builder.Both(0, 40, 1, std::string(20, 'a'));
  Must(builder.db().Compact());
  Must(builder.db().CreateNamedSnapshot(kSnapshotName).status());
  sound.snapshot = builder.rows;
  builder.Both(5, 40, 6, "second ");
  builder.DeleteRange("default", 10, 14);
  builder.DeleteRange("f2", 30, 35);
  Must(builder.db().Flush());
  Must(builder.db().Close());
  builder.Open(Compression::kNone);
  builder.Both(2, 50, 9, "third ");
  builder.Delete("default", 20);
  Must(builder.db().Flush());
  // These stay in the log: a new family rotates it, and the flush which that asks for never comes to run.
  builder.Both(41, 46, 1, "in the first segment ");
  Must(builder.db().CreateFamily("empty").status());
  builder.rows["empty"];
  sound.snapshot["empty"];
  sound.moments = {builder.rows};
  const auto commit = [&](auto&& write) {
    write();
    sound.moments.push_back(builder.rows);
  };
  commit([&] { builder.Put("default", 60, "process"); });
  commit([&] { builder.Put("f2", 61, "power", Durability::kPower); });
  if (left == Left::kClosed) Must(builder.db().CreateNamedSnapshot("late").status());
  commit([&] { builder.DeleteRange("default", 0, 3); });
  commit([&] { builder.Put("default", 1, "power", Durability::kPower); });
  if (left == Left::kKilled) {
    Must(builder.db().CreateNamedSnapshot("late").status());  // the manifest knows the four
    sound.durable_moments = 4;
    commit([&] { builder.Put("f2", 62, "behind the manifest", Durability::kPower); });
    commit([&] { builder.Put("default", 63, "process"); });
    commit([&] { builder.Put("default", 64, "power", Durability::kPower); });
    commit([&] { builder.Put("default", 65, "process"); });
    sound.image = builder.Kill();
  } else {
    sound.durable_moments = 4;
    sound.newest_only_vouches = true;
    sound.image = builder.Close();
  }
  return sound;
}

SoundStore BuildBigStore() {
  SoundStore sound;
  Builder builder(3);
  builder.Open(Compression::kNone);
  builder.AddFamily("f2");
  SeededRandom random(3);
  const auto value = [&] {
    std::string bytes(900, '\0');
    for (char& c : bytes) c = static_cast<char>('a' + random.Next() % 26);
    return bytes;
  };
  for (int i = 0; i < 7000; ++i) builder.Put("default", i, value());
  Must(builder.db().CreateNamedSnapshot(kSnapshotName).status());
  sound.snapshot = builder.rows;
  for (int i = 0; i < 2000; ++i) builder.Put("f2", i * 3, value());
  builder.DeleteRange("default", 300, 500);
  builder.AddFamily("empty");
  builder.rows["empty"];
  sound.snapshot["empty"];
  Must(builder.db().CreateNamedSnapshot("late").status());
  sound.moments = {builder.rows};
  sound.image = builder.Close();
  return sound;
}

StoreSubject::StoreSubject(const SoundStore& sound) : sound_(sound) {
  for (const auto& [family, rows] : sound.moments.back()) {
    const size_t step = std::max<size_t>(1, rows.size() / 24);
    size_t i = 0;
    for (const auto& [key, value] : rows) {
      if (i++ % step == 0) keys_[family].push_back(key);
    }
    for (const int absent : {11, 12, 20, 33, 1000000}) keys_[family].push_back(NumberedKey(absent));
    keys_[family].push_back(NumberedKey(4) + "x");
    keys_[family].push_back("");
  }
}

Status StoreSubject::Read(std::shared_ptr<Backend> disk, Answers* answers) {
  Settings settings = MatrixSettings(Compression::kLz4);
  settings.read_only = true;
  TARN_ASSIGN(const auto db, OpenSim(std::move(disk), settings, 9));
  Ask(*db, answers);
  return db->Close();
}

Status StoreSubject::Rewrite(std::shared_ptr<Backend> disk, Answers* before, Answers* after) {
  TARN_ASSIGN(const auto db, OpenSim(std::move(disk), MatrixSettings(Compression::kLz4), 9));
  Ask(*db, before);
  const Status compacted = db->Compact();
  Ask(*db, after);
  after->front().status = compacted;
  Must(db->Close());
  return {};
}

void StoreSubject::Ask(DB& db, Answers* answers) const {
  answers->push_back({"rewriting", {}, ""});  // its error is filled in by who rewrites
  std::string families, snapshots;
  for (const std::string& name : db.ListFamilies()) families += name + " ";
  for (const NamedSnapshot& snapshot : db.ListNamedSnapshots()) snapshots += snapshot.name + " ";
  answers->push_back({"families", {}, families});
  answers->push_back({"snapshots", {}, snapshots});
  const auto snapshot = db.OpenNamedSnapshot(kSnapshotName);
  for (const auto& [family, rows] : sound_.moments.back()) {
    AskFamily(db, family, nullptr, answers);
    if (snapshot.ok()) AskFamily(db, family, snapshot->get(), answers);
  }
  answers->push_back({"verify", db.Verify(), ""});
}

void StoreSubject::AskFamily(DB& db, const std::string& name, const Snapshot* snapshot, Answers* answers) const {
  const auto family = db.FindFamily(name);
  if (!family.ok()) return;  // the number of answers will tell
  const std::string of = " of " + name + (snapshot == nullptr ? "" : " in the snapshot");
  const ReadOptions options{.snapshot = snapshot};
  const auto it = db.NewIterator(*family, options);
  for (const bool forward : {true, false}) {
    Answer scan{(forward ? "scan forward" : "scan backward") + of, {}, ""};
    scan.text = Scan(*it, forward, &scan.status);
    answers->push_back(std::move(scan));
  }
  const std::vector<std::string>& keys = keys_.at(name);
  std::string value;
  for (const std::string& key : keys) {
    const Status got = db.Get(*family, key, &value, options);
    answers->push_back({"get " + key + of, GetError(got), GetText(got, value)});
  }
  std::vector<std::string> values;
  const auto statuses = db.MultiGet(*family, {keys.begin(), keys.end()}, &values, options);
  for (size_t i = 0; i < keys.size(); ++i) {
    answers->push_back({"multi-get " + keys[i] + of, GetError(statuses[i]), GetText(statuses[i], values[i])});
  }
}

Answers StoreSubject::Truth(const Rows& now) const {
  Answers truth{{"rewriting", {}, ""}, {"families", {}, "default f2 empty "}, {"snapshots", {}, "late s "}};
  for (const auto& [family, unused] : now) {
    for (const Rows* rows : {&now, &sound_.snapshot}) {
      const auto& map = rows->at(family);
      std::string forward, backward;
      for (const auto& [key, value] : map) forward.append(key).append("=").append(value).append("\n");
      for (auto it = map.rbegin(); it != map.rend(); ++it)
        backward.append(it->first).append("=").append(it->second).append("\n");
      truth.push_back({"", {}, forward});
      truth.push_back({"", {}, backward});
      for (int way = 0; way < 2; ++way) {
        for (const std::string& key : keys_.at(family)) {
          const auto found = map.find(key);
          truth.push_back({"", {}, found == map.end() ? "absent" : found->second});
        }
      }
    }
  }
  truth.push_back({"verify", {}, ""});
  return truth;
}

std::vector<Answers> StoreSubject::Truths() const {
  std::vector<Answers> truths;
  for (const Rows& moment : sound_.moments) truths.push_back(Truth(moment));
  return truths;
}

}  // namespace tarn::test
