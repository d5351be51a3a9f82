// Order of the file: data blocks, filter, range tombstones, index partitions, top index, properties, footer.
//
// Data blocks leave memory as they fill. Index partitions are kept until the end (about a hundredth of the
// table) so that they stand together and can be read at once.
//
// Invariants of Rep:
//   1. offset is where the next byte goes in the file: bytes given to the writer plus out.size().
//   2. has_pending: the last data block is written and its index key is not yet chosen, because the best one
//      depends on the key that comes next.
//   3. After the first error every call returns it; nothing is published.
#include "format/table_builder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"
#include "format/compress.h"
#include "format/filter.h"
#include "format/table_layout.h"

namespace tarn {
namespace {

constexpr uint64_t kMinWriteBytes = 64 << 10, kMaxWriteBytes = 16 << 20;  // bounds on what a backend may wish

// A short internal key k with before <= k < after. Where the user keys differ it is the shortest user key that
// separates them, at its newest possible version; else `before` itself.
std::string Separator(std::string_view before, std::string_view after) {
  const std::string_view a = UserKeyOf(before), b = UserKeyOf(after);
  size_t n = 0;
  while (n < a.size() && n < b.size() && a[n] == b[n]) ++n;
  if (n >= a.size() || n >= b.size()) return std::string(before);
  if (b.size() > n + 1) return SeekKey(b.substr(0, n + 1), kMaxSequence);
  const unsigned char next = static_cast<unsigned char>(a[n]) + 1;
  if (next >= static_cast<unsigned char>(b[n])) return std::string(before);
  std::string user_key(a.substr(0, n));
  user_key.push_back(static_cast<char>(next));
  return SeekKey(user_key, kMaxSequence);
}

}  // namespace

struct TableBuilder::Rep {
  explicit Rep(const TableOptions& table_options)
      : options(table_options), compressor(table_options.compression), filter(table_options.filter_bits_per_key) {}

  Status WriteBlock(std::string_view payload, BlockCompressor& how, BlockHandle* handle);
  bool StoredAlike(std::string_view stored) const;
  Status TakeOver(std::string_view stored);
  Status Place(size_t start, BlockHandle* handle);
  Status WriteEntries(BlockBuilder* block, BlockCompressor& how, BlockHandle* handle);
  Status FlushData();
  void IndexPending(std::string key);
  void CutPartition();
  Status WriteFilter();
  Status WriteRanges();
  Status WriteIndex();
  Status WriteTail();
  Status FlushOut(uint64_t at_least);
  void Sees(Sequence sequence);

  const TableOptions options;
  uint64_t write_bytes = 0;  // pending bytes are given to the writer from this size on
  std::unique_ptr<BlobWriter> writer;
  BlockCompressor compressor, raw{Compression::kNone};
  TableFooter footer;
  TableMeta meta;
  uint64_t identity = 0, offset = 0, taken_over = 0;
  std::string out;  // written blocks the writer has not got yet

  BlockBuilder data{kDataRestartInterval}, partition{kIndexRestartInterval};
  FilterBuilder filter;
  std::string last_key, last_index_key;
  BlockHandle pending;
  bool has_pending = false;
  struct Partition {
    std::string last_key, payload;
  };
  std::vector<Partition> partitions;
  std::vector<RangeTombstone> tombstones;
  Status failed;
};

TableBuilder::TableBuilder(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
TableBuilder::~TableBuilder() = default;

Result<std::unique_ptr<TableBuilder>> TableBuilder::Create(Backend& backend, std::string_view store_id,
                                                           uint64_t number, const TableOptions& options) {
  if (store_id.size() != kStoreIdBytes) {
    return Status::Invalid(TableBlobName(number) + ": a store identity has 16 bytes, not " +
                           std::to_string(store_id.size()) + "; pass the one of the manifest");
  }
  auto rep = std::make_unique<Rep>(options);
  TARN_ASSIGN(rep->writer, backend.Create(TableBlobName(number)));
  rep->write_bytes = std::clamp(backend.info().best_write_bytes, kMinWriteBytes, kMaxWriteBytes);
  rep->footer.store_id = store_id;
  rep->footer.number = rep->meta.number = number;
  rep->identity = TableIdentity(store_id, number);
  return std::unique_ptr<TableBuilder>(new TableBuilder(std::move(rep)));
}

Status TableBuilder::Add(std::string_view internal_key, std::string_view value, std::string_view stored) {
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  // Entries come from other tables too, and a bad one must not be passed on.
  const Kind kind = internal_key.size() < kTrailerBytes ? kSeekKind : KindOf(internal_key);
  if (kind != Kind::kPut && kind != Kind::kDelete) {
    return rep.failed =
               Status::Corruption(TableBlobName(rep.meta.number) + ": entry " + std::to_string(rep.meta.entries) +
                                  " to be written is neither put nor delete; run `tarn check`");
  }
  if (!rep.last_key.empty() && CompareInternalKeys(rep.last_key, internal_key) >= 0) {
    return rep.failed =
               Status::Corruption(TableBlobName(rep.meta.number) + ": entry " + std::to_string(rep.meta.entries) +
                                  " to be written is out of order; run `tarn check`");
  }
  const uint64_t entry_bytes = static_cast<uint64_t>(internal_key.size()) + value.size();
  if (entry_bytes > kMaxBlockBytes - (1 << 10)) {
    return rep.failed = Status::Invalid(TableBlobName(rep.meta.number) + ": an entry of " +
                                        std::to_string(entry_bytes) + " bytes fits in no block; split the value");
  }
  if (!rep.data.empty() && rep.data.size_estimate() + entry_bytes > rep.options.block_bytes) {
    rep.failed = rep.FlushData();
    if (!rep.failed.ok()) return rep.failed;
  }
  if (rep.has_pending) rep.IndexPending(Separator(rep.last_key, internal_key));

  const std::string_view user_key = UserKeyOf(internal_key);
  if (rep.meta.entries == 0) rep.meta.smallest = user_key;
  const bool as_it_is = entry_bytes >= rep.options.block_bytes && rep.StoredAlike(stored);
  if (as_it_is) {  // alone in its block, as it would be here
    rep.failed = rep.TakeOver(stored);
    if (!rep.failed.ok()) return rep.failed;
  } else {
    rep.data.Add(internal_key, value);
  }
  rep.filter.Add(user_key);
  rep.last_key.assign(internal_key);
  rep.Sees(SequenceOf(internal_key));
  ++rep.meta.entries;
  if (kind == Kind::kDelete) ++rep.meta.deletions;
  rep.meta.raw_bytes += entry_bytes;
  return {};
}

void TableBuilder::AddRangeTombstone(const RangeTombstone& tombstone) {
  if (tombstone.begin < tombstone.end) rep_->tombstones.push_back(tombstone);  // an empty range deletes nothing
}

uint64_t TableBuilder::size_estimate() const {
  return rep_->offset + (rep_->data.empty() ? 0 : rep_->data.size_estimate());
}

uint64_t TableBuilder::blocks_taken_over() const { return rep_->taken_over; }

bool TableBuilder::empty() const { return rep_->meta.entries == 0 && rep_->tombstones.empty(); }

Result<TableMeta> TableBuilder::Finish() {
  CHECK(!empty());
  Rep& rep = *rep_;
  if (!rep.failed.ok()) return rep.failed;
  rep.failed = rep.WriteTail();
  if (!rep.failed.ok()) return rep.failed;
  rep.meta.file_bytes = rep.offset;
  TableMeta meta = std::move(rep.meta);
  rep.failed = Status::Invalid(TableBlobName(meta.number) + ": the table is finished; start another one");
  return meta;
}

Status TableBuilder::Rep::WriteTail() {
  if (meta.entries > 0) {
    if (!data.empty()) TARN_TRY(FlushData());
    IndexPending(last_key);
    CutPartition();
    meta.largest = UserKeyOf(last_key);
  }
  TARN_TRY(WriteFilter());
  TARN_TRY(WriteRanges());
  TARN_TRY(WriteIndex());
  TARN_TRY(WriteBlock(EncodeProperties(meta, options.owner), raw, &footer.properties));
  footer.entries = meta.entries;
  out.append(EncodeFooter(footer, offset));
  offset += kFooterBytes;
  TARN_TRY(FlushOut(0));
  return writer->Finish();
}

Status TableBuilder::Rep::WriteBlock(std::string_view payload, BlockCompressor& how, BlockHandle* handle) {
  if (payload.size() > kMaxBlockBytes) {
    return Status::Invalid(TableBlobName(meta.number) + ": a block of " + std::to_string(payload.size()) +
                           " bytes at offset " + std::to_string(offset) + " is too large; write smaller tables");
  }
  const size_t start = out.size();
  out.push_back(static_cast<char>(how.Append(payload, &out)));
  return Place(start, handle);
}

// The block's payload and method stand in `out` from `start` on.
Status TableBuilder::Rep::Place(size_t start, BlockHandle* handle) {
  PutFixed64(&out, PlacedChecksum(std::string_view(out).substr(start), identity, offset));
  *handle = {offset, static_cast<uint32_t>(out.size() - start)};
  offset += handle->stored_bytes;
  return FlushOut(write_bytes);
}

bool TableBuilder::Rep::StoredAlike(std::string_view stored) const {
  return stored.size() >= kBlockTrailerBytes &&
         static_cast<Compression>(stored[stored.size() - kBlockTrailerBytes]) == options.compression;
}

Status TableBuilder::Rep::TakeOver(std::string_view stored) {
  const size_t start = out.size();
  out.append(stored.substr(0, stored.size() - kChecksumBytes));  // the checksum is that of its old place
  ++taken_over;
  has_pending = true;
  return Place(start, &pending);
}

Status TableBuilder::Rep::WriteEntries(BlockBuilder* block, BlockCompressor& how, BlockHandle* handle) {
  TARN_TRY(WriteBlock(block->Finish(), how, handle));
  block->Reset();
  return {};
}

Status TableBuilder::Rep::FlushOut(uint64_t at_least) {
  if (out.size() < at_least) return {};
  TARN_TRY(writer->Append(out));
  if (out.capacity() > 2 * kMaxWriteBytes) std::string().swap(out);  // one huge value came by
  out.clear();
  return {};
}

Status TableBuilder::Rep::FlushData() {
  TARN_TRY(WriteEntries(&data, compressor, &pending));
  has_pending = true;
  return {};
}

void TableBuilder::Rep::IndexPending(std::string key) {
  std::string value;
  PutHandle(&value, pending);
  const uint64_t size = partition.size_estimate() + key.size() + value.size();
  if (!partition.empty() && size > options.block_bytes) CutPartition();
  partition.Add(key, value);
  last_index_key = std::move(key);
  has_pending = false;
}

void TableBuilder::Rep::CutPartition() {
  partitions.push_back({last_index_key, std::string(partition.Finish())});
  partition.Reset();
}

Status TableBuilder::Rep::WriteFilter() {
  const std::string bytes = filter.Finish();
  return bytes.empty() ? Status() : WriteBlock(bytes, raw, &footer.filter);
}

Status TableBuilder::Rep::WriteRanges() {
  if (tombstones.empty()) return {};
  // Of two with the same begin and sequence the longer one says it all; keys in a block are unique.
  std::sort(tombstones.begin(), tombstones.end(), [](const RangeTombstone& a, const RangeTombstone& b) {
    if (a.begin != b.begin) return a.begin < b.begin;
    return a.sequence != b.sequence ? a.sequence > b.sequence : a.end > b.end;
  });
  if (meta.entries == 0 || tombstones.front().begin < meta.smallest) meta.smallest = tombstones.front().begin;
  BlockBuilder block(kDataRestartInterval);
  const RangeTombstone* before = nullptr;
  for (const RangeTombstone& tombstone : tombstones) {
    if (before != nullptr && before->begin == tombstone.begin && before->sequence == tombstone.sequence) continue;
    block.Add(MakeInternalKey(tombstone.begin, tombstone.sequence, Kind::kRangeDelete), tombstone.end);
    if (tombstone.end > meta.largest) {
      meta.largest = tombstone.end;
      meta.largest_exclusive = true;
    }
    Sees(tombstone.sequence);
    ++meta.range_deletions;
    before = &tombstone;
  }
  return WriteEntries(&block, compressor, &footer.ranges);
}

Status TableBuilder::Rep::WriteIndex() {
  if (partitions.empty()) return {};
  BlockBuilder top(kIndexRestartInterval);
  for (const Partition& part : partitions) {
    BlockHandle handle;
    TARN_TRY(WriteBlock(part.payload, compressor, &handle));
    std::string value;
    PutHandle(&value, handle);
    top.Add(part.last_key, value);
  }
  return WriteEntries(&top, compressor, &footer.index);
}

// Called before the entry or tombstone is counted.
void TableBuilder::Rep::Sees(Sequence sequence) {
  const bool first = meta.entries + meta.range_deletions == 0;
  meta.min_sequence = first ? sequence : std::min(meta.min_sequence, sequence);
  meta.max_sequence = std::max(meta.max_sequence, sequence);
}

}  // namespace tarn
