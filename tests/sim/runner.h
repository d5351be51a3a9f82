// Runs worlds: one life from a seed, the same one again, and the shortest one that still fails.
//
// A schedule is a list of step numbers (world.h). A whole life is 0 .. steps-1; a failing one is cut at the step
// that failed, then ever smaller pieces are left out while it fails (delta debugging), within a bounded number of
// runs. What is left is run once more with a narrator: the trace.
//
// Threads: one. Nothing here catches an abort of the engine: isolate.h does.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/world.h"

namespace tarn::test {

using Schedule = std::vector<uint64_t>;
Schedule WholeSchedule(uint64_t steps);

struct Outcome {
  std::string failure;  // empty: all was well
  uint64_t steps = 0;   // taken, the failing one included; 0 also when the making of the world failed
  Tally tally;
};

// `narrate` may be null. The checks of a life's end are part of it. Steps are counted in *begun as they begin, for
// whoever watches from another process.
Outcome RunWorld(const WorldKind& kind, uint64_t seed, const Schedule& schedule, const Narrator& narrate = nullptr,
                 uint64_t* begun = nullptr);

// A run that can be repeated: RunWorld, or one in a process of its own.
using RunFn = std::function<Outcome(const Schedule& schedule)>;

// REQUIRES: run(schedule) fails. Any failure counts, not just the first one's.
struct Shrunk {
  Schedule schedule;
  Outcome outcome;
  uint64_t runs = 0;
};
Shrunk Shrink(const RunFn& run, Schedule schedule, uint64_t max_runs = 300);

}  // namespace tarn::test
