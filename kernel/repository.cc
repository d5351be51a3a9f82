#include "kernel/repository.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "base/list_all.h"
#include "kernel/manifest_state.h"

namespace tarn::kernel {
namespace {

constexpr uint64_t kMostRecordBytes = 1ull << 30;  // no record of ours comes near; hostile sizes allocate no more

Result<std::unique_ptr<BlobReader>> OpenSmall(Backend& backend, const std::string& name) {
  TARN_ASSIGN(auto blob, backend.Open(name));
  if (blob->size() > kMostRecordBytes) return Status::Corruption(name + ", byte 0: has an impossible size");
  return blob;
}

std::string Hex(std::string_view bytes) {
  std::string out;
  char digits[3];
  for (const char c : bytes) {
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned char>(c));
    out += digits;
  }
  return out;
}

// A place that was never a repository: it may become one if nothing is there.
Status CheckEmpty(Backend& backend) {
  TARN_ASSIGN(const ListPage there, backend.List("", "", 1));
  if (there.blobs.empty()) return {};
  return Status::Invalid("the place of the backups holds something else, " + there.blobs[0].name +
                         "; name an empty place, or one that holds backups of this store");
}

}  // namespace

std::string NewId(Entropy& entropy) {
  char bytes[8];
  entropy.Fill(bytes);
  return Hex({bytes, sizeof(bytes)});
}

Result<std::string> ReadWhole(Backend& backend, const std::string& name) {
  TARN_ASSIGN(const auto blob, OpenSmall(backend, name));
  std::string bytes(blob->size(), '\0');
  TARN_TRY(blob->Read(0, bytes));
  return bytes;
}

Result<Repository> Repository::Open(Backend& backend) {
  const Result<std::string> mark = ReadWhole(backend, std::string(kRepositoryBlob));
  if (mark.status().code() == Code::kNotFound) return Status::NotFound("there are no backups here");
  TARN_TRY(mark.status());
  TARN_ASSIGN(std::string store_id, DecodeRepository(*mark));
  return Repository(backend, std::move(store_id));
}

Result<Repository> Repository::OpenFor(Backend& backend, const std::string& store_id) {
  Result<Repository> there = Open(backend);
  if (there.status().code() == Code::kNotFound) {
    TARN_TRY(CheckEmpty(backend));
    TARN_TRY(backend.PutIfAbsent(kRepositoryBlob, EncodeRepository(store_id)).status());
    there = Open(backend);  // ours, or that of another backup which was faster
  }
  TARN_TRY(there.status());
  if (there->store_id() == store_id) return there;
  return Status::Invalid("the backups here are of store " + Hex(there->store_id()) + ", and this is store " +
                         Hex(store_id) + "; name another place");
}

Result<std::vector<std::string>> Repository::Names(std::string_view prefix) const {
  TARN_ASSIGN(const std::vector<BlobInfo> blobs, ListAll(*backend_, prefix));
  std::vector<std::string> names;
  for (const BlobInfo& blob : blobs) names.push_back(blob.name);
  return names;
}

Result<std::vector<uint64_t>> Repository::Numbers() const {
  TARN_ASSIGN(const std::vector<std::string> names, Names(kBackups));
  std::vector<uint64_t> numbers;
  for (const std::string& name : names) {
    uint64_t number = 0;
    std::from_chars(name.data() + kBackups.size(), name.data() + name.size(), number, 16);
    if (number != 0 && BackupBlobName(number) == name) numbers.push_back(number);
  }
  return numbers;
}

Result<uint64_t> Repository::Find(uint64_t number) const {
  TARN_ASSIGN(const std::vector<uint64_t> numbers, Numbers());
  if (numbers.empty())
    return Status::NotFound("no backup was finished here; the next one goes on with what was sent");
  if (number == 0) return numbers.back();
  if (std::binary_search(numbers.begin(), numbers.end(), number)) return number;
  return Status::NotFound("no backup " + std::to_string(number) + " here; list them with: tarn backup list URL");
}

Result<BackupInfo> Repository::ReadSummary(const std::string& name) const {
  TARN_ASSIGN(const auto blob, OpenSmall(*backend_, name));
  std::string front(std::min<uint64_t>(blob->size(), kBackupSummaryBytes), '\0');
  TARN_TRY(blob->Read(0, front));
  return DecodeBackupSummary(name, front);
}

Result<BackupRecord> Repository::Read(const std::string& name) const {
  TARN_ASSIGN(const std::string bytes, ReadWhole(*backend_, name));
  TARN_ASSIGN(BackupRecord record, DecodeBackupRecord(name, bytes));
  if (record.info.store_id != store_id_) {
    return Status::Corruption(name + ": is of store " + Hex(record.info.store_id) + " in a repository of store " +
                              Hex(store_id_) + "; somebody put it there");
  }
  // Tables and families fit together: what is founded on it opens.
  const Status fits = ManifestState().Apply(record.state);
  if (!fits.ok()) return fits.Annotate(name);
  return record;
}

Result<std::string> Repository::Hold(std::string_view prefix, const BackupRecord& record, Entropy& entropy) const {
  const std::string name = std::string(prefix) + NewId(entropy);
  TARN_ASSIGN(const PutOutcome put, backend_->PutIfAbsent(name, EncodeBackupRecord(name, record)));
  if (put == PutOutcome::kExists) return Status::Busy(name + " is taken; try again");
  const Result<ListPage> prunes = backend_->List(kPrunes, "", 1);
  if (prunes.ok() && prunes->blobs.empty()) return name;
  const Status released = Release(name);
  (void)released;  // at worst it keeps tables until a forced prune
  TARN_TRY(prunes.status());
  return Status::Busy("old backups are being deleted here (" + prunes->blobs[0].name +
                      "); try again when that is done, or if it died: tarn backup prune URL --keep N --force-stale");
}

Status Repository::Release(const std::string& name) const {
  const Status deleted = backend_->Delete(name);
  return deleted.code() == Code::kNotFound ? Status() : deleted;
}

Status Repository::Commit(BackupRecord* record) const {
  TARN_ASSIGN(const std::vector<uint64_t> numbers, Numbers());
  for (uint64_t number = numbers.empty() ? 1 : numbers.back() + 1;; ++number) {
    record->info.number = number;
    const std::string name = BackupBlobName(number);
    TARN_ASSIGN(const PutOutcome put, backend_->PutIfAbsent(name, EncodeBackupRecord(name, *record)));
    if (put == PutOutcome::kCreated) return {};  // else another backup was faster
  }
}

}  // namespace tarn::kernel
