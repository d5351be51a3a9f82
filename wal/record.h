// The bytes of the segmented log: names, segment headers and record headers. The specification, with a worked
// example, is docs/formats/wal.md; this is its one encoder and its one decoder.
//
// Everything is pure: bytes in, values out. Decoders take hostile bytes and say "not valid" rather than why;
// what that means for the log is decided by wal/segment_reader and wal/replay.
//
// Threads: no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tarn/status.h"

namespace tarn::wal {

inline constexpr size_t kStoreIdBytes = 16;
inline constexpr size_t kSegmentHeaderBytes = 72;
inline constexpr size_t kRecordHeaderBytes = 29;
inline constexpr size_t kFencePayloadBytes = 8;  // the number of the object before, little-endian
// An object that holds a fence and nothing else.
inline constexpr size_t kFenceObjectBytes = kSegmentHeaderBytes + kRecordHeaderBytes + kFencePayloadBytes;
inline constexpr uint64_t kMaxPayloadBytes = UINT32_MAX;  // its length is a fixed32
inline constexpr uint32_t kVersion = 1;
inline constexpr std::string_view kMagic = "tarn.wal";
inline constexpr std::string_view kNamePrefix = "wal/";

// Stored on disk: never renumber. Zero is no type, so that zero-filled space is never a record.
enum class RecordType : uint8_t {
  kData = 1,
  kSeal = 2,   // the last of its segment; the log goes on in the next number, which exists
  kClose = 3,  // the last of its segment and of its writer's log
  kFence = 4,  // the first of an object that begins a writer's log and shuts out one who did not close his
};

// "wal/" and the number as 16 hexadecimal digits, so that the order of names is the order of numbers.
std::string SegmentName(uint64_t segment);
// Nothing when the blob is not named like a segment.
std::optional<uint64_t> SegmentNumber(std::string_view name);

// What the checksums of a segment are salted with: the store and the segment it belongs to.
uint64_t SegmentIdentity(std::string_view store_id, uint64_t segment);

// The end of a segment that is complete, as its successor states it.
struct SegmentLink {
  uint64_t segment = 0;     // 0: none, this is the first segment of its writer
  uint64_t end_offset = 0;  // size of that segment
  uint64_t chain = 0;       // after its last record
  friend bool operator==(const SegmentLink&, const SegmentLink&) = default;
};

struct SegmentHeader {
  std::string store_id;
  uint64_t segment = 0;
  SegmentLink previous;
  bool object = false;  // it appeared whole, by one put; a file grows
  uint64_t chain = 0;   // the value that the chain of this segment starts from: the header's checksum
};

// Sets header->chain, which is a result.
std::string EncodeSegmentHeader(SegmentHeader* header);

// Nothing: not a whole, valid header (torn or damaged). Corruption: a valid header of another store or another
// segment. Unsupported: a valid header of a later version.
Result<std::optional<SegmentHeader>> DecodeSegmentHeader(std::string_view bytes, std::string_view store_id,
                                                         uint64_t segment);

struct RecordHeader {
  uint32_t payload_bytes = 0;
  RecordType type = RecordType::kData;
  uint64_t durable_offset = 0;  // this segment was durable up to here before the record was written
  uint64_t chain = 0;           // covers the payload and, through the value before it, everything earlier
};

// The chain value after `payload`.
uint64_t NextChain(uint64_t chain, std::string_view payload);
void AppendRecordHeader(std::string* out, const RecordHeader& header, uint64_t identity, uint64_t offset);

// The record header at `offset` of the segment, in the first kRecordHeaderBytes of `bytes`; nothing when none was
// written there. REQUIRES: bytes.size() >= kRecordHeaderBytes.
std::optional<RecordHeader> DecodeRecordHeader(std::string_view bytes, uint64_t identity, uint64_t offset);

// As DecodeRecordHeader, but only for a header which states that more than `above` bytes were durable. It
// decides nearly every position of damaged bytes without a checksum.
std::optional<RecordHeader> FindWitness(std::string_view bytes, uint64_t identity, uint64_t offset, uint64_t above);

}  // namespace tarn::wal
