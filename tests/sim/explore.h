// Runs seed after seed in worker processes until the time is over, enough was done, or something fails.
//
// Threads: one; the work is in `jobs` children (isolate.h).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/runner.h"

namespace tarn::test {

struct ExploreOptions {
  std::vector<const WorldKind*> worlds;  // each seed is run in all of them
  uint64_t from = 1;
  uint64_t steps = 3000;    // of a life
  double minutes = 1;       // 0: no limit of time
  uint64_t operations = 0;  // 0: no limit; lives that have begun are finished
  unsigned jobs = 1;
  bool progress = true;  // on stderr
};

struct ExploreReport {
  uint64_t next_seed = 1;  // all before it are done, in this run or the ones that it continues
  uint64_t lives = 0;
  double seconds = 0;
  Tally tally;
  std::map<std::string, Tally> by_world;
  // Of the first failure; null: none.
  const WorldKind* failed = nullptr;
  uint64_t failed_seed = 0;
  std::string failure;
};

// `report` may hold what earlier runs have done (LoadState); it is added to.
void Explore(const ExploreOptions& options, ExploreReport* report);

// As JSON, for people's scripts and to go on later. A state that is not there begins anew; false if it is damaged.
std::string ReportToJson(const ExploreReport& report);
bool LoadState(const std::string& path, ExploreReport* report);
bool SaveState(const std::string& path, const ExploreReport& report);

}  // namespace tarn::test
