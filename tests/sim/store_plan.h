// StorePlan: what one seed of the store world is like. Each seed draws its own subset of operations, their weights,
// its settings, shape of compaction and fault rates ("swarm testing"): a mix of everything in every run would hide
// what only shows when something is missing, such as a store that is never flushed.
#pragma once

#include <array>
#include <cstdint>

#include "tarn/components.h"
#include "tarn/settings.h"
#include "tests/sim/storage.h"
#include "tests/sim/store_model.h"

namespace tarn::test {

enum class StoreOp : uint8_t {
  kWrite,
  kGet,
  kMultiGet,
  kWalk,
  kLongWalk,  // an iterator that lives over many steps
  kTransaction,
  kSnapshot,
  kNamedSnapshot,
  kFamilies,
  kSync,
  kFlush,
  kCompact,
  kBackground,
  kVerify,
  kReadOnly,
  kSecondOpen,
  kCheckpoint,
  kFacts,
  kReopen,
  kKill,      // the process or the machine dies now
  kArmCrash,  // and soon: at some effect from now on
  kFaults,    // switched on, or off
  kRot,
  kCount,
};
inline constexpr size_t kStoreOps = static_cast<size_t>(StoreOp::kCount);
std::string_view StoreOpName(StoreOp op);

struct StorePlan {
  std::array<uint32_t, kStoreOps> weights{};
  uint32_t weight_sum = 0;
  KeySpace::Shape shape = KeySpace::Shape::kTiny;
  uint32_t value_bytes = 60;         // most values are smaller than this
  uint32_t big_value_one_in = 100;   // 0: never
  uint32_t big_batch_one_in = 400;   // writes that are larger than a memtable
  uint32_t background_one_in = 4;    // steps with background quanta
  uint32_t nested_crash_one_in = 2;  // recoveries that are cut, too
  uint32_t crash_effects = 60;       // an armed crash comes within so many effects
  FaultRates rates;

  explicit StorePlan(SeededRandom& random);
  StoreOp Draw(SeededRandom& random) const;
};

// The settings of one open; a store may be reopened with others.
Settings DrawSettings(SeededRandom& random);
std::shared_ptr<CompactionPolicy> DrawCompaction(const Settings& settings, SeededRandom& random);

}  // namespace tarn::test
