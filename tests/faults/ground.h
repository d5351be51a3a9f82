// The ground under a swept operation: where the N-th call fails. For the sweeps of tests/faults.
//
// SQLite's method: count the calls K of an operation on a rehearsal, then run it K times from the same start, the
// fault one call later each time. A ground is made anew for each run; what it knows are calls and files, never what
// the operation means.
//
// Threads: Arm, Disarm and the counters from the test's thread; the calls themselves from any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tarn/sdk/backend.h"

namespace tarn::test {

// How the process that met the fault ends before the store is opened again.
enum class Ending : uint8_t { kDestroyed, kKilled, kPowerLost };

class Ground {
 public:
  virtual ~Ground() = default;

  // From now on the nth selected call fails in the way of `kind`; 0 counts only.
  virtual void Arm(size_t kind, uint64_t nth) = 0;
  virtual void Disarm() = 0;
  virtual uint64_t calls() const = 0;    // that the kind selects, since Arm
  virtual uint64_t fired() const = 0;    // how many of them failed
  virtual bool hit_log() const = 0;      // one of these was on the log
  virtual bool hit_publish() const = 0;  // or on a manifest record that may be there nevertheless

  // Why `error` is no honest report of the fault that fired; empty when it is one.
  virtual std::string Objection(size_t kind, const Status& error) const = 0;

  // The store as the operation sees it, and a new empty one beside it; their calls are counted alike.
  virtual Result<std::shared_ptr<Backend>> Store(bool read_only) = 0;
  virtual Result<std::shared_ptr<Backend>> Target() = 0;

  // What a new process finds, without faults. kDestroyed: every object over Store() is gone already.
  virtual std::shared_ptr<Backend> After(Ending ending, uint64_t seed) = 0;
  virtual std::shared_ptr<Backend> TargetAfter() = 0;
  virtual std::vector<Ending> endings() const = 0;
  // What was left behind although every object is gone: descriptors, temporary files. Empty: nothing.
  virtual std::string Leftovers() const = 0;
};

// What a kind of fault is called, and makes grounds over one start.
class Grounds {
 public:
  virtual ~Grounds() = default;
  virtual const std::vector<std::string>& kinds() const = 0;
  // An empty place, or a copy of what Keep() holds.
  virtual std::unique_ptr<Ground> Empty() = 0;
  virtual std::unique_ptr<Ground> FromImage(const std::string& image) = 0;
  // A backend without faults to build an image in, and the moment to keep it under a name.
  virtual std::shared_ptr<Backend> Workshop() = 0;
  virtual void Keep(const std::string& image) = 0;
};

// The points of a sweep over K calls: all of them with TARN_FAULTS=full, else about `limit`, an even stride apart
// from a start that TARN_SEED (printed) draws.
std::vector<uint64_t> PointsOf(uint64_t calls, uint64_t limit, uint64_t salt);
uint64_t SweepSeed();

// One line, not long, with a next step. Empty when that is so.
std::string ObjectionToForm(const Status& error);

std::unique_ptr<Grounds> NewMemGrounds();    // mem_ground.cc: backend calls fail
std::unique_ptr<Grounds> NewLocalGrounds();  // local_ground.cc: system calls fail

}  // namespace tarn::test
