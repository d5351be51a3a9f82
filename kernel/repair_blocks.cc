#include "kernel/repair_blocks.h"

#include <algorithm>

#include "base/coding.h"
#include "base/hash.h"
#include "format/compress.h"
#include "format/table_layout.h"

namespace tarn::kernel {
namespace {

constexpr uint64_t kWindowBytes = 256 << 10;  // read at once: blocks are read in order
constexpr uint64_t kLastMethod = 2;           // of the compression byte

}  // namespace

Result<std::string_view> BlockFinder::Bytes(uint64_t offset, uint64_t bytes) {
  if (offset < window_offset_ || offset + bytes > window_offset_ + window_.size()) {
    window_.resize(std::min(std::max(bytes, kWindowBytes), size() - offset));
    window_offset_ = offset;
    const Status status = blob_->Read(offset, window_);
    if (!status.ok()) {
      window_.clear();
      return status;
    }
  }
  return std::string_view(window_).substr(offset - window_offset_, bytes);
}

BlockRef BlockFinder::At(BlockHandle handle) {
  if (handle.stored_bytes < kBlockTrailerBytes || handle.stored_bytes > size() ||
      handle.offset > size() - handle.stored_bytes) {
    return nullptr;
  }
  const Result<std::string_view> stored = Bytes(handle.offset, handle.stored_bytes);
  if (!stored.ok()) return nullptr;
  const std::string_view summed = stored->substr(0, stored->size() - kChecksumBytes);
  if (PlacedChecksum(summed, identity_, handle.offset) != DecodeFixed64(stored->data() + summed.size()))
    return nullptr;
  Result<BlockRef> block = DecompressBlock(static_cast<uint8_t>(summed.back()), summed.substr(0, summed.size() - 1));
  return block.ok() ? *std::move(block) : nullptr;
}

std::optional<BlockFinder::Found> BlockFinder::StartingAt(uint64_t offset, uint64_t limit) {
  limit = std::min({limit, size(), offset + kMaxBlockBytes});
  if (offset > limit) return std::nullopt;
  PlacedHasher hasher(identity_, offset);
  uint64_t hashed = offset;
  for (uint64_t at = offset; at + kBlockTrailerBytes <= limit;) {
    // A stretch of places for the compression byte, and the checksum behind the last of them.
    const uint64_t places = std::min(kWindowBytes / 2, limit - at - kBlockTrailerBytes + 1);
    const Result<std::string_view> bytes = Bytes(at, places + kChecksumBytes);
    if (!bytes.ok()) return std::nullopt;
    for (uint64_t i = 0; i < places; ++i) {
      if (static_cast<uint8_t>((*bytes)[i]) > kLastMethod) continue;
      hasher.Add(bytes->substr(hashed - at, i + 1 - (hashed - at)));
      hashed = at + i + 1;
      if (hasher.value() != DecodeFixed64(bytes->data() + i + 1)) continue;
      const BlockHandle handle{offset, static_cast<uint32_t>(at + i + kBlockTrailerBytes - offset)};
      BlockRef block = At(handle);
      if (block == nullptr) return std::nullopt;
      return Found{handle, std::move(block)};
    }
    hasher.Add(bytes->substr(hashed - at, places - (hashed - at)));
    at += places;
    hashed = at;
  }
  return std::nullopt;
}

}  // namespace tarn::kernel
