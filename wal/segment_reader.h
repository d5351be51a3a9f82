// SegmentReader: walks the records of one segment, and searches damaged bytes for a witness that they were once
// durable. It reports what the bytes are; wal/replay decides what that means for the log.
//
// Memory: one window of at most 1 MiB, or of one record where that is larger. A length is believed only after
// its checksum verified and it fits into the segment, so hostile bytes allocate no more than the segment's size.
//
// Threads: one at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "tarn/sdk/backend.h"
#include "wal/record.h"

namespace tarn::wal {

class SegmentReader {
 public:
  enum class Item : uint8_t {
    kData,
    kSeal,
    kClose,
    kFence,
    kEnd,  // at the end of the blob, or of what was written: only zeros stand behind, space taken ahead
    kBad,  // no whole, valid record stands here
  };

  // The blob outlives the reader.
  SegmentReader(const BlobReader& blob, std::string_view store_id, uint64_t segment);

  // First. Stands at the first record afterwards, or at offset 0 when there is no valid header.
  Result<std::optional<SegmentHeader>> ReadHeader();
  // Steps over the next record; on kData `payload` is readable until the next call. kEnd and kBad do not move.
  Result<Item> Next(std::string_view* payload);
  // Whether nothing was written from there on.
  Result<bool> OnlyZerosFrom(uint64_t offset);
  // The offset of a record behind this place which states that this place was durable, if there is one.
  Result<std::optional<uint64_t>> FindWitnessBehind();

  // What was read so far is read again.
  void Forget() { window_.clear(); }

  // For salvage. The first offset >= `from` at which a valid record header stands.
  Result<std::optional<uint64_t>> FindHeader(uint64_t from);
  // The bytes of [offset, offset + bytes), readable until the next call. REQUIRES: they are in the blob.
  Result<std::string_view> Bytes(uint64_t offset, uint64_t bytes);
  // Stands at the record at `offset`, whose predecessor's chain value is `chain`.
  void StandAt(uint64_t offset, uint64_t chain) {
    offset_ = offset;
    chain_ = chain;
  }

  uint64_t offset() const { return offset_; }  // of the next record
  uint64_t chain() const { return chain_; }    // after the last record
  uint64_t size() const { return blob_.size(); }

 private:
  Result<Item> NoRecord();
  // Makes `bytes` bytes from `offset` readable and returns at least those. REQUIRES: they are in the blob.
  Result<std::string_view> Window(uint64_t offset, uint64_t bytes);

  const BlobReader& blob_;
  const std::string store_id_;
  const uint64_t segment_;
  const uint64_t identity_;
  uint64_t offset_ = 0;
  uint64_t chain_ = 0;
  uint64_t window_offset_ = 0;
  std::vector<char> window_;
};

}  // namespace tarn::wal
