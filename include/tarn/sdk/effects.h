// The seams for time, chance and background work. For whoever runs Tarn inside a simulator or its own
// runtime; everyone else uses the defaults that Components fills in.
//
// No folder above base/ reads a clock, draws a random number, sleeps or starts a thread except through these,
// so that a whole engine can be run on one thread from one seed.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <span>

namespace tarn {

// Threads: any.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual uint64_t MonotonicNanos() = 0;  // never goes back; origin unspecified
  virtual uint64_t WallNanos() = 0;       // since 1970 UTC; may jump; used for labels only, never for order
  virtual void SleepNanos(uint64_t nanos) = 0;
};

// Threads: any.
class Entropy {
 public:
  virtual ~Entropy() = default;
  virtual void Fill(std::span<char> out) = 0;
};

// Runs background work in quanta. A task is called again and again, never by two threads at once, until it
// returns false. One call should last about a millisecond, so that a flush overtakes a deep merge between two
// quanta. Tasks of an earlier lane always go first.
//
// Threads: any may call. The owner of a task waits for its end (Await) before it frees what the task uses.
class Scheduler {
 public:
  enum class Lane : uint8_t { kFlush = 0, kCompact = 1, kIdle = 2 };
  using Task = std::function<bool()>;

  virtual ~Scheduler() = default;
  virtual void Submit(Lane lane, Task task) = 0;
  // Blocks until `ready` is true. `mutex` is held by the caller on entry, while `ready` runs and on return,
  // and is released while waiting. The single-threaded scheduler runs tasks meanwhile.
  virtual void Await(std::mutex& mutex, const std::function<bool()>& ready) = 0;
  // Tells all waiters to look again. Call it after changing what `ready` looks at, under the same mutex.
  virtual void Notify() = 0;
};

}  // namespace tarn
