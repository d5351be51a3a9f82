#include "wal/replay.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "base/blobs_ahead.h"
#include "base/next_step.h"
#include "wal/live_segment.h"
#include "wal/record.h"
#include "wal/segment_reader.h"

namespace tarn::wal {
namespace {

constexpr size_t kListPage = 1000;

std::string Place(uint64_t segment, uint64_t offset) {
  return SegmentName(segment) + ", offset " + std::to_string(offset) + ": ";
}

// How a segment ended.
struct SegmentEnd {
  uint64_t segment = 0;
  uint64_t offset = 0;
  uint64_t chain = 0;
  bool sealed = false;    // the log goes on in the next segment
  bool torn = false;      // bytes that are no record stand behind `offset`
  bool complete = false;  // nothing was ever behind `offset`
  bool object = false;
};

class Replayer {
 public:
  Replayer(Backend& backend, std::string_view store_id, uint64_t first_segment, const WalStrategy::Visitor& visit,
           const WalPlace& place)
      : backend_(backend),
        store_id_(store_id),
        first_segment_(first_segment),
        objects_only_(backend.features().append == nullptr && backend.features().locks == nullptr),
        visit_(visit),
        from_(place) {}

  Result<WalReplayEnd> Run() {
    TARN_ASSIGN(const std::vector<ListedSegment> segments, ListSegments(backend_, from_.segment));
    std::vector<std::string> names;
    for (const ListedSegment& listed : segments) {
      if (listed.number >= first_segment_) names.push_back(SegmentName(listed.number));
    }
    blobs_ = std::make_unique<BlobsAhead>(backend_, std::move(names));
    std::optional<SegmentEnd> last;
    if (from_.segment != 0) {
      TARN_ASSIGN(last, TakeUp());
    }
    for (const ListedSegment& listed : segments) {
      if (listed.number < first_segment_) continue;
      if (last.has_value() && last->sealed && listed.number != last->segment + 1) break;  // missing, see below
      TARN_ASSIGN(last, ReplaySegment(listed.number, last));
      Note(*last);
    }
    // What a sealed segment goes on in was there before the seal. A live writer may have begun it after the list
    // was made; else it is lost.
    while (last.has_value() && last->sealed) {
      TARN_ASSIGN(last, ReplaySegment(last->segment + 1, last));
      Note(*last);
    }
    const uint64_t after_last = segments.empty() ? from_.segment + 1 : segments.back().number + 1;
    end_.next_segment = std::max({first_segment_, after_last, last.has_value() ? last->segment + 1 : 0});
    end_.torn_tail = last.has_value() && last->torn;
    return end_;
  }

 private:
  // A segment without a header has no place yet: it is read anew from the one before.
  void Note(const SegmentEnd& end) {
    if (end.offset == 0) return;
    end_.place = {end.segment, begun_, end.offset, end.chain, end.sealed, end.complete, end.object};
  }

  // Goes on where an earlier replay ended, in a file that may have grown.
  Result<SegmentEnd> TakeUp() {
    begun_ = from_.begun;
    end_.first_segment = first_segment_;
    SegmentEnd end = {from_.segment, from_.offset, from_.chain, from_.sealed, false, from_.complete, from_.object};
    if (!from_.complete) {
      TARN_ASSIGN(end, GoOn(end));
    }
    Note(end);
    return end;
  }

  Result<SegmentEnd> GoOn(const SegmentEnd& from) {
    Result<std::unique_ptr<BlobReader>> opened = backend_.Open(SegmentName(from.segment));
    if (opened.status().code() == Code::kNotFound) return Deleted(from.segment);
    TARN_TRY(opened.status());
    const LiveSegment blob(backend_, SegmentName(from.segment), std::move(*opened));
    if (blob.size() < from.offset) {
      return Status::Corruption(Place(from.segment, blob.size()) + "the log segment is shorter than it was" +
                                std::string(kRepairStep));
    }
    SegmentReader reader(blob, store_id_, from.segment);
    reader.StandAt(from.offset, from.chain);
    return ReplayRecords(&reader, from.segment);
  }

  static Status Deleted(uint64_t segment) {
    return Status::Unavailable(SegmentName(segment) +
                               ": the log segment was deleted while the log was read, by "
                               "the live writer of this store; open it again");
  }

  Result<SegmentEnd> ReplaySegment(uint64_t segment, std::optional<SegmentEnd> before) {
    Result<std::unique_ptr<BlobReader>> opened = blobs_->Open(SegmentName(segment));
    if (!opened.ok() && opened.status().code() == Code::kNotFound) {
      if (before.has_value() && before->sealed) return Missing(segment, before->segment);
      return Deleted(segment);
    }
    if (!opened.ok()) return opened.status();
    const LiveSegment blob(backend_, SegmentName(segment), std::move(*opened));
    SegmentReader reader(blob, store_id_, segment);
    TARN_ASSIGN(std::optional<SegmentHeader> header, reader.ReadHeader());
    if (!header.has_value()) {
      TARN_ASSIGN(const std::optional<uint64_t> witness, reader.FindWitnessBehind());
      if (!witness.has_value() && !objects_only_) {
        BeginAt(segment);
        return EndAt(&reader, segment);
      }
      reader.Forget();  // as in ReplayRecords
      TARN_ASSIGN(header, reader.ReadHeader());
      if (!header.has_value())
        return witness.has_value() ? Damaged(reader, segment, *witness) : Broken(reader, segment);
    }
    // A live writer may have sealed the one before since that was read. Its seal was there before this header.
    const bool linked = before.has_value() && before->offset != 0 && before->segment == header->previous.segment;
    if (linked && !before->complete) {
      TARN_ASSIGN(before, GoOn(*before));
    }
    TARN_TRY(CheckLink(segment, header->previous, before));
    if (header->object && before.has_value() && before->object && before->segment + 1 != segment) {
      return Missing(before->segment + 1, segment);  // numbers of objects leave nothing out
    }
    // An object with records belongs to the last beginning: one without, or with a fence. What belongs to one that
    // was released is passed over.
    if (!header->object || reader.size() == kSegmentHeaderBytes) BeginAt(segment);
    return header->object ? ReplayObject(&reader, segment) : ReplayRecords(&reader, segment);
  }

  void BeginAt(uint64_t segment) {
    begun_ = segment;
    if (end_.first_segment == 0) end_.first_segment = segment;
  }

  // A segment that continues another was started after that one was durable up to its seal.
  Status CheckLink(uint64_t segment, const SegmentLink& previous, const std::optional<SegmentEnd>& before) const {
    if (previous.segment == 0) return Status::Ok();
    if (!before.has_value() && previous.segment < first_segment_) return Status::Ok();  // it was released
    if (!before.has_value() || before->segment != previous.segment) return Missing(previous.segment, segment);
    const bool goes_on = before->sealed || before->object;  // a file that was closed does not
    if (!goes_on || before->offset != previous.end_offset || before->chain != previous.chain) {
      return Status::Corruption(Place(before->segment, before->offset) + "the log segment does not end as " +
                                SegmentName(segment) + ", which continues it, states (complete, " +
                                std::to_string(previous.end_offset) + " bytes)" + std::string(kRepairStep));
    }
    return Status::Ok();
  }

  static Status Missing(uint64_t segment, uint64_t neighbour) {
    return Status::Corruption(Place(segment, 0) + "the log segment is missing, but " + SegmentName(neighbour) +
                              " says that it was there" + std::string(kRepairStep));
  }

  Status Visit(uint64_t segment, uint64_t offset, std::string_view payload) {
    if (begun_ == 0) return Status::Ok();
    ++end_.records;
    end_.bytes += payload.size();
    const Status visited = visit_(begun_, payload);
    if (visited.code() != Code::kCorruption) return visited;
    return visited.Annotate(SegmentName(segment) + ", offset " + std::to_string(offset));
  }

  Result<SegmentEnd> ReplayRecords(SegmentReader* reader, uint64_t segment) {
    uint64_t read_again = 0;  // the offset of the record that was; none stands at 0
    for (;;) {
      std::string_view payload;
      const uint64_t at = reader->offset();
      TARN_ASSIGN(const SegmentReader::Item item, reader->Next(&payload));
      switch (item) {
        case SegmentReader::Item::kData: TARN_TRY(Visit(segment, at, payload)); break;
        case SegmentReader::Item::kSeal:
        case SegmentReader::Item::kClose: {
          TARN_ASSIGN(const bool ends, reader->OnlyZerosFrom(reader->offset()));
          if (!ends) {
            return Status::Corruption(Place(segment, reader->offset()) +
                                      "bytes stand behind the seal of the log "
                                      "segment" +
                                      std::string(kRepairStep));
          }
          return SegmentEnd{segment, reader->offset(), reader->chain(), item == SegmentReader::Item::kSeal,
                            false,   /*complete=*/true};
        }
        case SegmentReader::Item::kEnd: return SegmentEnd{segment, reader->offset(), reader->chain(), false, false};
        case SegmentReader::Item::kFence: return Broken(*reader, segment);  // files have locks
        case SegmentReader::Item::kBad: {
          TARN_ASSIGN(const std::optional<uint64_t> witness, reader->FindWitnessBehind());
          if (!witness.has_value()) return EndAt(reader, segment);
          // A live writer may have been in the middle of this record when it was read. What a witness says was
          // durable reads back by now.
          if (at == read_again) return Damaged(*reader, segment, *witness);
          read_again = at;
          reader->Forget();
          break;
        }
      }
    }
  }

  // A fence or not, records and a close, up to the last byte.
  Result<SegmentEnd> ReplayObject(SegmentReader* reader, uint64_t segment) {
    uint64_t read_again = 0;  // as in ReplayRecords
    for (bool closed = false; reader->offset() < reader->size();) {
      std::string_view payload;
      const uint64_t at = reader->offset();
      TARN_ASSIGN(const SegmentReader::Item item, reader->Next(&payload));
      if (item == SegmentReader::Item::kData && !closed) {
        TARN_TRY(Visit(segment, at, payload));
      } else if (item == SegmentReader::Item::kClose && !closed) {
        closed = true;
      } else if (item == SegmentReader::Item::kFence && at == kSegmentHeaderBytes) {
        BeginAt(segment);
      } else if (item == SegmentReader::Item::kBad && at != read_again) {  // perhaps it was damaged on the way
        read_again = at;
        reader->Forget();
      } else {
        return Broken(*reader, segment);
      }
    }
    return SegmentEnd{segment, reader->offset(), reader->chain(), false, false, /*complete=*/true, /*object=*/true};
  }

  // No valid header or record stands at the reader's place, and nothing says that one ever did.
  static Result<SegmentEnd> EndAt(SegmentReader* reader, uint64_t segment) {
    TARN_ASSIGN(const bool empty, reader->OnlyZerosFrom(reader->offset()));  // a header that was never written
    return SegmentEnd{segment, reader->offset(), reader->chain(), false, !empty};
  }
  static Status Broken(const SegmentReader& reader, uint64_t segment) {
    return Status::Corruption(Place(segment, reader.offset()) +
                              "what was put here does not read back, and an object is put whole" +
                              std::string(kRepairStep));
  }
  static Status Damaged(const SegmentReader& reader, uint64_t segment, uint64_t witness) {
    return Status::Corruption(Place(segment, reader.offset()) + "what was written here does not read back, but " +
                              "the record at offset " + std::to_string(witness) + " states that it was durable" +
                              std::string(kRepairStep));
  }

  Backend& backend_;
  const std::string store_id_;
  const uint64_t first_segment_;
  const bool objects_only_;  // so nobody's death leaves half a header; a disk that is open read-only still has locks
  const WalStrategy::Visitor& visit_;
  std::unique_ptr<BlobsAhead> blobs_;
  const WalPlace from_;
  uint64_t begun_ = 0;  // the segment that the records belong to; 0: one that was released
  WalReplayEnd end_;
};

}  // namespace

Result<std::vector<ListedSegment>> ListSegments(Backend& backend, uint64_t behind) {
  std::vector<ListedSegment> segments;
  std::string after = behind == 0 ? "" : SegmentName(behind);
  for (bool more = true; more;) {
    TARN_ASSIGN(const ListPage page, backend.List(kNamePrefix, after, kListPage));
    for (const BlobInfo& blob : page.blobs) {
      const std::optional<uint64_t> number = SegmentNumber(blob.name);
      if (!number.has_value()) {
        return Status::Corruption(blob.name +
                                  ", offset 0: this is no segment of a segmented log; open the store "
                                  "with the WAL strategy that wrote it, or move the file away");
      }
      segments.push_back({*number, blob.size});
    }
    more = page.more && !page.blobs.empty();
    if (more) after = page.blobs.back().name;
  }
  return segments;
}

Result<WalReplayEnd> ReplaySegments(Backend& backend, std::string_view store_id, uint64_t first_segment,
                                    const WalStrategy::Visitor& visit, const WalPlace& place) {
  if (store_id.size() != kStoreIdBytes) {
    return Status::Invalid("wal: a store id has 16 bytes, not " + std::to_string(store_id.size()) +
                           "; pass the one that the store was created with");
  }
  return Replayer(backend, store_id, first_segment, visit, place).Run();
}

}  // namespace tarn::wal
