// The compaction policies that ship with Tarn.
#pragma once

#include <memory>

#include "tarn/sdk/compaction.h"

namespace tarn {

// One family of shapes (Dayan, Idreos: "Dostoevsky", SIGMOD 2018): size ratio T between levels, at most K runs
// in a level above the last and Z in the last. K = Z = 1 is leveled, K = Z = T-1 tiered, K = T-1 with Z = 1
// lazy leveled, the default.
struct TieredShape {
  uint32_t size_ratio = 4;                   // T, 2 .. 32
  uint32_t runs_per_level = 3;               // K
  uint32_t runs_last_level = 1;              // Z
  uint64_t first_level_bytes = 32ull << 20;  // size at which a run of level 0 counts as full
};
std::shared_ptr<CompactionPolicy> NewTieredPolicy(const TieredShape& shape);

}  // namespace tarn
