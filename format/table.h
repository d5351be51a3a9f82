// Table: an immutable sorted file, opened for reading. Bytes: docs/formats/table.md.
//
// A table is read through a BlockSource, so this code does no I/O of its own after Open. Point reads are a
// small state machine (TableProbe) that stops when it wants a block which is not in memory; the driver decides
// how to get it (RFC 0001). Scans use a cursor that blocks in BlockSource::Load.
//
// Threads: a Table is shared freely; a TableProbe or cursor belongs to one thread.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/block_source.h"
#include "format/lookup_hints.h"
#include "format/range_tombstones.h"
#include "tarn/sdk/backend.h"
#include "tarn/sdk/cursor.h"
#include "tarn/sdk/internal_key.h"
#include "tarn/settings.h"

namespace tarn {

// What a builder reports, the manifest records and readers rely on.
struct TableMeta {
  uint64_t number = 0;  // names the blob: TableBlobName(number)
  uint64_t file_bytes = 0;
  std::string smallest;  // user keys: lowest and highest key of any entry or tombstone
  std::string largest;
  bool largest_exclusive = false;  // `largest` is the open end of a range tombstone, not a key in the table
  Sequence min_sequence = 0, max_sequence = 0;
  uint64_t entries = 0;    // point entries
  uint64_t deletions = 0;  // point tombstones among them
  uint64_t range_deletions = 0;
  uint64_t raw_bytes = 0;  // keys and values before compression
};

// The column family a table was written for. The manifest says it too; a table says it for the day when no manifest
// is readable (tarn/repair.h).
struct TableOwner {
  uint32_t family = 0;
  std::string name = "default";
};

std::string TableBlobName(uint64_t number);  // "table/000000000000000a": hexadecimal, like all numbers in names

class Table {
 public:
  // Reads and verifies the footer and the range tombstones of blob TableBlobName(number). `store_id` is the
  // 16-byte identity that must be in the footer: a table of another store, number or size is Corruption.
  static Result<std::shared_ptr<Table>> Open(Backend& backend, std::string_view store_id, uint64_t number,
                                             uint64_t expected_bytes);

  // Checks trailer and checksum of a stored block (handle.stored_bytes bytes read at handle.offset),
  // decompresses it, and bounds the decompressed size. Corruption names blob, offset and next step.
  Result<BlockRef> DecodeBlock(BlockHandle handle, std::string_view stored) const;

  std::unique_ptr<Cursor> NewCursor(BlockSource& source) const;  // the table and source outlive it
  // Reads every block, in order, and checks structure and order of keys, agreement with filter, index and
  // properties, and that the blocks fill the file without a gap. Give it a source without a cache: a block in
  // memory says nothing about the one on the device.
  Status Verify(BlockSource& source) const;
  // What the builder reported about this table, from its properties block.
  Result<TableMeta> ReadProperties(BlockSource& source) const;

  const BlobReader& blob() const { return *blob_; }
  uint64_t number() const { return number_; }
  const RangeTombstones& range_tombstones() const { return range_tombstones_; }
  uint64_t entries() const { return entries_; }
  BlockHandle filter() const { return filter_; }  // stored_bytes 0: none
  BlockHandle index() const { return index_; }    // the top of the two-level index; stored_bytes 0: no entries

  // Whether nobody has asked this before: who is about to read an index partition then reads all of them at once.
  bool TakeIndexUnread() const { return !index_read_.exchange(true, std::memory_order_relaxed); }
  // The partitions that `top`, the block of index(), leads to.
  std::vector<BlockHandle> IndexPartitions(BlockRef top) const;

  // For the readers in this folder. The block that an index entry leads to; checked to lie inside the file.
  Status ParseHandle(std::string_view index_value, BlockHandle* handle) const;
  // An error that was found inside a block, with blob, offset and next step added.
  Status BlockError(BlockHandle handle, const Status& found) const;

 private:
  friend class TableVerifier;
  Table() = default;
  static Result<std::shared_ptr<Table>> OpenBlob(Backend& backend, std::string_view store_id, uint64_t number,
                                                 uint64_t expected_bytes);
  Status CheckHandle(BlockHandle handle) const;
  Status LoadRangeTombstones();

  std::unique_ptr<BlobReader> blob_;
  uint64_t number_ = 0, identity_ = 0;
  uint64_t blocks_end_ = 0;  // where the footer starts
  BlockHandle filter_, index_, range_block_, properties_;
  uint64_t entries_ = 0;
  RangeTombstones range_tombstones_;
  mutable std::atomic<bool> index_read_{false};
};

// One point lookup in one table, resumable:  Start; while (Run(source) == kNeedBlock) { get wanted(); Supply }
// Reusable; after warm-up it allocates nothing.
class TableProbe {
 public:
  enum class Step : uint8_t { kDone, kNeedBlock };

  // `user_key` must stay readable until kDone. `table` too. `hints` are followed and kept up, if there are any.
  void Start(const Table* table, std::string_view user_key, Sequence snapshot, LookupHints* hints = nullptr);
  Step Run(BlockSource& source);
  bool done() const { return stage_ == Stage::kDone; }
  bool wants_index() const { return stage_ == Stage::kIndex; }  // a partition
  BlockHandle wanted() const { return wanted_; }
  const Table* table() const { return table_; }
  // Goes on with the wanted block, as far as it leads.
  void Digest(BlockRef block);
  // Where the wanted block is only what a hint said: takes the regular way to it instead. Otherwise false.
  bool DropHint();
  // The same as Digest; or why the block could not be had, and the probe ends with that error.
  void Supply(Result<BlockRef> block);
  // Fetches what Digest of the wanted block will look at into the processor's cache. Its first and last bytes should
  // be there already.
  void Prefetch(const Block& block) const;

  // After kDone:
  const Status& status() const { return status_; }
  bool present() const { return present_; }  // a version <= snapshot is in the table
  Kind kind() const { return kind_; }
  Sequence sequence() const { return sequence_; }
  std::string_view value() const { return value_; }  // lives as long as value_block()
  const BlockRef& value_block() const { return value_block_; }
  bool filtered() const { return filtered_; }  // the filter said no
  bool by_hint() const { return by_hint_; }    // a hint led to the value, and the filter was not asked
  // Lets go of the value's block. value() is gone.
  void Release() {
    value_ = {};
    value_block_.reset();
  }

 private:
  enum class Stage : uint8_t { kHint, kFilter, kTopIndex, kIndex, kData, kDone };
  void Enter(Stage stage, BlockHandle handle);
  void Finish(Status status);
  void Found();

  const Table* table_ = nullptr;
  std::string seek_key_;
  BlockCursor cursor_;
  BlockHandle wanted_;
  LookupHints* hints_ = nullptr;
  LookupHints::Hint hint_;
  uint64_t hash_ = 0;  // of the user key
  BlockRef value_block_;
  std::string_view value_;
  Status status_;
  Sequence sequence_ = 0;
  Stage stage_ = Stage::kDone;
  Kind kind_ = Kind::kDelete;
  bool present_ = false, filtered_ = false, by_hint_ = false;
};

}  // namespace tarn
