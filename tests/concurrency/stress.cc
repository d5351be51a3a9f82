#include "tests/concurrency/stress.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <thread>

#include "tests/support/mem_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kKeys = 48;  // of each writer: few enough that a whole moment is read often
constexpr uint64_t kAccounts = 8;
constexpr int64_t kDeposit = 1000;
constexpr size_t kMaxFailures = 5;  // one broken invariant shows everywhere; the first ones tell

std::string Key(size_t writer, uint64_t n) {
  const std::string digits = std::to_string(n);
  return "w" + std::to_string(writer) + "/" + std::string(3 - digits.size(), '0') + digits;
}
std::string Head(size_t writer) { return "head/" + std::to_string(writer); }
std::string Account(uint64_t n) { return "acct/" + std::to_string(n); }
std::string Value(const std::string& key, uint64_t number, size_t padding = 0) {
  return key + "|" + std::to_string(number) + "|" + std::string(padding, static_cast<char>('a' + number % 26));
}

// The number in a value of this key, or nothing when the value is of another key or torn.
std::optional<int64_t> Number(std::string_view key, std::string_view value) {
  if (!value.starts_with(key) || value.size() <= key.size() || value[key.size()] != '|') return std::nullopt;
  const std::string rest(value.substr(key.size() + 1));
  char* end = nullptr;
  const int64_t number = std::strtoll(rest.c_str(), &end, 10);
  const char fill = static_cast<char>('a' + number % 26);
  if (*end != '|' || rest.find_first_not_of(fill, static_cast<size_t>(end - rest.c_str()) + 1) != std::string::npos)
    return std::nullopt;
  return number;
}

// All rows in the order of the walk, sorted ascending at the end. An error, also when the order is wrong.
Status ReadAll(Iterator& it, bool forward, std::vector<std::pair<std::string, std::string>>* rows) {
  rows->clear();
  for (forward ? it.SeekToFirst() : it.SeekToLast(); it.valid(); forward ? it.Next() : it.Prev()) {
    if (!rows->empty() && (it.key() > rows->back().first) != forward) {
      return Status::Corruption("iterator went from " + rows->back().first + " to " + std::string(it.key()));
    }
    rows->emplace_back(it.key(), it.value());
  }
  if (!forward) std::reverse(rows->begin(), rows->end());
  return it.status();
}

}  // namespace

struct Stress::Moment {
  std::vector<std::pair<std::string, std::string>> mirror, rows;  // left (and right); default
  std::vector<int64_t> heads = std::vector<int64_t>(kWriters, 0);
  bool operator==(const Moment&) const = default;
};

Stress::Stress(DB& db, uint64_t seed) : db_(db), seed_(seed) {
  const auto left = db.CreateFamily("left"), right = db.CreateFamily("right");
  if (!Good(left.status(), "create family") || !Good(right.status(), "create family")) return;
  left_ = *left;
  right_ = *right;
  for (uint64_t i = 0; i < kAccounts; ++i) Good(db.Put(Account(i), Value(Account(i), kDeposit)), "deposit");
}

std::vector<std::string> Stress::failures() {
  std::lock_guard lock(mutex_);
  return failures_;
}

void Stress::Fail(const std::string& what) {
  std::lock_guard lock(mutex_);
  if (failures_.size() < kMaxFailures) failures_.push_back(what);
  failed_ = true;
}

bool Stress::Good(const Status& status, const char* what) {
  if (status.ok()) return !over();
  if (status.code() != Code::kInvalid || !closed_) Fail(std::string(what) + ": " + status.ToString());
  return false;
}

// Reads everything as of one moment and checks what must hold in each.
bool Stress::CheckMoment(DB& db, const Snapshot* snapshot, const std::string& where, Moment* moment) {
  const auto left = db.FindFamily("left"), right = db.FindFamily("right");
  if (!Good(left.status(), "find family") || !Good(right.status(), "find family")) return false;
  const ReadOptions options{.snapshot = snapshot};
  std::vector<std::pair<std::string, std::string>> mirror;
  // The order of the three iterators does not matter: the snapshot ties them together.
  if (!Good(ReadAll(*db.NewIterator(*right, options), false, &mirror), "walk right")) return false;
  if (!Good(ReadAll(*db.NewIterator(options), true, &moment->rows), "walk default")) return false;
  if (!Good(ReadAll(*db.NewIterator(*left, options), true, &moment->mirror), "walk left")) return false;
  if (mirror != moment->mirror) {
    const auto [l, r] = std::mismatch(moment->mirror.begin(), moment->mirror.end(), mirror.begin(), mirror.end());
    Fail(where + ": the mirrors differ: left has " +
         (l == moment->mirror.end() ? "no more" : l->second.substr(0, 20)) + ", right " +
         (r == mirror.end() ? "no more" : r->second.substr(0, 20)));
    return false;
  }
  int64_t sum = 0;
  for (const auto& [key, value] : moment->rows) {
    const auto number = Number(key, value);
    if (!number.has_value()) return Fail(where + ": " + key + " holds " + value.substr(0, 40)), false;
    if (key.starts_with("acct/")) sum += *number;
    if (key.starts_with("head/")) moment->heads.at(std::strtoull(key.c_str() + 5, nullptr, 10)) = *number;
  }
  if (sum != kDeposit * static_cast<int64_t>(kAccounts)) Fail(where + ": the accounts sum to " + std::to_string(sum));
  for (const auto& [key, value] : moment->mirror) {
    const auto number = Number(key, value);
    const auto writer = static_cast<size_t>(key[1] - '0');
    if (!number.has_value()) return Fail(where + ": " + key + " holds " + value.substr(0, 40)), false;
    if (*number > moment->heads.at(writer)) Fail(where + ": " + key + " is newer than its writer's head");
  }
  return !over();
}

class Stress::Writer {
 public:
  Writer(Stress& stress, size_t self)
      : stress_(stress), db_(stress.db_), self_(self), random_(StreamSeed(stress.seed_, self)) {}

  static uint64_t StreamSeed(uint64_t seed, uint64_t stream) { return SeededRandom(seed * 1000 + stream).Next(); }

  void Run(uint64_t operations, uint64_t close_after) {
    for (uint64_t i = 0; i < operations; ++i) {
      if (!Change()) return;
      stress_.Changed(close_after);
      if (random_.OneIn(2) && !ReadBack()) return;
    }
  }

 private:
  // One batch over three families; the truth follows only if the store took it.
  bool Change() {
    Rows& truth = stress_.truth_[self_];
    Rows next = truth;
    WriteBatch batch;
    ++number_;
    const uint64_t dice = random_.Below(10), n = random_.Below(kKeys);
    for (ColumnFamily mirror : {stress_.left_, stress_.right_}) {
      if (dice < 7) {
        next[Key(self_, n)] = Value(Key(self_, n), number_, 300);
        batch.Put(mirror, Key(self_, n), next[Key(self_, n)]);
      } else if (dice < 9) {
        next.erase(Key(self_, n));
        batch.Delete(mirror, Key(self_, n));
      } else {
        const std::string end = Key(self_, n + 1 + number_ % 6);
        next.erase(next.lower_bound(Key(self_, n)), next.lower_bound(end));
        batch.DeleteRange(mirror, Key(self_, n), end);
      }
    }
    batch.Put(Head(self_), Value(Head(self_), number_));
    touched_ = Key(self_, n);
    const auto durability = static_cast<Durability>(random_.OneIn(20) ? 2 : random_.Below(2));
    if (!stress_.Good(db_.Write(batch, durability), "write")) return false;
    truth = std::move(next);
    return true;
  }

  // Reads see every write that returned before they started.
  bool ReadBack() {
    const Rows& truth = stress_.truth_[self_];
    const std::string other = Key(self_, random_.Below(kKeys));
    std::vector<std::string> values;
    const std::vector<Status> statuses = db_.MultiGet(stress_.left_, {touched_, other}, &values);
    size_t at = 0;
    for (const std::string& key : {touched_, other}) {
      const Status& status = statuses[at];
      const auto row = truth.find(key);
      if (status.code() != Code::kNotFound && !stress_.Good(status, "read back")) return false;
      if (status.ok() != (row != truth.end()) || (status.ok() && values[at] != row->second)) {
        stress_.Fail("writer reads " + key + " as " + status.ToString() + " " + values[at].substr(0, 20) +
                     " after change " + std::to_string(number_));
        return false;
      }
      ++at;
    }
    return true;
  }

  Stress& stress_;
  DB& db_;
  const size_t self_;
  SeededRandom random_;
  uint64_t number_ = 0;
  std::string touched_;
};

class Stress::Reader {
 public:
  Reader(Stress& stress, int self)
      : stress_(stress),
        db_(stress.db_),
        random_(Writer::StreamSeed(stress.seed_, 100 + static_cast<uint64_t>(self))) {}

  void Run(uint64_t operations) {
    for (uint64_t i = 0; i < operations && Step(random_.Below(8)); ++i) {
    }
  }

 private:
  bool Step(uint64_t dice) {
    switch (dice) {
      case 0: return Hold();
      case 1: return LookAgain();
      case 2: return SlowWalk();
      case 3: return NewMoment();
      default: return GetSome();
    }
  }

  // A row, then its writer's head: the head is at least as new, and neither ever goes back.
  bool GetSome() {
    for (int i = 0; i < 8; ++i) {
      const size_t writer = random_.Below(kWriters);
      const std::string key = Key(writer, random_.Below(kKeys));
      int64_t row = 0, head = 0;
      if (!GetNumber(random_.OneIn(2) ? stress_.left_ : stress_.right_, key, &row)) return false;
      if (!GetNumber({}, Head(writer), &head)) return false;
      if (row > head) return stress_.Fail("get: " + key + " is newer than its writer's head"), false;
    }
    return true;
  }
  bool GetNumber(ColumnFamily family, const std::string& key, int64_t* number) {
    std::string value;
    const Status status = db_.Get(family, key, &value);
    if (status.code() == Code::kNotFound) {
      if (family == ColumnFamily{} && newest_[key] > 0) stress_.Fail("get: " + key + " is gone");
      return !stress_.over();
    }
    if (!stress_.Good(status, "get")) return false;
    const auto found = Number(key, value);
    if (!found.has_value()) return stress_.Fail("get: " + key + " holds " + value.substr(0, 40)), false;
    int64_t& newest = newest_[key];  // of both mirrors: they change at one moment
    if (*found < newest) stress_.Fail("get: " + key + " went back from " + std::to_string(newest));
    *number = newest = *found;
    return !stress_.over();
  }

  bool NewMoment() {
    const auto snapshot = db_.GetSnapshot();
    Moment moment;
    if (!stress_.CheckMoment(db_, snapshot.get(), "snapshot", &moment)) return false;
    for (size_t w = 0; w < kWriters; ++w) {
      int64_t& newest = newest_[Head(w)];
      if (moment.heads[w] < newest) return stress_.Fail("snapshot: a head went back"), false;
      newest = moment.heads[w];
    }
    return SameByMultiGet(*snapshot, moment);
  }
  bool SameByMultiGet(const Snapshot& snapshot, const Moment& moment) {
    std::vector<std::string> keys;
    for (size_t w = 0; w < kWriters; ++w) {
      for (uint64_t n = random_.Below(4); n < kKeys; n += 4) keys.push_back(Key(w, n));
    }
    std::vector<std::string> values;
    const auto statuses = db_.MultiGet(stress_.right_, {keys.begin(), keys.end()}, &values, {.snapshot = &snapshot});
    for (size_t i = 0; i < keys.size(); ++i) {
      if (statuses[i].code() != Code::kNotFound && !stress_.Good(statuses[i], "multiget")) return false;
      const auto row =
          std::lower_bound(moment.mirror.begin(), moment.mirror.end(), std::pair(keys[i], std::string()));
      const bool there = row != moment.mirror.end() && row->first == keys[i];
      if (statuses[i].ok() != there || (there && values[i] != row->second)) {
        return stress_.Fail("multiget and iterator differ at " + keys[i] + " under one snapshot"), false;
      }
    }
    return true;
  }

  bool Hold() {
    if (held_.size() == 3) held_.erase(held_.begin() + static_cast<ptrdiff_t>(random_.Below(3)));
    held_.emplace_back(db_.GetSnapshot(), Moment());
    return stress_.CheckMoment(db_, held_.back().first.get(), "held snapshot", &held_.back().second);
  }
  bool LookAgain() {
    if (held_.empty()) return true;
    const auto& [snapshot, before] = held_[random_.Below(held_.size())];
    Moment now;
    if (!stress_.CheckMoment(db_, snapshot.get(), "held snapshot", &now)) return false;
    if (!(now == before)) return stress_.Fail("a held snapshot changed"), false;
    return SameByMultiGet(*snapshot, now);
  }

  // An iterator that is left standing, forth and back, while the store goes on.
  bool SlowWalk() {
    Moment moment;
    const auto snapshot = db_.GetSnapshot();
    const auto it = db_.NewIterator(stress_.left_, {.snapshot = snapshot.get()});
    std::vector<std::pair<std::string, std::string>> seen, back;
    for (it->SeekToFirst(); it->valid(); it->Next()) {
      seen.emplace_back(it->key(), it->value());
      if (random_.OneIn(64) && !Step(3 + random_.Below(5))) return false;
    }
    if (!stress_.Good(it->status(), "slow walk")) return false;
    if (!stress_.CheckMoment(db_, snapshot.get(), "slow walk", &moment)) return false;
    if (!stress_.Good(ReadAll(*it, false, &back), "slow walk back")) return false;
    if (seen != moment.mirror || back != moment.mirror) return stress_.Fail("a slow walk saw another moment"), false;
    return true;
  }

  Stress& stress_;
  DB& db_;
  SeededRandom random_;
  std::map<std::string, int64_t> newest_;  // by key
  std::vector<std::pair<std::unique_ptr<Snapshot>, Moment>> held_;
};

// Moves amounts between two accounts. Busy is an answer; anything that got lost shows in the sum.
void Stress::Transfer(SeededRandom random, uint64_t operations) {
  for (uint64_t i = 0; i < operations; ++i) {
    const uint64_t from = random.Below(kAccounts), to = (from + 1 + random.Below(kAccounts - 1)) % kAccounts;
    const auto amount = static_cast<int64_t>(random.Below(100));
    const auto transaction = db_.Begin();
    for (const auto& [account, change] : {std::pair(Account(from), -amount), std::pair(Account(to), amount)}) {
      std::string value;
      if (!Good(transaction->Get({}, account, &value), "transaction get")) return;
      const auto balance = Number(account, value);
      if (!balance.has_value()) return Fail("transaction: " + account + " holds " + value.substr(0, 40));
      const int64_t left = *balance + change;
      transaction->Put({}, account, account + "|" + std::to_string(left) + "|");
    }
    if (random.OneIn(10)) {
      transaction->Rollback();
      continue;
    }
    const Status committed = transaction->Commit(static_cast<Durability>(random.Below(2)));
    if (committed.code() != Code::kBusy && !Good(committed, "commit")) return;
  }
}

// Names of its own, which behave exactly; and names that several threads fight for.
void Stress::NameSnapshots(SeededRandom random, uint64_t operations, int self) {
  for (uint64_t i = 0; i < operations; ++i) {
    const bool shared = random.OneIn(2);
    const std::string name = shared ? "shared" + std::to_string(random.Below(2)) : "own" + std::to_string(self);
    const auto expected = [&](const Status& status, Code also, const char* what) {
      return (shared && status.code() == also) || Good(status, what);
    };
    if (!expected(db_.CreateNamedSnapshot(name).status(), Code::kBusy, "name")) return;
    Moment first, second;
    for (Moment* moment : {&first, &second}) {
      const auto opened = db_.OpenNamedSnapshot(name);
      if (!expected(opened.status(), Code::kNotFound, "open named")) return;
      if (opened.ok() && !CheckMoment(db_, opened->get(), "named snapshot", moment)) return;
    }
    if (!shared && !(first == second)) return Fail("a named snapshot changed");
    if (!expected(db_.DropNamedSnapshot(name), Code::kNotFound, "drop named")) return;
  }
}

void Stress::Maintain(SeededRandom random, uint64_t operations) {
  uint64_t writes = 0;
  for (uint64_t i = 0; i < operations; ++i) {
    bool good = true;
    switch (random.Below(9)) {
      case 0: good = Good(db_.Compact(), "compact"); break;
      case 1: good = Good(db_.SyncWal(), "sync"); break;
      case 2: good = Good(db_.Verify(), "verify"); break;
      case 3: good = CopyAndCheck(); break;
      case 4: {
        const uint64_t now = db_.Statistics().at("write.batches");
        if (now < writes) Fail("statistics: writes went back");
        writes = now;
        break;
      }
      case 5:
        for (const char* name : {"levels", "families", "summary"})
          good = good && Good(db_.Property(name).status(), name);
        break;
      case 6:
        if (db_.ListFamilies().size() < 3) Fail("families are missing");
        for (const NamedSnapshot& snapshot : db_.ListNamedSnapshots()) good = good && !snapshot.name.empty();
        break;
      default: good = Good(db_.Flush(), "flush");
    }
    if (!good || over()) return;
  }
}

bool Stress::CopyAndCheck() {
  const auto target = std::make_shared<MemBackend>();
  if (!Good(db_.Checkpoint(*target), "checkpoint")) return false;
  Settings settings;
  settings.memory_bytes = 8ull << 20;
  Components parts;
  parts.backend = target;
  const auto copy = DB::Open(settings, std::move(parts));
  if (!copy.ok()) return Fail("open of a checkpoint: " + copy.status().ToString()), false;
  CheckStore(**copy, false, "checkpoint");
  ++checkpoints_;
  return !over();
}

void Stress::VisitFamilies(SeededRandom random, uint64_t operations, int self) {
  for (uint64_t i = 0; i < operations; ++i) {
    if (!random.OneIn(3)) {
      if (!VisitFamily(random, "visitor" + std::to_string(self), self)) return;
      continue;
    }
    // A family that others make and drop meanwhile: any answer but a wrong one will do.
    (void)db_.CreateFamily("crowd").ok();
    const auto family = db_.FindFamily("crowd");
    if (!family.ok()) continue;
    WriteBatch batch;
    for (uint64_t n = 0; n < 5; ++n) batch.Put(*family, Key(9, n), Value(Key(9, n), i));
    const Status written = db_.Write(batch);
    if (written.code() != Code::kInvalid && !Good(written, "write to a crowd")) return;
    std::vector<std::pair<std::string, std::string>> rows;
    const Status walked = ReadAll(*db_.NewIterator(*family), random.OneIn(2), &rows);
    if (walked.code() != Code::kInvalid && !Good(walked, "walk of a crowd")) return;
    if (walked.ok() && !rows.empty() && rows.size() != 5)
      return Fail("a batch is torn: " + std::to_string(rows.size()) + " of 5 rows");
    const Status dropped = random.OneIn(2) ? db_.DropFamily(*family) : Status();
    if (dropped.code() != Code::kInvalid && !Good(dropped, "drop of a crowd")) return;
  }
}

// A family of its own: fresh when made, whole for an iterator that was there before the drop, gone after it.
bool Stress::VisitFamily(SeededRandom& random, const std::string& name, int self) {
  const auto family = db_.CreateFamily(name);
  if (!Good(family.status(), "create family")) return false;
  WriteBatch batch;
  const uint64_t rows = 1 + random.Below(40);
  const std::string mark = "mark/" + std::to_string(self);
  for (uint64_t n = 0; n < rows; ++n) batch.Put(*family, Key(9, n), Value(Key(9, n), n, 100));
  batch.Put(mark, Value(mark, static_cast<uint64_t>(rows)));
  if (!Good(db_.Write(batch), "write to a visitor")) return false;
  if (random.OneIn(2) && !Good(db_.Flush(), "flush")) return false;
  const auto it = db_.NewIterator(*family);
  it->SeekToFirst();
  if (!Good(it->status(), "walk of a visitor")) return false;
  if (!Good(db_.DropFamily(*family), "drop family")) return false;
  std::vector<std::pair<std::string, std::string>> seen;
  if (!Good(ReadAll(*it, random.OneIn(2), &seen), "walk of a dropped family")) return false;
  if (seen.size() != rows) Fail("a dropped family shows " + std::to_string(seen.size()) + " rows to an old iterator");
  std::string value;
  if (db_.Get(*family, Key(9, 0), &value).code() != Code::kInvalid) Fail("a dropped family can be read");
  if (db_.Write(batch).code() != Code::kInvalid) Fail("a dropped family can be written");
  const Code found = db_.FindFamily(name).status().code();
  if (found != Code::kNotFound && found != Code::kInvalid) Fail("a dropped family is found");
  return !over();
}

void Stress::Changed(uint64_t close_after) {
  if (++changes_ != close_after) return;
  closed_ = true;  // from here on Invalid may be met
  const Status status = db_.Close();
  if (!status.ok()) Fail("close: " + status.ToString());
  std::string value;
  if (db_.Get("head/0", &value).code() != Code::kInvalid) Fail("a closed store can be read");
}

void Stress::Run(uint64_t operations, uint64_t close_after) {
  std::vector<std::thread> threads;
  const auto random = [&](uint64_t stream) { return SeededRandom(Writer::StreamSeed(seed_, 200 + stream)); };
  for (size_t w = 0; w < kWriters; ++w) {
    threads.emplace_back([=, this] { Writer(*this, w).Run(operations, close_after); });
  }
  for (int i = 0; i < 2; ++i) {
    const auto stream = static_cast<uint64_t>(i);
    threads.emplace_back([=, this] { Reader(*this, i).Run(operations / 4); });
    threads.emplace_back([=, this] { Transfer(random(stream), operations); });
    threads.emplace_back([=, this] { NameSnapshots(random(10 + stream), operations / 20, i); });
    threads.emplace_back([=, this] { VisitFamilies(random(20 + stream), operations / 20, i); });
  }
  threads.emplace_back([=, this] { Maintain(random(30), operations / 10); });
  for (std::thread& thread : threads) thread.join();
}

void Stress::CheckStore(DB& db, bool exact, const std::string& where) {
  Moment moment;
  const auto snapshot = db.GetSnapshot();
  if (!CheckMoment(db, snapshot.get(), where, &moment)) return Fail(where + ": the store was not checked");
  if (const Status verified = db.Verify(); !verified.ok()) Fail(where + ": " + verified.ToString());
  if (!exact) return;
  std::vector<std::pair<std::string, std::string>> truth;
  for (const Rows& rows : truth_) truth.insert(truth.end(), rows.begin(), rows.end());
  if (moment.mirror != truth) {
    const auto [store, told] = std::mismatch(moment.mirror.begin(), moment.mirror.end(), truth.begin(), truth.end());
    Fail(where + ": the store has " + (store == moment.mirror.end() ? "no more" : store->second.substr(0, 20)) +
         " where the writers were told of " + (told == truth.end() ? "no more" : told->second.substr(0, 20)));
  }
}

}  // namespace tarn::test
