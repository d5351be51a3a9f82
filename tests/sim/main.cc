// tarn-sim: whole stores and lakes in a simulated world, from seeds. See --help and tests/sim/README.md.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

#include "tests/sim/explore.h"
#include "tests/sim/isolate.h"
#include "tests/sim/worlds.h"

namespace tarn::test {
namespace {

struct Arguments {
  std::optional<uint64_t> seed;
  std::vector<std::string> worlds;
  uint64_t from = 1, steps = 3000, operations = 0;
  double minutes = 0;
  unsigned jobs = 1;
  std::string state;
  bool trace = false, json = false;
};

std::string About() {
  std::string text =
      "Runs whole stores and lakes on one thread in a simulated world: every crash, device error, delay and rotten "
      "byte "
      "is drawn from a seed, every answer is compared with a model, and a seed repeats its life exactly.\n"
      "\n  tarn-sim --minutes 5 --jobs 2            explore; exit 1 with seed and short trace if anything fails"
      "\n  tarn-sim --minutes 60 --state sim.json   remember where it was, and go on there the next time"
      "\n  tarn-sim --world store --seed 42         one life again; --trace shows it step by step\n\nWorlds:\n";
  for (const WorldKind& world : Worlds()) {
    text += "  " + world.name + std::string(world.name.size() < 10 ? 10 - world.name.size() : 1, ' ') + world.about +
            "\n";
  }
  return text;
}

std::string ReplayCommand(const WorldKind& kind, uint64_t seed, uint64_t steps) {
  return "tarn-sim --world " + kind.name + " --seed " + std::to_string(seed) + " --steps " + std::to_string(steps);
}

// The shortest life that still fails, told step by step.
void PrintTrace(const WorldKind& kind, uint64_t seed, uint64_t steps) {
  std::fprintf(stderr, "looking for a short trace...\n");
  const Shrunk shrunk =
      Shrink([&](const Schedule& schedule) { return RunIsolated(kind, seed, schedule); }, WholeSchedule(steps));
  if (shrunk.outcome.failure.empty()) {
    std::printf("The life did not fail when it was run again: the world or the engine is not deterministic.\n");
    return;
  }
  std::printf("%zu of %llu steps are needed (%llu runs):\n", shrunk.schedule.size(),
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(shrunk.runs));
  Child narrator([&](Place*, const Child::Send& send) {
    LimitLife();
    RunWorld(kind, seed, shrunk.schedule, [&](const std::string& line) { send(line); });
  });
  while (!narrator.ended()) {
    for (const std::string& line : narrator.Take()) std::printf("  %s\n", line.c_str());
  }
  std::printf("  => %s\n", shrunk.outcome.failure.c_str());
}

void PrintFailure(const WorldKind& kind, uint64_t seed, uint64_t steps, const std::string& failure) {
  std::printf("FAILED: world %s, seed %llu: %s\n", kind.name.c_str(), static_cast<unsigned long long>(seed),
              failure.c_str());
  PrintTrace(kind, seed, steps);
  std::printf("replay: %s\n", ReplayCommand(kind, seed, steps).c_str());
}

int Replay(const Arguments& arguments, const std::vector<const WorldKind*>& worlds) {
  int status = 0;
  for (const WorldKind* kind : worlds) {
    if (arguments.trace) {
      Child narrator([&](Place*, const Child::Send& send) {
        RunWorld(*kind, *arguments.seed, WholeSchedule(arguments.steps), send);
      });
      while (!narrator.ended()) {
        for (const std::string& line : narrator.Take()) std::printf("  %s\n", line.c_str());
      }
    }
    const Outcome outcome = RunIsolated(*kind, *arguments.seed, WholeSchedule(arguments.steps));
    if (outcome.failure.empty()) {
      std::printf("world %s, seed %llu: well; %llu operations, %llu crashes, digest %016llx\n", kind->name.c_str(),
                  static_cast<unsigned long long>(*arguments.seed),
                  static_cast<unsigned long long>(outcome.tally.operations),
                  static_cast<unsigned long long>(outcome.tally.crashes),
                  static_cast<unsigned long long>(outcome.tally.digest));
    } else {
      status = 1;
      PrintFailure(*kind, *arguments.seed, arguments.steps, outcome.failure);
    }
  }
  return status;
}

int Search(const Arguments& arguments, const std::vector<const WorldKind*>& worlds) {
  ExploreReport report{.next_seed = arguments.from};
  if (!arguments.state.empty() && !LoadState(arguments.state, &report)) {
    std::fprintf(stderr, "tarn-sim: %s is not a state of tarn-sim; remove it, or name another file\n",
                 arguments.state.c_str());
    return 2;
  }
  const bool limited = arguments.minutes > 0 || arguments.operations > 0;
  Explore({.worlds = worlds,
           .from = report.next_seed,
           .steps = arguments.steps,
           .minutes = limited ? arguments.minutes : 1,
           .operations = arguments.operations,
           .jobs = arguments.jobs},
          &report);
  if (!arguments.state.empty() && !SaveState(arguments.state, report)) {
    std::fprintf(stderr, "tarn-sim: %s cannot be written; the next run begins where this one did\n",
                 arguments.state.c_str());
  }
  if (arguments.json) {
    std::printf("%s", ReportToJson(report).c_str());
  } else {
    for (const auto& [name, tally] : report.by_world) {
      std::printf("%-10s %12llu operations %9llu crashes %9llu recoveries\n", name.c_str(),
                  static_cast<unsigned long long>(tally.operations), static_cast<unsigned long long>(tally.crashes),
                  static_cast<unsigned long long>(tally.recoveries));
      for (const auto& [kind, count] : tally.faults) {
        std::printf("           %12llu %s\n", static_cast<unsigned long long>(count), kind.c_str());
      }
    }
    std::printf("next seed: %llu\n", static_cast<unsigned long long>(report.next_seed));
  }
  if (report.failed == nullptr) return 0;
  if (!arguments.json) PrintFailure(*report.failed, report.failed_seed, arguments.steps, report.failure);
  return 1;
}

int Main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app(About());
  app.add_option("--seed", arguments.seed, "Run one life; when it fails, print its short trace");
  app.add_option("--world,--worlds", arguments.worlds, "Worlds to run, separated by commas (default: all)")
      ->delimiter(',');
  app.add_option("--steps", arguments.steps, "Steps of a life")->capture_default_str();
  app.add_flag("--trace", arguments.trace, "With --seed: tell the whole life, also when it is well");
  app.add_option("--minutes", arguments.minutes, "Explore for so long (default: 1, unless --ops is given)");
  app.add_option("--ops", arguments.operations, "Explore until so many operations were done");
  app.add_option("--jobs", arguments.jobs, "Processes that run worlds")->check(CLI::Range(1, 256));
  app.add_option("--from", arguments.from, "The first seed to explore (a state file knows better)");
  app.add_option("--state", arguments.state, "Add to the totals in this file, and go on after its last seed");
  app.add_flag("--json", arguments.json, "Print the report as JSON, without a trace");
  CLI11_PARSE(app, argc, argv);
  std::vector<const WorldKind*> worlds;
  if (arguments.worlds.empty()) {
    for (const WorldKind& world : Worlds()) worlds.push_back(&world);
  }
  for (const std::string& name : arguments.worlds) {
    const WorldKind* const world = FindWorld(name);
    if (world == nullptr) {
      std::fprintf(stderr, "tarn-sim: there is no world \"%s\"; --help lists them\n", name.c_str());
      return 2;
    }
    worlds.push_back(world);
  }
  return arguments.seed.has_value() ? Replay(arguments, worlds) : Search(arguments, worlds);
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
