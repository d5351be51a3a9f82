#include "wal/salvage.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/coding.h"
#include "wal/record.h"
#include "wal/segment_reader.h"

namespace tarn::wal {
namespace {

constexpr size_t kListPage = 1000;
constexpr size_t kChainAt = 21;  // of a record header; docs/formats/wal.md
constexpr uint64_t kHeaderSumAt = 64;
// A damaged header's payload is looked at whole. Larger gaps are not worth the memory.
constexpr uint64_t kMaxTriedBytes = 64 << 20;
// A seal of which this many bytes differ is still that seal: in any other bytes the checksum alone would differ.
constexpr size_t kSealDamage = 4;

// How a segment ended.
struct Tail {
  uint64_t segment = 0;
  uint64_t offset = 0;
  bool goes_on = false;  // its seal says that the next one was there
};

class Salvager {
 public:
  Salvager(Backend& backend, std::string_view store_id, const WalStrategy::Visitor& visit,
           const std::function<void(const WalLoss&)>& lost)
      : backend_(backend), store_id_(store_id), visit_(visit), lost_(lost) {}

  Status Run(uint64_t first_segment) {
    std::vector<uint64_t> segments;
    TARN_TRY(List(first_segment, &segments));
    if (first_segment != 0 && (segments.empty() || segments.front() != first_segment)) {
      lost_({SegmentName(first_segment), 0, 0, "the log segment is not there"});
    }
    for (const uint64_t segment : segments) {
      if (before_.has_value() && before_->segment + 1 != segment) MissNext();
      const Status status = Segment(segment, first_segment);
      if (status.code() == Code::kUnsupported || visit_failed_) return status;
      if (!status.ok()) lost_({SegmentName(segment), 0, 0, std::string(status.message())});
    }
    MissNext();
    return {};
  }

 private:
  Status List(uint64_t first_segment, std::vector<uint64_t>* segments) {
    std::string after;
    for (bool more = true; more;) {
      TARN_ASSIGN(const ListPage page, backend_.List(kNamePrefix, after, kListPage));
      for (const BlobInfo& blob : page.blobs) {
        const std::optional<uint64_t> number = SegmentNumber(blob.name);
        if (!number.has_value()) lost_({blob.name, 0, blob.size, "this is no segment of a segmented log"});
        if (number.has_value() && *number >= first_segment) segments->push_back(*number);
      }
      more = page.more && !page.blobs.empty();
      if (more) after = page.blobs.back().name;
    }
    return {};
  }

  void MissNext() {
    if (!before_.has_value() || !before_->goes_on) return;
    lost_({SegmentName(before_->segment + 1), 0, 0, "the log segment is not there"});
    before_->goes_on = false;
  }

  Status Segment(uint64_t segment, uint64_t first_segment) {
    const std::optional<Tail> before = std::exchange(before_, Tail{segment, 0, false});
    TARN_ASSIGN(const auto blob, backend_.Open(SegmentName(segment)));
    TARN_TRY(TakeStoreId(*blob, segment));
    SegmentReader reader(*blob, store_id_, segment);
    TARN_ASSIGN(const std::optional<SegmentHeader> header, reader.ReadHeader());
    TARN_ASSIGN(const bool empty, reader.OnlyZerosFrom(0));
    if (header.has_value()) {
      CheckLink(header->previous, before, first_segment);
    } else if (empty) {
      return {};
    } else if (reader.size() >= kSegmentHeaderBytes) {
      // Perhaps the part of the header that starts the chain is whole; the first record will tell.
      TARN_ASSIGN(const std::string_view sum, reader.Bytes(kHeaderSumAt, 8));
      reader.StandAt(kSegmentHeaderBytes, DecodeFixed64(sum.data()));
    } else {
      lost_({SegmentName(segment), 0, reader.size(), "the log segment ends within its header"});
    }
    if (reader.size() >= kSegmentHeaderBytes) TARN_TRY(Records(&reader, segment));
    before_->offset = reader.offset();
    // What stood behind a fence may have been released, which the fence is not.
    if (first_segment == 0 && reader.size() == kFenceObjectBytes) before_.reset();
    return {};
  }

  // Without a manifest and without tables the log itself has to say whose it is.
  Status TakeStoreId(const BlobReader& blob, uint64_t segment) {
    if (!store_id_.empty() || blob.size() < kSegmentHeaderBytes) return {};
    std::string bytes(kSegmentHeaderBytes, '\0');
    TARN_TRY(blob.Read(0, bytes));
    const std::string claimed = bytes.substr(16, kStoreIdBytes);
    const auto header = DecodeSegmentHeader(bytes, claimed, segment);
    if (header.ok() && header->has_value()) store_id_ = claimed;
    return {};
  }

  // A segment that continues another was started when that one was sealed.
  void CheckLink(const SegmentLink& link, const std::optional<Tail>& before, uint64_t first_segment) {
    if (link.segment == 0 || link.segment < first_segment) return;
    const bool seen = before.has_value() && before->segment == link.segment;
    // With all segments asked for, those before the first one were released.
    if (!seen && !before.has_value() && first_segment == 0) return;
    if (!seen) {
      lost_({SegmentName(link.segment), 0, link.end_offset, "the log segment is not there"});
    } else if (before->offset < link.end_offset) {
      lost_({SegmentName(link.segment), before->offset, link.end_offset - before->offset,
             "the log segment was longer"});
    }
  }

  Status Records(SegmentReader* reader, uint64_t segment) {
    for (;;) {
      std::string_view payload;
      TARN_ASSIGN(const SegmentReader::Item item, reader->Next(&payload));
      switch (item) {
        case SegmentReader::Item::kData: TARN_TRY(Visit(segment, payload)); break;
        case SegmentReader::Item::kFence: break;  // it says nothing about what was written
        case SegmentReader::Item::kSeal: before_->goes_on = true; return {};
        case SegmentReader::Item::kClose:
        case SegmentReader::Item::kEnd: return {};
        case SegmentReader::Item::kBad: TARN_TRY(PassOver(reader, segment)); break;
      }
    }
  }

  Status Visit(uint64_t segment, std::string_view payload) {
    const Status status = visit_(segment, payload);
    visit_failed_ = !status.ok();
    return status;
  }

  // Does the record at `offset` verify when the chain before it is `chain`? Then the reader stands there.
  Result<bool> Continues(SegmentReader* reader, uint64_t offset, uint64_t chain) {
    const uint64_t was = reader->offset(), was_chain = reader->chain();
    reader->StandAt(offset, chain);
    std::string_view payload;
    TARN_ASSIGN(const SegmentReader::Item item, reader->Next(&payload));
    const bool verifies = item != SegmentReader::Item::kEnd && item != SegmentReader::Item::kBad;
    verifies ? reader->StandAt(offset, chain) : reader->StandAt(was, was_chain);
    return verifies;
  }

  // From the damaged place that the reader stands on to the next record that verifies, or to the end.
  Status PassOver(SegmentReader* reader, uint64_t segment) {
    const uint64_t bad = reader->offset();
    const auto lose = [&](uint64_t end) {
      lost_({SegmentName(segment), bad, end - bad, "what was written here does not read back"});
    };
    TARN_ASSIGN(const std::optional<uint64_t> next, reader->FindHeader(bad));
    if (!next.has_value()) return EndAt(reader, segment);
    if (*next == bad) {  // rule 1
      TARN_ASSIGN(const RecordHeader header, HeaderAt(reader, segment, bad));
      const uint64_t end = std::min(reader->size(), bad + kRecordHeaderBytes + header.payload_bytes);
      reader->StandAt(end, header.chain);
      if (header.type == RecordType::kData) lose(end);
      before_->goes_on = header.type == RecordType::kSeal;
      return {};
    }
    if (*next - bad > kRecordHeaderBytes && *next - bad <= kMaxTriedBytes) {  // rule 2
      const uint64_t bytes = *next - bad - kRecordHeaderBytes;
      TARN_ASSIGN(std::string_view payload, reader->Bytes(bad + kRecordHeaderBytes, bytes));
      const std::string kept(payload);
      TARN_ASSIGN(const bool whole, Continues(reader, *next, NextChain(reader->chain(), kept)));
      if (whole) return Visit(segment, kept);
    }
    if (*next - bad >= kRecordHeaderBytes) {  // rule 3
      TARN_ASSIGN(const std::string_view stated, reader->Bytes(bad + kChainAt, 8));
      TARN_ASSIGN(const bool whole, Continues(reader, *next, DecodeFixed64(stated.data())));
      if (whole) {
        lose(*next);
        return {};
      }
    }
    TARN_ASSIGN(const RecordHeader header, HeaderAt(reader, segment, *next));  // rule 4
    const uint64_t end = std::min(reader->size(), *next + kRecordHeaderBytes + header.payload_bytes);
    reader->StandAt(end, header.chain);
    before_->goes_on = header.type == RecordType::kSeal;
    lose(header.type == RecordType::kData ? end : *next);
    return {};
  }

  Result<RecordHeader> HeaderAt(SegmentReader* reader, uint64_t segment, uint64_t offset) {
    TARN_ASSIGN(const std::string_view bytes, reader->Bytes(offset, kRecordHeaderBytes));
    const auto header = DecodeRecordHeader(bytes, SegmentIdentity(store_id_, segment), offset);
    if (header.has_value()) return *header;
    return Status::Corruption(SegmentName(segment) + " changed while it was read; stop what writes to it");
  }

  // No header stands behind the damaged place. The chain value in its own header is the one thing left to ask.
  Status EndAt(SegmentReader* reader, uint64_t segment) {
    const uint64_t bad = reader->offset(), bytes = reader->size() - bad;
    if (bytes > kRecordHeaderBytes && bytes <= kMaxTriedBytes) {
      TARN_ASSIGN(const std::string_view record, reader->Bytes(bad, bytes));
      const std::string payload(record.substr(kRecordHeaderBytes));
      const uint64_t chain = NextChain(reader->chain(), payload);
      if (chain == DecodeFixed64(record.data() + kChainAt)) {
        reader->StandAt(reader->size(), chain);
        return Visit(segment, payload);
      }
    }
    TARN_ASSIGN(const bool seal, IsDamagedSeal(reader, segment));
    reader->StandAt(reader->size(), reader->chain());
    if (!seal) {
      lost_({SegmentName(segment), bad, bytes,
             "the log ends in bytes that are no record: damage, or a write its writer died in"});
    }
    return {};
  }

  Result<bool> IsDamagedSeal(SegmentReader* reader, uint64_t segment) {
    const uint64_t at = reader->offset();
    if (reader->size() - at != kRecordHeaderBytes) return false;
    TARN_ASSIGN(const std::string_view there, reader->Bytes(at, kRecordHeaderBytes));
    for (const RecordType type : {RecordType::kSeal, RecordType::kClose}) {
      std::string seal;
      AppendRecordHeader(&seal, {0, type, at, NextChain(reader->chain(), {})}, SegmentIdentity(store_id_, segment),
                         at);
      size_t different = 0;
      for (size_t i = 0; i < seal.size(); ++i) different += seal[i] != there[i];
      if (different <= kSealDamage) return true;
    }
    return false;
  }

  Backend& backend_;
  std::string store_id_;
  const WalStrategy::Visitor& visit_;
  const std::function<void(const WalLoss&)>& lost_;
  std::optional<Tail> before_;  // how the segment before this one ended
  bool visit_failed_ = false;
};

}  // namespace

Status SalvageSegments(Backend& backend, std::string_view store_id, uint64_t first_segment,
                       const WalStrategy::Visitor& visit, const std::function<void(const WalLoss&)>& lost) {
  return Salvager(backend, store_id, visit, lost).Run(first_segment);
}

}  // namespace tarn::wal
