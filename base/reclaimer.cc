#include "base/reclaimer.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace tarn {
namespace {

// Numbers the threads that are alive: each gets the least number that is free.
class ThreadNumbers {
 public:
  size_t Take() {
    MutexLock lock(mutex_);
    const auto free = std::find(taken_.begin(), taken_.end(), false);
    const auto number = static_cast<size_t>(free - taken_.begin());
    if (free == taken_.end()) taken_.push_back(true);
    taken_[number] = true;
    return number;
  }
  void Return(size_t number) {
    MutexLock lock(mutex_);
    taken_[number] = false;
  }

 private:
  Mutex mutex_;  // guards: which numbers are taken
  std::vector<bool> taken_ GUARDED_BY(mutex_);
};

size_t ThisThreadsNumber() {
  static ThreadNumbers* const numbers = new ThreadNumbers;  // never freed: threads may outlive static objects
  struct Held {
    const size_t number = numbers->Take();
    ~Held() { numbers->Return(number); }
  };
  thread_local const Held held;
  return held.number;
}

}  // namespace

Reclaimer::Guard::Guard(Reclaimer& reclaimer) {
  const size_t number = ThisThreadsNumber();
  if (number >= kSlots) return;
  std::atomic<uint64_t>& slot = reclaimer.slots_[number].era;
  if (slot.load(std::memory_order_relaxed) != 0) return;
  for (size_t used = reclaimer.used_slots_.load(); used <= number;) {
    if (reclaimer.used_slots_.compare_exchange_weak(used, number + 1)) break;
  }
  slot_ = &slot;
  // The era may have moved on by the time this is seen: then it does not move again, and nothing is freed early.
  slot.store(reclaimer.era_.load(std::memory_order_relaxed));
}

Reclaimer::~Reclaimer() {
  MutexLock lock(mutex_);
  Delete(oldest_);
}

void Reclaimer::Retire(Object* object) noexcept {
  Object* gone = nullptr;
  {
    MutexLock lock(mutex_);
    object->retired_in_ = era_.load(std::memory_order_relaxed);
    (newest_ != nullptr ? newest_->next_retired_ : oldest_) = object;
    newest_ = object;
    gone = TakeFreeable();
  }
  Delete(gone);
}

// All that were retired two moves ago. With no reader inside that is everything.
Reclaimer::Object* Reclaimer::TakeFreeable() {
  const auto waits = [this](const Object* object) {
    return object->retired_in_ + 2 > era_.load(std::memory_order_relaxed);
  };
  while (waits(newest_) && Advance()) {
  }
  Object* const first = oldest_;
  Object* last = nullptr;
  while (oldest_ != nullptr && !waits(oldest_)) last = std::exchange(oldest_, oldest_->next_retired_);
  if (oldest_ == nullptr) newest_ = nullptr;
  if (last == nullptr) return nullptr;
  last->next_retired_ = nullptr;
  return first;
}

void Reclaimer::Delete(Object* list) {
  while (list != nullptr) delete std::exchange(list, list->next_retired_);
}

// Moves the era on unless a reader is still in an older one.
bool Reclaimer::Advance() {
  const uint64_t era = era_.load(std::memory_order_relaxed);
  const size_t used = used_slots_.load();
  for (size_t i = 0; i < used; ++i) {
    const uint64_t seen = slots_[i].era.load();
    if (seen != 0 && seen != era) return false;
  }
  era_.store(era + 1);
  return true;
}

}  // namespace tarn
