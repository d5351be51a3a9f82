#include "tests/fuzz/reseal.h"

#include <cstring>
#include <vector>

#include "base/coding.h"
#include "base/hash.h"
#include "format/compress.h"
#include "format/table_layout.h"
#include "wal/record.h"

namespace tarn::fuzz {
namespace {

constexpr size_t kMostHandles = 256;  // an index of hostile bytes may lead anywhere, any number of times

void Store64(std::string* bytes, size_t at, uint64_t value) { std::memcpy(bytes->data() + at, &value, 8); }
void Store32(std::string* bytes, size_t at, uint32_t value) { std::memcpy(bytes->data() + at, &value, 4); }

class TableFile {
 public:
  TableFile(std::string_view store_id, uint64_t number, std::string* file)
      : store_id_(store_id), number_(number), identity_(TableIdentity(store_id, number)), file_(file) {}

  void Reseal() {
    std::string_view footer = std::string_view(*file_).substr(FooterAt() + kStoreIdBytes + 8);
    BlockHandle handles[4];  // filter, ranges, index, properties
    for (BlockHandle& handle : handles) {
      GetFixed64(&footer, &handle.offset);
      GetFixed32(&footer, &handle.stored_bytes);
      Seal(handle);
    }
    for (const BlockHandle& partition : HandlesIn(handles[2])) {
      Seal(partition);
      for (const BlockHandle& data : HandlesIn(partition)) Seal(data);
    }
    SealFooter();
  }

 private:
  size_t FooterAt() const { return file_->size() - kFooterBytes; }
  bool Inside(BlockHandle handle) const {
    return handle.stored_bytes >= kBlockTrailerBytes && handle.stored_bytes <= FooterAt() &&
           handle.offset <= FooterAt() - handle.stored_bytes;
  }
  void Seal(BlockHandle handle) {
    if (!Inside(handle)) return;
    const size_t summed = handle.stored_bytes - 8;
    const std::string_view bytes = std::string_view(*file_).substr(handle.offset, summed);
    Store64(file_, handle.offset + summed, PlacedChecksum(bytes, identity_, handle.offset));
  }
  // The handles in the values of an index block.
  std::vector<BlockHandle> HandlesIn(BlockHandle index) const {
    std::vector<BlockHandle> handles;
    if (!Inside(index)) return handles;
    const std::string_view stored = std::string_view(*file_).substr(index.offset, index.stored_bytes - 8);
    Result<BlockRef> block =
        DecompressBlock(static_cast<uint8_t>(stored.back()), stored.substr(0, stored.size() - 1));
    if (!block.ok()) return handles;
    BlockCursor cursor;
    cursor.Reset(std::move(*block));
    for (cursor.SeekToFirst(); cursor.valid() && handles.size() < kMostHandles; cursor.Next()) {
      std::string_view value = cursor.value();
      BlockHandle handle;
      if (GetHandle(&value, &handle)) handles.push_back(handle);
    }
    return handles;
  }
  void SealFooter() {
    const size_t at = FooterAt();
    file_->replace(at, kStoreIdBytes, store_id_);
    Store64(file_, at + 16, number_);
    Store32(file_, at + 80, kTableVersion);
    Store64(file_, at + 84, PlacedChecksum(std::string_view(*file_).substr(at, 84), identity_, at));
    file_->replace(at + 92, kTableMagic.size(), kTableMagic);
  }

  const std::string_view store_id_;
  const uint64_t number_, identity_;
  std::string* const file_;
};

}  // namespace

void ResealTableFile(std::string_view store_id, uint64_t number, std::string* file) {
  if (file->size() >= kFooterBytes) TableFile(store_id, number, file).Reseal();
}

ResealedSegment ResealSegment(std::string_view store_id, uint64_t segment, const ResealedSegment& previous,
                              std::string* bytes) {
  if (bytes->size() < wal::kSegmentHeaderBytes) return {};
  bytes->replace(0, wal::kMagic.size(), wal::kMagic);
  Store32(bytes, 8, wal::kVersion);
  bytes->replace(16, wal::kStoreIdBytes, store_id);
  Store64(bytes, 32, segment);
  if (DecodeFixed64(bytes->data() + 40) != 0) {
    Store64(bytes, 40, segment - 1);
    Store64(bytes, 48, previous.end_offset);
    Store64(bytes, 56, previous.chain);
  }
  const uint64_t identity = wal::SegmentIdentity(store_id, segment);
  ResealedSegment end{wal::kSegmentHeaderBytes, PlacedChecksum(std::string_view(*bytes).substr(0, 64), identity, 0)};
  Store64(bytes, 64, end.chain);
  while (bytes->size() - end.end_offset >= wal::kRecordHeaderBytes) {
    const size_t at = end.end_offset, left = bytes->size() - at - wal::kRecordHeaderBytes;
    if (DecodeFixed32(bytes->data() + at + 8) > left) Store32(bytes, at + 8, static_cast<uint32_t>(left));
    const size_t n = DecodeFixed32(bytes->data() + at + 8);
    end.chain = wal::NextChain(end.chain, std::string_view(*bytes).substr(at + wal::kRecordHeaderBytes, n));
    Store64(bytes, at + 21, end.chain);
    Store64(bytes, at, PlacedChecksum(std::string_view(*bytes).substr(at + 8, 21), identity, at));
    end.end_offset += wal::kRecordHeaderBytes + n;
  }
  return end;
}

void ResealRecord(uint64_t number, std::string* bytes) {
  constexpr std::string_view kMagic = "tarnmfst";
  if (bytes->size() < kMagic.size() + 4 + 8) return;
  bytes->replace(0, kMagic.size(), kMagic);
  Store32(bytes, kMagic.size(), 1);
  const size_t summed = bytes->size() - 8;
  Store64(bytes, summed, PlacedChecksum(std::string_view(*bytes).substr(0, summed), Hash64("manifest"), number));
}

}  // namespace tarn::fuzz
