// Recorder: the clock of one thread of a run. One read of the clock ends an operation and begins the next, so there
// is no time between operations that nobody counts: making the key and checking the value are inside. Laps allocate
// nothing, but for the list of tenths of a second, which has its size reserved.
//
// An operation counts in the tenth in which it ends. Tenths that were not over when the run ended are left out: half
// of one would look like a stall.
//
//   recorder.Start(start, deadline);
//   do { ... } while (recorder.Lap());
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "bench/workloads/histogram.h"

namespace tarn::bench {

inline uint64_t NowNanos() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

class Recorder {
 public:
  static constexpr uint64_t kTenth = 100'000'000;

  // Tenths are counted from `start`, which all threads of a run share.
  void Start(uint64_t start, uint64_t deadline) {
    deadline_ = deadline;
    tenth_end_ = start + kTenth;
    tenths_.reserve((deadline - start) / kTenth + 2);
    last_ = NowNanos();
  }
  // The call that ends here did so many operations. False: the time is up.
  bool Lap(uint64_t operations = 1) {
    const uint64_t now = NowNanos();
    latency_.Add(now - last_);
    last_ = now;
    operations_ += operations;
    if (now >= tenth_end_) EndTenths(now);
    in_tenth_ += operations;
    return now < deadline_;
  }

  const Histogram& latency() const { return latency_; }
  uint64_t operations() const { return operations_; }
  uint64_t end() const { return last_; }
  const std::vector<uint64_t>& tenths() const { return tenths_; }  // those that are over

 private:
  void EndTenths(uint64_t now) {
    for (; now >= tenth_end_; tenth_end_ += kTenth) tenths_.push_back(std::exchange(in_tenth_, 0));
  }

  uint64_t deadline_ = 0, tenth_end_ = 0, last_ = 0;
  uint64_t operations_ = 0, in_tenth_ = 0;
  Histogram latency_;
  std::vector<uint64_t> tenths_;
};

}  // namespace tarn::bench
