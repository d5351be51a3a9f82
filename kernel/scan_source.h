// ScanSource: a BlockSource for one cursor at a time over one table after the other. Prefetch() is how a cursor tells
// that it walks forward; then the first Load that misses reads on from its block, up to the read-ahead size, and
// later Loads take their blocks from those bytes. With fill_cache the size starts small and doubles while the walk
// goes on, so that a short scan stays cheap, and blocks that were used are kept in the cache; without it the size is
// the largest at once and the cache is left as it is; on a disk then also a block of up to four times that comes
// by a window, so that a merge finds its stored bytes there (Stored).
//
// Over a network a walk that goes on has several such reads under way (ScanAhead), and reads a table's index at once.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <span>

#include "kernel/read_engine.h"

namespace tarn::kernel {

class ScanAhead;

class ScanSource final : public BlockSource {
 public:
  ScanSource(ReadEngine& engine, bool fill_cache);
  ~ScanSource() override;

  BlockRef Lookup(const Table& table, BlockHandle handle) override;
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override;
  void Prefetch(const Table& table, std::span<const BlockHandle> handles) override;
  std::string_view Stored(const Table& table, BlockHandle handle) const override;

 private:
  bool InWindow(BlockHandle handle) const;
  bool ReadAhead(const Table& table, BlockHandle handle);
  bool TakeAhead(BlockHandle handle);
  Result<BlockRef> ReadAlone(const Table& table, BlockHandle handle);
  Result<BlockRef> Take(const Table& table, BlockHandle handle);
  void DropWindow();

  ReadEngine& engine_;
  const bool fill_cache_;
  const bool network_;
  uint64_t table_ = 0;                          // that all below is about
  uint64_t coming_begin_ = 0, coming_end_ = 0;  // where in the blob the hinted blocks lie
  uint64_t window_begin_ = 0, window_end_ = 0;  // of the bytes last read ahead
  uint64_t window_size_ = 0;                    // asked for by the last read ahead; 0: none yet
  std::unique_ptr<char[]> window_;              // null when they were used up, with fill_cache
  BlockHandle taken_;                           // the block that came out of the window last; stored_bytes 0: none
  MemoryCharge charge_;
  bool walked_out_ = false;           // over a network: the last window reached the end of its table
  std::unique_ptr<ScanAhead> ahead_;  // of table_, from window_end_ on; null: nobody has walked yet
};

}  // namespace tarn::kernel
