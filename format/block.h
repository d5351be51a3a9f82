// Block: the unit of reading, caching and checksumming in a table. Bytes: docs/formats/table.md.
//
// A Block is immutable, decompressed and verified; it is shared between the cache and its readers by reference
// count, so an evicted block lives as long as someone looks at it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "tarn/sdk/cursor.h"
#include "tarn/status.h"

namespace tarn {

struct BlockHandle {
  uint64_t offset = 0;
  uint32_t stored_bytes = 0;  // with the trailer
};

class BlockRef;

class Block {
 public:
  // Of `size` bytes that the caller writes to *bytes before anyone else has the block. Null when there is no memory.
  static BlockRef Make(size_t size, char** bytes);
  static BlockRef Copy(std::string_view bytes);  // null as above
  std::string_view bytes() const { return {reinterpret_cast<const char*>(this + 1), size_}; }
  const char* end() const { return reinterpret_cast<const char*>(this + 1) + size_; }
  size_t memory_bytes() const;  // what it takes, rounding included

  // By which a cache finds the block again when it sees nothing but memory (format/block_memory.h).
  void set_mark(uint64_t mark) const { mark_.store(mark, std::memory_order_relaxed); }
  // Of a block at this place; of what else lies there, any number.
  static uint64_t MarkAt(const void* place) {
    return static_cast<const Block*>(place)->mark_.load(std::memory_order_relaxed);
  }

 private:
  friend class BlockRef;
  explicit Block(size_t size) : size_(static_cast<uint32_t>(size)) {}
  static void Free(const Block* block);

  // Count, size and bytes are one piece of memory: a cached block that nobody looked at lately costs few cache
  // misses.
  mutable std::atomic<uint32_t> references_{1};
  const uint32_t size_;
  mutable std::atomic<uint64_t> mark_{0};
};

// A counted reference: a shared_ptr that needs no memory of its own. Or a borrowed one, like all its copies, which
// counts nothing: for who knows by other means that the block stays (base/reclaimer.h).
class BlockRef {
 public:
  BlockRef() = default;
  BlockRef(std::nullptr_t) {}  // NOLINT: implicit on purpose
  static BlockRef Borrow(const Block* block) { return BlockRef(block, false); }
  BlockRef(const BlockRef& other) : block_(other.block_), counted_(other.counted_) {
    if (counted_) block_->references_.fetch_add(1, std::memory_order_relaxed);
  }
  BlockRef(BlockRef&& other) noexcept
      : block_(std::exchange(other.block_, nullptr)), counted_(std::exchange(other.counted_, false)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    std::swap(counted_, other.counted_);
    return *this;
  }
  ~BlockRef() {
    if (counted_ && block_->references_.fetch_sub(1, std::memory_order_acq_rel) == 1) Block::Free(block_);
  }
  void reset() { *this = BlockRef(); }
  const Block* get() const { return block_; }
  const Block* operator->() const { return block_; }
  const Block& operator*() const { return *block_; }
  explicit operator bool() const { return block_ != nullptr; }
  bool operator==(const BlockRef& other) const { return block_ == other.block_; }

 private:
  friend class Block;
  BlockRef(const Block* block, bool counted) : block_(block), counted_(counted) {}
  const Block* block_ = nullptr;
  bool counted_ = false;
};

// Builds one block of sorted entries with prefix-compressed keys and restart points.
class BlockBuilder {
 public:
  explicit BlockBuilder(int restart_interval);
  void Add(std::string_view key, std::string_view value);  // REQUIRES: internal keys strictly ascend
  std::string_view Finish();                               // valid until Reset. REQUIRES: !empty()
  void Reset();
  size_t size_estimate() const;
  bool empty() const { return count_ == 0; }

 private:
  std::string buffer_, last_key_;
  std::string restarts_;
  int interval_, count_ = 0, since_restart_ = 0;
};

// Walks the entries of a block. Hostile bytes end in a Corruption status, never in a read outside the block.
// The value views point into the block; the key view into the cursor. All keys, also those of index and range
// tombstone blocks, are internal keys and compared as such. Its errors name the entry; whoever read the block
// adds the blob and the offset.
class BlockCursor final : public Cursor {
 public:
  BlockCursor() = default;
  // Starts over on another block; nothing is allocated unless a key outgrows the kept buffer.
  void Reset(BlockRef block);  // null: on no entry, and holds no memory of a block
  const BlockRef& block() const { return block_; }
  // Fetches what a Seek in the block looks at first into the processor's cache; its end should be there already.
  static void Prefetch(const Block& block);
  void SeekToFirst() override;
  void SeekToLast() override;
  void Seek(std::string_view target) override;
  void Next() override;
  void Prev() override;
  // The restart point at which the walk of the last Seek began, and a Seek that begins there. False, and the cursor
  // is anywhere, when it cannot know that it found what Seek finds: then Seek tells.
  uint32_t seek_restart() const { return seek_restart_; }
  bool SeekFrom(uint32_t restart, std::string_view target);
  // Whether the block has no other entry than the one it is on.
  bool alone() const {
    return current_ == 0 && next_ == data_.size() && restart_count_ == 1 && RestartOffset(0) == 0;
  }
  // For Table::Verify: whether each restart point, the first at 0, leads to an entry with a whole key, in order. Seek
  // and Prev believe that. Moves the cursor.
  Status CheckRestarts();

 private:
  static uint32_t RestartCount(std::string_view bytes);
  bool HasRestarts();
  bool ParseAt(uint32_t offset);
  uint32_t RestartOffset(uint32_t index) const;
  void SeekToRestart(uint32_t index);
  bool SkipTo(std::string_view target);
  bool RestartKey(uint32_t index, std::string_view* key) const;
  void Fail(std::string what);

  BlockRef block_;
  std::string key_;
  std::string_view data_;  // the entries, without the restart array
  uint32_t restart_count_ = 0, seek_restart_ = 0;
  uint32_t current_ = 0, next_ = 0;  // offsets of this entry and the one after it
};

}  // namespace tarn
