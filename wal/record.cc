#include "wal/record.h"

#include <cstring>

#include "base/assert.h"
#include "base/coding.h"
#include "base/hash.h"

namespace tarn::wal {
namespace {

constexpr size_t kNameDigits = 16;

// Offsets of the fields, as docs/formats/wal.md draws them.
constexpr size_t kVersionAt = 8;
constexpr size_t kFormAt = 12;
constexpr size_t kStoreIdAt = 16;
constexpr size_t kSegmentAt = 32;
constexpr size_t kHeaderSumAt = 64;
constexpr size_t kLengthAt = 8;
constexpr size_t kTypeAt = 12;
constexpr size_t kDurableAt = 13;
constexpr size_t kChainAt = 21;
// How the segment is stored. Never renumber.
constexpr uint32_t kFile = 0, kObject = 1;
static_assert(kHeaderSumAt + 8 == kSegmentHeaderBytes);
static_assert(kChainAt + 8 == kRecordHeaderBytes);

bool IsRecordType(char byte) {
  return byte >= static_cast<char>(RecordType::kData) && byte <= static_cast<char>(RecordType::kFence);
}

}  // namespace

std::string SegmentName(uint64_t segment) {
  std::string name(kNamePrefix);
  for (int shift = 60; shift >= 0; shift -= 4) name += "0123456789abcdef"[segment >> shift & 0xf];
  return name;
}

std::optional<uint64_t> SegmentNumber(std::string_view name) {
  if (!name.starts_with(kNamePrefix) || name.size() != kNamePrefix.size() + kNameDigits) return std::nullopt;
  uint64_t number = 0;
  for (const char c : name.substr(kNamePrefix.size())) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && !(c >= 'a' && c <= 'f')) return std::nullopt;
    number = number << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  // Both ends are no numbers: 0 means "none" in a link, and behind the last there would be no next.
  if (number == 0 || number == UINT64_MAX) return std::nullopt;
  return number;
}

uint64_t SegmentIdentity(std::string_view store_id, uint64_t segment) {
  std::string bytes(store_id);
  PutFixed64(&bytes, segment);
  return Hash64(bytes);
}

std::string EncodeSegmentHeader(SegmentHeader* header) {
  CHECK(header->store_id.size() == kStoreIdBytes);
  std::string out(kMagic);
  PutFixed32(&out, kVersion);
  PutFixed32(&out, header->object ? kObject : kFile);
  out += header->store_id;
  PutFixed64(&out, header->segment);
  PutFixed64(&out, header->previous.segment);
  PutFixed64(&out, header->previous.end_offset);
  PutFixed64(&out, header->previous.chain);
  header->chain = PlacedChecksum(out, SegmentIdentity(header->store_id, header->segment), 0);
  PutFixed64(&out, header->chain);
  CHECK(out.size() == kSegmentHeaderBytes);
  return out;
}

Result<std::optional<SegmentHeader>> DecodeSegmentHeader(std::string_view bytes, std::string_view store_id,
                                                         uint64_t segment) {
  const std::optional<SegmentHeader> none;
  if (bytes.size() < kSegmentHeaderBytes || !bytes.starts_with(kMagic)) return none;
  SegmentHeader header;
  header.store_id = bytes.substr(kStoreIdAt, kStoreIdBytes);
  header.segment = DecodeFixed64(bytes.data() + kSegmentAt);
  header.previous.segment = DecodeFixed64(bytes.data() + kSegmentAt + 8);
  header.previous.end_offset = DecodeFixed64(bytes.data() + kSegmentAt + 16);
  header.previous.chain = DecodeFixed64(bytes.data() + kSegmentAt + 24);
  header.chain = DecodeFixed64(bytes.data() + kHeaderSumAt);
  const uint64_t own_identity = SegmentIdentity(header.store_id, header.segment);
  if (header.chain != PlacedChecksum(bytes.substr(0, kHeaderSumAt), own_identity, 0)) return none;

  const std::string name = SegmentName(segment);
  if (header.store_id != store_id) {
    return Status::Corruption(name +
                              ", offset 16: the log segment belongs to another store; put the file back "
                              "where it came from and restore this store's own");
  }
  if (header.segment != segment) {
    return Status::Corruption(name + ", offset 32: the file holds log segment " + SegmentName(header.segment) +
                              "; give it its own name back and restore the missing segment");
  }
  if (const uint32_t version = DecodeFixed32(bytes.data() + kVersionAt); version != kVersion) {
    return Status::Unsupported(name + ", offset 8: log format " + std::to_string(version) + ", this build reads " +
                               std::to_string(kVersion) + "; open the store with the Tarn that wrote it");
  }
  const uint32_t form = DecodeFixed32(bytes.data() + kFormAt);
  if (form > kObject) {
    return Status::Unsupported(name + ", offset 12: a log segment of form " + std::to_string(form) +
                               ", this build reads 0 and 1; open the store with the Tarn that wrote it");
  }
  header.object = form == kObject;
  return std::optional<SegmentHeader>(std::move(header));
}

uint64_t NextChain(uint64_t chain, std::string_view payload) { return Hash64(payload, chain); }

void AppendRecordHeader(std::string* out, const RecordHeader& header, uint64_t identity, uint64_t offset) {
  const size_t start = out->size();
  PutFixed64(out, 0);  // the checksum's place
  PutFixed32(out, header.payload_bytes);
  *out += static_cast<char>(header.type);
  PutFixed64(out, header.durable_offset);
  PutFixed64(out, header.chain);
  const uint64_t sum = PlacedChecksum(std::string_view(*out).substr(start + kLengthAt), identity, offset);
  std::memcpy(out->data() + start, &sum, sizeof(sum));
}

std::optional<RecordHeader> DecodeRecordHeader(std::string_view bytes, uint64_t identity, uint64_t offset) {
  const char* const p = bytes.data();
  if (!IsRecordType(p[kTypeAt])) return std::nullopt;
  const RecordHeader header{DecodeFixed32(p + kLengthAt), static_cast<RecordType>(p[kTypeAt]),
                            DecodeFixed64(p + kDurableAt), DecodeFixed64(p + kChainAt)};
  if (header.durable_offset > offset) return std::nullopt;
  const std::string_view fields = bytes.substr(kLengthAt, kRecordHeaderBytes - kLengthAt);
  if (DecodeFixed64(p) != PlacedChecksum(fields, identity, offset)) return std::nullopt;
  return header;
}

std::optional<RecordHeader> FindWitness(std::string_view bytes, uint64_t identity, uint64_t offset, uint64_t above) {
  if (!IsRecordType(bytes[kTypeAt])) return std::nullopt;
  const uint64_t durable_offset = DecodeFixed64(bytes.data() + kDurableAt);
  if (durable_offset <= above || durable_offset > offset) return std::nullopt;
  return DecodeRecordHeader(bytes, identity, offset);
}

}  // namespace tarn::wal
