// Time, chance and background work on one thread from one seed: what turns an engine into a simulation. For tests.
//
// Two runs with the same seed and the same calls see the same times, the same random bytes and the same order
// of background quanta, so a failure is replayed by its seed alone.
//
// Threads: SimScheduler runs tasks only on the thread that calls RunOne, RunAll or Await; one thread at a time
// may do so. Submit, Notify, the clock and the entropy are safe from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "tarn/sdk/effects.h"

namespace tarn::test {

// splitmix64: tiny, good enough, and the same on every platform (unlike the distributions of <random>).
class SeededRandom {
 public:
  explicit SeededRandom(uint64_t seed) : state_(seed) {}
  uint64_t Next();
  uint64_t Below(uint64_t bound) { return Next() % bound; }  // REQUIRES: bound > 0
  bool OneIn(uint64_t n) { return Below(n) == 0; }

 private:
  uint64_t state_;
};

// Stands still except when asked: each look costs `nanos_per_look`, so that a loop which polls the time ends,
// and a sleep moves time by its length at once.
class VirtualClock final : public Clock {
 public:
  explicit VirtualClock(uint64_t nanos_per_look = 1000) : nanos_per_look_(nanos_per_look) {}
  uint64_t MonotonicNanos() override { return now_ += nanos_per_look_; }
  uint64_t WallNanos() override { return kWallOrigin + MonotonicNanos(); }
  void SleepNanos(uint64_t nanos) override { now_ += nanos; }
  void Advance(uint64_t nanos) { now_ += nanos; }

 private:
  static constexpr uint64_t kWallOrigin = 1'700'000'000'000'000'000;  // some day in 2023
  const uint64_t nanos_per_look_;
  std::atomic<uint64_t> now_{0};
};

class SeededEntropy final : public Entropy {
 public:
  explicit SeededEntropy(uint64_t seed) : random_(seed) {}
  void Fill(std::span<char> out) override;

 private:
  std::mutex mutex_;
  SeededRandom random_;
};

// Keeps submitted tasks until someone runs a quantum. Lanes are strict priorities as the contract says; among
// the tasks of one lane the seed chooses.
class SimScheduler final : public Scheduler {
 public:
  explicit SimScheduler(uint64_t seed) : random_(seed) {}
  // REQUIRES: every task ended or its owner no longer cares; what is queued is dropped.
  ~SimScheduler() override = default;

  void Submit(Lane lane, Task task) override;
  // Runs quanta until `ready`. When there is nothing to run, or no end after ten million quanta, the process is
  // aborted with a message: on one thread nobody else could make `ready` true.
  void Await(std::mutex& mutex, const std::function<bool()>& ready) override;
  void Notify() override {}  // Await looks again after each quantum anyway

  // Runs one quantum; false when no task is queued.
  bool RunOne();
  // Runs until no task is queued; returns the number of quanta.
  uint64_t RunAll();
  size_t queued() const;

 private:
  mutable std::mutex mutex_;  // guards random_ and lanes_; never held while a task runs
  SeededRandom random_;
  std::array<std::vector<Task>, 3> lanes_;
};

}  // namespace tarn::test
