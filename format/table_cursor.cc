// The scan over a table: three block cursors, one a level (top index, index partition, data).
//
// Invariants:
//   1. When valid, data_ stands on the entry, partition_ on the index entry of data_'s block and top_ on that of
//      partition_'s block.
//   2. Forward, from the second block in a row on, the source is told which data blocks come next: 2 at first,
//      doubled up to 16, never past the partition, and again when half of them were used. A seek or a step back
//      starts over.
#include <algorithm>
#include <array>

#include "base/assert.h"
#include "format/table.h"
#include "format/table_layout.h"

namespace tarn {
namespace {

constexpr size_t kFirstWindow = 2;
constexpr size_t kLastWindow = 16;  // 64 KiB of default blocks: enough to hide a device read behind the scan

class TableCursor final : public Cursor {
 public:
  TableCursor(const Table* table, BlockSource* source) : table_(table), source_(source) {}

  void SeekToFirst() override {
    if (!OpenTop()) return;
    top_.SeekToFirst();
    if (!OpenPartition()) return;
    partition_.SeekToFirst();
    if (!OpenData()) return;
    data_.SeekToFirst();
    ShowForward();
  }
  void SeekToLast() override {
    if (!OpenTop()) return;
    top_.SeekToLast();
    if (!OpenPartition()) return;
    partition_.SeekToLast();
    if (!OpenData()) return;
    data_.SeekToLast();
    ShowBackward();
  }
  void Seek(std::string_view target) override {
    if (!OpenTop()) return;
    top_.Seek(target);
    if (!OpenPartition()) return;
    partition_.Seek(target);
    if (!OpenData()) return;
    data_.Seek(target);
    ShowForward();
  }
  void Next() override {
    DCHECK(valid());
    data_.Next();
    ShowForward();
  }
  void Prev() override {
    DCHECK(valid());
    in_a_row_ = 0;
    data_.Prev();
    ShowBackward();
  }
  std::string_view stored() const override {
    return data_.alone() ? source_->Stored(*table_, data_handle_) : std::string_view();
  }

 private:
  // Starts a seek: forgets errors and the scan, has the top index in memory. False: no entries, or an error.
  bool OpenTop() {
    SetError(Status());
    in_a_row_ = 0;
    if (table_->index().stored_bytes == 0) return false;
    if (top_.block()) return true;
    return Load(table_->index(), &top_);
  }
  // The partition that top_ is on, unless it is the open one.
  bool OpenPartition() {
    if (!top_.valid()) return AtEnd(top_, table_->index());
    return Descend(top_, &partition_, &partition_handle_);
  }
  bool OpenData() {
    if (partition_.valid()) return Descend(partition_, &data_, &data_handle_);
    // The top index sent us here for a key that should be at hand.
    return Failed(table_->BlockError(partition_handle_, partition_.status().ok()
                                                            ? Status::Corruption("ends before its own index key")
                                                            : partition_.status()));
  }
  bool Descend(const BlockCursor& upper, BlockCursor* lower, BlockHandle* lower_handle) {
    BlockHandle handle;
    Status parsed = table_->ParseHandle(upper.value(), &handle);
    if (!parsed.ok()) return Failed(std::move(parsed));
    const bool open = lower->block() && lower->status().ok() && handle.offset == lower_handle->offset &&
                      handle.stored_bytes == lower_handle->stored_bytes;
    if (open) return true;
    *lower_handle = handle;
    return Load(handle, lower);
  }
  bool Load(BlockHandle handle, BlockCursor* cursor) {
    cursor->Reset(nullptr);  // a failed load must not leave the old block under the new handle
    Result<BlockRef> block = source_->Load(*table_, handle);
    if (!block.ok()) return Failed(block.status());
    cursor->Reset(std::move(block).value());
    return true;
  }
  bool Failed(Status status) {
    SetError(std::move(status));
    return false;
  }
  // `cursor` ran out of its block, or into bad bytes.
  bool AtEnd(const BlockCursor& cursor, BlockHandle handle) {
    if (!cursor.status().ok()) return Failed(table_->BlockError(handle, cursor.status()));
    SetEnd();
    return false;
  }

  // Shows data_'s entry, after moving on to the next blocks while it has none.
  void ShowForward() {
    while (!data_.valid()) {
      if (!data_.status().ok()) return static_cast<void>(AtEnd(data_, data_handle_));
      if (!NextBlock()) return;
      data_.SeekToFirst();
    }
    SetEntry(data_.key(), data_.value());
  }
  void ShowBackward() {
    while (!data_.valid()) {
      if (!data_.status().ok()) return static_cast<void>(AtEnd(data_, data_handle_));
      if (!PreviousBlock()) return;
      data_.SeekToLast();
    }
    SetEntry(data_.key(), data_.value());
  }
  bool NextBlock() {
    partition_.Next();
    if (!partition_.valid()) {
      if (!partition_.status().ok()) return AtEnd(partition_, partition_handle_);
      top_.Next();
      if (!OpenPartition()) return false;
      partition_.SeekToFirst();
      ahead_.Reset(nullptr);
    }
    if (partition_.valid()) HintAhead();
    return OpenData();
  }
  bool PreviousBlock() {
    partition_.Prev();
    if (!partition_.valid()) {
      if (!partition_.status().ok()) return AtEnd(partition_, partition_handle_);
      top_.Prev();
      if (!OpenPartition()) return false;
      partition_.SeekToLast();
    }
    return OpenData();
  }

  // About to move forward to the block partition_ is on.
  void HintAhead() {
    if (in_a_row_++ == 0) {
      window_ = kFirstWindow;
      ahead_.Reset(nullptr);
    }
    if (!ahead_.block()) {
      ahead_.Reset(partition_.block());
      ahead_.Seek(partition_.key());
      hinted_ = 0;
    } else if (hinted_ > 0) {
      --hinted_;  // the block we stand on now
    }
    if (hinted_ > window_ / 2) return;
    std::array<BlockHandle, kLastWindow> handles;
    size_t n = 0;
    while (n < window_ && ahead_.valid() && table_->ParseHandle(ahead_.value(), &handles[n]).ok()) {
      ++n;
      ahead_.Next();
    }
    if (n == 0) return;
    source_->Prefetch(*table_, {handles.data(), n});
    hinted_ += n;
    window_ = std::min(window_ * 2, kLastWindow);
  }

  const Table* const table_;
  BlockSource* const source_;
  BlockCursor top_, partition_, data_;
  BlockHandle partition_handle_, data_handle_;
  BlockCursor ahead_;    // in partition_'s block, on the first index entry that was not hinted yet
  size_t in_a_row_ = 0;  // moves to a next block since the last seek or step back
  size_t window_ = kFirstWindow;
  size_t hinted_ = 0;  // blocks told to the source, from the one we stand on
};

}  // namespace

std::unique_ptr<Cursor> Table::NewCursor(BlockSource& source) const {
  return std::make_unique<TableCursor>(this, &source);
}

}  // namespace tarn
