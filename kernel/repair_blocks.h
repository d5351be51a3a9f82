// BlockFinder: blocks of one damaged table file, by handle or by where they start.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "format/block.h"
#include "kernel/repair_source.h"

namespace tarn::kernel {

class BlockFinder {
 public:
  // `identity` is what the checksums of the table are seeded with.
  BlockFinder(std::unique_ptr<BlobReader> blob, uint64_t identity) : blob_(std::move(blob)), identity_(identity) {}

  uint64_t size() const { return blob_->size(); }
  // Null when it is not inside the file or does not verify.
  BlockRef At(BlockHandle handle);
  // The block that starts at `offset` and ends at `limit` at the latest: the end is where a checksum fits.
  struct Found {
    BlockHandle handle;
    BlockRef block;
  };
  std::optional<Found> StartingAt(uint64_t offset, uint64_t limit);
  // Bytes [offset, offset + bytes). REQUIRES: they are in the file. Readable until the next call.
  Result<std::string_view> Bytes(uint64_t offset, uint64_t bytes);

 private:
  std::unique_ptr<BlobReader> blob_;
  uint64_t identity_;
  uint64_t window_offset_ = 0;
  std::string window_;
};

}  // namespace tarn::kernel
