#include "kernel/repair_table.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "kernel/repair_blocks.h"

namespace tarn::kernel {
namespace {

// Entries of a block; nothing when they do not read to the end.
std::optional<uint64_t> CountEntries(const BlockRef& block, std::string* last_user_key) {
  BlockCursor cursor;
  cursor.Reset(block);
  uint64_t count = 0;
  for (cursor.SeekToFirst(); cursor.valid(); cursor.Next(), ++count) {
    if (cursor.key().size() < kTrailerBytes) return std::nullopt;
    *last_user_key = UserKeyOf(cursor.key());
  }
  return cursor.status().ok() ? std::optional<uint64_t>(count) : std::nullopt;
}

// The data blocks of a table in order. Invariant: no key below from_key_ is still to come.
class DataBlocks {
 public:
  DataBlocks(const FoundTable& table, BlockFinder* blocks, RepairLosses* losses)
      : table_(table), blocks_(blocks), losses_(losses) {
    if (table.meta.has_value()) from_key_ = table.meta->smallest;
    if (table.footer.has_value() && table.footer->index.stored_bytes != 0) {
      if (BlockRef top = blocks->At(table.footer->index)) {
        indexed_ = true;
        top_.Reset(std::move(top));
        top_.SeekToFirst();
      }
    }
    data_end_ = table.data_end();
    if (BlockHandle first; indexed_ && top_.valid() && Parse(top_, &first)) {
      data_end_ = std::min(data_end_, first.offset);  // without filter and tombstones nothing else says it
    }
    if (!indexed_ && table.entries() != uint64_t{0}) StartWalk(data_end_, WholeEnd());
  }

  // Null: the end.
  BlockRef Next() {
    for (;;) {
      if (walking_) {
        if (BlockRef block = Walk()) return block;
      } else if (!indexed_) {
        return nullptr;
      } else if (partition_.valid()) {
        if (BlockRef block = FromPartition()) return block;
      } else if (!NextPartition()) {
        return nullptr;
      }
    }
  }

  // Behind the last key the table may hold.
  std::string WholeEnd() const {
    if (!table_.meta.has_value()) return {};
    return table_.meta->largest_exclusive ? table_.meta->largest : JustBehind(table_.meta->largest);
  }

  // Everything from `begin` on.
  void LoseRest(std::string begin, std::string reason) {
    from_key_ = std::move(begin);
    Lose({}, WholeEnd(), std::move(reason));
  }

 private:
  void Lose(BlockHandle where, std::string end, std::string reason) {
    RepairLoss loss = WholeTable(table_.number, table_.meta, table_.owner, std::move(reason));
    loss.offset = where.offset;
    loss.length = where.stored_bytes;
    loss.begin = from_key_;
    loss.end = std::move(end);
    losses_->Add(std::move(loss));
  }
  static bool Parse(const BlockCursor& index, BlockHandle* handle) {
    std::string_view in = index.value();
    return index.key().size() >= kTrailerBytes && GetHandle(&in, handle);
  }
  void StartWalk(uint64_t offset_end, std::string key_end) {
    walking_ = true;
    walk_end_ = std::min(offset_end, blocks_->size());
    walk_key_end_ = std::move(key_end);
  }

  BlockRef Walk() {
    const bool done = indexed_ ? next_offset_ >= walk_end_ : walked_entries_ >= table_.entries();
    if (done) {
      walking_ = false;
      return nullptr;
    }
    auto found = blocks_->StartingAt(next_offset_, walk_end_);
    std::string last_key;
    const auto entries = found.has_value() ? CountEntries(found->block, &last_key) : std::nullopt;
    if (!entries.has_value()) {
      const uint64_t bytes = walk_end_ - std::min(next_offset_, walk_end_);
      Lose({next_offset_, static_cast<uint32_t>(std::min<uint64_t>(bytes, UINT32_MAX))}, walk_key_end_,
           "data that no index leads to and that does not read back by itself");
      next_offset_ = walk_end_;
      walking_ = false;
      return nullptr;
    }
    walked_entries_ += *entries;
    next_offset_ += found->handle.stored_bytes;
    from_key_ = std::move(last_key);
    return std::move(found->block);
  }

  BlockRef FromPartition() {
    BlockHandle handle;
    if (!Parse(partition_, &handle)) {
      LoseRest(from_key_, "an index that no Tarn wrote, behind a checksum that is right");
      partition_.Reset(nullptr);
      return nullptr;
    }
    BlockRef block = blocks_->At(handle);
    std::string separator(UserKeyOf(partition_.key()));
    if (block == nullptr) Lose(handle, JustBehind(separator), "a data block that does not read back");
    next_offset_ = handle.offset + handle.stored_bytes;
    from_key_ = std::move(separator);
    partition_.Next();
    return block;
  }

  // False: there is none. Of several lost ones in a row all data is looked for at once.
  bool NextPartition() {
    if (!top_.status().ok() || !partition_.status().ok()) {
      LoseRest(from_key_, "an index that no Tarn wrote, behind a checksum that is right");
    }
    if (!top_.valid()) return false;
    std::string lost_until;
    for (bool lost = false; top_.valid();) {
      const std::string separator(top_.key().size() >= kTrailerBytes ? UserKeyOf(top_.key()) : std::string_view());
      const bool good = OpenPartition();
      top_.Next();
      if (!good) {
        lost = true;
        lost_until = JustBehind(separator);
        continue;
      }
      if (lost) StartWalk(FirstOffset(), lost_until);
      return true;
    }
    partition_.Reset(nullptr);
    StartWalk(data_end_, WholeEnd());
    return true;
  }
  bool OpenPartition() {
    BlockHandle handle;
    BlockRef block = Parse(top_, &handle) ? blocks_->At(handle) : nullptr;
    if (block == nullptr) return false;
    partition_.Reset(std::move(block));
    partition_.SeekToFirst();
    return partition_.valid();
  }
  // Of the data below the open partition.
  uint64_t FirstOffset() const {
    BlockHandle handle;
    return Parse(partition_, &handle) ? std::max(handle.offset, next_offset_) : next_offset_;
  }

  const FoundTable& table_;
  BlockFinder* const blocks_;
  RepairLosses* const losses_;
  bool indexed_ = false;
  BlockCursor top_, partition_;
  std::string from_key_;
  uint64_t data_end_ = 0;
  uint64_t next_offset_ = 0;  // behind the last block that was handed out or lost

  bool walking_ = false;
  uint64_t walk_end_ = 0, walked_entries_ = 0;
  std::string walk_key_end_;
};

class SalvageCursor final : public Cursor {
 public:
  SalvageCursor(const FoundTable& table, BlockFinder blocks, RepairLosses* losses, uint64_t* blocks_read,
                uint64_t* bytes_read)
      : table_(table),
        finder_(std::move(blocks)),
        blocks_(table, &finder_, losses),
        blocks_read_(blocks_read),
        bytes_read_(bytes_read) {}

  void SeekToFirst() override {
    data_.Reset(nullptr);
    Show();
  }
  void Next() override {
    data_.Next();
    Show();
  }
  void SeekToLast() override { CHECK(false); }
  void Seek(std::string_view) override { CHECK(false); }
  void Prev() override { CHECK(false); }

 private:
  void Show() {
    for (;;) {
      if (data_.valid() && Believable()) {
        before_.assign(data_.key());
        return SetEntry(data_.key(), data_.value());
      }
      if (data_.valid() || !data_.status().ok()) {
        blocks_.LoseRest(before_.empty() ? std::string() : std::string(UserKeyOf(before_)),
                         "entries that no Tarn wrote, behind a checksum that is right");
      }
      BlockRef block = blocks_.Next();
      if (block == nullptr) return SetEnd();
      ++*blocks_read_;
      *bytes_read_ += block->bytes().size();
      data_.Reset(std::move(block));
      data_.SeekToFirst();
    }
  }
  // The merge relies on order, and lanes of tables on the range.
  bool Believable() const {
    const std::string_view key = data_.key();
    if (key.size() < kTrailerBytes || KindOf(key) > Kind::kPut) return false;
    if (!before_.empty() && CompareInternalKeys(before_, key) >= 0) return false;
    return !table_.meta.has_value() ||
           (UserKeyOf(key) >= table_.meta->smallest && UserKeyOf(key) <= table_.meta->largest);
  }

  const FoundTable& table_;
  BlockFinder finder_;
  DataBlocks blocks_;
  uint64_t* const blocks_read_;
  uint64_t* const bytes_read_;
  BlockCursor data_;
  std::string before_;
};

// All blocks up to the footer's place, when each follows the other: then the last one holds the properties.
std::optional<BlockHandle> LastBlock(BlockFinder& blocks, uint64_t end) {
  BlockHandle last;
  for (uint64_t at = 0; at < end; at += last.stored_bytes) {
    const auto found = blocks.StartingAt(at, end);
    if (!found.has_value()) return std::nullopt;
    last = found->handle;
  }
  return last;
}

bool ReadProperties(BlockFinder& blocks, const FoundTable& table, TableMeta* meta, TableOwner* owner) {
  std::optional<BlockHandle> at;
  if (table.footer.has_value()) at = table.footer->properties;
  if (!at.has_value()) at = LastBlock(blocks, std::min(table.footer_at, blocks.size()));
  const BlockRef properties = at.has_value() ? blocks.At(*at) : nullptr;
  return properties != nullptr && DecodeProperties(properties->bytes(), meta, owner);
}

bool ReadTombstones(const BlockRef& block, std::vector<RangeTombstone>* out) {
  BlockCursor cursor;
  cursor.Reset(block);
  for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) {
    if (cursor.key().size() < kTrailerBytes || KindOf(cursor.key()) != Kind::kRangeDelete) return false;
    out->push_back({std::string(UserKeyOf(cursor.key())), std::string(cursor.value()), SequenceOf(cursor.key())});
    if (out->back().begin >= out->back().end) return false;
  }
  return cursor.status().ok();
}

}  // namespace

uint64_t FoundTable::data_end() const {
  if (!footer.has_value()) return footer_at;
  if (footer->filter.stored_bytes != 0) return footer->filter.offset;
  if (footer->ranges.stored_bytes != 0) return footer->ranges.offset;
  return footer->index.stored_bytes != 0 ? footer->index.offset : footer->properties.offset;
}

std::optional<uint64_t> FoundTable::entries() const {
  if (footer.has_value()) return footer->entries;
  return meta.has_value() ? std::optional<uint64_t>(meta->entries) : std::nullopt;
}

RepairLoss WholeTable(uint64_t number, const std::optional<TableMeta>& meta, const std::optional<TableOwner>& owner,
                      std::string reason) {
  RepairLoss loss;
  loss.blob = TableBlobName(number);
  loss.reason = std::move(reason);
  loss.any_family = !owner.has_value();
  if (owner.has_value()) {
    loss.family = owner->family;
    loss.family_name = owner->name;
  }
  if (meta.has_value()) {
    loss.begin = meta->smallest;
    loss.end = meta->largest_exclusive ? meta->largest : JustBehind(meta->largest);
    loss.min_sequence = meta->min_sequence;
    loss.max_sequence = meta->max_sequence;
  }
  return loss;
}

std::optional<FoundTable> TableSalvage::Look(uint64_t number, uint64_t blob_bytes, const TableMeta* named,
                                             const TableOwner* owner) const {
  FoundTable table;
  table.number = number;
  table.blob_bytes = blob_bytes;
  if (named != nullptr) table.meta = *named;
  if (owner != nullptr) table.owner = *owner;
  const auto lose = [&](std::string reason) {
    losses_->Add(WholeTable(number, table.meta, table.owner, std::move(reason)));
    return std::optional<FoundTable>();
  };
  auto blob = source_.Open(TableBlobName(number));
  if (!blob.ok()) return lose(std::string(blob.status().message()));
  BlockFinder blocks(*std::move(blob), TableIdentity(store_id_, number));
  const uint64_t file_bytes = named != nullptr ? named->file_bytes : blocks.size();
  table.footer_at = file_bytes - std::min<uint64_t>(file_bytes, kFooterBytes);
  if (blocks.size() >= kFooterBytes && table.footer_at <= blocks.size() - kFooterBytes) {
    const auto bytes = blocks.Bytes(table.footer_at, kFooterBytes);
    auto footer = bytes.ok() ? DecodeFooter(*bytes, table.footer_at, store_id_, number) : bytes.status();
    if (footer.ok()) table.footer = *std::move(footer);
  }
  TableMeta meta;
  TableOwner who;
  const bool named_well = named != nullptr && !owner->name.empty();
  if (!named_well && ReadProperties(blocks, table, &meta, &who)) {
    if (named == nullptr) table.meta = std::move(meta);
    table.owner = std::move(who);
  } else if (named == nullptr) {
    return lose("no manifest record names this table, and itself it does not say what it is");
  }
  FindTombstones(blocks, &table);
  return table;
}

void TableSalvage::FindTombstones(BlockFinder& blocks, FoundTable* table) const {
  if (table->meta->range_deletions == 0) return;
  BlockRef block;
  if (table->footer.has_value()) {
    block = blocks.At(table->footer->ranges);
  } else {  // behind the data and perhaps a filter
    uint64_t at = 0, entries = 0;
    std::string last_key;
    while (entries < table->meta->entries) {
      const auto found = blocks.StartingAt(at, table->footer_at);
      const auto count = found.has_value() ? CountEntries(found->block, &last_key) : std::nullopt;
      if (!count.has_value()) break;
      entries += *count;
      at += found->handle.stored_bytes;
    }
    for (int i = 0; i < 2 && block == nullptr && entries == table->meta->entries; ++i) {
      auto found = blocks.StartingAt(at, table->footer_at);
      if (!found.has_value()) break;
      at += found->handle.stored_bytes;
      std::vector<RangeTombstone> tried;
      if (ReadTombstones(found->block, &tried) && tried.size() == table->meta->range_deletions) {
        block = std::move(found->block);
      }
    }
  }
  if (block != nullptr && ReadTombstones(block, &table->tombstones)) return;
  table->tombstones.clear();
  RepairLoss loss = WholeTable(table->number, table->meta, table->owner, "its range tombstones do not read back");
  if (table->footer.has_value()) {
    loss.offset = table->footer->ranges.offset;
    loss.length = table->footer->ranges.stored_bytes;
  }
  losses_->Add(std::move(loss));
}

std::unique_ptr<Cursor> TableSalvage::NewCursor(const FoundTable& table, uint64_t* blocks_read,
                                                uint64_t* bytes_read) const {
  auto blob = source_.Open(TableBlobName(table.number));
  if (!blob.ok()) {
    losses_->Add(WholeTable(table.number, table.meta, table.owner, std::string(blob.status().message())));
    return nullptr;
  }
  return std::make_unique<SalvageCursor>(table, BlockFinder(*std::move(blob), TableIdentity(store_id_, table.number)),
                                         losses_, blocks_read, bytes_read);
}

}  // namespace tarn::kernel
