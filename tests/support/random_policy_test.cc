// Every plan of the random policy is legal, all kinds of legal plans occur, and plans come to an end.
#include "tests/support/random_policy.h"

#include <gtest/gtest.h>

#include <set>

#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

LevelsView RandomView(SeededRandom& random) {
  LevelsView view;
  view.levels.resize(1 + random.Below(5));
  uint64_t id = 1000;
  for (auto& level : view.levels) {
    const bool busy = random.OneIn(5);
    for (uint64_t n = random.Below(5); n > 0; --n) level.push_back({--id, 1 + random.Below(1000), 1, 1, 0, busy});
  }
  while (!view.levels.empty() && view.levels.back().empty()) view.levels.pop_back();
  return view;
}

TEST(RandomPolicy, PicksEachKindOfLegalPlanAndNoOther) {
  std::set<std::string> kinds;
  for (uint64_t seed = 1; seed <= 5000; ++seed) {
    SeededRandom random(seed);
    const LevelsView view = RandomView(random);
    const auto plan = NewRandomPolicy(seed)->Choose(view);
    if (!plan.has_value()) {
      kinds.insert("none");
      continue;
    }
    ASSERT_EQ(WhyIllegal(view, *plan), "") << "seed " << seed;
    const bool cut = plan->inputs.front().runs.size() < view.levels[plan->inputs.front().level].size();
    kinds.insert(std::string(cut ? "cut" : "whole") + (plan->inputs.size() > 1 ? " levels" : " level") +
                 (plan->output_level == plan->inputs.back().level ? " in place" : " down"));
  }
  EXPECT_EQ(kinds.size(), 9u);
}

TEST(RandomPolicy, ComesToAnEnd) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SeededRandom random(seed);
    LevelsView view = RandomView(random);
    for (auto& level : view.levels) {
      for (RunView& run : level) run.busy = false;
    }
    const auto policy = NewRandomPolicy(seed);
    int plans = 0;
    for (uint64_t id = 2000;; ++id) {
      const auto plan = policy->Choose(view);
      if (!plan.has_value()) break;
      ASSERT_LT(++plans, 200) << "seed " << seed;
      for (const auto& input : plan->inputs) {
        auto& level = view.levels[input.level];
        level.resize(level.size() - input.runs.size());
      }
      if (view.levels.size() <= plan->output_level) view.levels.resize(plan->output_level + 1);
      view.levels[plan->output_level].insert(view.levels[plan->output_level].begin(), {id, 500, 1, 1, 0, false});
    }
  }
}

TEST(RandomPolicy, IllegalPlansAreKnown) {
  const LevelsView view{{{{3, 1, 1, 1, 0, false}, {2, 1, 1, 1, 0, false}}, {{1, 1, 1, 1, 0, true}}}};
  const auto why = [&](std::vector<CompactionPlan::Input> inputs, uint32_t output) {
    return WhyIllegal(view, {std::move(inputs), output, "test"});
  };
  EXPECT_EQ(why({{0, {2}}}, 0), "");
  EXPECT_EQ(why({{0, {3, 2}}}, 1), "");
  EXPECT_NE(why({}, 0), "");
  EXPECT_NE(why({{0, {3}}}, 0), "");
  EXPECT_NE(why({{0, {2, 3}}}, 0), "");
  EXPECT_NE(why({{0, {2}}}, 2), "");
  EXPECT_NE(why({{1, {1}}}, 1), "");
  EXPECT_NE(why({{5, {1}}}, 5), "");
}

}  // namespace
}  // namespace tarn::test
