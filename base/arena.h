// Arena: memory that is handed out piece by piece, by many threads at once, and freed as a whole.
//
// A piece is cut from the current block with one atomic add. When the block is used up, one thread at a time
// fetches the next under a mutex. Blocks double from 4 KiB to 2 MiB, and the first is fetched with the first
// piece: an arena that was never used holds nothing, a small one little, a large one few blocks. The largest are huge
// pages where the system gives them: a search in a memtable jumps about, and each jump is a miss of the TLB
// otherwise.
//
// A request of more than a quarter of a block gets a block of its own size, so at most a quarter of a block is
// left unused at its end. Those of more than 512 KiB are cut under the mutex from blocks of several huge pages.
//
// Threads: any number may call Allocate and memory_bytes at once. The bytes of a piece belong to the caller,
// who publishes them to other threads by means of its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "base/huge_page.h"
#include "base/mutex.h"

namespace tarn {

class Arena {
 public:
  static constexpr size_t kAlignment = 8;
  static constexpr size_t kFirstBlockBytes = 4 << 10;
  static constexpr size_t kLargestBlockBytes = kHugePageBytes;

  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // `bytes` uninitialised bytes, aligned to kAlignment, that live as long as the arena. REQUIRES: bytes > 0.
  char* Allocate(size_t bytes);
  // All bytes of all blocks, used or not; of those for large pieces the huge pages in which a piece lies.
  size_t memory_bytes() const { return memory_bytes_.load(std::memory_order_relaxed); }

 private:
  struct Block {
    explicit Block(size_t n);
    ~Block();
    const size_t size;
    char* const pages;  // null: data is from new
    char* const data;
    // Runs past `size` when threads find the block used up; what counts is the value their add returned.
    std::atomic<size_t> used{0};
  };

  Block* AddBlock(size_t bytes) REQUIRES(mutex_);
  char* CutLarge(size_t bytes) REQUIRES(mutex_);
  void Count(size_t bytes) { memory_bytes_.fetch_add(bytes, std::memory_order_relaxed); }

  std::atomic<Block*> current_{nullptr};
  std::atomic<size_t> memory_bytes_{0};
  Mutex mutex_;  // guards the list of blocks, who replaces current_, and large_
  std::vector<std::unique_ptr<Block>> blocks_ GUARDED_BY(mutex_);
  Block* large_ GUARDED_BY(mutex_) = nullptr;  // that large pieces are cut from
};

}  // namespace tarn
