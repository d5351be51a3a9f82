// Invariants:
//   1. Objects are numbered without a gap, and each is created by put-if-absent. So one writer at most has the next
//      number, and whoever finds it taken has lost the log: Fenced.
//   2. One put at a time. A put of which the outcome is unknown is the last one: whether that object is there, the
//      next opening finds out by taking its number.
//   3. What a durable append asks for is put before it returns; kProcess and kPower are the same.
//   4. A number on which somebody may still count stays taken. Behind a writer who did not close his log the next one
//      begins with a fence, an object that is never released: the old one may wake up years later, and would find
//      his number free again.
//   5. An object without records, or with a fence, begins what the contract calls a segment: segment() is its number,
//      and Release and replay go by it. Those behind it, up to the next such one, belong to it.
#include "wal/object_writer.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/coding.h"
#include "wal/old_segments.h"
#include "wal/record.h"
#include "wal/segment_reader.h"

namespace tarn::wal {
namespace {

// What kNone payloads may gather: as much as the backend likes to get at once, within reason.
constexpr uint64_t kMinPendingBytes = 256 << 10, kMaxPendingBytes = 8 << 20;

class ObjectWriter final : public WalWriter {
 public:
  ObjectWriter(Backend& backend, std::string_view store_id, const std::vector<ListedSegment>& older)
      : backend_(backend),
        store_id_(store_id),
        most_pending_(std::clamp(backend.info().best_write_bytes, kMinPendingBytes, kMaxPendingBytes)),
        older_(older) {}

  // Before all else. `alone`: the log before was closed. A writer that is at work puts as fast as we do, but each
  // number is won by one of us. A number that was free may also be one that he has released meanwhile; then there are
  // larger ones, and it shuts nobody out.
  Status Begin(uint64_t number, bool alone) {
    constexpr int kAttempts = 1000;
    for (int attempt = 0; attempt < kAttempts; ++attempt, ++number, alone = false) {
      Start(number, {});
      if (!alone) AddFence();
      const Status put = Put();
      if (!put.ok() && put.code() != Code::kFenced) return put;
      TARN_ASSIGN(const std::vector<ListedSegment> listed, ListSegments(backend_));
      if (put.ok() && !listed.empty() && listed.back().number == number) {
        SetBegin(number);
        return Status::Ok();
      }
      if (!put.ok()) older_.Add({number, 0});  // its size is not known; it is released like the others
      number = std::max(number, listed.empty() ? 0 : listed.back().number);
    }
    return Status::Unavailable("wal: another writer puts as fast as this one; close it, or open the store again");
  }

  Status Append(std::string_view payload, Durability durability) override {
    TARN_TRY(status_);
    if (payload.size() > kMaxPayloadBytes) {
      return Status::Invalid("wal: a payload of " + std::to_string(payload.size()) +
                             " bytes does not fit a record (less than 4 GiB); split the batch");
    }
    AddRecord(RecordType::kData, payload);
    if (durability == Durability::kNone && pending_.size() < most_pending_) return Status::Ok();
    return Poison(Put());
  }
  Status Sync() override {
    TARN_TRY(status_);
    return Poison(PutRecords());
  }
  Result<uint64_t> Rotate() override {
    TARN_TRY(status_);
    TARN_TRY(Poison(PutRecords()));
    const uint64_t next = number_;
    TARN_TRY(Poison(Put()));
    SetBegin(next);
    return next;
  }
  Status Release(uint64_t first_needed) override { return older_.Release(backend_, first_needed); }
  Status Close() override {
    if (closed_) return Status::Ok();
    TARN_TRY(status_);
    TARN_TRY(Poison(PutRecords()));
    AddRecord(RecordType::kClose, {});  // in an object of its own, which IsClosed() knows by its size
    TARN_TRY(Poison(Put()));
    closed_ = true;
    (void)Poison(Status::Invalid("wal: the log was closed; open a new writer"));
    return Status::Ok();
  }

  uint64_t segment() const override { return begin_; }
  uint64_t live_bytes() override { return older_.bytes() + pending_.size(); }

 private:
  void SetBegin(uint64_t number) {
    begin_ = number;
    older_.SetCurrent(number);
  }

  void Start(uint64_t number, const SegmentLink& previous) {
    SegmentHeader header{store_id_, number, previous, /*object=*/true, 0};
    pending_ = EncodeSegmentHeader(&header);
    number_ = number;
    linked_ = previous.segment != 0;
    identity_ = SegmentIdentity(store_id_, number);
    chain_ = header.chain;
    has_records_ = false;
  }

  void AddRecord(RecordType type, std::string_view payload) {
    chain_ = NextChain(chain_, payload);
    AppendRecordHeader(&pending_, {static_cast<uint32_t>(payload.size()), type, 0, chain_}, identity_,
                       pending_.size());
    pending_ += payload;
    has_records_ = true;
  }

  void AddFence() {
    std::string before;
    PutFixed64(&before, number_ - 1);
    AddRecord(RecordType::kFence, before);
  }

  Status PutRecords() { return has_records_ ? Put() : Status::Ok(); }

  Status Put() {
    TARN_ASSIGN(const PutOutcome outcome, backend_.PutIfAbsent(SegmentName(number_), pending_));
    TARN_ASSIGN(const bool own, outcome == PutOutcome::kExists ? MetItself() : Result<bool>(true));
    if (!own) {
      return Status::Fenced(SegmentName(number_) +
                            " was put by another writer; this writer has lost the store, reopen it");
    }
    older_.Add({number_, pending_.size()});
    Start(number_ + 1, {number_, pending_.size(), chain_});
    return Status::Ok();
  }

  // A put that was delivered twice finds itself. Only the writer of the object before can have linked one to it, so
  // the same bytes are the same put; an object that is not linked proves nothing.
  Result<bool> MetItself() {
    if (!linked_) return false;
    TARN_ASSIGN(const auto there, backend_.Open(SegmentName(number_)));
    if (there->size() != pending_.size()) return false;
    std::string bytes(pending_.size(), '\0');
    TARN_TRY(there->Read(0, bytes));
    return bytes == pending_;
  }

  Status Poison(Status status) {
    if (status.ok()) return status;
    status_ = status;
    older_.Refuse(status);
    return status;
  }

  Backend& backend_;
  const std::string store_id_;
  const uint64_t most_pending_;
  OldSegments older_;  // all that was put

  uint64_t begin_ = 0;   // the last object without records
  uint64_t number_ = 0;  // of the object in pending_
  uint64_t identity_ = 0, chain_ = 0;
  std::string pending_;
  bool has_records_ = false, linked_ = false;
  Status status_;  // why every call is refused; OK while none is
  bool closed_ = false;
};

// Whether the writer whose object is `last` will never put another one.
Result<bool> IsClosed(Backend& backend, std::string_view store_id, const ListedSegment& last) {
  if (last.bytes != kSegmentHeaderBytes + kRecordHeaderBytes) return false;
  TARN_ASSIGN(const auto blob, backend.Open(SegmentName(last.number)));
  SegmentReader reader(*blob, store_id, last.number);
  TARN_ASSIGN(const auto header, reader.ReadHeader());
  if (!header.has_value()) return false;
  std::string_view payload;
  TARN_ASSIGN(const SegmentReader::Item item, reader.Next(&payload));
  return item == SegmentReader::Item::kClose;
}

}  // namespace

Result<std::unique_ptr<WalWriter>> OpenObjectWriter(Backend& backend, std::string_view store_id,
                                                    uint64_t first_segment, const std::vector<ListedSegment>& older) {
  auto writer = std::make_unique<ObjectWriter>(backend, store_id, older);
  bool alone = true;
  if (!older.empty()) {
    first_segment = std::max(first_segment, older.back().number + 1);
    TARN_ASSIGN(alone, IsClosed(backend, store_id, older.back()));
  }
  TARN_TRY(writer->Begin(first_segment, alone));
  return std::unique_ptr<WalWriter>(std::move(writer));
}

}  // namespace tarn::wal
