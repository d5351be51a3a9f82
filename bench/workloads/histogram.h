// Histogram of latencies in nanoseconds, log-linear: exact below 64, then 64 buckets for each power of two, so a
// bucket is at most 1/64 of its value wide. A quantile is the upper end of its bucket: never too low, at most 1.6 %
// too high. The maximum is exact. One per thread; merged when the threads are done. Adding allocates nothing.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/run.h"

namespace tarn::bench {

class Histogram {
 public:
  void Add(uint64_t nanos) {
    ++buckets_[IndexOf(nanos)];
    ++count_;
    max_ = std::max(max_, nanos);
  }
  void Merge(const Histogram& other);

  uint64_t count() const { return count_; }
  uint64_t max() const { return max_; }
  // The smallest bucket end that at least ceil(q * count) samples do not exceed; 0 when there are none.
  uint64_t Quantile(double q) const;

  Latency ToLatency() const;
  // RunResult::latency_curve: 50 %, and from there always a tenth of what remains, to 99.9999 %.
  std::vector<std::array<double, 2>> Curve() const;

 private:
  static constexpr int kBits = 6;
  static constexpr size_t kSteps = 1 << kBits;
  static size_t IndexOf(uint64_t v) {
    if (v < kSteps) return v;
    const int shift = std::bit_width(v) - kBits - 1;
    return (static_cast<size_t>(shift) << kBits) + (v >> shift);
  }
  static uint64_t EndOf(size_t index) {
    if (index < kSteps) return index;
    const size_t shift = (index >> kBits) - 1;
    return (((index & (kSteps - 1)) + kSteps + 1) << shift) - 1;
  }

  std::array<uint64_t, (64 - kBits + 1) * kSteps> buckets_{};
  uint64_t count_ = 0, max_ = 0;
};

}  // namespace tarn::bench
