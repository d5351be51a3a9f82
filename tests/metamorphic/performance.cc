#include "tests/metamorphic/performance.h"

#include <algorithm>

#include "base/assert.h"
#include "base/hash.h"
#include "tests/support/dead_rows.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {
namespace {

// Keys that collide, share prefixes and touch at their ends; and enough others to fill several tables.
constexpr std::string_view kAlphabet("ab\x00\xff", 4);
constexpr uint64_t kRows = 400;

std::string Show(std::string_view bytes) {
  std::string text = "\"";
  for (unsigned char c : bytes) {
    constexpr char kHex[] = "0123456789abcdef";
    if (c >= 0x20 && c < 0x7f) {
      text += static_cast<char>(c);
    } else {
      text += std::string("\\x") + kHex[c >> 4] + kHex[c & 15];
    }
  }
  return text + "\"";
}

std::string ShowValue(std::string_view value) {
  return std::to_string(value.size()) + ":" + std::to_string(Hash64(value) & 0xffffff);
}

std::string ShowCode(const Status& status) { return std::string(CodeName(status.code())); }

std::string ShowRead(const Status& status, std::string_view value) {
  return status.ok() ? ShowValue(value) : ShowCode(status);
}

}  // namespace

Performance::Performance(const Recipe& recipe, uint64_t seed)
    : recipe_(recipe), seed_(seed), home_(recipe.home()), random_(seed) {
  Open();
}

Performance::~Performance() { LetGo(); }

Components Performance::Parts(std::shared_ptr<Backend> backend) {
  Components parts;
  parts.backend = std::move(backend);
  parts.clock = std::make_shared<VirtualClock>();  // write delays cost nothing
  parts.entropy = std::make_shared<SeededEntropy>(seed_);
  parts.scheduler = scheduler_;
  parts.memtable = recipe_.memtable(seed_);
  parts.wal = recipe_.wal();
  const uint64_t memtable_bytes = recipe_.settings.memtable_bytes;
  // Where memtables are large, flushes come from Flush and are small: levels fill up all the same.
  parts.compaction = recipe_.compaction(seed_, memtable_bytes != 0 ? memtable_bytes : 16 << 10);
  return parts;
}

void Performance::Open() {
  if (!recipe_.real_threads) scheduler_ = std::make_shared<SimScheduler>(seed_ + step_);
  const LeastDeadRow least(recipe_.least_dead_row);
  auto opened = DB::Open(recipe_.settings, Parts(home_->Open(false)));
  CHECK(opened.ok());
  db_ = std::move(*opened);
}

void Performance::LetGo() {
  transaction_.reset();
  walks_.clear();
  held_.clear();
}

std::vector<std::string> Performance::Play(uint64_t count) {
  std::vector<std::string> answers;
  for (uint64_t i = 0; i < count; ++i) {
    ++step_;
    random_ = SeededRandom(SeededRandom(seed_ ^ step_ * 0x9e3779b97f4a7c15).Next());
    answers.push_back(Step());
  }
  answers.push_back("contents " + Contents(*db_) + ", verify " + ShowCode(db_->Verify()));
  return answers;
}

std::string Performance::Step() {
  const uint64_t dice = random_.Below(1000);
  if (dice < 400) return Write();
  if (dice < 540) return GetSome();
  if (dice < 600) return Scan();
  if (dice < 640) return Snapshots();
  if (dice < 670) return NamedSnapshots();
  if (dice < 800) return Walks();
  if (dice < 890) return Transactions();
  if (dice < 905) return Families();
  if (dice < 980) return Maintain();
  if (dice < 985) return Checkpoint();
  if (dice < 990) return OpenBeside();
  return Reopen();
}

std::string Performance::RandomKey() {
  std::string key;
  if (random_.OneIn(2)) {
    const std::string digits = std::to_string(random_.Below(kRows));
    return "row" + std::string(3 - digits.size(), '0') + digits;
  }
  for (uint64_t i = random_.Below(5); i > 0; --i) key += kAlphabet[random_.Below(kAlphabet.size())];
  if (random_.OneIn(100)) key.append(random_.Below(3000), 'k');
  return key;
}

std::string Performance::RandomValue() {
  if (random_.OneIn(20)) return {};
  const uint64_t size = random_.OneIn(20) ? random_.Below(20000) : random_.Below(400);
  std::string value = std::to_string(step_) + ":";
  const uint64_t letters = random_.OneIn(2) ? 26 : 1;  // some of them compress
  while (value.size() < size) value += static_cast<char>('a' + random_.Below(letters));
  return value;
}

ColumnFamily Performance::RandomFamily(std::string* name) {
  const std::vector<std::string> families = db_->ListFamilies();
  *name = families[random_.OneIn(2) ? 0 : random_.Below(families.size())];
  const auto found = db_->FindFamily(*name);
  CHECK(found.ok());
  return *found;
}

const Snapshot* Performance::RandomSnapshot(std::string* name) {
  if (held_.empty() || random_.OneIn(2)) return nullptr;
  const Held& held = held_[random_.Below(held_.size())];
  *name += " at " + held.name;
  return held.snapshot.get();
}

ReadOptions Performance::RandomBounds(std::string* lower, std::string* upper, std::string* prefix,
                                      std::string* text) {
  ReadOptions options{.snapshot = RandomSnapshot(text), .fill_cache = !random_.OneIn(4)};
  if (random_.OneIn(3)) *lower = RandomKey(), *text += " from " + Show(*lower);
  if (random_.OneIn(3)) *upper = RandomKey(), *text += " to " + Show(*upper);
  if (random_.OneIn(4)) *prefix = RandomKey().substr(0, random_.Below(4)), *text += " prefix " + Show(*prefix);
  options.lower_bound = *lower;
  options.upper_bound = *upper;
  options.prefix = *prefix;
  return options;
}

Durability Performance::RandomDurability() {
  if (random_.OneIn(20)) return Durability::kPower;  // seldom: on a real disk it is what takes the time
  return random_.OneIn(2) ? Durability::kNone : Durability::kProcess;
}

std::string Performance::Write() {
  WriteBatch batch;
  std::string text = "write";
  for (uint64_t i = random_.OneIn(3) ? 1 + random_.Below(12) : 1; i > 0; --i) {
    std::string name;
    const ColumnFamily family = RandomFamily(&name);
    const std::string key = RandomKey();
    const uint64_t dice = random_.Below(20);
    if (dice < 14) {
      const std::string value = RandomValue();
      batch.Put(family, key, value);
      text += " put " + name + Show(key) + "=" + ShowValue(value);
    } else if (dice < 18) {
      batch.Delete(family, key);
      text += " delete " + name + Show(key);
    } else {
      const std::string end = RandomKey();
      batch.DeleteRange(family, key, end);
      text += " delete " + name + Show(key) + ".." + Show(end);
    }
  }
  return text + " -> " + ShowCode(db_->Write(batch, RandomDurability()));
}

std::string Performance::GetSome() {
  std::string text = "get ", name;
  const ColumnFamily family = RandomFamily(&name);
  text += name;
  const ReadOptions options{.snapshot = RandomSnapshot(&text)};
  std::vector<std::string> keys(random_.OneIn(2) ? 1 + random_.Below(30) : 1);
  for (std::string& key : keys) key = RandomKey();
  std::vector<std::string> values(1);
  std::vector<Status> statuses(1);
  if (keys.size() == 1) {
    statuses[0] = db_->Get(family, keys[0], &values[0], options);
  } else {
    statuses = db_->MultiGet(family, {keys.begin(), keys.end()}, &values, options);
  }
  for (size_t i = 0; i < keys.size(); ++i) text += " " + Show(keys[i]) + " -> " + ShowRead(statuses[i], values[i]);
  return text;
}

// A whole walk, one way or the other.
std::string Performance::Scan() {
  const bool forward = random_.OneIn(2);
  std::string text = forward ? "scan " : "scan back ", name, lower, upper, prefix;
  const ColumnFamily family = RandomFamily(&name);
  text += name;
  const ReadOptions options = RandomBounds(&lower, &upper, &prefix, &text);
  const auto it = db_->NewIterator(family, options);
  uint64_t rows = 0, hash = 0;
  std::string first, last;
  for (forward ? it->SeekToFirst() : it->SeekToLast(); it->valid(); forward ? it->Next() : it->Prev()) {
    if (rows++ == 0) first = it->key();
    last = it->key();
    hash = hash * 31 + Hash64(it->key()) * 7 + Hash64(it->value());
  }
  return text + " -> " + ShowCode(it->status()) + " " + std::to_string(rows) + " rows " + Show(first) + " .. " +
         Show(last) + " hash " + std::to_string(hash & 0xffffffff);
}

std::string Performance::Snapshots() {
  if (held_.size() < 5 && random_.OneIn(2)) {
    held_.push_back({db_->GetSnapshot(), "s" + std::to_string(step_)});
    return "snapshot " + held_.back().name + " -> " + std::to_string(held_.back().snapshot->sequence());
  }
  if (held_.empty()) return "nothing held";
  const auto gone = held_.begin() + static_cast<ptrdiff_t>(random_.Below(held_.size()));
  const std::string text = "let go " + gone->name;
  held_.erase(gone);
  return text;
}

std::string Performance::NamedSnapshots() {
  const std::string name = "n" + std::to_string(random_.Below(3));
  switch (random_.Below(4)) {
    case 0: return "drop " + name + " -> " + ShowCode(db_->DropNamedSnapshot(name));
    case 1: {
      const auto made = db_->CreateNamedSnapshot(name);
      return "name " + name + " -> " + (made.ok() ? std::to_string(made->sequence) : ShowCode(made.status()));
    }
    case 2: {
      std::string text = "names";
      for (const NamedSnapshot& s : db_->ListNamedSnapshots())
        text += " " + s.name + "@" + std::to_string(s.sequence);
      return text;
    }
    default: {
      auto opened = db_->OpenNamedSnapshot(name);
      std::string text = "open " + name + " -> ";
      if (!opened.ok()) return text + ShowCode(opened.status());
      text += std::to_string((*opened)->sequence());
      if (held_.size() < 6) held_.push_back({std::move(*opened), name + "/" + std::to_string(step_)});
      return text;
    }
  }
}

std::string Performance::Describe(Iterator& it) {
  if (!it.valid()) return "nowhere " + ShowCode(it.status());
  return Show(it.key()) + "=" + ShowValue(it.value());
}

// Iterators that live long: made in one operation, moved in others.
std::string Performance::Walks() {
  if (walks_.empty() || (walks_.size() < 4 && random_.OneIn(5))) {
    std::string text, name, lower, upper, prefix;
    const ColumnFamily family = RandomFamily(&name);
    const ReadOptions options = RandomBounds(&lower, &upper, &prefix, &text);
    walks_.push_back({db_->NewIterator(family, options), "i" + std::to_string(step_)});
    return "iterator " + walks_.back().name + " " + name + text + " -> " + ShowCode(walks_.back().it->status());
  }
  const size_t at = random_.Below(walks_.size());
  Iterator& it = *walks_[at].it;
  std::string text = walks_[at].name;
  if (random_.OneIn(12)) {
    walks_.erase(walks_.begin() + static_cast<ptrdiff_t>(at));
    return text + " ends";
  }
  for (uint64_t moves = 1 + random_.Below(12); moves > 0; --moves) {
    const uint64_t dice = it.valid() ? random_.Below(10) : random_.Below(4);
    const std::string key = RandomKey();
    switch (dice) {
      case 0: it.SeekToFirst(), text += " first "; break;
      case 1: it.SeekToLast(), text += " last "; break;
      case 2: it.Seek(key), text += " seek " + Show(key) + " "; break;
      case 3: it.SeekForPrev(key), text += " seek back " + Show(key) + " "; break;
      case 4:
      case 5:
      case 6: it.Next(), text += " next "; break;
      default: it.Prev(), text += " prev "; break;
    }
    text += Describe(it);
  }
  return text;
}

std::string Performance::Transactions() {
  if (transaction_ == nullptr) {
    transaction_ = db_->Begin();
    return "begin";
  }
  std::string name;
  const ColumnFamily family = RandomFamily(&name);
  const std::string key = RandomKey();
  std::string text = "transaction ";
  switch (random_.Below(8)) {
    case 0:
    case 1:
    case 2: {
      std::string value;
      const Status got = transaction_->Get(family, key, &value);
      return text + "get " + name + Show(key) + " -> " + ShowRead(got, value);
    }
    case 3:
    case 4: {
      const std::string value = RandomValue();
      transaction_->Put(family, key, value);
      return text + "put " + name + Show(key) + "=" + ShowValue(value);
    }
    case 5: transaction_->Delete(family, key); return text + "delete " + name + Show(key);
    case 6:
      text += "rollback";
      transaction_->Rollback();
      break;
    default: text += "commit -> " + ShowCode(transaction_->Commit(RandomDurability()));
  }
  transaction_.reset();
  return text;
}

std::string Performance::Families() {
  const std::string name = "f" + std::to_string(random_.Below(3));
  const auto found = db_->FindFamily(name);
  if (!found.ok() || random_.OneIn(4)) {
    const auto made = db_->CreateFamily(name);
    return "create " + name + " -> " + (made.ok() ? std::to_string(made->id) : ShowCode(made.status()));
  }
  if (random_.OneIn(2)) return "families " + *db_->Property("families");
  return "drop " + name + " -> " + ShowCode(db_->DropFamily(*found));
}

std::string Performance::Maintain() {
  switch (random_.Below(8)) {
    case 0: return "compact -> " + ShowCode(db_->Compact());
    case 1: return "verify -> " + ShowCode(db_->Verify());
    case 2: return "sync -> " + ShowCode(db_->SyncWal());
    case 3:
    case 4:
      if (scheduler_ != nullptr) scheduler_->RunAll();
      return "background";  // real threads do it when they do it
    default: return "flush -> " + ShowCode(db_->Flush());
  }
}

std::string Performance::Checkpoint() {
  const auto target = std::make_shared<MemBackend>();
  const Status made = db_->Checkpoint(*target);
  if (!made.ok()) return "checkpoint -> " + ShowCode(made);
  const auto copy = DB::Open(recipe_.settings, Parts(target));
  if (!copy.ok()) return "checkpoint opens -> " + ShowCode(copy.status());
  std::string text = "checkpoint -> " + Contents(**copy);
  for (const NamedSnapshot& s : (*copy)->ListNamedSnapshots())
    text += " " + s.name + "@" + std::to_string(s.sequence);
  return text + ", put -> " + ShowCode((*copy)->Put("k", "v"));
}

std::string Performance::OpenBeside() {
  // A change of level "none" may still be in this process, where another one cannot see it.
  const Status synced = db_->SyncWal();
  Settings settings = recipe_.settings;
  settings.read_only = true;
  const LeastDeadRow least(recipe_.least_dead_row);
  const auto reader = DB::Open(settings, Parts(home_->Open(true)));
  if (!reader.ok()) return "read-only open -> " + ShowCode(reader.status());
  return "read-only open -> " + ShowCode(synced) + " " + Contents(**reader) + ", put -> " +
         ShowCode((*reader)->Put("k", "v"));
}

std::string Performance::Reopen() {
  LetGo();
  const Status closed = db_->Close();
  const Status read = db_->NewIterator()->status();
  db_.reset();
  Open();
  return "reopen -> " + ShowCode(closed) + ", closed " + ShowCode(read) + ", " + Contents(*db_);
}

std::string Performance::Contents(DB& db) {
  std::string text;
  for (const std::string& name : db.ListFamilies()) {
    const auto family = db.FindFamily(name);
    if (!family.ok()) return "family " + name + " " + ShowCode(family.status());
    uint64_t rows, hash;
    Status status;
    do {
      const auto it = db.NewIterator(*family);
      rows = hash = 0;
      for (it->SeekToFirst(); it->valid(); it->Next()) {
        ++rows;
        hash = hash * 31 + Hash64(it->key()) * 7 + Hash64(it->value());
      }
      status = it->status();
      // A reader beside a writer whose merge has deleted a table, in a bucket: what it does is told in docs/s3.md.
    } while (status.code() == Code::kUnavailable && db.CatchUp().ok());
    text +=
        name + ":" + std::to_string(rows) + ":" + std::to_string(hash & 0xffffffff) + " " + ShowCode(status) + " ";
  }
  return text;
}

}  // namespace tarn::test
