#include "tests/support/fault_backend.h"

#include <utility>

namespace tarn::test {

void FaultBackend::Arm(Fault fault) {
  std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
  armed_ = true;
  calls_ = fired_ = 0;
}

void FaultBackend::Disarm() {
  std::lock_guard lock(mutex_);
  fault_ = {};
  armed_ = false;
  calls_ = fired_ = 0;
}

uint64_t FaultBackend::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

uint64_t FaultBackend::fired() const {
  std::lock_guard lock(mutex_);
  return fired_;
}

Status FaultBackend::Around(const Call& call, const Effect& effect) {
  Status error;
  bool effect_happens = false;
  {
    std::lock_guard lock(mutex_);
    if (!fault_.only || fault_.only(call)) {
      ++calls_;
      const bool hit = fault_.forever ? calls_ >= fault_.at_call : calls_ == fault_.at_call;
      if (armed_ && hit) {
        ++fired_;
        error = fault_.error;
        effect_happens = fault_.effect_happens;
      }
    }
  }
  if (error.ok()) return effect();
  // When the effect itself fails, that is the better story.
  if (effect_happens) TARN_TRY(effect());
  return error;
}

}  // namespace tarn::test
