// Table::Verify: walks the file front to back once and believes nothing that was written beside the entries.
//
// It recomputes the whole TableMeta from entries and tombstones and compares it with the properties block, asks
// the filter for every key, holds every key between the index keys around its block, and follows the offsets:
// each block starts where the one before it ended, in the order of docs/formats/table.md, up to the footer. So
// together with the checksums no byte of the file goes unchecked.
#include <algorithm>
#include <string>
#include <vector>

#include "format/filter.h"
#include "format/table.h"
#include "format/table_layout.h"

namespace tarn {

class TableVerifier {
 public:
  TableVerifier(const Table& table, BlockSource& source) : table_(table), source_(source) {}

  Status Run() {
    TARN_ASSIGN(claimed_, table_.ReadProperties(source_));
    if (table_.filter_.stored_bytes != 0) {
      TARN_ASSIGN(filter_, source_.Load(table_, table_.filter_));
    }
    if (table_.entries_ > 0) TARN_TRY(CheckIndex());
    if (table_.filter_.stored_bytes != 0) TARN_TRY(Follow(table_.filter_));
    TARN_TRY(CheckRangeTombstones());
    for (const BlockHandle partition : partitions_) TARN_TRY(Follow(partition));
    if (table_.index_.stored_bytes != 0) TARN_TRY(Follow(table_.index_));
    TARN_TRY(Follow(table_.properties_));
    if (next_offset_ != table_.blocks_end_) {
      return table_.BlockError(table_.properties_, Status::Corruption("bytes of no block stand before the footer"));
    }
    return CheckMeta();
  }

 private:
  Status Bad(BlockHandle handle, std::string what) const {
    return table_.BlockError(handle, Status::Corruption(std::move(what)));
  }
  Status Follow(BlockHandle handle) {
    if (handle.offset != next_offset_) {
      return Bad(handle, "it should start at offset " + std::to_string(next_offset_));
    }
    next_offset_ += handle.stored_bytes;
    return {};
  }

  // Walks the entries of a block in strictly ascending order; `visit` is called with the cursor on each.
  template <typename Visit>
  Status Walk(BlockHandle handle, const Visit& visit) {
    TARN_ASSIGN(BlockRef block, source_.Load(table_, handle));
    BlockCursor cursor;
    cursor.Reset(std::move(block));
    std::string before;
    for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) {
      if (!before.empty() && CompareInternalKeys(before, cursor.key()) >= 0) return Bad(handle, "keys out of order");
      before = cursor.key();
      TARN_TRY(visit(cursor));
    }
    const Status sound = cursor.status().ok() ? cursor.CheckRestarts() : cursor.status();
    return sound.ok() ? Status() : table_.BlockError(handle, sound);
  }

  Status CheckIndex() {
    return Walk(table_.index_, [this](const BlockCursor& top) -> Status {
      BlockHandle partition;
      TARN_TRY(table_.ParseHandle(top.value(), &partition));
      partitions_.push_back(partition);
      TARN_TRY(Walk(partition, [this](const BlockCursor& index) { return CheckDataBlock(index); }));
      return top.key() == separator_ ? Status() : Bad(table_.index_, "a key that is not the last of its partition");
    });
  }

  Status CheckDataBlock(const BlockCursor& index) {
    BlockHandle handle;
    TARN_TRY(table_.ParseHandle(index.value(), &handle));
    TARN_TRY(Follow(handle));
    block_begins_ = true;
    TARN_TRY(Walk(handle, [this, handle](const BlockCursor& entry) { return CheckEntry(handle, entry); }));
    if (CompareInternalKeys(last_key_, index.key()) > 0) return Bad(handle, "a key behind its index key");
    separator_ = index.key();
    return {};
  }

  Status CheckEntry(BlockHandle handle, const BlockCursor& entry) {
    const std::string_view user_key = UserKeyOf(entry.key());
    const Kind kind = KindOf(entry.key());
    if (kind != Kind::kPut && kind != Kind::kDelete) return Bad(handle, "an entry of unknown kind");
    // The separator is >= all keys before it, so this also orders keys across blocks.
    if (!separator_.empty() && CompareInternalKeys(separator_, entry.key()) >= 0) {
      return Bad(handle, "a key that belongs before the block");
    }
    // A probe reads one block, so where versions of a key go on in the next one the separator is a real key.
    if (block_begins_ && !last_key_.empty() && UserKeyOf(last_key_) == user_key && separator_ != last_key_) {
      return Bad(handle, "versions of one key on both sides of an index key that is none of them");
    }
    block_begins_ = false;
    if (filter_ && !FilterMayContain(filter_->bytes(), user_key)) return Bad(handle, "a key the filter denies");
    if (last_key_.empty()) found_.smallest = user_key;
    last_key_ = entry.key();
    ++found_.entries;
    if (kind == Kind::kDelete) ++found_.deletions;
    found_.raw_bytes += entry.key().size() + entry.value().size();
    Sees(SequenceOf(entry.key()));
    return {};
  }

  Status CheckRangeTombstones() {
    if (!last_key_.empty()) found_.largest = UserKeyOf(last_key_);
    if (table_.range_block_.stored_bytes == 0) return {};
    TARN_TRY(Follow(table_.range_block_));
    return Walk(table_.range_block_, [this](const BlockCursor& entry) -> Status {
      const std::string_view begin = UserKeyOf(entry.key()), end = entry.value();
      if (KindOf(entry.key()) != Kind::kRangeDelete || begin >= end) {
        return Bad(table_.range_block_, "an entry that is not a range tombstone");
      }
      if (!any_ || begin < found_.smallest) found_.smallest = begin;
      if (end > found_.largest) {
        found_.largest = end;
        found_.largest_exclusive = true;
      }
      ++found_.range_deletions;
      Sees(SequenceOf(entry.key()));
      return {};
    });
  }

  void Sees(Sequence sequence) {
    found_.min_sequence = any_ ? std::min(found_.min_sequence, sequence) : sequence;
    found_.max_sequence = std::max(found_.max_sequence, sequence);
    any_ = true;
  }

  Status CheckMeta() const {
    const auto differs = [this](std::string_view what) {
      return Bad(table_.properties_, "its " + std::string(what) + " is not that of the entries");
    };
    if (found_.entries != table_.entries_ || found_.entries != claimed_.entries) return differs("number of entries");
    if (found_.deletions != claimed_.deletions) return differs("number of deletions");
    if (found_.range_deletions != claimed_.range_deletions) return differs("number of range deletions");
    if (found_.raw_bytes != claimed_.raw_bytes) return differs("raw size");
    if (found_.min_sequence != claimed_.min_sequence || found_.max_sequence != claimed_.max_sequence) {
      return differs("range of sequences");
    }
    if (found_.smallest != claimed_.smallest || found_.largest != claimed_.largest ||
        found_.largest_exclusive != claimed_.largest_exclusive) {
      return differs("range of keys");
    }
    return {};
  }

  const Table& table_;
  BlockSource& source_;
  TableMeta claimed_, found_;
  BlockRef filter_;
  std::vector<BlockHandle> partitions_;
  std::string separator_, last_key_;  // of the data block before, of the entry before
  uint64_t next_offset_ = 0;
  bool block_begins_ = true;  // the next entry is the first of its data block
  bool any_ = false;
};

Status Table::Verify(BlockSource& source) const { return TableVerifier(*this, source).Run(); }

}  // namespace tarn
