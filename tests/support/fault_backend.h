// Fails one chosen call, or all from it on. For tests of error paths: run a workload once to learn how many calls
// it makes, then again with each of them failing in turn.
//
//   FaultBackend faulty(mem);
//   RunWorkload(faulty);
//   for (uint64_t n = 1; n <= calls; ++n) { faulty.Arm({.at_call = n, .error = Status::Io("injected")}); ... }
//
// Counted are all calls of wrapping_backend.h (also those of readers, writers, files and queues). A read through
// a queue is two: its submission and its completion.
//
// Threads: any.
#pragma once

#include <functional>
#include <mutex>

#include "tests/support/wrapping_backend.h"

namespace tarn::test {

struct Fault {
  uint64_t at_call = 1;  // of the calls that `only` selects, counted from Arm(); the next one is 1
  Status error = Status::Io("injected fault");
  bool forever = false;                   // this call and every selected one after it
  bool effect_happens = false;            // the effect takes place although the caller is told that it failed
  std::function<bool(const Call&)> only;  // null selects every call
};

class FaultBackend final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  void Arm(Fault fault);
  void Disarm();
  uint64_t calls() const;  // that were selected since Arm() or Disarm()
  uint64_t fired() const;  // how many of them were failed

 private:
  Status Around(const Call& call, const Effect& effect) override;

  mutable std::mutex mutex_;  // guards what follows; not held during effects
  Fault fault_;
  bool armed_ = false;
  uint64_t calls_ = 0;
  uint64_t fired_ = 0;
};

}  // namespace tarn::test
