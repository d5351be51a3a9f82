// The tiered family of compaction policies; lazy leveling is the default shape.
// Source: Dayan, Idreos, "Dostoevsky: Better Space-Time Trade-Offs for LSM-Tree Based Key-Value Stores via
// Adaptive Removal of Superfluous Merging", SIGMOD 2018.
//
// Words: T, K, Z as in TieredShape. The *last level* L is the deepest one that holds a run; it holds most of the
// data, so it alone decides space and most of the cost. A *batch* is what one merge moves down a level.
//
// The rules, most urgent first:
//   1. A level above the last with more than K runs moves all of them down as one batch. In the next level the
//      batch becomes a new run, except that
//        - the last level keeps at most Z runs: when it would have more, its runs join the merge;
//        - a level that gathers fewer than T-1 runs joins the merge while it holds less than T batches. That is
//          how K = 1 becomes leveling.
//      A last level that joins and is *full* moves one level deeper by the same merge, at no extra cost: this is
//      the only way the tree grows. Full means more than T batches, and also beyond its nominal size
//      first_level_bytes * T^(L+1); beyond 2T batches it is full whatever its size, so that flushes that are
//      smaller than nominal do not rewrite a large level again and again.
//   2. A last level with more than Z runs (the shape was changed) becomes one run.
//   3. With Z = 1: when the level above the last holds more than half as much as the last, it is merged into it.
//      Newer versions above are the garbage of tomorrow; this bounds it when the last level is young and small.
//   4. Runs of mostly tombstones go down at once, so that deletes give space back without waiting for writes. They
//      must be worth it: T times their tombstones is no less than the entries of the last level, so the price of
//      a delete is bounded by the levels and T. A run in the last level is rewritten in place, all runs of that
//      level together; a merge that reaches the bottom leaves no more tombstones than puts (drop_rules.h), hence
//      this ends.
//
// Cost, with flushes of one size: each byte is written once a level above the last and 1..T+1 times in it.
// tests/compaction/tiered_policy_test.cc simulates it.
//
// While plans run: sources are the oldest runs of their level, so a level whose oldest run is busy gives none.
// Nothing enters the last level while a merge holds runs of it. A level above the last may be entered while its
// older runs leave it, but a plan that disturbs nobody is preferred.
//
// Threads: immutable; any.

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "compaction/builtin.h"

namespace tarn {
namespace {

constexpr size_t kNone = SIZE_MAX;
using Level = std::vector<RunView>;

uint64_t Bytes(const Level& level) {
  uint64_t sum = 0;
  for (const RunView& run : level) sum += run.bytes;
  return sum;
}
uint64_t Entries(const Level& level) {
  uint64_t sum = 0;
  for (const RunView& run : level) sum += run.entries;
  return sum;
}
bool AnyBusy(const Level& level) {
  return std::any_of(level.begin(), level.end(), [](const RunView& run) { return run.busy; });
}
// Index of the newest run of the idle ones that end with the oldest; level.size() when that one is busy.
size_t IdleFrom(const Level& level) {
  size_t from = level.size();
  while (from > 0 && !level[from - 1].busy) --from;
  return from;
}
bool MostlyTombstones(const RunView& run) { return run.tombstones > run.entries / 2; }

CompactionPlan::Input InputOf(size_t number, const Level& level, size_t from) {
  CompactionPlan::Input input{static_cast<uint32_t>(number), {}};
  for (size_t i = from; i < level.size(); ++i) input.runs.push_back(level[i].id);
  return input;
}

class TieredPolicy final : public CompactionPolicy {
 public:
  explicit TieredPolicy(const TieredShape& shape) : shape_(shape) {
    CHECK(shape.size_ratio >= 2 && shape.size_ratio <= 32);
    CHECK(shape.runs_per_level >= 1 && shape.runs_last_level >= 1);
  }

  std::string_view name() const override { return "tiered"; }

  std::optional<CompactionPlan> Choose(const LevelsView& view) const override {
    const size_t last = LastLevel(view);
    if (last == kNone) return std::nullopt;
    if (auto plan = MoveFullLevel(view, last, false)) return plan;
    if (last > 0 && view.levels[last].size() > shape_.runs_last_level) {
      if (auto plan = RewriteLast(view, last, "runs of the last level")) return plan;
    }
    if (auto plan = SaveSpace(view, last)) return plan;
    if (auto plan = MoveTombstones(view, last)) return plan;
    return MoveFullLevel(view, last, true);
  }

  // A level works well while it gathers one batch and another is on its way down, 2K+2 runs in all; what the
  // levels above hold counts as the part of a run that is about to arrive, so the debt grows with each flush and
  // not by whole runs of a deep level. Runs smaller than those above them (moved tombstones) count as those. A
  // byte too many is read once in each level on its way down, and T bytes of the last level with it. The level
  // that is furthest behind rules.
  uint64_t Debt(const LevelsView& view) const override {
    const size_t last = LastLevel(view);
    if (last == kNone) return 0;
    uint64_t debt = 0, sum = 0, run_bytes = 0;
    for (size_t i = 0; i < std::max<size_t>(last, 1); ++i) {
      const Level& level = view.levels[i];
      if (level.empty()) continue;
      sum += Bytes(level);
      run_bytes = std::max(run_bytes, Bytes(level) / level.size());
      const uint64_t allowed = run_bytes * (2ull * shape_.runs_per_level + 2);
      if (sum > allowed) debt = std::max(debt, (sum - allowed) * (last - i + shape_.size_ratio));
    }
    return debt;
  }

 private:
  static size_t LastLevel(const LevelsView& view) {
    for (size_t i = view.levels.size(); i-- > 0;) {
      if (!view.levels[i].empty()) return i;
    }
    return kNone;
  }

  // first_level_bytes * T^(level+1), as far as it fits.
  uint64_t NominalBytes(size_t level) const {
    uint64_t bytes = std::max<uint64_t>(shape_.first_level_bytes, 1);
    for (size_t i = 0; i <= level && bytes < UINT64_MAX / 64; ++i) bytes *= shape_.size_ratio;
    return bytes;
  }

  bool LastIsFull(size_t last, uint64_t bytes, uint64_t batch) const {
    const uint64_t ratio = shape_.size_ratio;
    if (bytes / ratio <= batch) return false;
    return bytes + batch > NominalBytes(last) || bytes / ratio / 2 > batch;
  }

  // Whether a batch that arrives in a level above the last is merged with what is there.
  bool JoinsMiddle(const Level& target, uint64_t batch) const {
    if (shape_.runs_per_level + 1 >= shape_.size_ratio || target.size() < shape_.runs_per_level) return false;
    return !AnyBusy(target) && (Bytes(target) + batch) / shape_.size_ratio < batch;
  }

  // The runs from index `from` on of level `source`, into the level below.
  std::optional<CompactionPlan> MoveDown(const LevelsView& view, size_t last, size_t source, size_t from,
                                         bool may_grow, std::string_view reason) const {
    const Level& level = view.levels[source];
    uint64_t batch = 0;
    for (size_t i = from; i < level.size(); ++i) batch += level[i].bytes;
    const size_t target = source + 1;
    CompactionPlan plan{{InputOf(source, level, from)}, static_cast<uint32_t>(target), reason};
    if (target > last) return plan;

    const Level& below = view.levels[target];
    bool joins = JoinsMiddle(below, batch);
    if (target == last) {
      if (AnyBusy(below)) return std::nullopt;
      joins = below.size() >= shape_.runs_last_level;
      if (joins && may_grow && LastIsFull(last, Bytes(below), batch)) ++plan.output_level;
    }
    if (joins) plan.inputs.push_back(InputOf(target, below, 0));
    return plan;
  }

  // Rule 1. Of several levels, the one with most runs: each run is one more place to look in for every read.
  std::optional<CompactionPlan> MoveFullLevel(const LevelsView& view, size_t last, bool into_busy) const {
    std::optional<CompactionPlan> best;
    size_t most = shape_.runs_per_level;
    for (size_t i = 0; i < std::max<size_t>(last, 1); ++i) {
      const Level& level = view.levels[i];
      const size_t from = IdleFrom(level);
      if (level.size() - from <= most) continue;
      if (!into_busy && i < last && AnyBusy(view.levels[i + 1])) continue;
      auto plan = MoveDown(view, last, i, from, true, "runs of a level");
      if (!plan.has_value()) continue;
      most = level.size() - from;
      best = std::move(plan);
    }
    return best;
  }

  // All runs of the last level into one, in place. Not while something may be about to enter it.
  static std::optional<CompactionPlan> RewriteLast(const LevelsView& view, size_t last, std::string_view reason) {
    if (AnyBusy(view.levels[last]) || AnyBusy(view.levels[last - 1])) return std::nullopt;
    return CompactionPlan{{InputOf(last, view.levels[last], 0)}, static_cast<uint32_t>(last), reason};
  }

  // Rule 3. Level 0 is left alone: where it is the level above the last, the store is a few flushes small.
  std::optional<CompactionPlan> SaveSpace(const LevelsView& view, size_t last) const {
    if (shape_.runs_last_level != 1 || last < 2) return std::nullopt;
    const Level& above = view.levels[last - 1];
    if (above.empty() || AnyBusy(above) || Bytes(above) <= Bytes(view.levels[last]) / 2) return std::nullopt;
    return MoveDown(view, last, last - 1, 0, false, "space of old versions");
  }

  // Rule 4, deepest level first: what is there has the shortest way.
  std::optional<CompactionPlan> MoveTombstones(const LevelsView& view, size_t last) const {
    const uint64_t entries = Entries(view.levels[last]);
    for (size_t i = last + 1; i-- > 0;) {
      const Level& level = view.levels[i];
      size_t from = IdleFrom(level);
      while (from < level.size() && !MostlyTombstones(level[from])) ++from;
      uint64_t tombstones = 0;
      for (size_t r = from; r < level.size(); ++r) tombstones += level[r].tombstones;
      if (from == level.size() || tombstones < entries / shape_.size_ratio) continue;
      if (i < last && AnyBusy(view.levels[i + 1])) continue;
      auto plan = i == last && i > 0 ? RewriteLast(view, last, "tombstones")
                                     : MoveDown(view, last, i, from, false, "tombstones");
      if (plan.has_value()) return plan;
    }
    return std::nullopt;
  }

  const TieredShape shape_;
};

}  // namespace

std::shared_ptr<CompactionPolicy> NewTieredPolicy(const TieredShape& shape) {
  return std::make_shared<TieredPolicy>(shape);
}

}  // namespace tarn
