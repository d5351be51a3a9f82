#include "bench/workloads/chance.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace tarn::bench {

Permutation::Permutation(uint64_t n, uint64_t seed) : n_(n) {
  const int bits = std::max(1, static_cast<int>(std::bit_width(n - 1)));
  mask_ = ~0ull >> (64 - bits);
  shift_ = (bits + 1) / 2;
  Random random(seed);
  for (int round = 0; round < kRounds; ++round) {
    odd_[round] = random.Next() | 1;
    add_[round] = random.Next();
  }
}

namespace {

// The sum of 1 / i^theta over 1 .. n: the head by itself, the tail by Euler and Maclaurin, off by less than 1e-9.
double Zeta(uint64_t n, double theta) {
  constexpr uint64_t kHead = 1000;
  double sum = 0;
  for (uint64_t i = 1; i <= std::min(n, kHead); ++i) sum += std::pow(static_cast<double>(i), -theta);
  if (n <= kHead) return sum;
  const auto a = static_cast<double>(kHead), b = static_cast<double>(n);
  const auto f = [theta](double x) { return std::pow(x, -theta); };
  sum += (std::pow(b, 1 - theta) - std::pow(a, 1 - theta)) / (1 - theta);
  return sum + (f(b) - f(a)) / 2 + theta * (f(a) / a - f(b) / b) / 12;
}

}  // namespace

Zipf::Zipf(uint64_t n) : n_(n), zeta_(Zeta(n, kTheta)) {
  eta_ = (1 - std::pow(2.0 / static_cast<double>(n), 1 - kTheta)) / (1 - Zeta(2, kTheta) / zeta_);
}

uint64_t Zipf::Rank(Random& random) const {
  const double u = random.Fraction(), uz = u * zeta_;
  if (uz < 1 || n_ == 1) return 0;
  if (uz < 1 + std::pow(0.5, kTheta) || n_ == 2) return 1;
  const double rank = static_cast<double>(n_) * std::pow(eta_ * u - eta_ + 1, 1 / (1 - kTheta));
  return std::min(n_ - 1, static_cast<uint64_t>(rank));
}

namespace {

// The flags of db_bench that its wiki gives for prefix_dist; the limits are db_bench's defaults.
constexpr double kRangeA = 14.18, kRangeB = -2.917, kRangeC = 0.0164, kRangeD = -0.08082;
constexpr double kKeyA = 0.002312, kKeyB = 0.3467;
constexpr double kValueK = 0.2615, kValueSigma = 25.45;
constexpr double kScanK = 2.517, kScanSigma = 14.236;
constexpr uint64_t kScanMax = 10000;

uint64_t Pareto(Random& random, double k, double sigma) {
  const double x = sigma * (std::pow(random.Fraction(), -k) - 1) / k;
  return static_cast<uint64_t>(std::ceil(std::min(x, 1e18)));  // the tail of the scans reaches beyond 64 bits
}

}  // namespace

MixKeys::MixKeys(uint64_t keys, uint64_t seed) : keys_(keys), range_keys_(std::max<uint64_t>(1, keys / kRanges)) {
  Random random(seed);
  for (int i = 0; i < kRanges; ++i)
    up_to_[i] = kRangeA * std::exp(kRangeB * (i + 1)) + kRangeC * std::exp(kRangeD * (i + 1));
  for (int i = kRanges - 1; i > 0; --i) std::swap(up_to_[i], up_to_[random.Below(i + 1)]);
  double sum = 0;
  for (double& heat : up_to_) heat = sum += heat;
  for (double& heat : up_to_) heat /= sum;
}

uint64_t MixKeys::Id(Random& random) const {
  const double u = random.Fraction();
  const auto range = static_cast<uint64_t>(std::lower_bound(up_to_.begin(), up_to_.end() - 1, u) - up_to_.begin());
  // Ranks of the power law reach far beyond a range: the rank is scattered over it, so that the hot keys of a range
  // are not neighbours.
  const auto rank = static_cast<uint64_t>(std::ceil(std::pow(random.Fraction() / kKeyA, 1 / kKeyB)));
  return (range * range_keys_ + Mix(rank) % range_keys_) % keys_;
}

uint64_t MixKeys::ValueBytes(Random& random) {
  const uint64_t bytes = Pareto(random, kValueK, kValueSigma);
  return std::max<uint64_t>(kValueMin, bytes > kValueMax ? bytes % kValueMax : bytes);
}

uint64_t MixKeys::ScanLength(Random& random) { return Pareto(random, kScanK, kScanSigma) % kScanMax; }

}  // namespace tarn::bench
