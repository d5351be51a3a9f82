// A whole store under damage. The input damages the files of a small store with a known history (damaged_store.h) and
// then drives it: open, read, scan, verify, write, flush, compact, reopen.
//
// What must hold: every answer is right, or an error. Right means: the families hold what the flushed history says,
// plus a prefix of the batches that were only in the log; the whole of them, when the log was closed or no file of it
// was touched. The same prefix in every read, whatever comes between. When Verify finds nothing, every scan must
// succeed.
//
// With `resealed` the damage gets right checksums, so the bytes may say anything; then only crashes, hangs and
// undefined behaviour count.
#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "tarn/db.h"
#include "tests/fuzz/damaged_store.h"
#include "tests/fuzz/targets.h"
#include "tests/kernel/sim_store.h"

namespace tarn::fuzz {
namespace {

// One run: the store that was opened from damaged files, and what it may answer.
class Run {
 public:
  Run(Input* in, DamagedStore damaged) : in_(in), damaged_(std::move(damaged)), resealed_(damaged_.resealed) {}

  void Drive() {
    Open(in_->Byte() % 2 == 0);
    for (uint32_t ops = 1 + in_->Below(12); ops > 0 && db_ != nullptr; --ops) Step(in_->Byte());
    db_.reset();
  }

 private:
  // An error is fine where there was damage.
  bool Ok(const Status& status) {
    MUST(status.ok() || damaged_.any, "without damage: " + status.ToString());
    MUST(status.ok() || status.message().find('\n') == std::string_view::npos, "an error of two lines");
    return status.ok();
  }

  void Open(bool read_only) {
    db_.reset();
    Settings settings = StoreSettings();
    settings.read_only = read_only;
    read_only_ = read_only;
    auto opened = test::OpenSim(damaged_.backend, settings, 2);
    if (!Ok(opened.status())) return;
    db_ = std::move(*opened);
    auto two = db_->FindFamily("two");
    MUST(two.ok() || resealed_, "a family is gone: " + two.status().ToString());
    two_ = two.ok() ? *two : ColumnFamily{};
  }

  void Step(uint8_t op) {
    switch (op % 10) {
      case 0: return Open(true);
      case 1: return Open(false);
      case 2: return Maintain(db_->Flush());
      case 3: return Maintain(db_->Compact());
      case 4: return CheckVerify();
      case 5: return CheckGets(op / 10);
      case 6: return CheckStoreSnapshot();
      case 7: return Write(op / 10);
      default: CheckScan(op / 10 % 2 == 0);
    }
  }

  void Maintain(const Status& status) {
    if (read_only_) {
      MUST(status.code() == Code::kInvalid, "a store that is open for reading is changed: " + status.ToString());
    } else {
      Ok(status);
    }
  }

  // The families as one read sees them; nothing after an error.
  std::optional<State> Scan(bool forward) {
    State state;
    for (int family = 0; family < 2; ++family) {
      const auto it = db_->NewIterator(family == 0 ? ColumnFamily{} : two_);
      forward ? it->SeekToFirst() : it->SeekToLast();
      size_t rows = 0;
      for (; it->valid() && rows < 10000; forward ? it->Next() : it->Prev(), ++rows) {
        state[family].emplace(it->key(), it->value());
      }
      if (!Ok(it->status())) return std::nullopt;
      MUST(rows == state[family].size() || resealed_, "a key comes twice");
    }
    return state;
  }

  // Whether `state` is one that the files may hold, and the same as before.
  bool Possible(const State& state) {
    const std::vector<State>& states = TheStore().states;
    for (size_t n = damaged_.first_state(); n < states.size(); ++n) {
      if (prefix_ && *prefix_ != n) continue;
      State expected = states[n];
      for (const auto& [key, value] : written_) expected[0][key] = value;
      if (state != expected) continue;
      prefix_ = n;
      return true;
    }
    return false;
  }

  bool CheckScan(bool forward) {
    const std::optional<State> state = Scan(forward);
    if (state) MUST(resealed_ || Possible(*state), "a wrong answer without an error");
    return state.has_value();
  }

  void CheckVerify() {
    if (!Ok(db_->Verify())) return;
    MUST(CheckScan(true) || resealed_, "a store that verifies does not read");
  }

  void CheckGets(int from) {
    if (!CheckScan(true) || resealed_) return;
    State expected = TheStore().states[*prefix_];
    for (const auto& [key, value] : written_) expected[0][key] = value;
    std::vector<std::string> names;
    for (int i = from; i < kStoreKeys; i += 3) names.push_back(StoreKey(i));
    const std::vector<std::string_view> keys(names.begin(), names.end());
    for (int family = 0; family < 2; ++family) {
      const ColumnFamily in = family == 0 ? ColumnFamily{} : two_;
      std::vector<std::string> values;
      const std::vector<Status> found = db_->MultiGet(in, keys, &values);
      for (size_t i = 0; i < keys.size(); ++i) {
        CheckGet(found[i], values[i], expected[family], names[i]);
        std::string value;
        const Status status = db_->Get(in, keys[i], &value);
        CheckGet(status, value, expected[family], names[i]);
      }
    }
  }
  void CheckGet(const Status& status, const std::string& value, const Content& expected, const std::string& key) {
    const auto row = expected.find(key);
    if (status.code() == Code::kNotFound) {
      MUST(row == expected.end(), "a key is not found that is there");
    } else if (Ok(status)) {
      MUST(row != expected.end() && row->second == value, "a get answers another value");
    }
  }

  void CheckStoreSnapshot() {
    const auto snapshot = db_->OpenNamedSnapshot(kStoreSnapshot);
    MUST(snapshot.ok() || resealed_, "the snapshot is gone: " + snapshot.status().ToString());
    if (!snapshot.ok()) return;
    ReadOptions options;
    options.snapshot = snapshot->get();
    Content content;
    const auto it = db_->NewIterator(options);
    for (it->SeekToFirst(); it->valid() && content.size() < 10000; it->Next())
      content.emplace(it->key(), it->value());
    if (Ok(it->status())) MUST(resealed_ || content == TheStore().at_snapshot, "the snapshot shows something else");
  }

  // A write that failed may come back after a reopen, so it ends the run.
  void Write(int which) {
    const std::string key = "new" + std::to_string(which), value(static_cast<size_t>(which) * 100, 'n');
    const Status status = db_->Put(key, value, Durability::kPower);
    if (read_only_) {
      MUST(status.code() == Code::kInvalid, "a write to a store that is open for reading");
    } else if (Ok(status)) {
      written_[key] = value;
    } else {
      db_.reset();
    }
  }

  Input* const in_;
  const DamagedStore damaged_;
  const bool resealed_;
  std::unique_ptr<DB> db_;
  ColumnFamily two_;
  bool read_only_ = false;
  std::optional<size_t> prefix_;  // which of the states it is, once a read has told
  Content written_;
};

}  // namespace

void RunStore(std::string_view input) {
  Input in(input);
  DamagedStore damaged = Damage(&in);
  Run(&in, std::move(damaged)).Drive();
}

}  // namespace tarn::fuzz
