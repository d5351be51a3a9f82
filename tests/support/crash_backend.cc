#include "tests/support/crash_backend.h"

namespace tarn::test {

void CrashBackend::CrashAt(uint64_t effect, uint64_t seed, CrashMode mode) {
  std::lock_guard lock(mutex_);
  effects_ = 0;
  crash_at_ = effect;
  seed_ = seed;
  mode_ = mode;
}

void CrashBackend::CrashNow(uint64_t seed, CrashMode mode) {
  std::lock_guard lock(mutex_);
  if (survivor_ == nullptr) survivor_ = disk_->CrashClone(seed, mode);
}

uint64_t CrashBackend::effects() const {
  std::lock_guard lock(mutex_);
  return effects_;
}

std::shared_ptr<MemBackend> CrashBackend::survivor() const {
  std::lock_guard lock(mutex_);
  return survivor_;
}

Status CrashBackend::Around(const Call& call, const Effect& effect) {
  {
    std::lock_guard lock(mutex_);
    if (survivor_ == nullptr && ChangesStore(call.op) && ++effects_ == crash_at_) {
      survivor_ = disk_->CrashClone(seed_, mode_);
    }
    if (survivor_ != nullptr) return Status::Io("the machine lost power: reopen the survivor");
  }
  return effect();
}

}  // namespace tarn::test
