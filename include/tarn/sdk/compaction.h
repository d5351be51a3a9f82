// The compaction policy contract: when to merge what. For authors of compaction policies.
//
// A policy is a pure function from a view of the levels to at most one plan; it sees no files and has no
// state, so it is tested with numbers alone. The kernel executes plans in bounded quanta and may ask again
// while others run.
//
// A *run* is a sorted sequence of tables with disjoint key ranges. A level holds runs, newest first. All data
// of level i is newer than all data of level i+1 for the same key.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace tarn {

struct RunView {
  uint64_t id = 0;
  uint64_t bytes = 0;
  uint64_t tables = 0;
  uint64_t entries = 0;
  uint64_t tombstones = 0;  // point and range deletions among the entries
  bool busy = false;        // input of a running plan: may not be chosen
};
struct LevelsView {
  std::vector<std::vector<RunView>> levels;  // levels[0] receives flushes; each newest run first
};

// Merge these whole runs into one new run at `output_level`. The runs of each level are the oldest ones that
// are contiguous in age, and output_level is the deepest input level or the one below it.
struct CompactionPlan {
  struct Input {
    uint32_t level = 0;
    std::vector<uint64_t> runs;
  };
  std::vector<Input> inputs;
  uint32_t output_level = 0;
  std::string_view reason;  // static text, for logs and statistics
};

class CompactionPolicy {
 public:
  virtual ~CompactionPolicy() = default;
  virtual std::string_view name() const = 0;
  // The most urgent plan, or nothing when the shape is good. REQUIRES of the result: no busy run.
  virtual std::optional<CompactionPlan> Choose(const LevelsView& view) const = 0;
  // Bytes that must still be read by merges to reach a good shape: what back-pressure is computed from.
  virtual uint64_t Debt(const LevelsView& view) const = 0;
};

}  // namespace tarn
