#include "bench/workloads/histogram.h"

#include <cmath>

namespace tarn::bench {

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

uint64_t Histogram::Quantile(double q) const {
  const auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(q * static_cast<double>(count_))));
  uint64_t below = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    below += buckets_[i];
    if (below >= rank) return std::min(EndOf(i), max_);
  }
  return max_;
}

namespace {
double Micros(uint64_t nanos) { return static_cast<double>(nanos) / 1e3; }
}  // namespace

Latency Histogram::ToLatency() const {
  return {.p50 = Micros(Quantile(0.5)),
          .p99 = Micros(Quantile(0.99)),
          .p999 = Micros(Quantile(0.999)),
          .max = Micros(max_)};
}

std::vector<std::array<double, 2>> Histogram::Curve() const {
  std::vector<std::array<double, 2>> curve;
  for (double rest = 0.5; rest >= 1e-6; rest *= 0.9) curve.push_back({1 - rest, Micros(Quantile(1 - rest))});
  return curve;
}

}  // namespace tarn::bench
