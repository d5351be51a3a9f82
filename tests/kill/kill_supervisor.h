// KillStore: a store under four writers, killed with SIGKILL again and again, and judged after each death. What is
// the same for a store in a directory (kill_store.cc) and one in a bucket (tests/s3/kill_s3.cc).
//
// One store lives through many kills; one in 25 begins afresh. Kills come
//   1. while the writers work, after a random number of operations has returned, at whatever each thread is doing;
//   2. while they work, before or after a random change to the backend: of the log, a table, the manifest, a
//   deletion;
//   3. inside of DB::Open, before or after a random change, so recoveries are cut too;
//   4. inside of DB::Close, likewise.
// What survives is checked by store_oracle.h through a store opened for reading only (so that the next child
// recovers) or for writing. A seed repeats settings, operations and the places of 2 to 4; when a signal of 1 hits is
// up to the machine.
//
// Threads: one, and no other in the process when Run is called: it forks.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <string>

#include "tests/kill/ledger.h"
#include "tests/kill/store_oracle.h"
#include "tests/kill/store_workload.h"

namespace tarn::test {

// Where the store lies.
class KillPlace {
 public:
  virtual ~KillPlace() = default;
  // For one opening of the store. Leaves no thread behind when it is let go.
  virtual Result<std::shared_ptr<Backend>> Open(bool read_only) = 0;
  // From now on another store, which is not there yet.
  virtual Status StartAfresh() = 0;
};

class KillStore {
 public:
  KillStore(uint64_t seed, KillPlace& place);

  // OK, or the kill and the first difference: the store is left as it is then.
  Status Run(uint64_t kills);

 private:
  enum class Moment : int { kWork, kCall, kOpen, kClose };
  static constexpr size_t kMoments = 4;

  Status Round(uint64_t number);
  Status Live(const Settings& settings, const Workload::Options& options, Moment moment, uint64_t at, bool after);
  Status Judge();
  uint64_t kills() const { return kills_[0] + kills_[1] + kills_[2] + kills_[3]; }
  void Tell(std::chrono::steady_clock::time_point begun) const;

  const uint64_t seed_;
  SeededRandom random_;
  KillPlace& place_;
  StoreOracle oracle_;
  Shared<Ledger> ledger_;
  std::array<uint64_t, kMoments> kills_{};  // by moment
  std::map<std::string, uint64_t> calls_;   // of 2 to 4: at which calls
  uint64_t closed_ = 0;
  uint64_t acknowledged_ = 0;
};

}  // namespace tarn::test
