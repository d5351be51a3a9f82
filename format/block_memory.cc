#include "format/block_memory.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "base/assert.h"
#include "base/huge_page.h"
#include "base/mutex.h"

namespace tarn {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSlabs = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSlabs = false;
#else
constexpr bool kSlabs = true;
#endif
#else
constexpr bool kSlabs = true;
#endif

constexpr size_t kSlabBytes = kHugePageBytes;
constexpr size_t kSmallest = 128, kLargest = 256 << 10;
constexpr size_t kStepsPerDoubling = 8;
constexpr size_t kClasses =
    (std::countr_zero(kLargest) - std::countr_zero(kSmallest)) * kStepsPerDoubling + 1;  // 0 is kSmallest itself

// Class i > 0 holds (2^k / 8) * (8 + s) bytes, with k and s from i - 1.
constexpr size_t SizeOf(size_t index) {
  if (index == 0) return kSmallest;
  const size_t doubling = (index - 1) / kStepsPerDoubling, step = (index - 1) % kStepsPerDoubling + 1;
  return (kSmallest << doubling) / kStepsPerDoubling * (kStepsPerDoubling + step);
}
constexpr size_t ClassOf(size_t bytes) {
  if (bytes <= kSmallest) return 0;
  const size_t doubling = std::bit_width(bytes - 1) - std::bit_width(kSmallest);  // of the power of two below
  const size_t unit = (kSmallest << doubling) / kStepsPerDoubling;
  const size_t step = (bytes - (kSmallest << doubling) + unit - 1) / unit;
  return doubling * kStepsPerDoubling + step;
}
static_assert(SizeOf(kClasses - 1) == kLargest && ClassOf(kLargest) == kClasses - 1);
static_assert(ClassOf(129) == 1 && SizeOf(1) == 144 && ClassOf(144) == 1 && ClassOf(145) == 2);

// At the start of its memory, which is aligned to its size: a piece finds its slab by its address.
struct Slab {
  Slab *next = nullptr, *previous = nullptr;  // among those of the class with a free piece
  void* free = nullptr;                       // freed pieces; each holds the next one's address
  size_t untouched = 0;                       // offset of the first piece that was never handed out
  size_t used = 0;                            // pieces handed out now
};
constexpr size_t kFirstPiece = 64;
static_assert(sizeof(Slab) <= kFirstPiece);

class SizeClass {
 public:
  void* Allocate(size_t size) {
    MutexLock lock(mutex_);
    if (partial_ == nullptr && !AddSlab()) return nullptr;
    Slab* const slab = partial_;
    void* piece = slab->free;
    if (piece != nullptr) {
      slab->free = *static_cast<void**>(piece);
    } else {
      piece = reinterpret_cast<char*>(slab) + slab->untouched;
      slab->untouched += size;
    }
    ++slab->used;
    if (slab->free == nullptr && slab->untouched + size > kSlabBytes) Unlink(slab);
    return piece;
  }

  void Free(void* piece, size_t size) {
    MutexLock lock(mutex_);
    Slab* const slab = reinterpret_cast<Slab*>(reinterpret_cast<uintptr_t>(piece) & ~(kSlabBytes - 1));
    const bool was_full = slab->free == nullptr && slab->untouched + size > kSlabBytes;
    *static_cast<void**>(piece) = slab->free;
    slab->free = piece;
    DCHECK(slab->used > 0);
    if (was_full) Link(slab);
    if (--slab->used > 0 || slabs_ == 1) return;
    Unlink(slab);
    --slabs_;
    UnmapHugePage(reinterpret_cast<char*>(slab));
  }

 private:
  bool AddSlab() REQUIRES(mutex_) {
    char* const memory = MapHugePage(slabs_ > 0);
    if (memory == nullptr) return false;
    Slab* const slab = new (memory) Slab;
    slab->untouched = kFirstPiece;
    Link(slab);
    ++slabs_;
    return true;
  }
  void Link(Slab* slab) REQUIRES(mutex_) {
    slab->previous = nullptr;
    slab->next = partial_;
    if (partial_ != nullptr) partial_->previous = slab;
    partial_ = slab;
  }
  void Unlink(Slab* slab) REQUIRES(mutex_) {
    (slab->previous != nullptr ? slab->previous->next : partial_) = slab->next;
    if (slab->next != nullptr) slab->next->previous = slab->previous;
  }

  Mutex mutex_;  // guards: the slabs of this class and what is free in them
  Slab* partial_ GUARDED_BY(mutex_) = nullptr;
  size_t slabs_ GUARDED_BY(mutex_) = 0;
};

// Never destroyed: blocks may outlive static objects.
SizeClass* Classes() {
  static auto* const classes = new std::array<SizeClass, kClasses>;
  return classes->data();
}

bool FromSlab(size_t bytes) { return kSlabs && bytes <= kLargest; }

}  // namespace

void* AllocateBlock(size_t bytes) {
  if (!FromSlab(bytes)) return std::malloc(bytes);
  const size_t index = ClassOf(bytes);
  return Classes()[index].Allocate(SizeOf(index));
}

void FreeBlock(void* piece, size_t bytes) {
  if (!FromSlab(bytes)) return std::free(piece);
  const size_t index = ClassOf(bytes);
  Classes()[index].Free(piece, SizeOf(index));
}

size_t BlockFootprint(size_t bytes) { return FromSlab(bytes) ? SizeOf(ClassOf(bytes)) : bytes; }

}  // namespace tarn
