// BlockSource: where table readers get verified blocks from. The kernel implements it over the block cache
// and the read engine; tests over a plain blob. Table readers themselves never read a blob.
#pragma once

#include <span>

#include "format/block.h"

namespace tarn {

class Table;

class BlockSource {
 public:
  virtual ~BlockSource() = default;
  // From memory only; null when it is not there. No system call, no allocation.
  virtual BlockRef Lookup(const Table& table, BlockHandle handle) = 0;
  // From memory, or read, verified (Table::DecodeBlock) and kept. May block.
  virtual Result<BlockRef> Load(const Table& table, BlockHandle handle) = 0;
  // A hint: these will be wanted soon, in this order. The source may read them together.
  virtual void Prefetch(const Table& table, std::span<const BlockHandle> handles) = 0;
  // What the block that was loaded last was decoded from (handle.stored_bytes bytes); empty when it was another one
  // or they are not at hand. Readable until the next call.
  virtual std::string_view Stored(const Table&, BlockHandle) const { return {}; }
};

}  // namespace tarn
