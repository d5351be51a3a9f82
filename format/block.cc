// Entries and restart points of a block: docs/formats/table.md, "Entry blocks".
//
// Invariants of BlockCursor:
//   1. Every byte it looks at lies in block_: lengths are compared with what is left before they are used.
//   2. data_ is the entries only; current_ <= next_ <= data_.size().
//   3. restart_count_ == 0 exactly when there is no block, or one whose restart array does not fit in it.
//   4. After an error the cursor is on no entry until Reset.
#include "format/block.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/assert.h"
#include "base/coding.h"
#include "format/block_memory.h"
#include "tarn/sdk/internal_key.h"

namespace tarn {
namespace {

size_t SharedPrefix(std::string_view a, std::string_view b) {
  const size_t limit = std::min(a.size(), b.size());
  size_t n = 0;
  while (n < limit && a[n] == b[n]) ++n;
  return n;
}

// Reads the three lengths of the entry at `p` and returns where its key suffix starts; null when the entry
// does not fit before `limit`.
const char* ReadLengths(const char* p, const char* limit, uint32_t* shared, uint32_t* unshared,
                        uint32_t* value_bytes) {
  if (limit - p < 3) return nullptr;
  *shared = static_cast<unsigned char>(p[0]);
  *unshared = static_cast<unsigned char>(p[1]);
  *value_bytes = static_cast<unsigned char>(p[2]);
  if ((*shared | *unshared | *value_bytes) < 0x80) {
    p += 3;  // nearly every entry: three one-byte varints
  } else {
    std::string_view in(p, static_cast<size_t>(limit - p));
    if (!GetVarint32(&in, shared) || !GetVarint32(&in, unshared) || !GetVarint32(&in, value_bytes)) return nullptr;
    p = in.data();
  }
  const uint64_t needed = static_cast<uint64_t>(*unshared) + *value_bytes;
  return needed > static_cast<uint64_t>(limit - p) ? nullptr : p;
}

// The first and the last kBytes of n, which overlap unless n is twice as much.
template <size_t kBytes>
void CopyEnds(char* to, const char* from, size_t n) {
  char first[kBytes], last[kBytes];
  std::memcpy(first, from, kBytes);
  std::memcpy(last, from + n - kBytes, kBytes);
  std::memcpy(to, first, kBytes);
  std::memcpy(to + n - kBytes, last, kBytes);
}

// memcpy. Nearly every suffix is a trailer and some bytes more, and a call costs as much as all else about an entry.
void CopySuffix(char* to, const char* from, size_t n) {
  if (n < 8 || n > 32) {
    std::memcpy(to, from, n);
  } else if (n <= 16) {
    CopyEnds<8>(to, from, n);
  } else {
    CopyEnds<16>(to, from, n);
  }
}

}  // namespace

BlockRef Block::Make(size_t size, char** bytes) {
  void* const piece = size <= SIZE_MAX - sizeof(Block) ? AllocateBlock(sizeof(Block) + size) : nullptr;
  if (piece == nullptr) return nullptr;
  *bytes = static_cast<char*>(piece) + sizeof(Block);
  return BlockRef(new (piece) Block(size), true);
}

BlockRef Block::Copy(std::string_view bytes) {
  char* to = nullptr;
  BlockRef block = Make(bytes.size(), &to);
  if (block && !bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return block;
}

void Block::Free(const Block* block) { FreeBlock(const_cast<Block*>(block), sizeof(Block) + block->size_); }

size_t Block::memory_bytes() const { return BlockFootprint(sizeof(Block) + size_); }

BlockBuilder::BlockBuilder(int restart_interval) : interval_(restart_interval) { CHECK(restart_interval >= 1); }

void BlockBuilder::Add(std::string_view key, std::string_view value) {
  DCHECK(key.size() >= kTrailerBytes);
  DCHECK(count_ == 0 || CompareInternalKeys(last_key_, key) < 0);
  size_t shared = 0;
  if (count_ == 0 || since_restart_ == interval_) {
    PutFixed32(&restarts_, static_cast<uint32_t>(buffer_.size()));
    since_restart_ = 0;
  } else {
    shared = SharedPrefix(last_key_, key);
  }
  PutVarint(&buffer_, shared);
  PutVarint(&buffer_, key.size() - shared);
  PutVarint(&buffer_, value.size());
  buffer_.append(key.substr(shared));
  buffer_.append(value);
  last_key_.resize(shared);
  last_key_.append(key.substr(shared));
  ++count_;
  ++since_restart_;
}

std::string_view BlockBuilder::Finish() {
  buffer_.append(restarts_);
  PutFixed32(&buffer_, static_cast<uint32_t>(restarts_.size() / 4));
  return buffer_;
}

void BlockBuilder::Reset() {
  constexpr size_t kKeepBytes = 1 << 20;  // a huge value must not pin its memory for the rest of the table
  if (buffer_.capacity() > kKeepBytes) std::string().swap(buffer_);
  buffer_.clear();
  restarts_.clear();
  last_key_.clear();
  count_ = 0;
  since_restart_ = 0;
}

size_t BlockBuilder::size_estimate() const { return buffer_.size() + restarts_.size() + 4; }

void BlockCursor::Reset(BlockRef block) {
  block_ = std::move(block);
  data_ = {};
  restart_count_ = current_ = next_ = 0;
  SetError(Status());
  if (!block_) return;
  const std::string_view bytes = block_->bytes();
  if (bytes.size() < 4 || bytes.size() > UINT32_MAX) return;
  const uint32_t count = DecodeFixed32(bytes.data() + bytes.size() - 4);
  if (count > (bytes.size() - 4) / 4) return;
  restart_count_ = count;
  data_ = bytes.substr(0, bytes.size() - 4 - static_cast<size_t>(count) * 4);
}

void BlockCursor::Fail(std::string what) {
  SetError(Status::Corruption("entry at byte " + std::to_string(current_) + " of " + std::to_string(data_.size()) +
                              ": " + what));
}

bool BlockCursor::HasRestarts() {
  if (!status().ok()) return false;
  if (restart_count_ > 0) return true;
  if (block_) {
    Fail("the restart array does not fit in the block or is empty");
  } else {
    SetEnd();
  }
  return false;
}

Status BlockCursor::CheckRestarts() {
  uint32_t found = 0;
  for (SeekToFirst(); valid(); Next()) {
    if (found == restart_count_ || RestartOffset(found) != current_) continue;
    std::string_view key;
    if (RestartKey(found, &key)) ++found;
  }
  if (status().ok() && (found != restart_count_ || RestartOffset(0) != 0)) {
    Fail("a restart point leads to no whole key, or they are not in order from 0 on");
  }
  return status();
}

bool BlockCursor::ParseAt(uint32_t offset) {
  current_ = offset;
  uint32_t shared, unshared, value_bytes;
  const char* const limit = data_.data() + data_.size();
  const char* p =
      offset < data_.size() ? ReadLengths(data_.data() + offset, limit, &shared, &unshared, &value_bytes) : nullptr;
  if (p == nullptr) {
    Fail("it does not fit in the block");
    return false;
  }
  if (shared > key_.size() || static_cast<uint64_t>(shared) + unshared < kTrailerBytes) {
    Fail("its key shares more than the key before it has, or is shorter than a trailer");
    return false;
  }
  const size_t key_bytes = static_cast<size_t>(shared) + unshared;
  if (key_.size() != key_bytes) key_.resize(key_bytes);
  CopySuffix(key_.data() + shared, p, unshared);
  next_ = static_cast<uint32_t>(p + unshared + value_bytes - data_.data());
  SetEntry(key_, {p + unshared, value_bytes});
  return true;
}

uint32_t BlockCursor::RestartOffset(uint32_t index) const {
  return DecodeFixed32(data_.data() + data_.size() + static_cast<size_t>(index) * 4);
}

bool BlockCursor::RestartKey(uint32_t index, std::string_view* key) const {
  const uint32_t offset = RestartOffset(index);
  if (offset >= data_.size()) return false;
  uint32_t shared, unshared, value_bytes;
  const char* p = ReadLengths(data_.data() + offset, data_.data() + data_.size(), &shared, &unshared, &value_bytes);
  if (p == nullptr || shared != 0 || unshared < kTrailerBytes) return false;
  *key = {p, unshared};
  return true;
}

void BlockCursor::SeekToRestart(uint32_t index) {
  key_.clear();
  next_ = RestartOffset(index);
}

void BlockCursor::SeekToFirst() {
  if (!HasRestarts()) return;
  key_.clear();
  ParseAt(0);
}

void BlockCursor::SeekToLast() {
  if (!HasRestarts()) return;
  SeekToRestart(restart_count_ - 1);
  do {
    if (!ParseAt(next_)) return;
  } while (next_ < data_.size());
}

void BlockCursor::Seek(std::string_view target) {
  if (!HasRestarts()) return;
  // The last restart point whose key is < target; the first one when none is.
  uint32_t left = 0, right = restart_count_ - 1;
  while (left < right) {
    const uint32_t middle = left + (right - left + 1) / 2;
    std::string_view key;
    if (!RestartKey(middle, &key)) {
      current_ = RestartOffset(middle);
      return Fail("a restart point leads to no whole key");
    }
    if (CompareInternalKeys(key, target) < 0) {
      left = middle;
    } else {
      right = middle - 1;
    }
  }
  SeekToRestart(left);
  do {
    if (!ParseAt(next_)) return;
    if (CompareInternalKeys(key_, target) >= 0) return;
  } while (next_ < data_.size());
  SetEnd();
}

void BlockCursor::Next() {
  DCHECK(valid());
  if (next_ >= data_.size()) return SetEnd();
  ParseAt(next_);
}

void BlockCursor::Prev() {
  DCHECK(valid());
  const uint32_t here = current_;
  if (here == 0) return SetEnd();
  // The last restart point before this entry, then forward to the entry that ends where this one starts.
  uint32_t left = 0, right = restart_count_ - 1;
  while (left < right) {
    const uint32_t middle = left + (right - left + 1) / 2;
    if (RestartOffset(middle) < here) {
      left = middle;
    } else {
      right = middle - 1;
    }
  }
  SeekToRestart(left);
  do {
    if (!ParseAt(next_)) return;
  } while (next_ < here);
  if (next_ != here) Fail("the entries before it do not end where it starts");
}

}  // namespace tarn
