// A store on a simulated machine: one thread, one seed, any backend. For kernel tests.
#pragma once

#include <memory>
#include <string>

#include "tarn/db.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

inline Settings SmallSettings() {
  Settings settings;
  settings.memory_bytes = 8ull << 20;
  settings.memtable_bytes = 64ull << 10;
  settings.table_bytes = 64ull << 10;
  settings.durability = Durability::kProcess;
  return settings;
}

inline Components SimParts(std::shared_ptr<Backend> backend, uint64_t seed = 1) {
  Components parts;
  parts.backend = std::move(backend);
  parts.clock = std::make_shared<VirtualClock>();
  parts.entropy = std::make_shared<SeededEntropy>(seed);
  parts.scheduler = std::make_shared<SimScheduler>(seed);
  return parts;
}

inline Result<std::unique_ptr<DB>> OpenSim(std::shared_ptr<Backend> backend, Settings settings = SmallSettings(),
                                           uint64_t seed = 1) {
  return DB::Open(settings, SimParts(std::move(backend), seed));
}

// Like printf("%04d"): keys that sort as their numbers.
inline std::string NumberedKey(uint64_t n) {
  std::string digits = std::to_string(n);
  return "key" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits;
}

}  // namespace tarn::test
