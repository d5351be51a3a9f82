// LeastDeadRow: stores that are opened while it lives remember rows of so few dead keys (kernel/dead_ranges.h), so
// that short lives on few keys meet dead ranges everywhere.
//
// Threads: one at a time in a process.
#pragma once

#include <cstdint>

#include "kernel/dead_ranges.h"

namespace tarn::test {

class LeastDeadRow {
 public:
  explicit LeastDeadRow(uint32_t keys) : before_(kernel::least_dead_row.exchange(keys)) {}
  ~LeastDeadRow() { kernel::least_dead_row = before_; }
  LeastDeadRow(const LeastDeadRow&) = delete;
  LeastDeadRow& operator=(const LeastDeadRow&) = delete;

 private:
  const uint32_t before_;
};

}  // namespace tarn::test
