#include "kernel/scan_source.h"

#include <algorithm>
#include <utility>

#include "kernel/scan_ahead.h"

namespace tarn::kernel {
namespace {

// The first read ahead of a scan that may turn out to be short.
constexpr uint64_t kFirstReadAhead = 16 << 10;
constexpr uint64_t kFirstReadAheadNetwork = 256 << 10;
// A block of so many times what a merge reads ahead comes by a window of its own.
constexpr uint64_t kLargestOfMerges = 4;

uint64_t EndOf(BlockHandle handle) { return handle.offset + handle.stored_bytes; }

}  // namespace

ScanSource::ScanSource(ReadEngine& engine, bool fill_cache)
    : engine_(engine), fill_cache_(fill_cache), network_(engine.backend_.info().latency == LatencyClass::kNetwork) {}
ScanSource::~ScanSource() = default;

BlockRef ScanSource::Lookup(const Table& table, BlockHandle handle) { return engine_.Lookup(table, handle); }

Result<BlockRef> ScanSource::Load(const Table& table, BlockHandle handle) {
  taken_ = {};
  if (BlockRef block = engine_.Lookup(table, handle); block != nullptr) return block;
  const bool here = table_ == table.number() && InWindow(handle);
  if (here) engine_.statistics_.Add(Counter::kBlocksPrefetched);
  Result<BlockRef> block = here || ReadAhead(table, handle) ? Take(table, handle) : ReadAlone(table, handle);
  if (block.ok() && fill_cache_) engine_.cache_.Insert(table.number(), handle.offset, *block);
  return block;
}

void ScanSource::Prefetch(const Table& table, std::span<const BlockHandle> handles) {
  if (handles.empty()) return;
  if (table_ != table.number()) {
    DropWindow();
    if (ahead_ != nullptr && !walked_out_) ahead_->Drop();
    window_begin_ = window_end_ = window_size_ = 0;
    table_ = table.number();
    coming_begin_ = coming_end_ = 0;
  }
  // Hints of one walk follow each other; any other hint starts a new walk.
  if (handles.front().offset != coming_end_) coming_begin_ = handles.front().offset;
  coming_end_ = EndOf(handles.back());
}

bool ScanSource::InWindow(BlockHandle handle) const {
  return window_ != nullptr && handle.offset >= window_begin_ && EndOf(handle) <= window_end_;
}

void ScanSource::DropWindow() {
  taken_ = {};
  window_.reset();
  charge_ = {};
}

// Fills the window from `handle` on. False when the walk was not announced, or nothing is gained, or the read
// failed: then the wanted block is read alone, so that bytes that nobody may ever want are nobody's error.
bool ScanSource::ReadAhead(const Table& table, BlockHandle handle) {
  if (table_ != table.number() || handle.offset < coming_begin_ || EndOf(handle) > coming_end_) return false;
  const uint64_t most = engine_.read_ahead_bytes();
  const uint64_t start = network_ ? kFirstReadAheadNetwork : kFirstReadAhead;
  // A miss right behind the last window means that it was worth its while; blocks in the cache, or a jump, lie
  // between otherwise.
  const bool goes_on = window_size_ != 0 && handle.offset <= window_end_ && EndOf(handle) > window_end_;
  const bool from_before = window_size_ == 0 && walked_out_ && handle.offset < kFirstReadAheadNetwork;
  const bool walks = goes_on || from_before;
  window_size_ = !fill_cache_ || from_before ? most : std::min(most, goes_on ? window_size_ * 2 : start);

  if (!engine_.CheckHandle(table, handle).ok()) return false;
  if (!fill_cache_ && handle.stored_bytes > most * (network_ ? 1 : kLargestOfMerges)) return false;
  if (goes_on && TakeAhead(handle)) {
    ahead_->Continue(table, window_end_);
    walked_out_ = network_ && window_end_ == table.blob().size();
    return true;
  }
  DropWindow();
  if (ahead_ != nullptr && !(walks && ahead_->empty())) ahead_->Drop();
  window_begin_ = handle.offset;
  window_end_ = std::min(table.blob().size(), handle.offset + window_size_);
  if (window_end_ <= EndOf(handle)) {
    if (fill_cache_ || network_) return false;
    window_end_ = EndOf(handle);
  }
  const uint64_t bytes = window_end_ - window_begin_;
  charge_ = engine_.ChargeBuffer(bytes);
  window_ = std::make_unique_for_overwrite<char[]>(bytes);
  if (network_ && (walks || !fill_cache_)) {
    if (ahead_ == nullptr) ahead_ = std::make_unique<ScanAhead>(engine_);
    ahead_->Continue(table, window_end_);
  }
  walked_out_ = network_ && window_end_ == table.blob().size();
  if (engine_.ReadBytes(table, window_begin_, {window_.get(), bytes}).ok()) return true;
  DropWindow();
  if (ahead_ != nullptr) ahead_->Drop();
  return false;
}

// Makes a window of what is left of this one and the pieces that follow it. REQUIRES: the walk goes on at `handle`.
bool ScanSource::TakeAhead(BlockHandle handle) {
  if (ahead_ == nullptr || (window_ == nullptr && handle.offset < window_end_)) return false;
  ScanAhead::Bytes window{window_begin_, window_end_, std::move(window_), std::move(charge_)};
  if (!ahead_->Extend(&window, handle.offset, EndOf(handle))) return false;
  window_begin_ = window.begin;
  window_end_ = window.end;
  window_ = std::move(window.bytes);
  charge_ = std::move(window.charge);
  return true;
}

// A block that no walk has announced. Over a network all partitions of an index come with its top: they stand
// together and are a hundredth of the table, and the walk would stop for each.
Result<BlockRef> ScanSource::ReadAlone(const Table& table, BlockHandle handle) {
  TARN_ASSIGN(BlockRef block, engine_.ReadBlock(table, handle));
  if (network_ && handle.offset == table.index().offset && table.TakeIndexUnread()) {
    engine_.Prefetch(table, table.IndexPartitions(block));
  }
  return block;
}

// REQUIRES: InWindow(handle)
Result<BlockRef> ScanSource::Take(const Table& table, BlockHandle handle) {
  Result<BlockRef> block =
      table.DecodeBlock(handle, {window_.get() + (handle.offset - window_begin_), handle.stored_bytes});
  if (fill_cache_ && EndOf(handle) == window_end_) DropWindow();
  if (!block.ok()) {
    engine_.statistics_.Add(Counter::kReadRetries);
    return engine_.ReadBlock(table, handle);
  }
  engine_.statistics_.Add(Counter::kBlockMisses);
  if (!fill_cache_) taken_ = handle;
  return block;
}

std::string_view ScanSource::Stored(const Table& table, BlockHandle handle) const {
  if (taken_.stored_bytes == 0 || table_ != table.number() || taken_.offset != handle.offset) return {};
  return {window_.get() + (handle.offset - window_begin_), handle.stored_bytes};
}

}  // namespace tarn::kernel
