// The tiered policy, with numbers only. Single rules on hand-made views; the contract of a plan as a property over
// random views; and a simulated store that flushes and merges for thousands of rounds, checked for the order of
// ages, the number of runs, and write and space amplification.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <set>
#include <string>

#include "compaction/builtin.h"
#include "gtest/gtest.h"

namespace tarn {
namespace {

constexpr uint64_t kMiB = 1 << 20;
using Levels = std::vector<std::vector<RunView>>;

RunView OneRun(uint64_t id, uint64_t bytes, bool busy = false) {
  return {.id = id, .bytes = bytes, .tables = 1, .entries = bytes / 100, .tombstones = 0, .busy = busy};
}
RunView Tombs(uint64_t id, uint64_t entries, uint64_t tombstones) {
  return {.id = id, .bytes = entries * 100, .tables = 1, .entries = entries, .tombstones = tombstones};
}
std::vector<RunView> Runs(uint64_t first_id, int count, uint64_t bytes) {
  std::vector<RunView> runs;
  for (int i = count; i-- > 0;) runs.push_back(OneRun(first_id + i, bytes));
  return runs;
}

// "0:3,2,1 1:9 > 2" = runs 3, 2, 1 of level 0 and 9 of level 1 into level 2.
std::string Show(const std::optional<CompactionPlan>& plan) {
  if (!plan.has_value()) return "none";
  std::string text;
  for (const auto& input : plan->inputs) {
    text += std::to_string(input.level) + ":";
    for (uint64_t id : input.runs) text += std::to_string(id) + ",";
    text.back() = ' ';
  }
  return text + "> " + std::to_string(plan->output_level);
}
std::string Choice(const Levels& levels, const TieredShape& shape = {}) {
  return Show(NewTieredPolicy(shape)->Choose({levels}));
}

TEST(TieredPolicy, AGoodShapeIsLeftAlone) {
  EXPECT_EQ(Choice({}), "none");
  EXPECT_EQ(Choice({{}, {}}), "none");
  EXPECT_EQ(Choice({Runs(1, 3, kMiB)}), "none");
  EXPECT_EQ(Choice({Runs(10, 3, kMiB), Runs(5, 3, 4 * kMiB), Runs(1, 1, 64 * kMiB)}), "none");
}

TEST(TieredPolicy, AFullLevelMovesDownWhole) {
  EXPECT_EQ(Choice({Runs(1, 4, kMiB)}), "0:4,3,2,1 > 1");
  EXPECT_EQ(Choice({Runs(10, 5, kMiB), Runs(5, 3, 4 * kMiB), Runs(1, 1, 64 * kMiB)}), "0:14,13,12,11,10 > 1");
}

TEST(TieredPolicy, TheLastLevelJoinsWhenItHasItsRuns) {
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 1, 8 * kMiB)}), "0:13,12,11,10 1:1 > 1");
  const TieredShape z2 = {.runs_last_level = 2};
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 1, 8 * kMiB)}, z2), "0:13,12,11,10 > 1");
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 2, 8 * kMiB)}, z2), "0:13,12,11,10 1:2,1 > 1");
}

TEST(TieredPolicy, AFullLastLevelGrowsBySameMerge) {
  const TieredShape nominal = {.first_level_bytes = kMiB};  // level 1 is nominally full at 16 MiB
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 1, 16 * kMiB)}, nominal), "0:13,12,11,10 1:1 > 1");
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 1, 20 * kMiB)}, nominal), "0:13,12,11,10 1:1 > 2");
  // Flushes smaller than nominal: twice the ratio is allowed, and no more.
  const TieredShape large = {.first_level_bytes = 32 * kMiB};
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 1, 20 * kMiB)}, large), "0:13,12,11,10 1:1 > 1");
  EXPECT_EQ(Choice({Runs(10, 4, kMiB), Runs(1, 1, 40 * kMiB)}, large), "0:13,12,11,10 1:1 > 2");
}

TEST(TieredPolicy, TheLevelWithMostRunsGoesFirst) {
  EXPECT_EQ(Choice({Runs(20, 4, kMiB), Runs(10, 6, 4 * kMiB), Runs(1, 1, 64 * kMiB)}), "1:15,14,13,12,11,10 2:1 > 2");
}

TEST(TieredPolicy, KOneIsLeveling) {
  const TieredShape leveled = {.runs_per_level = 1};
  EXPECT_EQ(Choice({Runs(20, 2, kMiB), Runs(10, 1, 4 * kMiB), Runs(1, 1, 32 * kMiB)}, leveled), "0:21,20 1:10 > 1");
  // A level that holds T batches takes the next one as a second run, and then moves down.
  EXPECT_EQ(Choice({Runs(20, 2, kMiB), Runs(10, 1, 8 * kMiB), Runs(1, 1, 32 * kMiB)}, leveled), "0:21,20 > 1");
  EXPECT_EQ(Choice({Runs(20, 1, kMiB), Runs(10, 2, 8 * kMiB), Runs(1, 1, 32 * kMiB)}, leveled), "1:11,10 2:1 > 2");
}

TEST(TieredPolicy, TooManyRunsInTheLastLevelBecomeOne) {
  EXPECT_EQ(Choice({{}, Runs(1, 3, kMiB)}), "1:3,2,1 > 1");
  EXPECT_EQ(Choice({{}, Runs(1, 3, kMiB)}, {.runs_last_level = 3}), "none");
}

TEST(TieredPolicy, ASmallLastLevelIsNotBuriedUnderOldVersions) {
  EXPECT_EQ(Choice({{}, Runs(10, 2, 4 * kMiB), Runs(1, 1, 17 * kMiB)}), "none");
  EXPECT_EQ(Choice({{}, Runs(10, 2, 4 * kMiB), Runs(1, 1, 15 * kMiB)}), "1:11,10 2:1 > 2");
}

TEST(TieredPolicy, TombstonesGoDownWhenTheyAreWorthIt) {
  const std::vector<RunView> last = {Tombs(1, 1000, 0)};
  EXPECT_EQ(Choice({{}, {Tombs(9, 300, 260)}, last}), "1:9 2:1 > 2");
  EXPECT_EQ(Choice({{}, {Tombs(9, 300, 150)}, last}), "none");  // half is not most
  EXPECT_EQ(Choice({{}, {Tombs(9, 300, 240)}, last}), "none");  // T * 240 < 1000
  // Older runs of the level go with it; newer ones stay.
  EXPECT_EQ(Choice({{Tombs(9, 90, 0), Tombs(8, 300, 260), Tombs(7, 90, 0)}, {}, last}), "0:8,7 > 1");
  // The last level, and a store of level 0 alone.
  EXPECT_EQ(Choice({{}, {Tombs(1, 100, 51)}}), "1:1 > 1");
  EXPECT_EQ(Choice({{}, {Tombs(1, 100, 50)}}), "none");
  EXPECT_EQ(Choice({{Tombs(2, 100, 100), Tombs(1, 100, 0)}}), "0:2,1 > 1");
}

TEST(TieredPolicy, BusyRunsAreNotDisturbed) {
  auto level0 = Runs(10, 8, kMiB);
  for (int i = 4; i < 8; ++i) level0[i].busy = true;
  EXPECT_EQ(Choice({level0}), "none");  // newer runs must not overtake the ones that are on their way
  Levels levels = {Runs(10, 4, kMiB), {OneRun(1, 8 * kMiB, true)}};
  EXPECT_EQ(Choice(levels), "none");  // nothing enters a last level that is being merged
  levels.push_back({OneRun(0, 99 * kMiB)});
  EXPECT_EQ(Choice(levels), "0:13,12,11,10 > 1");  // a level above the last may be entered
  levels = {Runs(20, 5, kMiB), {OneRun(15, 4 * kMiB, true)}, Runs(10, 4, 16 * kMiB), {OneRun(1, 256 * kMiB)}};
  EXPECT_EQ(Choice(levels), "2:13,12,11,10 3:1 > 3");  // but what disturbs nobody goes first
}

TEST(TieredPolicy, TheLastLevelIsNotRewrittenWhileSomethingMayEnterIt) {
  Levels levels = {{}, {OneRun(9, kMiB, true)}, Runs(1, 3, 64 * kMiB)};
  EXPECT_EQ(Choice(levels), "none");
  levels[1][0].busy = false;
  EXPECT_EQ(Choice(levels), "2:3,2,1 > 2");
}

// ---- the contract of sdk/compaction.h ----

// What is wrong with the plan; empty: nothing.
std::string Complaint(const LevelsView& view, const CompactionPlan& plan) {
  std::vector<std::pair<uint32_t, const RunView*>> by_age;  // newest first
  for (uint32_t l = 0; l < view.levels.size(); ++l) {
    for (const RunView& run : view.levels[l]) by_age.emplace_back(l, &run);
  }
  std::set<std::pair<uint32_t, uint64_t>> wanted;
  for (const auto& input : plan.inputs) {
    if (input.runs.empty()) return "a level without runs";
    for (uint64_t id : input.runs) {
      if (!wanted.insert({input.level, id}).second) return "a run twice";
    }
    const auto& level = view.levels[input.level];
    for (size_t i = 0; i < input.runs.size(); ++i) {
      if (input.runs[i] != level[level.size() - input.runs.size() + i].id) return "not the oldest of its level";
    }
  }
  if (wanted.empty()) return "no input";
  const auto is_wanted = [&](const auto& at) { return wanted.contains({at.first, at.second->id}); };
  const auto begin = std::find_if(by_age.begin(), by_age.end(), is_wanted);
  const auto end = std::find_if_not(begin, by_age.end(), is_wanted);
  if (static_cast<size_t>(end - begin) != wanted.size()) return "not contiguous in age";
  for (auto at = begin; at != end; ++at) {
    if (at->second->busy) return "a busy run";
  }
  const uint32_t deepest = std::prev(end)->first;
  if (plan.output_level != deepest && plan.output_level != deepest + 1) return "the output is in a strange level";
  if (end != by_age.end() && end->first < plan.output_level) return "the output sinks below older data";
  if (plan.reason.empty()) return "no reason";
  return "";
}

TieredShape RandomShape(std::mt19937_64& random) {
  const auto ratio = static_cast<uint32_t>(2 + random() % 9);
  return {.size_ratio = ratio,
          .runs_per_level = static_cast<uint32_t>(1 + random() % ratio),
          .runs_last_level = static_cast<uint32_t>(1 + random() % ratio),
          .first_level_bytes = 1 + random() % 200};
}

TEST(TieredPolicy, PlansKeepTheContractOnRandomViews) {
  std::mt19937_64 random(11);
  int plans = 0;
  for (int round = 0; round < 200000; ++round) {
    LevelsView view;
    view.levels.resize(random() % 6);
    const uint64_t busy_share = random() % 3 == 0 ? random() % 60 : 0;
    uint64_t id = 1000;
    for (auto& level : view.levels) {
      for (uint64_t n = random() % 8; n > 0; --n) {
        RunView run = OneRun(--id, random() % (random() % 2 ? 1000 : 50), random() % 100 < busy_share);
        run.entries = 1 + random() % 100;
        run.tombstones = random() % 3 == 0 ? random() % (run.entries + 1) : 0;
        level.push_back(run);
      }
    }
    const TieredShape shape = RandomShape(random);
    const auto policy = NewTieredPolicy(shape);
    const auto plan = policy->Choose(view);
    ASSERT_EQ(Show(plan), Show(policy->Choose(view)));  // pure
    if (plan.has_value()) {
      ++plans;
      ASSERT_EQ(Complaint(view, *plan), "") << Show(plan);
    } else if (busy_share == 0 && !view.levels.empty()) {
      for (size_t l = 0; l + 1 < view.levels.size(); ++l) {
        if (view.levels[l + 1].empty()) continue;  // l may be the last level: it has its own bound
        ASSERT_LE(view.levels[l].size(), std::max(shape.runs_per_level, shape.runs_last_level));
      }
    }
  }
  EXPECT_GT(plans, 100000);
}

// ---- a store of numbers ----

struct SimShape {
  TieredShape shape;
  double keys = 0;            // updates hit one of so many keys; 0: every key is new
  uint64_t merge_speed = 0;   // bytes merged a flush, in flushes; 0: merges take no time
  bool whole_levels = false;  // as our kernel: plans that run share no level, and all of it looks busy
};

// A store that only knows how many keys each run holds. Keys are 100 bytes and drawn evenly, so a merge of runs
// with a, b, ... of n keys holds n * (1 - (1-a/n)(1-b/n)...) of them.
class Sim {
 public:
  struct SimRun {
    uint64_t id, oldest, newest;  // the flushes in it
    double keys;
    bool busy = false;
  };
  struct Running {
    CompactionPlan plan;
    double left;  // bytes
  };

  Sim(const SimShape& sim, uint64_t flush_keys)
      : sim_(sim), policy_(NewTieredPolicy(sim.shape)), flush_keys_(static_cast<double>(flush_keys)) {}

  void Flush() {
    const double keys = Union({flush_keys_});
    flushed_ += keys;
    written_ += keys;
    ++flushes_;
    levels_.resize(std::max<size_t>(levels_.size(), 1));
    levels_[0].insert(levels_[0].begin(), SimRun{next_id_++, flushes_, flushes_, keys});
    StartMerges();
    double budget = sim_.merge_speed == 0 ? 1e300 : static_cast<double>(sim_.merge_speed) * flush_keys_;
    while (!running_.empty() && budget > 0) {
      // Two threads share the speed; the one with less left ends first.
      const auto first = std::min_element(running_.begin(), running_.end(),
                                          [](const Running& a, const Running& b) { return a.left < b.left; });
      const double slice = std::min(first->left, budget / static_cast<double>(running_.size()));
      budget -= slice * static_cast<double>(running_.size());
      for (Running& r : running_) r.left -= slice;
      if (first->left > 0.5) break;
      const CompactionPlan plan = first->plan;
      running_.erase(first);
      Install(plan);
      StartMerges();
    }
  }

  LevelsView View(bool with_busy = true) const {
    LevelsView view;
    for (uint32_t l = 0; l < levels_.size(); ++l) {
      auto& level = view.levels.emplace_back();
      for (const SimRun& run : levels_[l]) {
        level.push_back(OneRun(run.id, static_cast<uint64_t>(run.keys * 100),
                               with_busy && (run.busy || (sim_.whole_levels && LevelRuns(l)))));
      }
    }
    return view;
  }

  void CheckAges() const {
    uint64_t last = UINT64_MAX;
    for (const auto& level : levels_) {
      for (const SimRun& run : level) {
        ASSERT_LT(run.newest, last);
        ASSERT_LE(run.oldest, run.newest);
        last = run.oldest;
      }
    }
  }

  size_t runs() const {
    size_t count = 0;
    for (const auto& level : levels_) count += level.size();
    return count;
  }
  size_t levels() const { return levels_.size(); }
  double write_amp() const { return written_ / flushed_; }
  double space_amp() const {
    double all = 0;
    std::vector<double> parts;
    for (const auto& level : levels_) {
      for (const SimRun& run : level) {
        all += run.keys;
        parts.push_back(run.keys);
      }
    }
    return all / Union(parts);
  }
  uint64_t debt() const { return policy_->Debt(View(false)); }
  uint64_t flush_bytes() const { return static_cast<uint64_t>(flush_keys_ * 100); }
  const CompactionPolicy& policy() const { return *policy_; }

 private:
  double Union(const std::vector<double>& parts) const {
    double sum = 0, missed = 1;
    for (double p : parts) {
      sum += p;
      if (sim_.keys > 0) missed *= 1 - p / sim_.keys;
    }
    return sim_.keys > 0 ? sim_.keys * (1 - missed) : sum;
  }

  bool LevelRuns(uint32_t level) const {
    return std::any_of(running_.begin(), running_.end(), [&](const Running& r) { return Touches(r.plan, level); });
  }
  static bool Touches(const CompactionPlan& plan, uint32_t level) {
    return plan.output_level == level ||
           std::any_of(plan.inputs.begin(), plan.inputs.end(), [&](auto& input) { return input.level == level; });
  }

  void StartMerges() {
    while (running_.size() < 2) {
      const LevelsView view = View();
      const auto plan = policy_->Choose(view);
      if (!plan.has_value()) return;
      ASSERT_EQ(Complaint(view, *plan), "");
      if (sim_.whole_levels) {
        for (uint32_t l = 0; l <= plan->output_level; ++l) {
          if (Touches(*plan, l) && LevelRuns(l)) return;
        }
      }
      double keys = 0;
      ForInputs(*plan, [&](SimRun& run) {
        run.busy = true;
        keys += run.keys;
      });
      running_.push_back({*plan, keys});
    }
  }

  void ForInputs(const CompactionPlan& plan, const std::function<void(SimRun&)>& visit) {
    for (const auto& input : plan.inputs) {
      for (SimRun& run : levels_[input.level]) {
        if (std::find(input.runs.begin(), input.runs.end(), run.id) != input.runs.end()) visit(run);
      }
    }
  }

  void Install(const CompactionPlan& plan) {
    SimRun out{next_id_++, UINT64_MAX, 0, 0};
    std::vector<double> parts;
    ForInputs(plan, [&](SimRun& run) {
      out.oldest = std::min(out.oldest, run.oldest);
      out.newest = std::max(out.newest, run.newest);
      parts.push_back(run.keys);
    });
    out.keys = Union(parts);
    written_ += out.keys;
    levels_.resize(std::max<size_t>(levels_.size(), plan.output_level + 1));
    auto& target = levels_[plan.output_level];
    size_t place = 0;  // of its newest input there, else in front
    for (const auto& input : plan.inputs) {
      auto& level = levels_[input.level];
      std::erase_if(level, [&](const SimRun& run) {
        return std::find(input.runs.begin(), input.runs.end(), run.id) != input.runs.end();
      });
      if (input.level == plan.output_level) place = level.size();
    }
    target.insert(target.begin() + static_cast<ptrdiff_t>(place), out);
  }

  const SimShape sim_;
  const std::shared_ptr<CompactionPolicy> policy_;
  const double flush_keys_;
  std::vector<std::vector<SimRun>> levels_;
  std::vector<Running> running_;
  uint64_t next_id_ = 1, flushes_ = 0;
  double flushed_ = 0, written_ = 0;
};

struct Amplification {
  double write, space_most, space_mean;
  size_t runs_most, levels;
};

Amplification Simulate(const char* what, const SimShape& shape, int flushes, uint64_t flush_keys = 1000) {
  Sim sim(shape, flush_keys);
  Amplification a{};
  int counted = 0;
  for (int i = 0; i < flushes; ++i) {
    sim.Flush();
    sim.CheckAges();
    if (testing::Test::HasFatalFailure()) return a;
    a.runs_most = std::max(a.runs_most, sim.runs());
    if (i < flushes / 4) continue;  // a store of a few flushes has no shape yet
    a.space_most = std::max(a.space_most, sim.space_amp());
    a.space_mean += sim.space_amp();
    ++counted;
  }
  a.write = sim.write_amp();
  a.space_mean /= counted;
  a.levels = sim.levels();
  std::printf("%-26s T=%u K=%u Z=%u  levels %zu  write amp %5.2f  space amp %.2f (most %.2f)  runs at most %zu\n",
              what, shape.shape.size_ratio, shape.shape.runs_per_level, shape.shape.runs_last_level, a.levels,
              a.write, a.space_mean, a.space_most, a.runs_most);
  return a;
}

TieredShape Shape(uint32_t t, uint32_t k, uint32_t z) {
  return {.size_ratio = t, .runs_per_level = k, .runs_last_level = z, .first_level_bytes = 100 * 1000};
}

TEST(TieredPolicySimulation, LazyLevelingBoundsWritesSpaceAndRuns) {
  for (uint32_t t : {3, 4, 6, 10}) {
    for (double keys : {0.0, 3e4, 3e5, 1e6}) {
      const std::string what = keys == 0 ? "new keys" : "updates of " + std::to_string(int(keys)) + " keys";
      const Amplification a = Simulate(what.c_str(), {.shape = Shape(t, t - 1, 1), .keys = keys}, 6000);
      if (HasFatalFailure()) return;
      EXPECT_LE(a.write, static_cast<double>(a.levels) + t);
      EXPECT_LE(a.runs_most, (a.levels - 1) * t + 1);  // K and the one that is too many, a level
      EXPECT_LE(a.space_most, 1.9);
    }
  }
}

TEST(TieredPolicySimulation, TheShapesTradeWritesForRuns) {
  const Amplification leveled = Simulate("leveled", {.shape = Shape(4, 1, 1), .keys = 3e5}, 6000);
  const Amplification lazy = Simulate("lazy leveled", {.shape = Shape(4, 3, 1), .keys = 3e5}, 6000);
  const Amplification tiered = Simulate("tiered", {.shape = Shape(4, 3, 3), .keys = 3e5}, 6000);
  EXPECT_LT(lazy.write, leveled.write);
  EXPECT_LE(tiered.write, lazy.write);
  EXPECT_LT(leveled.runs_most, lazy.runs_most);
  EXPECT_LT(lazy.space_mean, tiered.space_mean);
}

TEST(TieredPolicySimulation, FlushesSmallerThanNominalCostLittleMore) {
  SimShape shape = {.shape = Shape(4, 3, 1)};
  shape.shape.first_level_bytes = 100 * 1000 * 1000;  // a thousand flushes
  const Amplification a = Simulate("flushes of a thousandth", shape, 6000);
  EXPECT_LE(a.write, static_cast<double>(a.levels) + 2 * 4);
}

TEST(TieredPolicySimulation, SlowMergesKeepTheOrderOfAges) {
  for (bool whole_levels : {false, true}) {
    for (uint64_t speed : {6, 8, 12, 30}) {
      for (uint32_t k : {1, 2, 3}) {
        for (uint32_t z : {1, 2}) {
          SimShape shape = {.shape = Shape(4, k, z), .keys = 3e5, .merge_speed = speed, .whole_levels = whole_levels};
          Sim sim(shape, 1000);
          for (int i = 0; i < 1500; ++i) {
            sim.Flush();
            sim.CheckAges();
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

TEST(TieredPolicySimulation, DebtIsZeroWhileMergesKeepUp) {
  for (double keys : {0.0, 3e5}) {
    Sim sim({.shape = Shape(4, 3, 1), .keys = keys}, 1000);
    for (int i = 0; i < 5000; ++i) {
      sim.Flush();
      ASSERT_EQ(sim.debt(), 0u) << "flush " << i;
    }
  }
}

TEST(TieredPolicySimulation, DebtGrowsSmoothlyWhileNothingIsMerged) {
  const auto policy = NewTieredPolicy({});
  uint64_t before = 0;
  for (int runs = 1; runs < 200; ++runs) {
    const LevelsView view = {{Runs(100, runs, kMiB), Runs(50, 3, 4 * kMiB), Runs(1, 1, 64 * kMiB)}};
    const uint64_t debt = policy->Debt(view);
    if (runs <= 8) {
      ASSERT_EQ(debt, 0u);
    } else {
      ASSERT_GT(debt, before);
      ASSERT_LE(debt - before, 6 * kMiB);  // two levels down, and T bytes of the last with each
    }
    before = debt;
  }
}

// Merges that are a little too slow, or much: the debt tells, and rises by steps of a few flushes even where the
// run that is late is a large one.
TEST(TieredPolicySimulation, DebtHasNoCliffs) {
  for (bool whole_levels : {false, true}) {
    for (uint64_t speed : {1, 2, 3, 4}) {
      Sim sim({.shape = Shape(4, 3, 1), .merge_speed = speed, .whole_levels = whole_levels}, 1000);
      uint64_t before = 0, most = 0, step = 0;
      for (int i = 0; i < 600; ++i) {
        sim.Flush();
        const uint64_t debt = sim.debt();
        if (debt > before) step = std::max(step, debt - before);
        most = std::max(most, debt);
        before = debt;
      }
      std::printf("merge speed %llu%s: debt at most %.1f flushes, rises by at most %.1f\n",
                  static_cast<unsigned long long>(speed), whole_levels ? " by whole levels" : "",
                  static_cast<double>(most) / static_cast<double>(sim.flush_bytes()),
                  static_cast<double>(step) / static_cast<double>(sim.flush_bytes()));
      EXPECT_LE(step, 12 * sim.flush_bytes());
      EXPECT_TRUE(speed > 1 || most > 100 * sim.flush_bytes());
    }
  }
}

TEST(TieredPolicySimulation, DeletesComeToRestAtTheBottom) {
  // Everything that was written is deleted again: whatever the depth, the last tombstones reach the data.
  const auto policy = NewTieredPolicy({});
  LevelsView view = {{{Tombs(9, 4000, 4000)}, {}, {Tombs(7, 9000, 100)}, {Tombs(1, 12000, 0)}}};
  int merges = 0;
  while (const auto plan = policy->Choose(view)) {
    ASSERT_LT(++merges, 10);
    ASSERT_EQ(Complaint(view, *plan), "");
    RunView out = OneRun(100 + merges, 0);
    for (const auto& input : plan->inputs) {
      for (const RunView& run : view.levels[input.level]) {
        if (std::find(input.runs.begin(), input.runs.end(), run.id) == input.runs.end()) continue;
        out.entries += run.entries;
        out.tombstones += run.tombstones;
      }
      std::erase_if(view.levels[input.level], [&](const RunView& run) {
        return std::find(input.runs.begin(), input.runs.end(), run.id) != input.runs.end();
      });
    }
    if (plan->output_level == 3) {  // the bottom: each tombstone takes a put with it
      out.entries -= 2 * out.tombstones;
      out.tombstones = 0;
    }
    out.bytes = out.entries * 100;
    view.levels[plan->output_level].insert(view.levels[plan->output_level].begin(), out);
  }
  EXPECT_EQ(view.levels[3].size(), 1u);
  EXPECT_EQ(view.levels[3][0].tombstones, 0u);
}

TEST(TieredPolicyDeathTest, ShapesThatMakeNoSenseAreRefused) {
  EXPECT_DEATH(NewTieredPolicy({.size_ratio = 1}), "check failed");
  EXPECT_DEATH(NewTieredPolicy({.runs_per_level = 0}), "check failed");
  EXPECT_DEATH(NewTieredPolicy({.runs_last_level = 0}), "check failed");
}

}  // namespace
}  // namespace tarn
