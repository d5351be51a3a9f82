// StoreOracle: says whether what a store holds after a death is what its ledger allows.
//
// For each writer the counters in the store say how many of its operations are there: k. Then
//   1. least <= k <= most: everything that was promised, nothing that was not begun; both families agree on k.
//   2. The store holds exactly what operations 1..k make, in both families, walked both ways and looked up: so
//      operations are whole, in order, and there is nothing else.
//   3. No hole: an operation that is there began after operations of other writers had returned; these are there too.
//   4. Named snapshots: those that were made are there, those that were dropped are not, and each holds what rules 1
//   to 3
//      say for the moment it was made, in every later generation too.
//   5. DB::Verify finds nothing.
//
// Threads: one at a time.
#pragma once

#include <array>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "tests/kill/ledger.h"
#include "tests/kill/store_workload.h"

namespace tarn::test {

// What a store owes after a death, by its ledger.
struct Bounds {
  Counts least;
  Counts most;
  // Where the device's log ended for it: what came later does not count.
  uint64_t position = std::numeric_limits<uint64_t>::max();

  static Bounds AfterKill(const Ledger& ledger);
  static Bounds AfterPowerCut(const Ledger& ledger);
  // The power cut came when `requests` requests had reached the logged device.
  static Bounds AfterPowerCutAt(const Ledger& ledger, uint64_t requests);
};

class StoreOracle {
 public:
  explicit StoreOracle(uint64_t seed) : seed_(seed) {}

  // OK, or the first difference.
  Status Check(DB& db, const Ledger& ledger, const Bounds& bounds);
  // What the last Check found is certain from now on; where the next generation begins.
  void Adopt() { past_ = found_; }
  // Another store begins.
  void Forget() { past_ = {}; }
  Counts counts() const;

 private:
  struct WriterState {
    uint64_t count = 0;
    std::array<std::map<std::string, std::string>, 2> rows;  // by family
    void Apply(const Operation& operation);
  };
  using State = std::array<WriterState, kWriters>;
  struct Past {
    State state;
    std::map<uint64_t, State> snapshots;  // by id
  };
  // A snapshot that the store has, and how far each writer was in it.
  struct Seen {
    std::unique_ptr<Snapshot> snapshot;
    Counts counts{};
  };

  static Result<Counts> ReadCounters(DB& db, const Families& families, const Snapshot& at, const Ledger& ledger,
                                     const Counts& past);
  Result<std::map<uint64_t, Seen>> ReadSnapshots(DB& db, const Families& families, const Ledger& ledger,
                                                 const Bounds& bounds, const Counts& now);
  Status CheckNewSnapshot(uint64_t id, const Seen& seen, const Ledger& ledger, const Counts& now) const;
  Status Replay(const Ledger& ledger, const Counts& now, const std::map<uint64_t, Seen>& snapshots);
  static Status Compare(DB& db, const Families& families, const Snapshot& at, const State& expected);
  static Status Lookups(DB& db, const Families& families, const Snapshot& at, const State& expected, uint64_t seed);

  const uint64_t seed_;
  Past past_, found_;
};

}  // namespace tarn::test
