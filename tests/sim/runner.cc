#include "tests/sim/runner.h"

#include <algorithm>
#include <numeric>

#include "tests/support/dead_rows.h"

namespace tarn::test {

void Tally::Add(const Tally& other) {
  operations += other.operations;
  crashes += other.crashes;
  recoveries += other.recoveries;
  for (const auto& [kind, count] : other.faults) faults[kind] += count;
  digest = SeededRandom(digest ^ other.digest).Next();
}

Schedule WholeSchedule(uint64_t steps) {
  Schedule schedule(steps);
  std::iota(schedule.begin(), schedule.end(), 0);
  return schedule;
}

Outcome RunWorld(const WorldKind& kind, uint64_t seed, const Schedule& schedule, const Narrator& narrate,
                 uint64_t* begun) {
  Outcome outcome;
  const LeastDeadRow least(static_cast<uint32_t>(1 + seed % 4));  // what a short life has plenty of
  const std::unique_ptr<World> world = kind.make({.seed = seed, .narrate = narrate});
  for (const uint64_t step : schedule) {
    if (!world->failure().empty()) break;
    SeededRandom random(StepSeed(seed, step));
    ++outcome.steps;
    if (begun != nullptr) *begun = outcome.steps;
    world->Step(random);
  }
  if (world->failure().empty()) world->End();
  outcome.failure = world->failure();
  outcome.tally = world->tally();
  return outcome;
}

Shrunk Shrink(const RunFn& run, Schedule schedule, uint64_t max_runs) {
  Shrunk best{.schedule = std::move(schedule)};
  best.outcome = run(best.schedule);
  best.runs = 1;
  const auto take = [&](Schedule candidate, Outcome outcome) {
    if (outcome.steps < candidate.size()) candidate.resize(outcome.steps);
    best.schedule = std::move(candidate);
    best.outcome = std::move(outcome);
  };
  take(best.schedule, best.outcome);
  for (size_t piece = (best.schedule.size() + 1) / 2; piece > 0 && best.runs < max_runs;) {
    bool smaller = false;
    // From the end: late steps are the ones that depend on others.
    for (size_t end = best.schedule.size(); end > 0 && best.runs < max_runs;) {
      const size_t begin = end > piece ? end - piece : 0;
      Schedule candidate = best.schedule;
      candidate.erase(candidate.begin() + static_cast<std::ptrdiff_t>(begin),
                      candidate.begin() + static_cast<std::ptrdiff_t>(end));
      Outcome outcome = run(candidate);
      ++best.runs;
      if (!outcome.failure.empty()) {
        take(std::move(candidate), std::move(outcome));
        smaller = true;
      }
      end = std::min(begin, best.schedule.size());
    }
    if (!smaller || piece > 1) piece = piece == 1 ? 0 : (piece + 1) / 2;
  }
  return best;
}

}  // namespace tarn::test
