// What the children do to a store: several writers at once, each with operations that its number decides, and a
// keeper that syncs, flushes, compacts and makes and drops named snapshots between them.
//
// Operation n of a writer is a function of (seed, generation, writer, n): one batch over both families that ends by
// setting the writer's counter in each of them to n. So a reader of the store sees how far each writer got, and
// whoever knows the seed knows what must be there (store_oracle.h). The generation is in it so that an operation
// which was lost and came back late is not mistaken for its successor of the same number.
//
// A counter also holds how many operations of each writer had returned when this one began: recovered state has a
// hole when it lacks one of those.
//
// Threads: Run has its own and returns when all have ended.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "tarn/db.h"
#include "tests/kill/ledger.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

struct Change {
  enum class Kind : uint8_t { kPut, kDelete, kDeleteRange };
  Kind kind;
  int family;
  std::string key;
  std::string value;  // of a range: its end
};
struct Operation {
  std::vector<Change> changes;
  Durability durability;
};
Operation MakeOperation(uint64_t seed, uint64_t generation, int writer, uint64_t number);

constexpr int kKeysOfWriter = 128;  // few, so that they are overwritten, deleted and read again all the time
std::string KeyOf(int writer, uint64_t key);
std::string CounterKey(int writer);

struct Counter {
  uint64_t number = 0;
  uint64_t generation = 0;
  Counts seen{};
};
std::string EncodeCounter(const Counter& counter);
bool DecodeCounter(std::string_view bytes, Counter* counter);

using Families = std::array<ColumnFamily, 2>;
struct Session {
  std::unique_ptr<DB> db;
  Families families;
};
// The families of a store that a workload was on. NotFound: it died before it had made them.
Result<Families> FindFamilies(DB& db);
// Makes what is missing.
Result<Session> StartSession(Result<std::unique_ptr<DB>> opened);

// Small memtables and tables, so that a few hundred operations flush and compact; the rest at random.
Settings SomeSettings(SeededRandom& random);

class Workload {
 public:
  struct Options {
    uint64_t seed = 1;
    uint64_t most_operations = kMostOperations;  // of each writer
    uint64_t word_after = 0;                     // operations of all writers together; then a byte goes to `word`
    int word = -1;
    bool stop_at_word = false;  // the writers end there
  };
  Workload(const Session& session, Ledger& ledger, const Options& options);
  // The first error of any thread.
  Status Run();

 private:
  void Write(int writer);
  Status WriteOne(int writer, uint64_t number);
  void Keep();
  Status KeepOnce(SeededRandom& random);
  Status Snapshots(SeededRandom& random);
  void Returned(int writer, uint64_t number, Durability durability);
  bool Ended() const { return ended_.load(); }
  void End(const Status& status);

  DB& db_;
  const Families families_;
  Ledger& ledger_;
  const Options options_;
  std::atomic<bool> ended_{false};
  std::atomic<int> writing_{kWriters};
  std::atomic<uint64_t> turns_{0};  // the keeper waits on it: one for each operation that returned
  Mutex mutex_;                     // guards the first error
  Status first_error_ GUARDED_BY(mutex_);
};

}  // namespace tarn::test
