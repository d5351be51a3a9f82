// From a backup to a store again: by copying it (Restore), or by reading it where it is (Clone, DetachClone).
#include <algorithm>

#include "backends/overlay/overlay.h"
#include "base/list_all.h"
#include "kernel/backup.h"
#include "kernel/store_copy.h"

namespace tarn {
namespace kernel {
namespace {

Status NotEmpty(const std::string& name) {
  if (name.starts_with("manifest/")) return Status::Invalid("the target holds a store already; name an empty place");
  return Status::Invalid("the target must be empty; it holds " + name);
}

// Those of `tables` that `target` lacks. It may hold some of them already, left by an unfinished restore, and nothing
// else.
Result<std::vector<BlobInfo>> MissingFrom(Backend& target, const std::string& store_id,
                                          const std::vector<ManifestTable>& tables) {
  TARN_ASSIGN(const std::vector<BlobInfo> there, ListAll(target, ""));
  std::map<std::string, const TableMeta*> wanted;
  for (const ManifestTable& table : tables) wanted.emplace(TableBlobName(table.meta.number), &table.meta);
  for (const BlobInfo& blob : there) {
    const auto found = wanted.find(blob.name);
    if (found == wanted.end()) return NotEmpty(blob.name);
    // Opens as this very table: its footer tells store and number.
    const TableMeta& meta = *found->second;
    if (!Table::Open(target, store_id, meta.number, meta.file_bytes).ok()) return NotEmpty(blob.name);
    wanted.erase(found);
  }
  std::vector<BlobInfo> missing;
  for (const auto& [name, meta] : wanted) missing.push_back({name, meta->file_bytes});
  return missing;
}

Result<BackupInfo> RestoreInto(const Repository& repository, uint64_t number, Backend& target,
                               const TransferOptions& options) {
  TARN_ASSIGN(number, repository.Find(number));
  TARN_ASSIGN(const BackupRecord record, repository.Read(BackupBlobName(number)));
  TARN_ASSIGN(const std::vector<BlobInfo> missing,
              MissingFrom(target, record.info.store_id, record.state.tables_added));
  TARN_TRY(CopyBlobs(repository.backend(), target, missing, options));
  TARN_ASSIGN(const auto now, ListTables(target));
  TARN_TRY(CheckTablesThere(now, TablesOf(record.state)));
  TARN_TRY(FoundStore(target, record.state, *options.entropy));
  BackupInfo info = record.info;
  info.sent_tables = missing.size();
  info.sent_bytes = 0;
  for (const BlobInfo& table : missing) info.sent_bytes += table.size;
  return info;
}

// The backup may have been pruned before the hold was there; then its record is gone, for records go first.
Status CheckStillThere(const Repository& repository, uint64_t number) {
  const Status there = repository.backend().Open(BackupBlobName(number)).status();
  return there.code() == Code::kNotFound
             ? Status::NotFound("backup " + std::to_string(number) + " was pruned meanwhile; clone another")
             : there;
}

Result<BackupInfo> CloneInto(const Repository& repository, Backend& target, const CloneOptions& options) {
  TARN_ASSIGN(const ListPage there, target.List("", "", 1));
  if (!there.blobs.empty()) return NotEmpty(there.blobs[0].name);
  TARN_ASSIGN(const uint64_t number, repository.Find(options.number));
  TARN_ASSIGN(BackupRecord record, repository.Read(BackupBlobName(number)));
  const BackupInfo info = record.info;
  record.info.created_wall_nanos = options.transfer.clock->WallNanos();
  record.info.label = options.location.substr(0, kMaxBackupText);
  Entropy& entropy = *options.transfer.entropy;
  TARN_ASSIGN(const std::string hold, repository.Hold(kClones, record, entropy));
  Status made = CheckStillThere(repository, number);
  if (made.ok()) made = overlay::PutBase(target, {options.base_url, hold, TablesOf(record.state)});
  // With the list in the target the clone may count on the hold, whatever becomes of the call.
  if (!made.ok()) {
    const Status released = repository.Release(hold);
    (void)released;  // at worst it keeps tables until it is forgotten
    return made;
  }
  TARN_TRY(FoundStore(target, std::move(record.state), entropy));
  return info;
}

using OpenUrl = std::function<Result<std::shared_ptr<Backend>>(const std::string& url)>;

Status Detach(Backend& target, const OpenUrl& open_url, const TransferOptions& options) {
  auto base = overlay::ReadBase(target);
  if (base.status().code() == Code::kNotFound) return Status::NotFound("there is no clone here, or it stands alone");
  TARN_TRY(base.status());
  std::unique_ptr<Lock> lock;
  if (LockStore* const locks = target.features().locks) {
    TARN_ASSIGN(lock, locks->TryLock("lock", "detaching a clone"));
  }
  TARN_ASSIGN(const auto repository, open_url(base->url));
  TARN_ASSIGN(const std::vector<BlobInfo> blobs, overlay::BlobsOfBase(target, *base));
  TARN_ASSIGN(const auto before, ListTables(target));
  std::vector<BlobInfo> missing;
  std::copy_if(blobs.begin(), blobs.end(), std::back_inserter(missing),
               [&](const BlobInfo& blob) { return !before.contains(blob.name); });
  TARN_TRY(CopyBlobs(*repository, target, missing, options));
  TARN_ASSIGN(const auto now, ListTables(target));
  TARN_TRY(CheckTablesThere(now, blobs));
  TARN_TRY(overlay::RemoveBase(target));
  const Status released = repository->Delete(base->hold);
  if (released.code() == Code::kNotFound) return {};
  return released.Annotate("the clone stands alone, but its repository still counts it");
}

}  // namespace
}  // namespace kernel

Result<BackupInfo> Restore(Backend& repository, uint64_t number, Backend& target, const TransferOptions& options) {
  TARN_ASSIGN(const kernel::Repository there, kernel::Repository::Open(repository));
  return kernel::RestoreInto(there, number, target, kernel::Completed(options));
}

Result<BackupInfo> Clone(Backend& repository, Backend& target, const CloneOptions& options) {
  if (options.base_url.empty())
    return Status::Invalid("CloneOptions::base_url is empty; a clone has to find its base");
  TARN_ASSIGN(const kernel::Repository there, kernel::Repository::Open(repository));
  CloneOptions complete = options;
  complete.transfer = kernel::Completed(options.transfer);
  return kernel::CloneInto(there, target, complete);
}

Status DetachClone(Backend& target, const kernel::OpenUrl& open_url, const TransferOptions& options) {
  return kernel::Detach(target, open_url, kernel::Completed(options));
}

}  // namespace tarn
