#include "kernel/manifest.h"

#include <charconv>

#include "kernel/constants.h"

namespace tarn::kernel {
namespace {

constexpr std::string_view kPrefix = "manifest/";

bool ParseNumber(std::string_view name, uint64_t* number) {
  name.remove_prefix(kPrefix.size());
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), *number, 16);
  return error == std::errc() && end == name.data() + name.size();
}

}  // namespace

Result<uint64_t> Manifest::NewestNumber() {
  uint64_t newest = 0;
  bool first = true;
  std::string after;
  for (bool more = true; more;) {
    TARN_ASSIGN(ListPage page, backend_.List(kPrefix, after, 1000));
    for (const BlobInfo& blob : page.blobs) {
      uint64_t number;
      if (!ParseNumber(blob.name, &number)) continue;  // not one of ours
      if (first) oldest_ = number;
      first = false;
      newest = number;
    }
    more = page.more && !page.blobs.empty();
    if (more) after = page.blobs.back().name;
  }
  if (newest == 0) return Status::NotFound("no store here (no manifest)");
  return newest;
}

Result<ManifestRecord> Manifest::ReadRecord(uint64_t number) {
  TARN_ASSIGN(std::unique_ptr<BlobReader> blob, backend_.Open(ManifestBlobName(number)));
  if (blob->size() > (1ull << 30)) {
    return Status::Corruption(ManifestBlobName(number) + ": impossible size; restore from a checkpoint");
  }
  std::string bytes(blob->size(), '\0');
  TARN_TRY(blob->Read(0, bytes));
  return DecodeManifestRecord(bytes, number);
}

Status Manifest::Load() {
  TARN_ASSIGN(const uint64_t newest, NewestNumber());
  TARN_ASSIGN(ManifestRecord last, ReadRecord(newest));
  if (last.base > newest || last.base == 0) {
    return Status::Corruption(ManifestBlobName(newest) + ": names a base after itself; restore from a checkpoint");
  }
  ManifestState state;
  for (uint64_t number = last.base; number < newest; ++number) {
    Result<ManifestRecord> record = ReadRecord(number);
    if (!record.ok())
      return record.status().Annotate(ManifestBlobName(newest) + " builds on a record that is unreadable");
    if (number == last.base && !record->full()) {
      return Status::Corruption(ManifestBlobName(number) + ": is not a full record; restore from a checkpoint");
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
  if (outcome.ok() && *outcome == PutOutcome::kCreated) return {};
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
  std::string by = there.ok() ? there->writer + " (epoch " + std::to_string(there->epoch) + ")" : "another writer";
  broken_ = Status::Fenced(ManifestBlobName(record.number) + " was already published by " + by +
                           "; this writer has lost the store, reopen it");
  return broken_;
}

void Manifest::DeleteBelow(uint64_t number) {
  for (; oldest_ < number; ++oldest_) {
    const Status deleted = backend_.Delete(ManifestBlobName(oldest_));
    if (!deleted.ok() && deleted.code() != Code::kNotFound) return;  // harmless: tried again after the next full one
  }
}

}  // namespace tarn::kernel
