// Cuts the power at a chosen effect. For crash tests: run a workload once to learn how many effects it has, then
// again with the power going at each of them, and reopen what survived.
//
//   auto disk = std::make_shared<MemBackend>();
//   CrashBackend machine(disk);
//   machine.CrashAt(n, seed, CrashMode::kTornSubset);
//   RunWorkload(machine);                      // from effect n on, every call fails with Io
//   auto after = machine.survivor();           // null when the workload ended earlier
//
// Effects are the calls that may change what a crash leaves (ChangesStore in wrapping_backend.h). The chosen one
// does not happen; torn appends come from cutting at the effect after the append, see mem_backend.h.
//
// Threads: any.
#pragma once

#include <mutex>

#include "tests/support/mem_backend.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {

class CrashBackend final : public WrappingBackend {
 public:
  explicit CrashBackend(std::shared_ptr<MemBackend> disk) : WrappingBackend(disk), disk_(std::move(disk)) {}

  // The first effect from now on is 1.
  void CrashAt(uint64_t effect, uint64_t seed, CrashMode mode);
  void CrashNow(uint64_t seed, CrashMode mode);

  uint64_t effects() const;  // since the last CrashAt, or ever
  std::shared_ptr<MemBackend> survivor() const;

 private:
  Status Around(const Call& call, const Effect& effect) override;

  const std::shared_ptr<MemBackend> disk_;
  mutable std::mutex mutex_;  // guards what follows; not held during effects
  std::shared_ptr<MemBackend> survivor_;
  uint64_t effects_ = 0;
  uint64_t crash_at_ = 0;  // 0 = never
  uint64_t seed_ = 0;
  CrashMode mode_ = CrashMode::kDropUnsynced;
};

}  // namespace tarn::test
