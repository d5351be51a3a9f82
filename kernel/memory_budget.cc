#include "kernel/memory_budget.h"

#include "base/assert.h"

namespace tarn::kernel {

void MemoryBudget::Charge(uint64_t bytes) { used_.fetch_add(bytes, std::memory_order_relaxed); }

bool MemoryBudget::TryCharge(uint64_t bytes) {
  uint64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (used > limit_ || bytes > limit_ - used) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  return true;
}

void MemoryBudget::Release(uint64_t bytes) {
  const uint64_t before = used_.fetch_sub(bytes, std::memory_order_relaxed);
  CHECK(before >= bytes);
}

}  // namespace tarn::kernel
