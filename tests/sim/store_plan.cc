#include "tests/sim/store_plan.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "compaction/builtin.h"

namespace tarn::test {
namespace {

struct OpInfo {
  std::string_view name;
  uint32_t weight;  // of a plain mix, per 10,000 steps
  bool optional;    // a seed may do without it
};

constexpr std::array<OpInfo, kStoreOps> kOps = {{
    {"write", 3400, false},    {"get", 1500, false},       {"multiget", 400, true},     {"walk", 1500, true},
    {"long walk", 600, true},  {"transaction", 500, true}, {"snapshot", 200, true},     {"named snapshot", 60, true},
    {"families", 30, true},    {"sync", 100, true},        {"flush", 80, true},         {"compact", 12, true},
    {"background", 200, true}, {"verify", 3, true},        {"read-only open", 5, true}, {"second open", 3, true},
    {"checkpoint", 2, true},   {"facts", 5, true},         {"reopen", 8, true},         {"kill", 20, true},
    {"arm a crash", 40, true}, {"faults", 40, true},       {"rot", 20, true},
}};

// Any plan that the contract allows (tarn/sdk/compaction.h): the built-in policies never merge some of a level into
// the level itself, nor over levels as they please. Each plan makes fewer runs, so there is an end.
class AnyPolicy final : public CompactionPolicy {
 public:
  explicit AnyPolicy(uint64_t seed) : seed_(seed) {}
  std::string_view name() const override { return "any"; }
  uint64_t Debt(const LevelsView&) const override { return 0; }
  std::optional<CompactionPlan> Choose(const LevelsView& view) const override {
    uint64_t shape = seed_, runs = 0;
    for (const auto& level : view.levels) {
      for (const RunView& run : level) shape = shape * 31 + run.id, ++runs;
    }
    SeededRandom random(shape);
    if (runs <= 1 + random.Below(6)) return std::nullopt;
    // The oldest runs of the last level, then whole levels and at last the oldest runs of one more, upwards.
    const size_t last = random.Below(view.levels.size());
    CompactionPlan plan{.output_level = static_cast<uint32_t>(last + random.Below(2)), .reason = "any"};
    uint64_t wanted = 2 + random.Below(runs);
    for (size_t level = last + 1; level-- > 0 && wanted > 0;) {
      const std::vector<RunView>& there = view.levels[level];
      CompactionPlan::Input input{.level = static_cast<uint32_t>(level)};
      for (size_t i = there.size(); i-- > 0 && wanted > 0; --wanted) {
        if (there[i].busy) return std::nullopt;
        input.runs.insert(input.runs.begin(), there[i].id);
      }
      if (!input.runs.empty()) plan.inputs.insert(plan.inputs.begin(), std::move(input));
    }
    size_t taken = 0;
    for (const auto& input : plan.inputs) taken += input.runs.size();
    if (taken < 2 || plan.inputs.back().level + 1 < plan.output_level) return std::nullopt;
    return plan;
  }

 private:
  const uint64_t seed_;
};

uint32_t Rate(SeededRandom& random, uint32_t most) {
  return random.OneIn(3) ? 0 : static_cast<uint32_t>(random.Below(most));
}

}  // namespace

std::string_view StoreOpName(StoreOp op) { return kOps[static_cast<size_t>(op)].name; }

StorePlan::StorePlan(SeededRandom& random) {
  for (size_t i = 0; i < kStoreOps; ++i) {
    const bool without = kOps[i].optional && random.OneIn(5);
    weights[i] = without ? 0 : 1 + kOps[i].weight * static_cast<uint32_t>(25 + random.Below(175)) / 100;
    weight_sum += weights[i];
  }
  shape = static_cast<KeySpace::Shape>(random.Below(3));
  constexpr uint64_t kSizes[] = {30, 100, 1000, 4000};
  value_bytes = static_cast<uint32_t>(8 + random.Below(kSizes[random.Below(4)]));
  big_value_one_in = random.OneIn(4) ? 0 : static_cast<uint32_t>(50 + random.Below(500));
  big_batch_one_in = random.OneIn(4) ? 20 : 400;
  // Starved, full memtables gather until a writer waits for room.
  background_one_in = static_cast<uint32_t>(random.OneIn(4) ? 10000 : 1 + random.Below(random.OneIn(4) ? 100 : 8));
  nested_crash_one_in = static_cast<uint32_t>(1 + random.Below(4));
  crash_effects = static_cast<uint32_t>(random.OneIn(3) ? 2000 : 60);
  rates.io_error = Rate(random, 10000);
  rates.io_after = Rate(random, 10000);
  rates.no_space = Rate(random, 30000);
  rates.short_transfer = Rate(random, 50000);
  rates.throttle = Rate(random, 20000);
  rates.lost_answer = Rate(random, 60000);
  rates.duplicate = Rate(random, 200000);
  rates.late = Rate(random, 100000);
}

StoreOp StorePlan::Draw(SeededRandom& random) const {
  uint64_t dice = random.Below(weight_sum);
  size_t op = 0;
  while (dice >= weights[op]) dice -= weights[op++];
  return static_cast<StoreOp>(op);
}

Settings DrawSettings(SeededRandom& random) {
  Settings settings;
  // Small parts, so that a short life meets flushes, many tables, levels and cache misses.
  settings.memory_bytes = 8ull << 20 << random.Below(2);
  settings.background_threads = static_cast<uint32_t>(1 + random.Below(3));
  settings.memtable_bytes = 64ull << 10 << random.Below(3);
  settings.table_bytes = 64ull << 10 << random.Below(2);
  settings.block_bytes = 512u << random.Below(5);
  settings.size_ratio = static_cast<uint32_t>(2 + random.Below(5));
  settings.filter_bits_per_key = static_cast<uint32_t>(random.OneIn(3) ? 0 : 1 + random.Below(16));
  settings.compression = static_cast<Compression>(random.OneIn(2) ? 0 : random.Below(3));
  settings.last_level_compression = static_cast<Compression>(random.OneIn(2) ? 0 : random.Below(3));
  settings.durability = static_cast<Durability>(random.Below(3));
  return settings;
}

std::shared_ptr<CompactionPolicy> DrawCompaction(const Settings& settings, SeededRandom& random) {
  const uint32_t most = settings.size_ratio - 1;
  TieredShape shape{.size_ratio = settings.size_ratio, .first_level_bytes = settings.memtable_bytes};
  switch (random.Below(5)) {
    case 0: return nullptr;  // what a user gets
    case 4: return std::make_shared<AnyPolicy>(random.Next());
    case 1: shape.runs_per_level = shape.runs_last_level = 1; break;
    case 2: shape.runs_per_level = shape.runs_last_level = most; break;
    default: shape.runs_per_level = most; shape.runs_last_level = 1;
  }
  return NewTieredPolicy(shape);
}

}  // namespace tarn::test
