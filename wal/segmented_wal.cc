// The segmented write-ahead log: segments are append files of the backend, written by one writer in sequence; where
// the backend has none they are objects (wal/object_writer). Bytes: docs/formats/wal.md. Reading: wal/replay.
//
// A writer starts a segment of its own when it is opened, and another with each Rotate. Its state is one line of
// offsets in the current segment:
//
//      0 ........ durable_offset_ ........ written ........ end_offset_
//        survives power loss    survives kill -9    in pending_ (kNone only)
//
// Invariants:
//   1. durable_offset_ is advanced only by a Sync() of the file that succeeded, to what was written before it.
//   2. A record's header states durable_offset_ as of its writing: replay takes it for the truth.
//   3. A segment's link is written only after the segment it names was sealed and synced, seal included; and a seal
//      is written only after the name of the next segment is durable. So neither can be without the other.
//   4. After an error of the file nothing is written any more: what the device holds is unknown, and a record
//      behind a hole would be acknowledged but never replayed.
//
// Threads: one at a time, as the contract says; the kernel's write path owns the writer.
#include <string>
#include <utility>
#include <vector>

#include "tarn/sdk/wal.h"
#include "wal/builtin.h"
#include "wal/object_writer.h"
#include "wal/old_segments.h"
#include "wal/record.h"
#include "wal/replay.h"
#include "wal/salvage.h"

namespace tarn {
namespace {

using wal::ListedSegment;
using wal::RecordType;

// What kNone payloads may gather before they are written: enough that a write costs little beside its bytes.
constexpr size_t kPendingBytes = 256 << 10;

class SegmentedWriter final : public WalWriter {
 public:
  // `older` are the segments of writers before this one.
  SegmentedWriter(Backend& backend, AppendStore& store, std::string_view store_id,
                  const std::vector<ListedSegment>& older)
      : backend_(backend), store_(store), store_id_(store_id), older_(older) {}

  Result<std::unique_ptr<AppendFile>> Create(uint64_t segment) {
    return store_.CreateAppend(wal::SegmentName(segment));
  }
  void Start(std::unique_ptr<AppendFile> file, uint64_t segment, const wal::SegmentLink& previous) {
    file_ = std::move(file);
    wal::SegmentHeader header{store_id_, segment, previous, /*object=*/false, 0};
    pending_ = wal::EncodeSegmentHeader(&header);  // written with the first record at the latest
    segment_ = segment;
    older_.SetCurrent(segment);
    identity_ = wal::SegmentIdentity(store_id_, segment);
    chain_ = header.chain;
    end_offset_ = pending_.size();
    durable_offset_ = 0;
  }

  Status Append(std::string_view payload, Durability durability) override {
    TARN_TRY(status_);
    if (payload.size() > wal::kMaxPayloadBytes) {
      return Status::Invalid("wal: a payload of " + std::to_string(payload.size()) +
                             " bytes does not fit a record (less than 4 GiB); split the batch");
    }
    return Poison(AppendChecked(payload, durability));
  }
  Status Sync() override {
    TARN_TRY(status_);
    return Poison(SyncFile());
  }
  Result<uint64_t> Rotate() override {
    TARN_TRY(status_);
    TARN_TRY(Poison(StartNext()));
    return segment_;
  }
  Status Release(uint64_t first_needed) override { return older_.Release(backend_, first_needed); }
  Status Close() override {
    if (closed_) return Status::Ok();
    TARN_TRY(status_);
    TARN_TRY(Poison(End(RecordType::kClose)));
    file_.reset();
    closed_ = true;
    (void)Poison(Status::Invalid("wal: the log was closed; open a new writer"));
    return Status::Ok();
  }

  uint64_t segment() const override { return segment_; }
  uint64_t live_bytes() override { return older_.bytes() + end_offset_; }

 private:
  Status AppendChecked(std::string_view payload, Durability durability) {
    TARN_TRY(AppendRecord(RecordType::kData, payload));
    if (durability == Durability::kPower) return SyncFile();
    if (durability == Durability::kProcess || pending_.size() >= kPendingBytes) return WritePending();
    return Status::Ok();
  }

  Status AppendRecord(RecordType type, std::string_view payload) {
    chain_ = wal::NextChain(chain_, payload);
    wal::AppendRecordHeader(&pending_, {static_cast<uint32_t>(payload.size()), type, durable_offset_, chain_},
                            identity_, end_offset_);
    end_offset_ += wal::kRecordHeaderBytes + payload.size();
    if (payload.size() < kPendingBytes) {
      pending_ += payload;
      return Status::Ok();
    }
    TARN_TRY(WritePending());  // a large payload is not copied
    return file_->Append(payload);
  }

  Status WritePending() {
    if (pending_.empty()) return Status::Ok();
    TARN_TRY(file_->Append(pending_));
    pending_.clear();
    return Status::Ok();
  }

  Status SyncFile() {
    TARN_TRY(WritePending());
    if (durable_offset_ == end_offset_) return Status::Ok();
    TARN_TRY(file_->Sync());
    durable_offset_ = end_offset_;
    return Status::Ok();
  }

  // Everything before the seal is durable before the seal is written, because replay trusts a seal it finds.
  Status End(RecordType seal) {
    TARN_TRY(SyncFile());
    TARN_TRY(AppendRecord(seal, {}));
    return SyncFile();
  }

  Status StartNext() {
    TARN_ASSIGN(auto next, Create(segment_ + 1));
    TARN_TRY(End(RecordType::kSeal));
    const wal::SegmentLink sealed{segment_, end_offset_, chain_};
    older_.Add({segment_, end_offset_});
    Start(std::move(next), segment_ + 1, sealed);
    return WritePending();  // the link that vouches for the sealed segment does not wait for a record
  }

  Status Poison(Status status) {
    if (status.ok()) return status;
    status_ = status;
    older_.Refuse(status);
    return status;
  }

  Backend& backend_;
  AppendStore& store_;
  const std::string store_id_;
  wal::OldSegments older_;

  std::unique_ptr<AppendFile> file_;
  uint64_t segment_ = 0;
  uint64_t identity_ = 0;
  uint64_t chain_ = 0;
  uint64_t end_offset_ = 0;
  uint64_t durable_offset_ = 0;
  std::string pending_;
  Status status_;  // why every call is refused; OK while none is
  bool closed_ = false;
};

class SegmentedWal final : public WalStrategy {
 public:
  std::string_view name() const override { return "segmented"; }

  Result<std::unique_ptr<WalWriter>> Open(Backend& backend, std::string_view store_id,
                                          uint64_t first_segment) override {
    if (store_id.size() != wal::kStoreIdBytes || first_segment == 0) {
      return Status::Invalid(
          "wal: opening a writer needs a store id of 16 bytes and a segment number above 0; pass "
          "the store's id and WalReplayEnd::next_segment");
    }
    TARN_ASSIGN(const std::vector<ListedSegment> listed, wal::ListSegments(backend));
    AppendStore* const store = backend.features().append;
    if (store == nullptr) return wal::OpenObjectWriter(backend, store_id, first_segment, listed);
    if (!listed.empty() && listed.back().number >= first_segment) {
      return Status::Invalid(wal::SegmentName(listed.back().number) +
                             ": the log segment exists, so a writer cannot "
                             "start at " +
                             std::to_string(first_segment) + "; replay first and start where it says");
    }
    auto writer = std::make_unique<SegmentedWriter>(backend, *store, store_id, listed);
    TARN_ASSIGN(auto file, writer->Create(first_segment));
    writer->Start(std::move(file), first_segment, {});
    return std::unique_ptr<WalWriter>(std::move(writer));
  }

  Result<WalReplayEnd> Replay(Backend& backend, std::string_view store_id, uint64_t first_segment,
                              const Visitor& visit) override {
    return wal::ReplaySegments(backend, store_id, first_segment, visit);
  }

  Result<WalReplayEnd> ReplayOn(Backend& backend, std::string_view store_id, uint64_t first_segment,
                                const WalPlace& place, const Visitor& visit) override {
    return wal::ReplaySegments(backend, store_id, first_segment, visit, place);
  }

  Status Salvage(Backend& backend, std::string_view store_id, uint64_t first_segment, const Visitor& visit,
                 const std::function<void(const WalLoss&)>& lost) override {
    return wal::SalvageSegments(backend, store_id, first_segment, visit, lost);
  }
};

}  // namespace

std::shared_ptr<WalStrategy> NewSegmentedWal() { return std::make_shared<SegmentedWal>(); }

}  // namespace tarn
