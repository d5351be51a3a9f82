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
constexpr size_t kLargePiecesBytes = 4 * Arena::kLargestBlockBytes;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// For as many pieces of one size as fit into 8 MiB, or for one.
size_t LargeBlockBytes(size_t piece) {
  return RoundUp(piece * std::max<size_t>(kLargePiecesBytes / piece, 1), kMapUnitBytes);
}

}  // namespace

// The pages may be refused; then it is memory like any other, or bad_alloc.
Arena::Block::Block(size_t n)
    : size(n),
      pages(n >= kHugePageBytes ? MapHugePages(n, true) : nullptr),
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
      if (bytes > kLargePieceBytes) return CutLarge(bytes);
      Count(bytes);
      return AddBlock(bytes)->data;
    }
    if (block != nullptr) {
      const size_t offset = block->used.fetch_add(bytes, std::memory_order_relaxed);
      if (offset <= block->size && bytes <= block->size - offset) return block->data + offset;
    }
    MutexLock lock(mutex_);
    if (current_.load(std::memory_order_relaxed) != block) continue;  // another thread was first
    const size_t next_bytes = block != nullptr ? std::min(block->size * 2, kLargestBlockBytes) : kFirstBlockBytes;
    Count(next_bytes);
    current_.store(AddBlock(next_bytes), std::memory_order_release);
  }
}

// Counts huge pages when they are touched. The rest of a block that is left for one with more room never is.
char* Arena::CutLarge(size_t bytes) {
  const auto left = [](const Block* block) { return block->size - block->used.load(std::memory_order_relaxed); };
  Block* block = large_;
  if (block == nullptr || left(block) < bytes) {
    block = AddBlock(LargeBlockBytes(bytes));
    if (large_ == nullptr || left(block) - bytes > left(large_)) large_ = block;
  }
  const size_t begin = block->used.fetch_add(bytes, std::memory_order_relaxed);
  const auto touched = [block](size_t used) { return std::min(RoundUp(used, kHugePageBytes), block->size); };
  Count(touched(begin + bytes) - touched(begin));
  return block->data + begin;
}

Arena::Block* Arena::AddBlock(size_t bytes) {
  blocks_.push_back(std::make_unique<Block>(bytes));
  return blocks_.back().get();
}

}  // namespace tarn
