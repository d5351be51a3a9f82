#include "tests/support/random_policy.h"

#include <algorithm>

#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

constexpr uint32_t kDeepest = 6;
constexpr size_t kManyRuns = 12;  // from here on it always merges something, so that reads stay bounded

uint64_t Hash(uint64_t seed, const LevelsView& view) {
  uint64_t hash = seed;
  const auto mix = [&](uint64_t n) { hash = SeededRandom(hash ^ n * 0x9e3779b97f4a7c15).Next(); };
  for (const auto& level : view.levels) {
    mix(level.size());
    for (const RunView& run : level) mix(run.id), mix(run.bytes), mix(run.busy);
  }
  return hash;
}

class RandomPolicy final : public CompactionPolicy {
 public:
  explicit RandomPolicy(uint64_t seed) : seed_(seed) {}
  std::string_view name() const override { return "random"; }

  std::optional<CompactionPlan> Choose(const LevelsView& view) const override {
    SeededRandom random(Hash(seed_, view));
    size_t runs = 0;
    for (const auto& level : view.levels) runs += level.size();
    if (runs == 0 || (runs < kManyRuns && random.OneIn(2))) return std::nullopt;
    for (int attempt = 0; attempt < 8; ++attempt) {
      const CompactionPlan plan = Draw(view, random);
      if (!plan.inputs.empty() && WhyIllegal(view, plan).empty()) return plan;
    }
    return std::nullopt;
  }

  uint64_t Debt(const LevelsView&) const override { return 0; }  // no shape is better than another

 private:
  static CompactionPlan Draw(const LevelsView& view, SeededRandom& random) {
    const auto first = static_cast<uint32_t>(random.Below(view.levels.size()));
    const auto last = static_cast<uint32_t>(first + random.Below(view.levels.size() - first));
    CompactionPlan plan{
        .inputs = {}, .output_level = last + static_cast<uint32_t>(random.Below(2)), .reason = "chance"};
    size_t runs = 0;
    for (uint32_t number = first; number <= last; ++number) {
      const auto& level = view.levels[number];
      if (level.empty()) continue;
      // Only the level where the plan begins may be cut: of the others every run lies between two inputs.
      const size_t from = plan.inputs.empty() ? random.Below(level.size()) : 0;
      plan.inputs.push_back({number, {}});
      for (size_t i = from; i < level.size(); ++i) plan.inputs.back().runs.push_back(level[i].id);
      runs += level.size() - from;
    }
    if (plan.inputs.empty()) return {};
    const uint32_t deepest = plan.inputs.back().level;
    plan.output_level = std::min(plan.output_level, deepest + 1);
    if (plan.output_level > kDeepest || (runs == 1 && plan.output_level == deepest)) return {};
    return plan;
  }

  const uint64_t seed_;
};

}  // namespace

std::string WhyIllegal(const LevelsView& view, const CompactionPlan& plan) {
  if (plan.inputs.empty()) return "no input";
  uint32_t next = plan.inputs.front().level;
  for (const auto& input : plan.inputs) {
    if (input.level >= view.levels.size() || input.runs.empty()) return "a level that holds no run";
    for (; next < input.level; ++next) {
      if (!view.levels[next].empty()) return "level " + std::to_string(next) + " lies between inputs and is none";
    }
    if (next++ != input.level) return "levels out of order";
    const auto& level = view.levels[input.level];
    if (input.runs.size() > level.size()) return "more runs than there are";
    if (input.level != plan.inputs.front().level && input.runs.size() != level.size())
      return "level " + std::to_string(input.level) + " is cut, so the inputs are not contiguous in age";
    for (size_t i = 0; i < input.runs.size(); ++i) {
      const RunView& run = level[level.size() - input.runs.size() + i];
      if (run.id != input.runs[i]) return "not the oldest runs of level " + std::to_string(input.level);
      if (run.busy) return "run " + std::to_string(run.id) + " is busy";
    }
  }
  const uint32_t deepest = plan.inputs.back().level;
  if (plan.output_level != deepest && plan.output_level != deepest + 1) return "the output is too deep or too high";
  return {};
}

std::shared_ptr<CompactionPolicy> NewRandomPolicy(uint64_t seed) { return std::make_shared<RandomPolicy>(seed); }

}  // namespace tarn::test
