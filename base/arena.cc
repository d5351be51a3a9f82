#include "base/arena.h"

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "base/huge_page.h"

namespace tarn {

static_assert(alignof(std::max_align_t) >= Arena::kAlignment, "new char[] must be aligned well enough");

namespace {

// Blocks of one large piece are mapped too: in the heap they would lie between others, and stay when they are freed.
constexpr size_t kLeastMapped = Arena::kLargestBlockBytes / 4;

char* Map(size_t n) {
  if (n == Arena::kLargestBlockBytes) return MapHugePage(true);
  return n > kLeastMapped ? MapPages(n, n) : nullptr;
}

}  // namespace

// The page may be refused; then it is memory like any other, or bad_alloc.
Arena::Block::Block(size_t n) : size(n), page(Map(n)), data(page != nullptr ? page : new char[n]) {}

Arena::Block::~Block() {
  if (page == nullptr) {
    delete[] data;
  } else if (size == kLargestBlockBytes) {
    UnmapHugePage(page);
  } else {
    UnmapPages(page, size);
  }
}

char* Arena::Allocate(size_t bytes) {
  CHECK(bytes > 0 && bytes <= SIZE_MAX / 2);
  bytes = (bytes + kAlignment - 1) & ~(kAlignment - 1);
  for (;;) {
    Block* const block = current_.load(std::memory_order_acquire);
    const size_t block_bytes = block != nullptr ? block->size : kFirstBlockBytes;
    if (bytes > block_bytes / 4) {
      MutexLock lock(mutex_);
      return AddBlock(bytes)->data;
    }
    if (block != nullptr) {
      const size_t offset = block->used.fetch_add(bytes, std::memory_order_relaxed);
      if (offset <= block->size && bytes <= block->size - offset) return block->data + offset;
    }
    MutexLock lock(mutex_);
    if (current_.load(std::memory_order_relaxed) != block) continue;  // another thread was first
    const size_t next_bytes = block != nullptr ? std::min(block->size * 2, kLargestBlockBytes) : kFirstBlockBytes;
    current_.store(AddBlock(next_bytes), std::memory_order_release);
  }
}

Arena::Block* Arena::AddBlock(size_t bytes) {
  blocks_.push_back(std::make_unique<Block>(bytes));
  memory_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return blocks_.back().get();
}

}  // namespace tarn
