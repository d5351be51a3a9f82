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

// The lengths before an entry.
struct Lengths {
  uint32_t shared, unshared, value_bytes;
};

const char* ReadLongLengths(const char* p, const char* limit, Lengths* out) {
  std::string_view in(p, static_cast<size_t>(limit - p));
  if (!GetVarint32(&in, &out->shared) || !GetVarint32(&in, &out->unshared) || !GetVarint32(&in, &out->value_bytes)) {
    return nullptr;
  }
  return in.data();
}

// Reads the lengths of the entry at `p` and returns where its key suffix starts; null when the entry does not fit
// before `limit`. Inline: it is a good part of the work of passing an entry.
[[gnu::always_inline]] inline const char* ReadLengths(const char* p, const char* limit, Lengths* out) {
  if (limit - p < 3) return nullptr;
  *out = {static_cast<unsigned char>(p[0]), static_cast<unsigned char>(p[1]), static_cast<unsigned char>(p[2])};
  if ((out->shared | out->unshared | out->value_bytes) < 0x80) {
    p += 3;  // nearly every entry: three one-byte varints
  } else {
    p = ReadLongLengths(p, limit, out);
    if (p == nullptr) return nullptr;
  }
  const uint64_t needed = static_cast<uint64_t>(out->unshared) + out->value_bytes;
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

// Whether a key is before the target, whose first `shared` bytes it has, and then `suffix`; `matched` bytes of both
// user keys are the same.
bool IsBefore(std::string_view target, size_t matched, std::string_view suffix, size_t shared) {
  const size_t user_bytes = shared + suffix.size() - kTrailerBytes, wanted = target.size() - kTrailerBytes;
  if (matched < std::min(user_bytes, wanted)) {
    return static_cast<unsigned char>(suffix[matched - shared]) < static_cast<unsigned char>(target[matched]);
  }
  return user_bytes != wanted ? user_bytes < wanted : TrailerOf(suffix) > TrailerOf(target);
}

// A block without its restart array.
std::string_view EntriesOf(std::string_view block, uint32_t restarts) {
  return block.substr(0, block.size() - 4 - static_cast<size_t>(restarts) * 4);
}

// How far ahead of a walk over entries memory is fetched. Never looked at, so it may lie behind the block.
constexpr size_t kPrefetchBytes = 256;

}  // namespace

BlockRef Block::Make(size_t size, char** bytes) {
  void* const piece = size <= UINT32_MAX - sizeof(Block) ? AllocateBlock(sizeof(Block) + size) : nullptr;
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
    shared = SharedBytes(last_key_.data(), key.data(), std::min(last_key_.size(), key.size()));
  }
  // For a large value at once, with lengths and the end of the block; with small ones it doubles as they come.
  constexpr size_t kLargeBytes = 32 << 10, kAroundBytes = 64;
  if (value.size() >= kLargeBytes) buffer_.reserve(buffer_.size() + key.size() + value.size() + kAroundBytes);
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
  constexpr size_t kKeepBytes = 2 << 20;  // a huge value must not pin its memory for the rest of the table
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
  restart_count_ = RestartCount(bytes);
  if (restart_count_ > 0) data_ = EntriesOf(bytes, restart_count_);
}

// 0 when there is none, or the array does not fit.
uint32_t BlockCursor::RestartCount(std::string_view bytes) {
  if (bytes.size() < 4 || bytes.size() > UINT32_MAX) return 0;
  const uint32_t count = DecodeFixed32(bytes.data() + bytes.size() - 4);
  return count <= (bytes.size() - 4) / 4 ? count : 0;
}

void BlockCursor::Prefetch(const Block& block) {
  const std::string_view bytes = block.bytes();
  const uint32_t count = RestartCount(bytes);
  if (count == 0) return;
  const std::string_view entries = EntriesOf(bytes, count);
  const uint32_t offset = DecodeFixed32(entries.data() + entries.size() + static_cast<size_t>(count / 2) * 4);
  if (offset < bytes.size()) __builtin_prefetch(bytes.data() + offset);
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
  Lengths entry;
  const char* const limit = data_.data() + data_.size();
  const char* const p = offset < data_.size() ? ReadLengths(data_.data() + offset, limit, &entry) : nullptr;
  if (p == nullptr) {
    Fail("it does not fit in the block");
    return false;
  }
  const size_t key_bytes = static_cast<size_t>(entry.shared) + entry.unshared;
  if (entry.shared > key_.size() || key_bytes < kTrailerBytes) {
    Fail("its key shares more than the key before it has, or is shorter than a trailer");
    return false;
  }
  if (key_.size() != key_bytes) key_.resize(key_bytes);
  CopySuffix(key_.data() + entry.shared, p, entry.unshared);
  const char* const value = p + entry.unshared;
  next_ = static_cast<uint32_t>(value + entry.value_bytes - data_.data());
  SetEntry(key_, {value, entry.value_bytes});
  return true;
}

uint32_t BlockCursor::RestartOffset(uint32_t index) const {
  return DecodeFixed32(data_.data() + data_.size() + static_cast<size_t>(index) * 4);
}

bool BlockCursor::RestartKey(uint32_t index, std::string_view* key) const {
  const uint32_t offset = RestartOffset(index);
  if (offset >= data_.size()) return false;
  Lengths entry;
  const char* const p = ReadLengths(data_.data() + offset, data_.data() + data_.size(), &entry);
  if (p == nullptr || entry.shared != 0 || entry.unshared < kTrailerBytes) return false;
  *key = {p, entry.unshared};
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
  seek_restart_ = left;
  SeekToRestart(left);
  if (SkipTo(target)) return;
  SeekToRestart(left);
  do {
    if (!ParseAt(next_)) return;
    if (CompareInternalKeys(key_, target) >= 0) return;
  } while (next_ < data_.size());
  SetEnd();
}

bool BlockCursor::SeekFrom(uint32_t restart, std::string_view target) {
  if (!HasRestarts() || restart >= restart_count_) return false;
  std::string_view key;
  if (!RestartKey(restart, &key) || CompareInternalKeys(key, target) > 0) return false;
  SeekToRestart(restart);
  return SkipTo(target) && valid();
}

// From a restart point to the first entry that is not before the target, without putting the keys in between
// together. For an entry before the target, `matched` is how many bytes its user key and the target's have in common.
// One that shares more than these with it differs from the target at the same byte, so it is before the target too;
// one that shares as many or fewer shares them with the target, and its suffix decides. Undecided, and false, where
// the byte that differs would be one of a trailer: then a walk with whole keys has to tell.
bool BlockCursor::SkipTo(std::string_view target) {
  const std::string_view user = UserKeyOf(target);
  const char* const limit = data_.data() + data_.size();
  size_t matched = 0, last_user = 0, last_key = 0;  // of the entry before
  for (const char* at = data_.data() + next_; at != limit;) {
    Lengths entry;
    const char* const suffix = ReadLengths(at, limit, &entry);
    if (suffix == nullptr) return false;  // damage, which the walk finds again and names
    const size_t shared = entry.shared, key_bytes = shared + entry.unshared, user_bytes = key_bytes - kTrailerBytes;
    if (shared > last_key || key_bytes < kTrailerBytes) return false;
    __builtin_prefetch(suffix + kPrefetchBytes);
    const size_t both = std::min(user_bytes, user.size());
    bool before = true;
    if (shared > matched) {
      if (matched >= std::min(last_user, user_bytes)) return false;
    } else if (shared == matched && matched < both && suffix[0] != user[matched]) {  // as most
      before = static_cast<unsigned char>(suffix[0]) < static_cast<unsigned char>(user[matched]);
    } else {
      matched = std::min(shared, both);
      matched += SharedBytes(suffix, user.data() + matched, both - matched);
      before = IsBefore(target, matched, {suffix, entry.unshared}, shared);
    }
    if (!before) {
      key_.assign(target, 0, shared);
      ParseAt(static_cast<uint32_t>(at - data_.data()));
      return true;
    }
    last_user = user_bytes;
    last_key = key_bytes;
    at = suffix + entry.unshared + entry.value_bytes;
  }
  SetEnd();
  return true;
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
