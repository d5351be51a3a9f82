#include "tests/kill/store_workload.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/coding.h"
#include "base/hash.h"

namespace tarn::test {
namespace {

constexpr std::string_view kSecondFamily = "second";
constexpr size_t kMostSnapshots = 3;  // alive; each keeps old versions through compactions

uint64_t SeedOf(uint64_t seed, uint64_t generation, int writer, uint64_t number) {
  std::string bytes;
  for (const uint64_t part : {seed, generation, static_cast<uint64_t>(writer), number}) PutFixed64(&bytes, part);
  return Hash64(bytes);
}

// Says who wrote it and where it belongs, then fills up: half of the values can be compressed.
std::string MakeValue(SeededRandom& random, const std::string& head) {
  static constexpr size_t kSizes[] = {0, 20, 100, 100, 400, 400, 1000, 5000};
  size_t size = kSizes[random.Below(std::size(kSizes))];
  if (random.OneIn(100)) size = 70'000;  // longer than a log block and a table block
  if (size == 0) return {};
  std::string value = head;
  if (random.OneIn(2)) {
    value.resize(std::max(size, head.size()), '.');
  } else {
    while (value.size() < size) PutFixed64(&value, random.Next());
  }
  return value;
}

}  // namespace

std::string KeyOf(int writer, uint64_t key) {
  std::string digits = std::to_string(key);
  return CounterKey(writer) + "/" + std::string(4 - digits.size(), '0') + digits;
}

std::string CounterKey(int writer) { return "w" + std::to_string(writer); }

std::string EncodeCounter(const Counter& counter) {
  std::string bytes;
  PutFixed64(&bytes, counter.number);
  PutFixed64(&bytes, counter.generation);
  for (const uint64_t count : counter.seen) PutFixed64(&bytes, count);
  return bytes;
}

bool DecodeCounter(std::string_view bytes, Counter* counter) {
  bool whole = GetFixed64(&bytes, &counter->number) && GetFixed64(&bytes, &counter->generation);
  for (uint64_t& count : counter->seen) whole = whole && GetFixed64(&bytes, &count);
  return whole && bytes.empty();
}

Operation MakeOperation(uint64_t seed, uint64_t generation, int writer, uint64_t number) {
  SeededRandom random(SeedOf(seed, generation, writer, number));
  Operation operation;
  // No kPower in every third generation: its sync makes up for a kProcess that did too little before it.
  const uint64_t level = random.Below(20);
  operation.durability = level < 2                          ? Durability::kNone
                         : level < 7 && generation % 3 != 0 ? Durability::kPower
                                                            : Durability::kProcess;
  const uint64_t count = random.OneIn(40) ? 60 : 1 + random.Below(8);
  for (uint64_t i = 0; i < count; ++i) {
    Change change{Change::Kind::kPut, static_cast<int>(random.Below(2)), {}, {}};
    const uint64_t at = random.Below(kKeysOfWriter);
    change.key = KeyOf(writer, at);
    const uint64_t what = random.Below(20);
    if (what < 1) {
      change.kind = Change::Kind::kDeleteRange;
      change.value = KeyOf(writer, at + 1 + random.Below(20));
    } else if (what < 5) {
      change.kind = Change::Kind::kDelete;
    } else {
      change.value = MakeValue(random, change.key + " generation " + std::to_string(generation) + " operation " +
                                           std::to_string(number) + " change " + std::to_string(i) + " ");
    }
    operation.changes.push_back(std::move(change));
  }
  return operation;
}

Result<Families> FindFamilies(DB& db) {
  TARN_ASSIGN(const ColumnFamily second, db.FindFamily(kSecondFamily));
  return Families{ColumnFamily{}, second};
}

Result<Session> StartSession(Result<std::unique_ptr<DB>> opened) {
  TARN_TRY(opened.status());
  Session session{std::move(opened).value(), {}};
  Result<Families> found = FindFamilies(*session.db);
  if (found.status().code() == Code::kNotFound) {
    TARN_TRY(session.db->CreateFamily(kSecondFamily).status());
    found = FindFamilies(*session.db);
  }
  TARN_ASSIGN(session.families, std::move(found));
  return session;
}

Settings SomeSettings(SeededRandom& random) {
  Settings settings;
  settings.memory_bytes = 16 << 20;
  settings.memtable_bytes = 64ull << (10 + random.Below(4));
  settings.table_bytes = 64ull << (10 + random.Below(3));
  settings.block_bytes = random.OneIn(2) ? 4096 : 1024;
  settings.background_threads = 1 + static_cast<uint32_t>(random.Below(3));
  settings.compression = random.OneIn(2) ? Compression::kLz4 : Compression::kNone;
  settings.size_ratio = 2 + static_cast<uint32_t>(random.Below(3));
  return settings;
}

Workload::Workload(const Session& session, Ledger& ledger, const Options& options)
    : db_(*session.db), families_(session.families), ledger_(ledger), options_(options) {}

Status Workload::Run() {
  std::vector<std::thread> threads;
  for (int w = 0; w < kWriters; ++w) threads.emplace_back([this, w] { Write(w); });
  threads.emplace_back([this] { Keep(); });
  for (std::thread& thread : threads) thread.join();
  MutexLock lock(mutex_);
  return first_error_;
}

void Workload::End(const Status& status) {
  MutexLock lock(mutex_);
  if (first_error_.ok()) first_error_ = status;
  ended_ = true;
}

void Workload::Write(int writer) {
  const uint64_t first = ledger_.first[writer];
  for (uint64_t number = first + 1; number <= first + options_.most_operations && !Ended(); ++number) {
    if (const Status status = WriteOne(writer, number); !status.ok()) End(status);
  }
  --writing_;
  ++turns_;
  turns_.notify_one();
}

Status Workload::WriteOne(int writer, uint64_t number) {
  const Operation operation = MakeOperation(options_.seed, ledger_.generation, writer, number);
  WriteBatch batch;
  for (const Change& change : operation.changes) {
    const ColumnFamily family = families_[change.family];
    if (change.kind == Change::Kind::kPut) batch.Put(family, change.key, change.value);
    if (change.kind == Change::Kind::kDelete) batch.Delete(family, change.key);
    if (change.kind == Change::Kind::kDeleteRange) batch.DeleteRange(family, change.key, change.value);
  }
  const std::string counter = EncodeCounter({number, ledger_.generation, ledger_.Returned()});
  for (const ColumnFamily family : families_) batch.Put(family, CounterKey(writer), counter);
  Ledger::Writer& mine = ledger_.writers[writer];
  mine.begun_at[number - ledger_.first[writer] - 1] = ledger_.Position();
  mine.begun = number;
  const bool must_fail = ledger_.power == kOff && operation.durability == Durability::kPower;
  TARN_TRY(db_.Write(batch, operation.durability));
  ledger_.lies += must_fail;
  Returned(writer, number, operation.durability);
  return {};
}

void Workload::Returned(int writer, uint64_t number, Durability durability) {
  ledger_.writers[writer].returned = number;
  if (durability == Durability::kProcess) ledger_.Kept(writer, number);
  if (durability == Durability::kPower) ledger_.Synced(writer, number);
  if (++ledger_.steps == options_.word_after) {
    if (options_.stop_at_word) ended_ = true;
    if (write(options_.word, "x", 1) != 1) End(Status::Io("the supervisor is gone"));
  }
  ++turns_;
  turns_.notify_one();
}

void Workload::Keep() {
  SeededRandom random(SeedOf(options_.seed, ledger_.generation, kWriters, 0));
  while (!Ended() && writing_ > 0) {
    const uint64_t until = turns_ + 5 + random.Below(60);
    for (uint64_t now = turns_; now < until && !Ended() && writing_ > 0; now = turns_) turns_.wait(now);
    if (const Status status = KeepOnce(random); !status.ok()) End(status);
  }
}

Status Workload::KeepOnce(SeededRandom& random) {
  const Counts returned = ledger_.Returned();
  const uint64_t what = random.Below(10);
  if (what >= 7) return Snapshots(random);
  if (what >= 6) return db_.Compact();
  TARN_TRY(what >= 3 ? db_.Flush() : db_.SyncWal());
  ledger_.Synced(returned);
  return {};
}

Status Workload::Snapshots(SeededRandom& random) {
  if (ledger_.event_count >= kMostSnapshotEvents) return {};
  const std::vector<NamedSnapshot> named = db_.ListNamedSnapshots();
  Ledger::SnapshotEvent& event = ledger_.events[ledger_.event_count];
  event.make = named.size() < kMostSnapshots;
  // Generations are far apart, so no name is given twice in a store.
  event.id = event.make ? ledger_.generation * 1000 + ledger_.event_count
                        : std::stoull(named[random.Below(named.size())].name.substr(1));
  const std::string name = "s" + std::to_string(event.id);
  event.least = ledger_.Returned();
  event.begun_at = ledger_.Position();
  ++ledger_.event_count;
  TARN_TRY(event.make ? db_.CreateNamedSnapshot(name).status() : db_.DropNamedSnapshot(name));
  event.most = ledger_.Begun();
  if (ledger_.power == kOn) event.done_at = ledger_.Position();
  return {};
}

}  // namespace tarn::test
