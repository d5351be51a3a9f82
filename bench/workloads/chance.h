// Chance: where a workload gets its random choices from. All of it is a pure function of a seed, needs no memory that
// grows with the data set, and costs a few nanoseconds (Zipf and MixKeys: a power, some tens).
#pragma once

#include <array>
#include <cstdint>

namespace tarn::bench {

// Every bit of the input changes half of the bits of the output (the finalizer of splitmix64, a bijection).
constexpr uint64_t Mix(uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9ull;
  x ^= x >> 27;
  x *= 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

class Random {  // splitmix64
 public:
  explicit Random(uint64_t seed) : state_(Mix(seed)) {}
  uint64_t Next() { return Mix(state_ += 0x9e3779b97f4a7c15ull); }
  uint64_t Below(uint64_t n) {  // 0 .. n-1; off uniform by less than n / 2^64
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * n) >> 64);
  }
  // In (0, 1]: safe under a logarithm or a negative power.
  double Fraction() { return static_cast<double>((Next() >> 11) + 1) * 0x1p-53; }

 private:
  uint64_t state_;
};

// A random order of 0 .. n-1 without a table: Of(0), Of(1), ... Of(n-1) are all of them, each once. A bijection of
// the next power of two (odd multipliers and shifts to the right), walked until it lands below n: less than 2 steps
// on average.
class Permutation {
 public:
  Permutation(uint64_t n, uint64_t seed);
  uint64_t Of(uint64_t i) const {
    do {
      for (int round = 0; round < kRounds; ++round) {
        i = (i * odd_[round] + add_[round]) & mask_;
        i ^= i >> shift_;
      }
    } while (i >= n_);
    return i;
  }

 private:
  static constexpr int kRounds = 3;  // fewer leave neighbours in visible order
  uint64_t n_, mask_;
  int shift_;
  std::array<uint64_t, kRounds> odd_, add_;
};

// Ranks 0 .. n-1, rank r with a probability in proportion to 1 / (r + 1)^theta: YCSB's zipfian. The method of Gray et
// al., "Quickly generating billion-record synthetic databases" (SIGMOD 1994), which YCSB uses too.
class Zipf {
 public:
  static constexpr double kTheta = 0.99;  // YCSB's
  explicit Zipf(uint64_t n);
  uint64_t Rank(Random& random) const;

 private:
  uint64_t n_;
  double zeta_, eta_;
};

// db_bench's mixgraph, "prefix_dist" of the RocksDB wiki: "Characterizing, Modeling, and Benchmarking RocksDB
// Key-Value Workloads at Facebook" (FAST 2020), use case ZippyDB. The key space is cut into 30 ranges, whose heat is
// a two-term exponential, dealt out over the key space in random order; within a range, a rank from a power law picks
// the key.
class MixKeys {
 public:
  MixKeys(uint64_t keys, uint64_t seed);
  uint64_t Id(Random& random) const;

  // Of the generalized Pareto distributions.
  static constexpr uint32_t kValueMin = 10, kValueMax = 1024;
  static uint64_t ValueBytes(Random& random);  // kValueMin .. kValueMax, mean about 35
  static uint64_t ScanLength(Random& random);  // 0 .. 9999

  static constexpr double kGets = 0.83, kPuts = 0.14;  // the other 0.03 are scans

 private:
  static constexpr int kRanges = 30;
  uint64_t keys_, range_keys_;
  std::array<double, kRanges> up_to_;  // cumulated heat, in the order of the key space; the last is 1
};

}  // namespace tarn::bench
