// Short lives in every world of a store, each compared with its model at every step (the lake's are in
// lake_sim_test.cc); seeds that once found a bug; and what runs them. tarn-sim runs longer ones.
//
// TARN_SEED=n replays one seed, TARN_LIVES=n takes more seeds, TARN_STEPS=n makes lives longer.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/sim/explore.h"
#include "tests/sim/isolate.h"
#include "tests/sim/worlds.h"
#include "tests/support/from_environment.h"

namespace tarn::test {
namespace {

Tally Live(const std::string& world, uint64_t first, uint64_t lives) {
  const uint64_t only = FromEnvironment("TARN_SEED", 0);
  const uint64_t steps = FromEnvironment("TARN_STEPS", 3000);
  const WorldKind* const kind = FindWorld(world);
  Tally all;
  if (only != 0) first = only, lives = 1;
  for (uint64_t seed = first; seed < first + lives; ++seed) {
    const Outcome outcome = RunWorld(*kind, seed, WholeSchedule(steps));
    EXPECT_EQ(outcome.failure, "") << "replay: tarn-sim --world " << world << " --seed " << seed << " --steps "
                                   << steps;
    all.Add(outcome.tally);
    if (!outcome.failure.empty()) break;
  }
  std::printf("%s, seeds from %llu: %llu operations, %llu crashes, %llu recoveries\n", world.c_str(),
              static_cast<unsigned long long>(first), static_cast<unsigned long long>(all.operations),
              static_cast<unsigned long long>(all.crashes), static_cast<unsigned long long>(all.recoveries));
  return all;
}

// Together 1.5 million operations and a thousand crashes, and every kind of fault is met.
void LiveWell(const std::string& world, const std::vector<std::string>& kinds) {
  const uint64_t lives = FromEnvironment("TARN_LIVES", 40);
  const Tally all = Live(world, 1, lives);
  if (testing::Test::HasFailure() || std::getenv("TARN_SEED") != nullptr || lives < 40) return;
  EXPECT_GE(all.operations, 500'000u);
  EXPECT_GE(all.crashes, 350u);
  EXPECT_GE(all.recoveries, 350u);
  for (const std::string& kind : kinds) EXPECT_TRUE(all.faults.contains(kind)) << "never met: " << kind;
}

TEST(Lives, Store) {
  LiveWell("store",
           {"io", "io after the effect", "no space", "bit rot", "misdirected write", "lost write", "truncated"});
}
TEST(Lives, Files) { LiveWell("files", {"io", "io after the effect", "no space", "short transfer", "bit rot"}); }
TEST(Lives, Object) {
  LiveWell("object", {"throttled", "lost answer", "duplicate PUT", "late PUT", "late PUT landed", "bit rot"});
}

TEST(Lives, Bucket) {
  LiveWell("bucket", {"throttled", "lost answer", "duplicate PUT", "late PUT", "late PUT landed", "bit rot"});
}

TEST(Lives, Tiered) {
  LiveWell("tiered",
           {"io", "io after the effect", "no space", "throttled", "lost answer", "late PUT landed", "bit rot"});
}

TEST(Lives, Cached) {
  LiveWell("cached", {"throttled", "lost answer", "duplicate PUT", "late PUT", "late PUT landed"});
}

// Fewer, because each request is signed, sent, answered and parsed.
TEST(Lives, S3) {
  const uint64_t lives = FromEnvironment("TARN_LIVES", 8);
  const Tally all = Live("s3", 1, lives);
  if (testing::Test::HasFailure() || std::getenv("TARN_SEED") != nullptr || lives < 8) return;
  for (const char* kind : {"throttled", "outage", "lost answer", "duplicate PUT", "late PUT", "late PUT landed"}) {
    EXPECT_TRUE(all.faults.contains(kind)) << "never met: " << kind;
  }
}

// Each line: world, seed, steps, what it found. Lives change when the worlds do, so a seed is only as good as the
// directed test that stands beside it; it is kept because it costs nothing.
TEST(Lives, SeedsThatFoundBugs) {
  std::ifstream in(std::string(TARN_SIM_DIR) + "/seeds.txt");
  ASSERT_TRUE(in.good());
  std::string line;
  int seeds = 0;
  while (std::getline(in, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string world;
    uint64_t seed = 0, steps = 0;
    ASSERT_TRUE(words >> world >> seed >> steps) << line;
    ASSERT_NE(FindWorld(world), nullptr) << line;
    EXPECT_EQ(RunWorld(*FindWorld(world), seed, WholeSchedule(steps)).failure, "") << line;
    ++seeds;
  }
  EXPECT_GT(seeds, 0);
}

TEST(Determinism, TheSameSeedMakesTheSameCalls) {
  for (const WorldKind& kind : Worlds()) {
    const Outcome one = RunWorld(kind, 7, WholeSchedule(1500));
    const Outcome same = RunWorld(kind, 7, WholeSchedule(1500));
    const Outcome other = RunWorld(kind, 8, WholeSchedule(1500));
    const Outcome elsewhere = RunIsolated(kind, 7, WholeSchedule(1500));
    EXPECT_EQ(one.tally.digest, same.tally.digest) << kind.name;
    EXPECT_EQ(one.tally.digest, elsewhere.tally.digest) << kind.name << ", in another process";
    EXPECT_EQ(one.tally.operations, same.tally.operations) << kind.name;
    EXPECT_NE(one.tally.digest, other.tally.digest) << kind.name;
  }
}

// A world that knows the steps it was asked to take.
class ToyWorld final : public World {
 public:
  using Rule = std::function<std::string(const std::vector<uint64_t>& rolls)>;
  ToyWorld(WorldOptions options, Rule rule) : options_(std::move(options)), rule_(std::move(rule)) {}
  void Step(SeededRandom& random) override {
    rolls_.push_back(random.Next());
    ++tally_.operations;
    if (options_.narrate) options_.narrate("roll " + std::to_string(rolls_.back()));
    failure_ = rule_(rolls_);
  }
  void End() override {}
  const std::string& failure() const override { return failure_; }
  const Tally& tally() const override { return tally_; }

 private:
  const WorldOptions options_;
  const Rule rule_;
  std::vector<uint64_t> rolls_;
  Tally tally_;
  std::string failure_;
};

WorldKind Toy(ToyWorld::Rule rule) {
  return {"toy", "fails as it is told",
          [rule](const WorldOptions& o) { return std::make_unique<ToyWorld>(o, rule); }};
}

uint64_t RollOf(uint64_t seed, uint64_t step) { return SeededRandom(StepSeed(seed, step)).Next(); }

TEST(Shrinker, FindsTheTwoStepsThatMatter) {
  const WorldKind toy = Toy([](const std::vector<uint64_t>& rolls) -> std::string {
    bool first = false;
    for (const uint64_t roll : rolls) {
      if (roll == RollOf(5, 170)) first = true;
      if (first && roll == RollOf(5, 420)) return "both";
    }
    return "";
  });
  const Shrunk shrunk = Shrink([&](const Schedule& s) { return RunWorld(toy, 5, s); }, WholeSchedule(1000));
  EXPECT_EQ(shrunk.schedule, (Schedule{170, 420}));
  EXPECT_EQ(shrunk.outcome.failure, "both");
  EXPECT_LT(shrunk.runs, 100u);
  std::vector<std::string> trace;
  RunWorld(toy, 5, shrunk.schedule, [&](const std::string& line) { trace.push_back(line); });
  EXPECT_EQ(trace.size(), 2u);
}

TEST(Shrinker, StopsInTime) {
  // Every step of the first thousand matters, so nothing can be left out.
  const WorldKind toy =
      Toy([](const std::vector<uint64_t>& rolls) -> std::string { return rolls.size() >= 1000 ? "many" : ""; });
  const Shrunk shrunk = Shrink([&](const Schedule& s) { return RunWorld(toy, 5, s); }, WholeSchedule(1000), 50);
  EXPECT_EQ(shrunk.schedule.size(), 1000u);
  EXPECT_LE(shrunk.runs, 50u);
}

TEST(Isolation, AnAbortIsAFailureOfItsStep) {
  const WorldKind toy = Toy([](const std::vector<uint64_t>& rolls) -> std::string {
    if (rolls.back() != RollOf(3, 60)) return "";
    std::fprintf(stderr, "first line\nthe engine is beside itself\n");
    std::abort();
  });
  const RunFn run = [&](const Schedule& s) { return RunIsolated(toy, 3, s); };
  const Outcome outcome = run(WholeSchedule(100));
  EXPECT_EQ(outcome.failure, "died of signal 6: the engine is beside itself");
  EXPECT_EQ(outcome.steps, 61u);
  EXPECT_EQ(Shrink(run, WholeSchedule(100)).schedule, (Schedule{60}));
}

TEST(Explorer, FindsTheSeedThatFailsAndTheOneThatDies) {
  for (const bool dies : {false, true}) {
    const WorldKind toy = Toy([dies](const std::vector<uint64_t>& rolls) -> std::string {
      if (rolls.back() != RollOf(37, 4)) return "";
      if (dies) std::abort();
      return "seed 37";
    });
    ExploreReport report;
    Explore({.worlds = {&toy}, .steps = 10, .operations = 100'000, .jobs = 2, .progress = false}, &report);
    ASSERT_NE(report.failed, nullptr);
    EXPECT_EQ(report.failed_seed, 37u);
    EXPECT_EQ(report.failure, dies ? "died of signal 6" : "seed 37");
    EXPECT_LE(report.next_seed, 37u);
  }
}

TEST(Explorer, GoesOnWhereItWas) {
  const WorldKind toy = Toy([](const std::vector<uint64_t>&) -> std::string { return ""; });
  const std::string path = testing::TempDir() + "tarn_sim_state.json";
  std::remove(path.c_str());
  ExploreReport first;
  ASSERT_TRUE(LoadState(path, &first));
  Explore({.worlds = {&toy}, .steps = 10, .operations = 400, .progress = false}, &first);
  EXPECT_EQ(first.failed, nullptr);
  EXPECT_EQ(first.next_seed, 41u);
  EXPECT_EQ(first.tally.operations, 400u);
  ASSERT_TRUE(SaveState(path, first));
  ExploreReport second;
  ASSERT_TRUE(LoadState(path, &second));
  EXPECT_EQ(second.next_seed, 41u);
  Explore({.worlds = {&toy}, .steps = 10, .operations = 800, .progress = false}, &second);
  EXPECT_EQ(second.tally.operations, 800u);
  EXPECT_EQ(second.next_seed, 81u);
  EXPECT_EQ(second.by_world["toy"].operations, 800u);
  std::ofstream(path) << "{\"next_seed\": 3";
  EXPECT_FALSE(LoadState(path, &second));
  std::remove(path.c_str());
}

}  // namespace
}  // namespace tarn::test
