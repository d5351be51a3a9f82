// Opening a table and turning stored bytes into blocks. The lookup is in table_probe.cc, scans are in
// table_cursor.cc, the full check in table_verify.cc.
//
// Invariants after Open:
//   1. The footer is of this store and this number; its checksum is right.
//   2. Every handle that ParseHandle lets through lies inside the blocks part of the file, so nobody is sent to
//      read, or to make room for, more than the file has.
#include "format/table.h"

#include <cstring>
#include <vector>

#include "base/coding.h"
#include "base/hash.h"
#include "base/next_step.h"
#include "format/compress.h"
#include "format/table_layout.h"

namespace tarn {

Result<std::shared_ptr<Table>> Table::Open(Backend& backend, std::string_view store_id, uint64_t number,
                                           uint64_t expected_bytes) {
  Result<std::shared_ptr<Table>> opened = OpenBlob(backend, store_id, number, expected_bytes);
  Placement* const placement = backend.features().placement;
  if (opened.status().code() != Code::kCorruption || placement == nullptr) return opened;
  placement->Prefer(TableBlobName(number), Place::kFar);  // perhaps only a copy is damaged
  return OpenBlob(backend, store_id, number, expected_bytes);
}

Result<std::shared_ptr<Table>> Table::OpenBlob(Backend& backend, std::string_view store_id, uint64_t number,
                                               uint64_t expected_bytes) {
  std::shared_ptr<Table> table(new Table);
  auto blob = backend.Open(TableBlobName(number));
  if (blob.status().code() == Code::kNotFound) {
    return Status::Corruption(TableBlobName(number) + ", offset 0: the table is missing" + std::string(kRepairStep));
  }
  TARN_ASSIGN(table->blob_, std::move(blob));
  table->number_ = number;
  table->identity_ = TableIdentity(store_id, number);
  const uint64_t size = table->blob_->size();
  if (size != expected_bytes || size < kFooterBytes) {
    return Status::Corruption(TableBlobName(number) + ": ends at offset " + std::to_string(size) + " instead of " +
                              std::to_string(expected_bytes) + std::string(kRepairStep));
  }
  table->blocks_end_ = size - kFooterBytes;
  char bytes[kFooterBytes];
  TARN_TRY(table->blob_->Read(table->blocks_end_, bytes));
  TARN_ASSIGN(const TableFooter footer, DecodeFooter({bytes, kFooterBytes}, table->blocks_end_, store_id, number));
  table->filter_ = footer.filter;
  table->range_block_ = footer.ranges;
  table->index_ = footer.index;
  table->properties_ = footer.properties;
  table->entries_ = footer.entries;
  for (const BlockHandle handle : {footer.filter, footer.ranges, footer.index}) {
    if (handle.stored_bytes != 0) TARN_TRY(table->CheckHandle(handle));
  }
  TARN_TRY(table->CheckHandle(footer.properties));
  if ((footer.entries == 0) != (footer.index.stored_bytes == 0)) {
    return BlockCorruption(number, footer.index, "an index without entries, or entries without an index");
  }
  TARN_TRY(table->LoadRangeTombstones());
  return table;
}

Status Table::LoadRangeTombstones() {
  if (range_block_.stored_bytes == 0) return {};
  std::string stored(range_block_.stored_bytes, '\0');
  TARN_TRY(blob_->Read(range_block_.offset, stored));
  TARN_ASSIGN(BlockRef block, DecodeBlock(range_block_, stored));
  std::vector<RangeTombstone> tombstones;
  BlockCursor cursor;
  cursor.Reset(std::move(block));
  for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) {
    const std::string_view begin = UserKeyOf(cursor.key());
    if (KindOf(cursor.key()) != Kind::kRangeDelete || begin >= cursor.value()) {
      return BlockCorruption(number_, range_block_, "an entry that is not a range tombstone");
    }
    tombstones.push_back({std::string(begin), std::string(cursor.value()), SequenceOf(cursor.key())});
  }
  if (!cursor.status().ok()) return BlockCorruption(number_, range_block_, cursor.status().message());
  range_tombstones_ = RangeTombstones(std::move(tombstones));
  return {};
}

Status Table::CheckHandle(BlockHandle handle) const {
  if (handle.stored_bytes < kBlockTrailerBytes || handle.stored_bytes > blocks_end_ ||
      handle.offset > blocks_end_ - handle.stored_bytes) {
    return BlockCorruption(number_, handle, "not inside the blocks of the file");
  }
  return {};
}

Status Table::ParseHandle(std::string_view index_value, BlockHandle* handle) const {
  if (!GetHandle(&index_value, handle) || !index_value.empty()) {
    return BlockCorruption(number_, index_, "an index entry leads to no block");
  }
  return CheckHandle(*handle);
}

std::vector<BlockHandle> Table::IndexPartitions(BlockRef top) const {
  std::vector<BlockHandle> handles;
  BlockCursor cursor;
  cursor.Reset(std::move(top));
  for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) {
    BlockHandle handle;
    if (!ParseHandle(cursor.value(), &handle).ok()) break;  // damage is found by who needs it
    handles.push_back(handle);
  }
  return handles;
}

Status Table::BlockError(BlockHandle handle, const Status& found) const {
  return BlockCorruption(number_, handle, found.message());
}

Result<BlockRef> Table::DecodeBlock(BlockHandle handle, std::string_view stored) const {
  if (stored.size() != handle.stored_bytes || stored.size() < kBlockTrailerBytes) {
    return BlockCorruption(number_, handle, "read as " + std::to_string(stored.size()) + " bytes");
  }
  const size_t summed = stored.size() - kChecksumBytes;
  if (PlacedChecksum(stored.substr(0, summed), identity_, handle.offset) != DecodeFixed64(stored.data() + summed)) {
    return BlockCorruption(number_, handle, "checksum mismatch");
  }
  const uint8_t method = static_cast<uint8_t>(stored[summed - 1]);
  Result<BlockRef> block = DecompressBlock(method, stored.substr(0, summed - 1));
  if (block.ok()) return block;
  if (block.status().code() == Code::kCorruption) return BlockError(handle, block.status());
  return block.status().Annotate(TableBlobName(number_));
}

Result<TableMeta> Table::ReadProperties(BlockSource& source) const {
  TARN_ASSIGN(const BlockRef block, source.Load(*this, properties_));
  TableMeta meta;
  TableOwner owner;
  if (!DecodeProperties(block->bytes(), &meta, &owner))
    return BlockCorruption(number_, properties_, "malformed properties");
  meta.number = number_;
  meta.file_bytes = blob_->size();
  return meta;
}

}  // namespace tarn
