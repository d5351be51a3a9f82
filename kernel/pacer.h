// Pacer: back-pressure, paid continuously. Every written byte costs a delay that grows with the debt of the
// store, so writers slow down smoothly to what compaction can follow, and never meet a wall.
//
// pressure is debt divided by the reference debt. Up to kDebtFree nothing is owed. Above, a byte owes
//   (pressure - kDebtFree)^2 / kReferenceBytesPerSecond   seconds;
// delays are gathered until they are worth a sleep, and one group never sleeps longer than kMaxSleepNanos.
//
// Threads: Set by background work; Pay by the leader of the write path.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "kernel/constants.h"

namespace tarn::kernel {

class Pacer {
 public:
  void Set(double pressure) { pressure_.store(pressure, std::memory_order_relaxed); }
  double pressure() const { return pressure_.load(std::memory_order_relaxed); }

  // What the writer of `bytes` must sleep now, in nanoseconds; 0 = nothing yet.
  uint64_t Pay(uint64_t bytes) {
    const double over = pressure() - kDebtFree;
    if (over <= 0) {
      owed_ = 0;
      return 0;
    }
    owed_ += static_cast<double>(bytes) * over * over * 1e9 / kReferenceBytesPerSecond;
    if (owed_ < static_cast<double>(kMinSleepNanos)) return 0;
    const auto sleep = static_cast<uint64_t>(std::min(owed_, static_cast<double>(kMaxSleepNanos)));
    owed_ = 0;
    return sleep;
  }

 private:
  std::atomic<double> pressure_{0};
  double owed_ = 0;  // nanoseconds; the leader's
};

}  // namespace tarn::kernel
