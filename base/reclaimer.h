// Reclaimer: readers look at shared objects without locks and without counting references, and what is taken out of
// sight is freed only when nobody can still be looking.
//
// K. Fraser, "Practical lock-freedom" (2004), section 5.2.3: epoch-based reclamation. (An epoch is something else in
// Tarn, so it is an era here.) A reader announces the global era in a slot of its own for as long as it looks.
// Whoever unlinks an object retires it under the present era. The era moves on only when every reader that is in has
// announced it; so two moves after an object was retired, no reader is left who could have seen it linked.
//
// Use: keep links as std::atomic, loaded and stored with seq_cst (the default): the argument above needs one order of
// announcements and links. Inside a guard do not block, and do not wait for anything that may wait for a guard.
//
// Threads: any. Lock order: mutex_ is a leaf; retired objects are freed outside it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/mutex.h"

namespace tarn {

class Reclaimer {
 public:
  // Threads beyond so many alive in the process at once get no guard, and take the way with locks.
  static constexpr size_t kSlots = 128;

  // What can be retired: it brings the link of the list it waits in, so that retiring needs no memory.
  class Object {
   public:
    virtual ~Object() = default;

   private:
    friend class Reclaimer;
    Object* next_retired_ = nullptr;
    uint64_t retired_in_ = 0;
  };

  Reclaimer() = default;
  ~Reclaimer();  // frees what was retired. REQUIRES: no guard is left
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  class Guard {
   public:
    explicit Guard(Reclaimer& reclaimer);
    ~Guard() {
      if (slot_ != nullptr) slot_->store(0, std::memory_order_release);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    // False: there is no slot for this thread, or it is inside a guard already.
    explicit operator bool() const { return slot_ != nullptr; }

   private:
    std::atomic<uint64_t>* slot_ = nullptr;
  };

  // Deletes the object when no guard that exists now is left: at once if there is none, else in a later call.
  // REQUIRES: made by new, and no link leads to it any more.
  void Retire(Object* object) noexcept EXCLUDES(mutex_);

 private:
  struct alignas(64) Slot {
    std::atomic<uint64_t> era{0};  // 0: not looking
  };
  bool Advance() REQUIRES(mutex_);
  Object* TakeFreeable() REQUIRES(mutex_);
  static void Delete(Object* list);

  std::atomic<uint64_t> era_{1};
  std::atomic<size_t> used_slots_{0};  // none at or behind this was ever used
  std::array<Slot, kSlots> slots_;
  Mutex mutex_;  // guards: what waits to be freed, and who moves the era
  Object *oldest_ GUARDED_BY(mutex_) = nullptr, *newest_ GUARDED_BY(mutex_) = nullptr;
};

}  // namespace tarn
