// Every short life of a store: all sequences of up to four (TARN_EXHAUSTIVE=5: five) of twelve operations on two
// keys, each ended by a power cut that loses all that was not synced, against a model that is one std::map a moment.
// After Mohan et al., "Finding Crash-Consistency Bugs with Bounded Black-Box Crash Testing" (OSDI 2018): small lives
// find most of what large ones do, and all of them can be tried.
//
// Checked after each life, before the cut: every key by Get, the walk both ways, the same for each held and named
// snapshot. After the cut: the store is one of the states since the last operation that made everything durable, the
// named snapshots are what they were, and a further durable write, cut off again, is kept on top of it.
//
// Since all shorter lives are tried too, checking at the end of each is checking everywhere. Checking leaves
// something behind all the same: iterators remember which keys are dead. So each deletion is followed by walks, and
// one dead key is enough to be remembered, which the puts after it must undo.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tarn/db.h"
#include "tests/support/dead_rows.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

using Rows = std::map<std::string, std::string>;

class Life {
 public:
  explicit Life(uint64_t number) : number_(number) { Open(); }
  ~Life() { held_.clear(); }

  // What could be done next, and its name.
  static const std::vector<std::pair<const char*, void (Life::*)()>>& Operations() {
    static const std::vector<std::pair<const char*, void (Life::*)()>> kOperations = {
        {"put a", &Life::PutA},
        {"put b, synced", &Life::PutB},
        {"put both", &Life::PutBoth},
        {"delete a", &Life::DeleteA},
        {"delete range", &Life::DeleteRange},
        {"sync", &Life::Sync},
        {"flush", &Life::Flush},
        {"compact", &Life::Compact},
        {"reopen", &Life::Reopen},
        {"crash", &Life::Crash},
        {"snapshot", &Life::Hold},
        {"name", &Life::Name},
    };
    return kOperations;
  }

  // Empty while all is well.
  const std::string& failure() const { return failure_; }

  void End() {
    CheckMoments("at the end");
    Crash();
    CheckMoments("after the crash");
    const std::string value = NextValue();
    Must(db_->Put("c", value, Durability::kPower), "put after the crash");
    rows_["c"] = value;
    Durable();
    Crash();
    CheckMoments("after the second crash");
    Must(db_->Verify(), "verify");
  }

 private:
  void PutA() { Apply({{"a", NextValue()}}, Durability::kProcess); }
  void PutB() { Apply({{"b", NextValue()}}, Durability::kPower); }
  void PutBoth() { Apply({{"a", NextValue()}, {"b", NextValue()}}, Durability::kNone); }
  void DeleteA() {
    Apply({{"a", ""}}, Durability::kNone);
    CheckMoments("after the deletion");
  }
  void DeleteRange() {
    Must(db_->DeleteRange("a", "bb", Durability::kProcess), "delete range");
    rows_.erase("a");
    rows_.erase("b");
    allowed_.push_back(rows_);
    CheckMoments("after the deletion");
  }
  void Sync() { Must(db_->SyncWal(), "sync"), Durable(); }
  void Flush() { Must(db_->Flush(), "flush"), Durable(); }
  void Compact() { Must(db_->Compact(), "compact"), Durable(); }
  void Reopen() {
    held_.clear();
    Must(db_->Close(), "close");
    db_.reset();
    Open();
    Durable();
  }
  void Crash() {
    const auto after = disk_->CrashClone(number_, CrashMode::kDropUnsynced);
    held_.clear();
    db_.reset();
    disk_ = after;
    Open();
    for (auto state = allowed_.rbegin(); state != allowed_.rend(); ++state) {
      if (!Difference(*state, nullptr).empty()) continue;
      rows_ = *state;
      return Durable();  // recovery has put it into tables
    }
    Fail("after a crash: " + Difference(allowed_.back(), nullptr) + " (and none of the " +
         std::to_string(allowed_.size()) + " states that were allowed)");
  }
  void Hold() { held_.emplace_back(db_->GetSnapshot(), rows_); }
  void Name() {
    const std::string name = "n" + std::to_string(named_.size());
    Must(db_->CreateNamedSnapshot(name).status(), "name");
    named_[name] = rows_;
    Durable();  // a name is given only to what is durable
  }

  // An empty value deletes.
  void Apply(const Rows& changes, Durability durability) {
    WriteBatch batch;
    for (const auto& [key, value] : changes) {
      if (value.empty()) {
        batch.Delete(key);
        rows_.erase(key);
      } else {
        batch.Put(key, value);
        rows_[key] = value;
      }
    }
    Must(db_->Write(batch, durability), "write");
    allowed_.push_back(rows_);
    if (durability == Durability::kPower) Durable();
  }
  void Durable() { allowed_ = {rows_}; }
  std::string NextValue() { return "v" + std::to_string(++values_); }

  void Open() {
    Settings settings;
    settings.memory_bytes = 8ull << 20;
    settings.size_ratio = 2;  // merges as soon as there are two flushes
    Components parts;
    parts.backend = disk_;
    parts.clock = std::make_shared<VirtualClock>();
    parts.entropy = std::make_shared<SeededEntropy>(number_);
    parts.scheduler = std::make_shared<SimScheduler>(number_);
    auto opened = DB::Open(settings, std::move(parts));
    if (!opened.ok()) {
      Fail("open: " + opened.status().ToString());
      disk_ = std::make_shared<MemBackend>();  // the life goes on, so that the failure can be told
      return Open();
    }
    db_ = std::move(*opened);
  }
  void Must(const Status& status, const char* what) {
    if (!status.ok()) Fail(std::string(what) + ": " + status.ToString());
  }
  void Fail(const std::string& what) {
    if (failure_.empty()) failure_ = what;
  }

  void CheckMoments(const std::string& where) {
    const auto check = [&](const Rows& rows, const Snapshot* snapshot, const std::string& what) {
      const std::string difference = Difference(rows, snapshot);
      if (!difference.empty()) Fail(where + ", " + what + ": " + difference);
    };
    check(rows_, nullptr, "now");
    for (const auto& [snapshot, rows] : held_) check(rows, snapshot.get(), "held snapshot");
    if (db_->ListNamedSnapshots().size() != named_.size()) Fail(where + ": other named snapshots");
    for (const auto& [name, rows] : named_) {
      const auto snapshot = db_->OpenNamedSnapshot(name);
      Must(snapshot.status(), "open of a named snapshot");
      if (snapshot.ok()) check(rows, snapshot->get(), "snapshot " + name);
    }
  }

  // How the store differs from these rows; empty when it does not.
  std::string Difference(const Rows& rows, const Snapshot* snapshot) {
    const ReadOptions options{.snapshot = snapshot};
    for (const char* key : {"a", "b", "c"}) {
      std::string value;
      const Status status = db_->Get(key, &value, options);
      const auto row = rows.find(key);
      if (!status.ok() && status.code() != Code::kNotFound) return status.ToString();
      if (status.ok() != (row != rows.end()) || (status.ok() && value != row->second)) {
        return std::string("get ") + key + " gives " + (status.ok() ? value : "nothing") + " where " +
               (row == rows.end() ? "nothing" : row->second) + " should be";
      }
    }
    const auto it = db_->NewIterator(options);
    Rows forth, back;
    for (it->SeekToFirst(); it->valid(); it->Next()) forth.emplace(it->key(), it->value());
    for (it->SeekToLast(); it->valid(); it->Prev()) back.emplace(it->key(), it->value());
    if (!it->status().ok()) return it->status().ToString();
    return forth == rows && back == rows ? "" : "an iterator shows other rows than Get";
  }

  const uint64_t number_;
  std::shared_ptr<MemBackend> disk_ = std::make_shared<MemBackend>();
  std::unique_ptr<DB> db_;
  Rows rows_;                          // now
  std::vector<Rows> allowed_{Rows()};  // what a power cut may leave, oldest first
  std::vector<std::pair<std::unique_ptr<Snapshot>, Rows>> held_;
  std::map<std::string, Rows> named_;
  uint64_t values_ = 0;
  std::string failure_;
};

TEST(Exhaustive, EveryShortLifeEndsAsTheModelSays) {
  const char* text = std::getenv("TARN_EXHAUSTIVE");
  const size_t longest = text == nullptr ? 4 : std::strtoull(text, nullptr, 10);
  const auto& operations = Life::Operations();
  const LeastDeadRow least(1);
  uint64_t lives = 0;
  size_t failures = 0;
  for (size_t length = 0; length <= longest; ++length) {
    std::vector<size_t> sequence(length, 0);
    for (bool more = true; more;) {
      Life life(++lives);
      std::string story;
      for (size_t operation : sequence) {
        (life.*operations[operation].second)();
        story += std::string(story.empty() ? "" : ", ") + operations[operation].first;
      }
      life.End();
      if (!life.failure().empty()) {
        ADD_FAILURE() << "[" << story << "] " << life.failure();
        ASSERT_LT(++failures, 10u) << "enough";
      }
      size_t at = 0;
      while (at < length && ++sequence[at] == operations.size()) sequence[at++] = 0;
      more = at < length;
    }
  }
  std::printf("%llu lives of up to %zu operations\n", static_cast<unsigned long long>(lives), longest);
}

}  // namespace
}  // namespace tarn::test
