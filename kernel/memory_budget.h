// MemoryBudget: the one number of bytes that memtables, cached blocks and read buffers share
// (Settings::memory_bytes).
//
// Two kinds of users. *Needs* (memtables, buffers of reads in flight) Charge() what they take, before they take
// it, and are never refused: they are bounded by their own rules. The *block cache* takes what the needs leave:
// it only ever TryCharge()s, so it never passes the limit, and gives blocks back when needs grow. Whoever
// charges a need calls BlockCache::Shrink() after it; so used() <= limit() holds again as long as the needs
// alone fit.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace tarn::kernel {

class MemoryBudget {
 public:
  explicit MemoryBudget(uint64_t limit) : limit_(limit) {}
  MemoryBudget(const MemoryBudget&) = delete;
  MemoryBudget& operator=(const MemoryBudget&) = delete;

  void Charge(uint64_t bytes);
  // Charges and returns true if the sum stays within the limit; otherwise does nothing.
  [[nodiscard]] bool TryCharge(uint64_t bytes);
  void Release(uint64_t bytes);  // REQUIRES: so much was charged

  uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  uint64_t limit() const { return limit_; }
  bool over() const { return used() > limit_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> used_{0};
};

// A charge that is released when it goes out of scope.
class MemoryCharge {
 public:
  MemoryCharge() = default;
  MemoryCharge(MemoryBudget& budget, uint64_t bytes) : budget_(&budget), bytes_(bytes) { budget.Charge(bytes); }
  MemoryCharge(MemoryCharge&& other) noexcept
      : budget_(std::exchange(other.budget_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  MemoryCharge& operator=(MemoryCharge&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryCharge() {
    if (budget_ != nullptr) budget_->Release(bytes_);
  }
  uint64_t bytes() const { return bytes_; }

 private:
  MemoryBudget* budget_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace tarn::kernel
