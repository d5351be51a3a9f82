#include "kernel/manifest.h"

#include <algorithm>
#include <charconv>

#include "base/delete_all.h"
#include "base/next_step.h"
#include "format/backup_record.h"
#include "kernel/constants.h"

namespace tarn::kernel {
namespace {

constexpr std::string_view kPrefix = "manifest/";

// False for a name that no record has: a stray file, left alone.
bool ParseNumber(const std::string& name, uint64_t* number) {
  *number = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), *number, 16);
  return *number != 0 && ManifestBlobName(*number) == name;
}

Status Damaged(uint64_t number, const std::string& what) {
  return Status::Corruption(ManifestBlobName(number) + ", byte 0: " + what + std::string(kRepairStep));
}

}  // namespace

// The numbers of the records behind `after`, in order.
Result<std::vector<uint64_t>> Manifest::ListRecords(uint64_t after) {
  std::vector<uint64_t> records;
  std::string last = after == 0 ? "" : ManifestBlobName(after);
  for (bool more = true; more;) {
    TARN_ASSIGN(ListPage page, backend_.List(kPrefix, last, 1000));
    for (const BlobInfo& blob : page.blobs) {
      uint64_t number;
      if (ParseNumber(blob.name, &number)) records.push_back(number);
    }
    more = page.more && !page.blobs.empty();
    if (more) last = page.blobs.back().name;
  }
  return records;
}

// A store begins with its manifest, and a checkpoint ends with it.
Status Manifest::WhyNone() {
  for (const char* prefix : {"table/", "wal/"}) {
    TARN_ASSIGN(const ListPage page, backend_.List(prefix, "", 1));
    if (page.blobs.empty()) continue;
    if (backend_.Open(kRepositoryBlob).ok()) {
      return Status::Invalid("there are backups here and no store; bring one back: tarn restore URL TARGET");
    }
    return Status::Corruption(
        page.blobs[0].name +
        " is here, but no manifest says what it belongs to: the manifest was lost, or this is a "
        "checkpoint that was not completed; nothing was changed" +
        std::string(kRepairStep));
  }
  return Status::NotFound("no store here (no manifest)");
}

Result<ManifestRecord> Manifest::ReadRecord(uint64_t number, BlobsAhead* blobs) {
  const std::string name = ManifestBlobName(number);
  auto opened = blobs == nullptr ? backend_.Open(name) : blobs->Open(name);
  if (opened.status().code() == Code::kNotFound) return Damaged(number, "the manifest record is missing");
  TARN_ASSIGN(const std::unique_ptr<BlobReader> blob, std::move(opened));
  if (blob->size() > (1ull << 30)) {
    return Damaged(number, "has an impossible size");
  }
  std::string bytes(blob->size(), '\0');
  TARN_TRY(blob->Read(0, bytes));
  return DecodeManifestRecord(bytes, number);
}

Status Manifest::Load() {
  state_ = {};
  TARN_ASSIGN(records_, ListRecords(0));
  return records_.empty() ? WhyNone() : LoadUpTo(records_.back());
}

Status Manifest::LoadNewer() {
  TARN_ASSIGN(const std::vector<uint64_t> newer, ListRecords(state_.last().number));
  records_.insert(records_.end(), newer.begin(), newer.end());
  return newer.empty() ? Status() : LoadUpTo(newer.back());
}

Result<bool> Manifest::HasNewer() {
  TARN_ASSIGN(const std::vector<uint64_t> newer, ListRecords(state_.last().number));
  return !newer.empty();
}

// From what state() has, if the newest record builds on that, else from its base.
Status Manifest::LoadUpTo(uint64_t newest) {
  TARN_ASSIGN(ManifestRecord last, ReadRecord(newest));
  if (last.base > newest || last.base == 0) {
    return Damaged(newest, "names a base after itself");
  }
  const uint64_t held = state_.last().number;
  const bool builds_on = held != 0 && last.base <= held;
  const uint64_t first = builds_on ? held + 1 : last.base;
  std::vector<std::string> names;
  for (const uint64_t number : records_) {
    if (number >= first && number < newest) names.push_back(ManifestBlobName(number));
  }
  BlobsAhead blobs(backend_, std::move(names));
  ManifestState state = builds_on ? state_ : ManifestState();
  for (uint64_t number = first; number < newest; ++number) {
    Result<ManifestRecord> record = ReadRecord(number, &blobs);
    if (!record.ok())
      return record.status().Annotate(ManifestBlobName(newest) + " builds on a record that is unreadable");
    if (number == last.base && !record->full()) {
      return Damaged(number, "is not a full record");
    }
    TARN_TRY(state.Apply(*record));
  }
  TARN_TRY(state.Apply(last));
  state_ = std::move(state);
  previous_base_ = last.base;
  epoch_ = last.epoch;
  writer_ = last.writer;
  return {};
}

Status Manifest::Create(const std::string& store_id, const std::string& writer) {
  ManifestRecord record;
  record.number = record.base = 1;
  record.epoch = 1;
  record.writer = writer;
  record.store_id = store_id;
  record.families_added.push_back({0, "default"});
  TARN_TRY(Put(record));
  records_ = {1};
  TakeOver(1, writer);
  previous_base_ = 1;
  return state_.Apply(record);
}

Status Manifest::Publish(ManifestRecord delta) {
  TARN_TRY(broken_);
  delta.number = state_.last().number + 1;
  delta.base = state_.last().base;
  delta.epoch = epoch_;
  delta.writer = writer_;
  ManifestState next = state_;
  TARN_TRY(next.Apply(delta));
  const bool full = delta.number - delta.base >= kManifestDeltas;
  const ManifestRecord record = full ? next.Full(delta.number) : std::move(delta);
  if (full) TARN_TRY(next.Apply(record));
  TARN_TRY(Put(record));
  records_.push_back(record.number);
  state_ = std::move(next);
  if (full) {
    DeleteBelow(previous_base_);
    previous_base_ = record.number;
  }
  return {};
}

Status Manifest::Put(const ManifestRecord& record) {
  const std::string bytes = EncodeManifestRecord(record);
  const Result<PutOutcome> outcome = backend_.PutIfAbsent(ManifestBlobName(record.number), bytes);
  if (outcome.ok() && *outcome == PutOutcome::kCreated) return CheckNewest(record.number);
  if (!outcome.ok()) {
    // A full device refused the bytes. Unless it kept the name nevertheless nothing is in doubt: the step may be
    // retried.
    if (outcome.status().code() == Code::kNoSpace &&
        backend_.Open(ManifestBlobName(record.number)).status().code() == Code::kNotFound) {
      return outcome.status();
    }
    broken_ = outcome.status().Annotate("publishing " + ManifestBlobName(record.number) +
                                        " failed, so the store is read-only; mend the cause and reopen it");
    return broken_;
  }
  const Result<ManifestRecord> there = ReadRecord(record.number);
  // Our own? The contract says that it is not; so this is a second line behind a backend that errs about a request
  // that a network delivered twice. No two writers send the same bytes, because each begins a log segment of its own
  // and its first record names it.
  if (there.ok() && EncodeManifestRecord(*there) == bytes) return CheckNewest(record.number);
  if (there.ok()) return Lost(record.number, *there);
  broken_ =
      there.status().Annotate(ManifestBlobName(record.number) +
                              " is there and cannot be read, so nobody knows who published it; reopen the store");
  return broken_;
}

// Invariant 4, for the record that was put under `number`. Either it is garbage of a writer that slept meanwhile, or
// real, and another writer has built on it since. Fenced says the same in both cases: nobody may count on it here.
Status Manifest::CheckNewest(uint64_t number) {
  if (!OthersMayPublish()) return {};
  const Result<std::vector<uint64_t>> behind = ListRecords(number);
  if (!behind.ok()) {
    broken_ = behind.status().Annotate("nobody knows whether " + ManifestBlobName(number) +
                                       " is the newest record, so the store is read-only; reopen it");
    return broken_;
  }
  if (behind->empty()) return {};
  const Result<ManifestRecord> there = ReadRecord(behind->back());
  if (there.ok()) return Lost(behind->back(), *there);
  broken_ = there.status().Annotate("a later writer has the store");
  return broken_;
}

bool Manifest::OthersMayPublish() const {
  return backend_.features().locks == nullptr || backend_.info().log_is_near;
}

Status Manifest::Lost(uint64_t number, const ManifestRecord& there) {
  broken_ = Status::Fenced(ManifestBlobName(number) + " was already published by " + there.writer + " (epoch " +
                           std::to_string(there.epoch) + "); this writer has lost the store, reopen it");
  return broken_;
}

void Manifest::DeleteBelow(uint64_t number) {
  const auto end = std::lower_bound(records_.begin(), records_.end(), number);
  std::vector<std::string> names;
  for (auto record = records_.begin(); record != end; ++record) names.push_back(ManifestBlobName(*record));
  // What could not be deleted is harmless: tried again after the next full one.
  if (DeleteAll(backend_, names).ok()) records_.erase(records_.begin(), end);
}

}  // namespace tarn::kernel
