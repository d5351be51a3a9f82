#include "base/arena.h"

#include <algorithm>
#include <cstdint>

#include "base/assert.h"
#include "base/huge_page.h"

namespace tarn {

static_assert(alignof(std::max_align_t) >= Arena::kAlignment, "new char[] must be aligned well enough");

namespace {

// Larger pieces are cut from blocks of their own kind: in the heap they would lie between others, and stay there when
// they are freed.
constexpr size_t kLargePieceBytes = Arena::kLargestBlockBytes / 4;
constexpr size_t kLargePiecesBytes = 4 * Arena::kLargestBlockBytes;  // a block for them, or one that holds one

size_t LargeBlockBytes(size_t piece) {
  const size_t pieces = piece * std::max<size_t>(kLargePiecesBytes / piece, 1);
  return (pieces + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

}  // namespace

// The pages may be refused; then it is memory like any other, or bad_alloc.
Arena::Block::Block(size_t n)
    : size(n),
      pages(n % kHugePageBytes == 0 ? MapHugePages(n, true) : nullptr),
      data(pages != nullptr ? pages : new char[n]) {}

Arena::Block::~Block() {
  if (pages == nullptr) {
    delete[] data;
  } else {
    UnmapPages(pages, size);
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
      return bytes > kLargePieceBytes ? CutLarge(bytes) : AddBlock(bytes)->data;
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

char* Arena::CutLarge(size_t bytes) {
  const size_t left = large_ != nullptr ? large_->size - large_->used.load(std::memory_order_relaxed) : 0;
  if (left < bytes) {
    large_ = AddBlock(LargeBlockBytes(bytes));
    memory_bytes_.fetch_add(left - large_->size, std::memory_order_relaxed);
  }
  memory_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return large_->data + large_->used.fetch_add(bytes, std::memory_order_relaxed);
}

Arena::Block* Arena::AddBlock(size_t bytes) {
  blocks_.push_back(std::make_unique<Block>(bytes));
  memory_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return blocks_.back().get();
}

}  // namespace tarn
