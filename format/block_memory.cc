#include "format/block_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

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
  bool huge = false;
  bool resting = false;  // in no list, so that it is not filled again
};
constexpr size_t kFirstPiece = 64;
static_assert(sizeof(Slab) <= kFirstPiece);

// Huge pages that are empty at the moment: a cache that is full frees a slab for each that it fills.
class SparePages {
 public:
  char* Take() {
    MutexLock lock(mutex_);
    return count_ > 0 ? pages_[--count_] : nullptr;
  }
  void Give(char* page) {
    {
      MutexLock lock(mutex_);
      if (count_ < pages_.size()) {
        pages_[count_++] = page;
        return;
      }
    }
    UnmapPages(page, kSlabBytes);
  }

 private:
  Mutex mutex_;  // guards: the pages
  std::array<char*, 4> pages_ GUARDED_BY(mutex_) = {};
  size_t count_ GUARDED_BY(mutex_) = 0;
};

SparePages* Spares() {
  static auto* const spares = new SparePages;  // never destroyed, as the classes
  return spares;
}

class SizeClass {
 public:
  void* Allocate(size_t size) {
    MutexLock lock(mutex_);
    if (partial_ == nullptr && !AddSlab(size)) return nullptr;
    Slab* const slab = partial_;
    void* piece = slab->free;
    if (piece != nullptr) {
      slab->free = *static_cast<void**>(piece);
    } else {
      piece = reinterpret_cast<char*>(slab) + slab->untouched;
      slab->untouched += size;
    }
    ++slab->used;
    if (slab->huge) AddIdle(-size);
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
    --slab->used;
    if (slab->resting) {
      if (slab->used > 0) return;
      *std::find(resting_.begin(), resting_.end(), slab) = nullptr;
    } else {
      if (slab->huge) AddIdle(size);
      if (was_full) Link(slab);
      if (slab->used > 0 || slabs_ == 1) return;
      Unlink(slab);
      if (slab->huge) AddIdle(-PiecesOf(size) * size);
    }
    --slabs_;
    slab->huge ? Spares()->Give(reinterpret_cast<char*>(slab))
               : UnmapPages(reinterpret_cast<char*>(slab), kSlabBytes);
  }

  size_t idle() const { return idle_.load(std::memory_order_relaxed); }

  bool Thin(size_t size, const std::function<void(const void*)>& show) {
    MutexLock lock(mutex_);
    Slab* emptiest = nullptr;
    for (Slab* slab = partial_; slab != nullptr; slab = slab->next) {
      if (slab->huge && (emptiest == nullptr || slab->used < emptiest->used)) emptiest = slab;
    }
    if (emptiest == nullptr || emptiest->used == 0) return false;
    const size_t free = PiecesOf(size) - emptiest->used, elsewhere = idle() / size - free;
    if (elsewhere < emptiest->used) return false;
    if (Slab* const first = std::exchange(resting_[next_resting_], emptiest); first != nullptr) {
      first->resting = false;  // somebody holds on to what is in it
      AddIdle((PiecesOf(size) - first->used) * size);
      Link(first);
    }
    next_resting_ = (next_resting_ + 1) % resting_.size();
    Unlink(emptiest);
    emptiest->resting = true;
    AddIdle(-free * size);
    for (size_t at = kFirstPiece; at < emptiest->untouched; at += size) show(reinterpret_cast<char*>(emptiest) + at);
    return true;
  }

 private:
  static size_t PiecesOf(size_t size) { return (kSlabBytes - kFirstPiece) / size; }

  bool AddSlab(size_t size) REQUIRES(mutex_) {
    const bool huge = slabs_ > 0;
    char* memory = huge ? Spares()->Take() : nullptr;
    if (memory == nullptr) memory = MapHugePages(kSlabBytes, huge);
    if (memory == nullptr) return false;
    Slab* const slab = new (memory) Slab;
    slab->untouched = kFirstPiece;
    slab->huge = huge;
    if (huge) AddIdle(PiecesOf(size) * size);
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
  void AddIdle(size_t bytes) REQUIRES(mutex_) {
    idle_.store(idle_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }

  Mutex mutex_;  // guards: the slabs of this class and what is free in them
  Slab* partial_ GUARDED_BY(mutex_) = nullptr;
  std::array<Slab*, 8> resting_ GUARDED_BY(mutex_) = {};  // readers leave the last pieces of a slab a moment later
  size_t next_resting_ GUARDED_BY(mutex_) = 0;
  size_t slabs_ GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> idle_{0};  // bytes of free pieces on huge pages that do not rest; changed under the mutex
};

// Never destroyed: blocks may outlive static objects.
SizeClass* Classes() {
  static auto* const classes = new std::array<SizeClass, kClasses>;
  return classes->data();
}

// Slabs of smaller pieces hold too many of them to be worth moving.
constexpr size_t kSmallestToMove = 1 << 10;

// Mapped pieces that were freed, for the next one of their size: the one that pushed them out of a cache.
class LargePieces {
 public:
  void* Allocate(size_t size, size_t used) {
    {
      MutexLock lock(mutex_);
      for (Piece& piece : kept_) {
        if (piece.size != size) continue;
        kept_bytes_ -= size;
        return std::exchange(piece, {}).at;
      }
    }
    return MapPages(size, used);
  }
  void Free(void* at, size_t size) {
    {
      MutexLock lock(mutex_);
      for (Piece& piece : kept_) {
        if (piece.at != nullptr || kept_bytes_ + size > kMostKept) continue;
        piece = {static_cast<char*>(at), size};
        kept_bytes_ += size;
        return;
      }
    }
    UnmapPages(static_cast<char*>(at), size);
  }

 private:
  static constexpr size_t kMostKept = 8 << 20;
  struct Piece {
    char* at = nullptr;
    size_t size = 0;
  };
  Mutex mutex_;  // guards: the pieces
  std::array<Piece, 4> kept_ GUARDED_BY(mutex_);
  size_t kept_bytes_ GUARDED_BY(mutex_) = 0;
};

LargePieces* Large() {
  static auto* const large = new LargePieces;
  return large;
}

// Eight sizes to each doubling here too; all of them are whole pages.
size_t LargeSize(size_t bytes) {
  const size_t unit = std::bit_floor(bytes - 1) / kStepsPerDoubling;
  return (bytes + unit - 1) / unit * unit;
}

}  // namespace

void* AllocateBlock(size_t bytes) {
  if (!kSlabs) return std::malloc(bytes);
  if (bytes > kLargest) return bytes <= SIZE_MAX / 2 ? Large()->Allocate(LargeSize(bytes), bytes) : nullptr;
  const size_t index = ClassOf(bytes);
  return Classes()[index].Allocate(SizeOf(index));
}

void FreeBlock(void* piece, size_t bytes) {
  if (!kSlabs) return std::free(piece);
  if (bytes > kLargest) return Large()->Free(piece, LargeSize(bytes));
  const size_t index = ClassOf(bytes);
  Classes()[index].Free(piece, SizeOf(index));
}

size_t BlockFootprint(size_t bytes) {
  if (!kSlabs) return bytes;
  return bytes > kLargest ? LargeSize(bytes) : SizeOf(ClassOf(bytes));
}

size_t IdleBlockBytes() {
  size_t bytes = 0;
  for (size_t i = ClassOf(kSmallestToMove); i < kClasses; ++i) bytes += Classes()[i].idle();
  return bytes;
}

bool ThinBlocks(const std::function<void(const void* place)>& show) {
  size_t most = ClassOf(kSmallestToMove);
  for (size_t i = most; i < kClasses; ++i) {
    if (Classes()[i].idle() > Classes()[most].idle()) most = i;
  }
  return Classes()[most].Thin(SizeOf(most), show);
}

}  // namespace tarn
