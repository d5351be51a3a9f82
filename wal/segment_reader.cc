#include "wal/segment_reader.h"

#include <algorithm>

#include "base/assert.h"

namespace tarn::wal {
namespace {

// Large enough that a read costs little beside its bytes, on disks and over networks.
constexpr uint64_t kWindowBytes = 1 << 20;

}  // namespace

SegmentReader::SegmentReader(const BlobReader& blob, std::string_view store_id, uint64_t segment)
    : blob_(blob), store_id_(store_id), segment_(segment), identity_(SegmentIdentity(store_id, segment)) {}

Result<std::optional<SegmentHeader>> SegmentReader::ReadHeader() {
  const uint64_t bytes = std::min<uint64_t>(kSegmentHeaderBytes, size());
  TARN_ASSIGN(const std::string_view window, Window(0, bytes));
  TARN_ASSIGN(std::optional<SegmentHeader> header, DecodeSegmentHeader(window, store_id_, segment_));
  if (header.has_value()) {
    offset_ = kSegmentHeaderBytes;
    chain_ = header->chain;
  }
  return header;
}

Result<SegmentReader::Item> SegmentReader::Next(std::string_view* payload) {
  const uint64_t left = size() - offset_;
  if (left == 0) return Item::kEnd;
  if (left < kRecordHeaderBytes) return NoRecord();
  TARN_ASSIGN(std::string_view window, Window(offset_, kRecordHeaderBytes));
  const std::optional<RecordHeader> header = DecodeRecordHeader(window, identity_, offset_);
  if (!header.has_value()) return NoRecord();
  if (header->payload_bytes > left - kRecordHeaderBytes) return Item::kBad;
  const bool fence = header->type == RecordType::kFence;
  if (header->type != RecordType::kData && header->payload_bytes != (fence ? kFencePayloadBytes : 0)) {
    return Item::kBad;
  }

  const uint64_t record_bytes = kRecordHeaderBytes + header->payload_bytes;
  TARN_ASSIGN(window, Window(offset_, record_bytes));
  const std::string_view found = window.substr(kRecordHeaderBytes, header->payload_bytes);
  if (NextChain(chain_, found) != header->chain) return Item::kBad;
  chain_ = header->chain;
  offset_ += record_bytes;
  *payload = found;
  switch (header->type) {
    case RecordType::kData: return Item::kData;
    case RecordType::kSeal: return Item::kSeal;
    case RecordType::kClose: return Item::kClose;
    case RecordType::kFence: return Item::kFence;
  }
  return Item::kBad;
}

Result<SegmentReader::Item> SegmentReader::NoRecord() {
  TARN_ASSIGN(const bool nothing, OnlyZerosFrom(offset_));
  return nothing ? Item::kEnd : Item::kBad;
}

Result<bool> SegmentReader::OnlyZerosFrom(uint64_t offset) {
  while (offset < size()) {
    TARN_ASSIGN(const std::string_view window, Window(offset, std::min(kWindowBytes, size() - offset)));
    if (window.find_first_not_of('\0') != std::string_view::npos) return false;
    offset += window.size();
  }
  return true;
}

Result<std::optional<uint64_t>> SegmentReader::FindWitnessBehind() {
  uint64_t at = offset_ + 1;
  while (at + kRecordHeaderBytes <= size()) {
    TARN_ASSIGN(std::string_view window, Window(at, std::min(kWindowBytes, size() - at)));
    for (; window.size() >= kRecordHeaderBytes; window.remove_prefix(1), ++at) {
      if (FindWitness(window, identity_, at, offset_).has_value()) return std::optional<uint64_t>(at);
    }
  }
  return std::optional<uint64_t>();
}

Result<std::optional<uint64_t>> SegmentReader::FindHeader(uint64_t from) {
  while (from + kRecordHeaderBytes <= size()) {
    TARN_ASSIGN(std::string_view window, Window(from, std::min(kWindowBytes, size() - from)));
    for (; window.size() >= kRecordHeaderBytes; window.remove_prefix(1), ++from) {
      if (DecodeRecordHeader(window, identity_, from).has_value()) return std::optional<uint64_t>(from);
    }
  }
  return std::optional<uint64_t>();
}

Result<std::string_view> SegmentReader::Bytes(uint64_t offset, uint64_t bytes) {
  TARN_ASSIGN(const std::string_view window, Window(offset, bytes));
  return window.substr(0, bytes);
}

Result<std::string_view> SegmentReader::Window(uint64_t offset, uint64_t bytes) {
  DCHECK(offset <= size() && bytes <= size() - offset);
  const uint64_t window_end = window_offset_ + window_.size();
  const bool touches = offset >= window_offset_ && offset <= window_end;
  if (!touches || bytes > window_end - offset) {
    // The part that was read already moves to the front.
    window_.erase(window_.begin(),
                  touches ? window_.begin() + static_cast<ptrdiff_t>(offset - window_offset_) : window_.end());
    window_offset_ = offset;
    const size_t kept = window_.size();
    window_.resize(std::min(std::max(bytes, kWindowBytes), size() - offset));
    Status status = blob_.Read(offset + kept, std::span(window_).subspan(kept));
    if (!status.ok()) {
      window_.clear();
      return status;
    }
  }
  return std::string_view(window_.data(), window_.size()).substr(offset - window_offset_);
}

}  // namespace tarn::wal
