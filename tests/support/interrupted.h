// A backend at one of whose calls somebody else does something: for two who work on one store.
#pragma once

#include <functional>
#include <memory>

#include "tests/support/wrapping_backend.h"

namespace tarn::test {

// Runs `action` before its call number `at`.
class Interrupted final : public WrappingBackend {
 public:
  Interrupted(std::shared_ptr<Backend> inner, int at, std::function<void()> action)
      : WrappingBackend(std::move(inner)), at_(at), action_(std::move(action)) {}
  bool reached() const { return calls_ >= at_; }

 protected:
  Status Around(const Call&, const Effect& effect) override {
    if (++calls_ == at_) action_();
    return effect();
  }

 private:
  const int at_;
  int calls_ = 0;
  const std::function<void()> action_;
};

}  // namespace tarn::test
