// Is the store linearizable? Threads call the real DB on the real scheduler; each call is stamped by one counter when
// it starts and when it returns, and a checker (linearizability.h) looks for an order that explains all answers.
//
// A history is 4 to 8 threads on 1 to 3 fresh keys, which lie in two families: puts, deletes, range deletions,
// batches, gets, MultiGets, iterators both ways, snapshots and compare-and-set by transaction, while another thread
// flushes and compacts. In the histories of batches every write sets all keys at once: then each read of several
// keys, by whatever means, must be one point of a total order.
//
// What counts as the moment of a call:
//   a snapshot's reads     between start and end of GetSnapshot, whenever they are made
//   a transaction's reads  the same for Begin, and, if it commits, again within Commit
//   all others             between start and end of the call
// A transaction may be refused (Busy) only if a write of its keys overlaps it.
//
// Values are large so that memtables fill up; the log yields now and then, so that threads interleave on few cores.
// Threads make each run another one; a failure prints the whole history. More: TARN_HISTORIES=20000 (default 2000),
// other seeds: TARN_SEED=n.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <barrier>
#include <cstdlib>
#include <thread>

#include "tarn/db.h"
#include "tests/concurrency/linearizability.h"
#include "tests/support/dead_rows.h"
#include "tests/support/from_environment.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

constexpr size_t kValueBytes = 2000;    // a few dozen writes fill a memtable
constexpr uint64_t kOpsInHistory = 48;  // more make the search slow, not sharper
constexpr uint64_t kHistoriesInStore = 25;

// Gives other threads the processor around every third change of the disk.
class YieldingBackend final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;

 private:
  Status Around(const Call& call, const Effect& effect) override {
    const bool yields = ChangesStore(call.op) && calls_.fetch_add(1, std::memory_order_relaxed) % 3 == 0;
    if (yields) std::this_thread::yield();
    Status status = effect();
    if (yields) std::this_thread::yield();
    return status;
  }
  std::atomic<uint64_t> calls_{0};
};

// What all threads of a history share.
struct Course {
  DB& db;
  std::vector<ColumnFamily> families;
  uint64_t history = 0;  // its number makes its keys fresh
  uint32_t keys = 1;
  bool batches_only = false;
  std::atomic<uint64_t> clock{1};
  std::atomic<uint64_t> values{1};

  ColumnFamily Family(uint32_t key) const { return families[key % families.size()]; }
  std::string Name(uint32_t key) const { return std::to_string(history) + "/" + std::to_string(key); }
  // All keys of the history in one family lie in [begin, end).
  std::string Begin() const { return std::to_string(history) + "/"; }
  std::string End() const { return std::to_string(history) + "0"; }  // '0' follows '/'
};

// One thread of a history.
class Client {
 public:
  Client(Course& course, uint64_t seed, std::string name)
      : course_(course), db_(course.db), random_(seed), name_(std::move(name)) {}

  void Run(uint64_t operations) {
    for (uint64_t i = 0; i < operations; ++i) {
      const uint64_t dice = random_.Below(16);
      if (dice < 3) {
        course_.batches_only ? WriteAll() : PutOrDelete();
      } else if (dice < 4) {
        WriteAll();
      } else if (dice < 6) {
        Transact();
      } else if (dice < 9) {
        GetOne();
      } else if (dice < 11) {
        GetMany();
      } else if (dice < 13) {
        Walk();
      } else {
        ReadSnapshot();
      }
    }
  }

  std::vector<Operation> done;         // what it saw and wrote
  std::vector<Operation> refused;      // transactions: their span, and in `wrote` the keys they touched
  std::vector<std::string> surprises;  // errors that nothing explains

 private:
  uint64_t Now() { return course_.clock.fetch_add(1); }
  uint32_t RandomKey() { return static_cast<uint32_t>(random_.Below(course_.keys)); }
  uint64_t NewValue() { return course_.values.fetch_add(1); }
  static std::string Bytes(uint64_t value) {
    std::string bytes = std::to_string(value) + ".";
    bytes.resize(kValueBytes, 'v');
    return bytes;
  }
  void Must(const Status& status, const char* what) {
    if (!status.ok()) surprises.push_back(name_ + " " + what + ": " + status.ToString());
  }
  uint64_t Parse(const Status& status, const std::string& bytes) {
    if (status.code() == Code::kNotFound) return kAbsent;
    Must(status, "read");
    const uint64_t value = std::strtoull(bytes.c_str(), nullptr, 10);
    if (status.ok() && bytes != Bytes(value))
      surprises.push_back(name_ + " read a torn value " + bytes.substr(0, 40));
    return value;
  }
  void Record(Operation op, const char* what) {
    op.who = name_ + " " + what;
    done.push_back(std::move(op));
  }

  void PutOrDelete() {
    const uint32_t key = RandomKey();
    Operation op{.wrote = {{key, random_.OneIn(4) ? kAbsent : NewValue()}}};
    WriteBatch batch;
    if (op.wrote[0].value == kAbsent) {
      batch.Delete(course_.Family(key), course_.Name(key));
    } else {
      batch.Put(course_.Family(key), course_.Name(key), Bytes(op.wrote[0].value));
    }
    Send(std::move(op), batch, "write");
  }

  // All keys get one value each in one batch, or are deleted by ranges.
  void WriteAll() {
    Operation op;
    WriteBatch batch;
    const bool range = random_.OneIn(4);
    const uint64_t value = NewValue();
    for (uint32_t key = 0; key < course_.keys; ++key) {
      op.wrote.push_back({key, range ? kAbsent : value});
      if (!range) batch.Put(course_.Family(key), course_.Name(key), Bytes(value));
    }
    if (range) {
      for (ColumnFamily family : course_.families) batch.DeleteRange(family, course_.Begin(), course_.End());
    }
    Send(std::move(op), batch, range ? "delete range" : "batch");
  }

  void Send(Operation op, const WriteBatch& batch, const char* what) {
    const auto durability = static_cast<Durability>(random_.Below(3));
    op.invoke = Now();
    Must(db_.Write(batch, durability), what);
    op.response = Now();
    Record(std::move(op), what);
  }

  void GetOne() {
    const uint32_t key = RandomKey();
    std::string bytes;
    Operation op;
    op.invoke = Now();
    const Status status = db_.Get(course_.Family(key), course_.Name(key), &bytes);
    op.response = Now();
    op.saw = {{key, Parse(status, bytes)}};
    Record(std::move(op), "get");
  }

  // The keys of one family, through MultiGet.
  std::vector<Cell> MultiGet(size_t family, const Snapshot* snapshot, Operation* stamps) {
    std::vector<Cell> cells;
    std::vector<std::string> names;
    for (uint32_t key = 0; key < course_.keys; ++key) {
      if (course_.Family(key) != course_.families[family]) continue;
      cells.push_back({key, kAbsent});
      names.push_back(course_.Name(key));
    }
    std::vector<std::string> values;
    stamps->invoke = Now();
    const auto statuses =
        db_.MultiGet(course_.families[family], {names.begin(), names.end()}, &values, {.snapshot = snapshot});
    stamps->response = Now();
    for (size_t i = 0; i < cells.size(); ++i) cells[i].value = Parse(statuses[i], values[i]);
    return cells;
  }

  // And through an iterator, which is made between the stamps and walked later.
  std::vector<Cell> Iterate(size_t family, const Snapshot* snapshot, Operation* stamps) {
    const std::string begin = course_.Begin(), end = course_.End();
    ReadOptions options{.snapshot = snapshot, .lower_bound = begin, .upper_bound = end};
    stamps->invoke = Now();
    const auto it = db_.NewIterator(course_.families[family], options);
    stamps->response = Now();
    std::this_thread::yield();
    std::vector<Cell> cells;
    for (uint32_t key = 0; key < course_.keys; ++key) {
      if (course_.Family(key) == course_.families[family]) cells.push_back({key, kAbsent});
    }
    const bool forward = random_.OneIn(2);
    for (forward ? it->SeekToFirst() : it->SeekToLast(); it->valid(); forward ? it->Next() : it->Prev()) {
      const auto key =
          static_cast<uint32_t>(std::strtoul(std::string(it->key().substr(begin.size())).c_str(), nullptr, 10));
      const auto cell = std::find_if(cells.begin(), cells.end(), [&](const Cell& c) { return c.key == key; });
      if (cell == cells.end() || cell->value != kAbsent) {
        surprises.push_back(name_ + " iterator shows " + std::string(it->key()) + " where it should not");
        break;
      }
      cell->value = Parse({}, std::string(it->value()));
    }
    Must(it->status(), "iterator");
    return cells;
  }

  void GetMany() {
    Operation op;
    op.saw = MultiGet(random_.Below(std::min<size_t>(course_.keys, 2)), nullptr, &op);
    Record(std::move(op), "multiget");
  }

  void Walk() {
    Operation op;
    op.saw = Iterate(random_.Below(std::min<size_t>(course_.keys, 2)), nullptr, &op);
    Record(std::move(op), "iterator");
  }

  // Several looks at all keys through one snapshot: each of them is a view of the same moment.
  void ReadSnapshot() {
    Operation op;
    op.invoke = Now();
    const auto snapshot = db_.GetSnapshot();
    op.response = Now();
    Operation ignored;
    for (size_t family = 0; family < std::min<size_t>(course_.keys, 2); ++family) {
      for (int look = 0; look < 2; ++look) {
        if (random_.OneIn(3)) std::this_thread::yield();
        const auto cells =
            random_.OneIn(2) ? MultiGet(family, snapshot.get(), &ignored) : Iterate(family, snapshot.get(), &ignored);
        for (const Cell& cell : cells) {
          const auto known =
              std::find_if(op.saw.begin(), op.saw.end(), [&](const Cell& c) { return c.key == cell.key; });
          if (known == op.saw.end()) {
            op.saw.push_back(cell);
          } else if (known->value != cell.value) {
            surprises.push_back(name_ + " snapshot showed k" + std::to_string(cell.key) + " first as " +
                                std::to_string(known->value) + " and then as " + std::to_string(cell.value));
          }
        }
      }
    }
    Record(std::move(op), "snapshot");
  }

  // Reads one key or all, writes what it read (or, in a history of batches, all keys alike).
  void Transact() {
    const bool all = course_.batches_only || random_.OneIn(3);
    const uint32_t only = RandomKey();
    Operation begin, commit;
    begin.invoke = Now();
    const auto transaction = db_.Begin();
    begin.response = Now();
    const uint64_t value = NewValue();
    for (uint32_t key = 0; key < course_.keys; ++key) {
      if (!all && key != only) continue;
      std::string bytes;
      const Status got = transaction->Get(course_.Family(key), course_.Name(key), &bytes);
      begin.saw.push_back({key, Parse(got, bytes)});
      commit.wrote.push_back({key, value});
      transaction->Put(course_.Family(key), course_.Name(key), Bytes(value));
      if (random_.OneIn(3)) std::this_thread::yield();
    }
    commit.saw = begin.saw;
    commit.invoke = Now();
    const Status committed = transaction->Commit(Durability::kProcess);
    commit.response = Now();
    if (committed.ok()) {
      Record(commit, "commit");
    } else if (committed.code() == Code::kBusy) {
      refused.push_back({begin.invoke, commit.response, {}, commit.wrote, name_ + " refused commit"});
    } else {
      Must(committed, "commit");
    }
    Record(std::move(begin), "begin");
  }

  Course& course_;
  DB& db_;
  SeededRandom random_;
  const std::string name_;
};

// A refusal that no overlapping write explains, or nothing.
std::string UnjustRefusal(const std::vector<Operation>& history, const std::vector<Operation>& refused) {
  for (const Operation& refusal : refused) {
    const bool just = std::any_of(history.begin(), history.end(), [&](const Operation& op) {
      if (op.response < refusal.invoke || op.invoke > refusal.response) return false;
      return std::any_of(op.wrote.begin(), op.wrote.end(), [&](const Cell& cell) {
        return std::any_of(refusal.wrote.begin(), refusal.wrote.end(),
                           [&](const Cell& c) { return c.key == cell.key; });
      });
    });
    if (!just)
      return refusal.who + " at [" + std::to_string(refusal.invoke) + ", " + std::to_string(refusal.response) +
             "]: no write overlaps it";
  }
  return {};
}

struct Totals {
  uint64_t histories = 0, operations = 0, refusals = 0, overlapping = 0;
};

// Runs one history and checks it. False when something was wrong (and said).
bool RunHistory(Course& course, uint64_t seed, Totals* totals) {
  SeededRandom random(seed);
  course.keys = static_cast<uint32_t>(1 + random.Below(3));
  course.batches_only = random.OneIn(2);
  const uint64_t threads = 4 + random.Below(5);
  std::vector<std::unique_ptr<Client>> clients;
  for (uint64_t i = 0; i < threads; ++i) {
    clients.push_back(std::make_unique<Client>(course, random.Next(), "t" + std::to_string(i)));
  }
  std::barrier start(static_cast<ptrdiff_t>(threads) + 1);
  std::vector<std::thread> running;
  for (auto& client : clients) {
    running.emplace_back([&, c = client.get()] {
      start.arrive_and_wait();
      c->Run(kOpsInHistory / threads);
    });
  }
  start.arrive_and_wait();
  Status kept = random.OneIn(2) ? course.db.Flush() : Status();
  if (kept.ok() && random.OneIn(4)) kept = course.db.Compact();
  for (std::thread& thread : running) thread.join();

  std::vector<Operation> history, refused;
  std::vector<std::string> wrong;
  if (!kept.ok()) wrong.push_back("flush or compact: " + kept.ToString());
  for (auto& client : clients) {
    history.insert(history.end(), client->done.begin(), client->done.end());
    refused.insert(refused.end(), client->refused.begin(), client->refused.end());
    wrong.insert(wrong.end(), client->surprises.begin(), client->surprises.end());
  }
  wrong.push_back(UnjustRefusal(history, refused));
  wrong.push_back(CheckLinearizable(history));
  std::erase(wrong, std::string());
  for (const std::string& line : wrong) ADD_FAILURE() << "seed " << seed << ": " << line;
  ++totals->histories;
  totals->operations += history.size();
  totals->refusals += refused.size();
  for (size_t i = 0; i < history.size(); ++i) {
    totals->overlapping += std::any_of(history.begin(), history.end(), [&](const Operation& other) {
      return &other != &history[i] && other.invoke < history[i].response && history[i].invoke < other.response;
    });
  }
  return wrong.empty();
}

TEST(Histories, AreLinearizable) {
  const uint64_t wanted = FromEnvironment("TARN_HISTORIES", 2000);
  const uint64_t first = FromEnvironment("TARN_SEED", 1);
  Settings settings;
  settings.memory_bytes = 8ull << 20;
  settings.memtable_bytes = settings.table_bytes = 64ull << 10;
  settings.block_bytes = 512;
  const LeastDeadRow least(1);
  Totals totals;
  for (uint64_t done = 0; done < wanted;) {
    Components parts;
    parts.backend = std::make_shared<YieldingBackend>(std::make_shared<MemBackend>());
    auto db = DB::Open(settings, std::move(parts));
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    const auto other = (*db)->CreateFamily("other");
    ASSERT_TRUE(other.ok()) << other.status().ToString();
    for (uint64_t i = 0; i < kHistoriesInStore && done < wanted; ++i, ++done) {
      Course course{.db = **db, .families = {{}, *other}, .history = i};
      ASSERT_TRUE(RunHistory(course, first + done, &totals));
    }
    ASSERT_TRUE((*db)->Verify().ok());
  }
  std::printf(
      "%llu histories from seed %llu: %llu operations, %llu of them overlapping others, %llu refused commits\n",
      static_cast<unsigned long long>(totals.histories), static_cast<unsigned long long>(first),
      static_cast<unsigned long long>(totals.operations), static_cast<unsigned long long>(totals.overlapping),
      static_cast<unsigned long long>(totals.refusals));
  EXPECT_GT(totals.overlapping * 10, totals.operations) << "threads that never meet prove nothing";
}

}  // namespace
}  // namespace tarn::test
