// Backing up, and looking at what there is.
//
// A backup: hold its tables by an intent; see which are there; send the others; see that all are there; put the
// record. Each step may be the last: what was sent stays, the intent keeps it from a prune while this process lives
// to delete it, and the next backup begins with the list again.
#include "kernel/backup.h"

#include <map>

#include "base/system_effects.h"
#include "kernel/engine.h"
#include "kernel/store_copy.h"

namespace tarn {
namespace kernel {
namespace {

Status CheckText(const char* what, const std::string& text) {
  if (text.size() <= kMaxBackupText) return {};
  return Status::Invalid(std::string("BackupOptions::") + what + " has " + std::to_string(text.size()) +
                         " bytes; it may have 255");
}

bool SameTable(const ManifestTable& a, const ManifestTable& b) {
  return a.meta.file_bytes == b.meta.file_bytes && a.meta.smallest == b.meta.smallest &&
         a.meta.largest == b.meta.largest && a.meta.min_sequence == b.meta.min_sequence &&
         a.meta.max_sequence == b.meta.max_sequence && a.meta.entries == b.meta.entries &&
         a.meta.raw_bytes == b.meta.raw_bytes;
}

class Shipment {
 public:
  Shipment(Backend& source, const ManifestRecord& state, Repository& repository, const BackupOptions& options)
      : source_(source), repository_(repository), options_(options) {
    record_.state = state;
    record_.state.number = record_.state.base = 1;
    record_.info.created_wall_nanos = options.transfer.clock->WallNanos();
    record_.info.label = options.label;
    record_.info.writer = options.writer;
    DescribeTables(record_.state, &record_.info);
  }

  Result<BackupInfo> Run() {
    TARN_ASSIGN(const std::string intent, repository_.Hold(kIntents, record_, *options_.transfer.entropy));
    const Status sent = Send();
    Status committed = sent;
    if (sent.ok()) committed = repository_.Commit(&record_);
    // A record whose fate nobody knows may still appear: its tables stay held.
    const bool in_doubt = sent.ok() && !committed.ok();
    if (!in_doubt) {
      const Status released = repository_.Release(intent);
      (void)released;  // at worst it keeps tables until a forced prune; the backup stands or does not
    }
    TARN_TRY(committed);
    return record_.info;
  }

 private:
  Status Send() {
    const std::vector<BlobInfo> tables = TablesOf(record_.state);
    TARN_ASSIGN(const auto there, ListTables(repository_.backend()));
    TARN_TRY(CheckSiblings());
    std::vector<BlobInfo> missing;
    for (const BlobInfo& table : tables) {
      if (there.contains(table.name)) continue;
      missing.push_back(table);
      record_.info.sent_bytes += table.size;
    }
    record_.info.sent_tables = missing.size();
    if (missing.empty()) return CheckTablesThere(there, tables);
    TARN_TRY(CopyBlobs(source_, repository_.backend(), missing, options_.transfer));
    TARN_ASSIGN(const auto now, ListTables(repository_.backend()));
    return CheckTablesThere(now, tables);
  }

  // A copy of this store that was made behind our back (cp -r) gives out the same table numbers: where it backed up
  // last, tables of one name are not the same.
  Status CheckSiblings() {
    const Result<uint64_t> newest = repository_.Find(0);
    if (newest.status().code() == Code::kNotFound) return {};
    TARN_TRY(newest.status());
    const Result<BackupRecord> last = repository_.Read(BackupBlobName(*newest));
    if (last.status().code() == Code::kNotFound) return {};  // pruned meanwhile
    TARN_TRY(last.status());
    std::map<uint64_t, const ManifestTable*> known;
    for (const ManifestTable& table : last->state.tables_added) known.emplace(table.meta.number, &table);
    for (const ManifestTable& table : record_.state.tables_added) {
      const auto same = known.find(table.meta.number);
      if (same == known.end() || SameTable(*same->second, table)) continue;
      return Status::Invalid(TableBlobName(table.meta.number) + " of backup " + std::to_string(*newest) +
                             " is another one: a copy of this store was backed up here; name another place");
    }
    return {};
  }

  Backend& source_;
  Repository& repository_;
  const BackupOptions& options_;
  BackupRecord record_;
};

}  // namespace

TransferOptions Completed(TransferOptions options) {
  if (options.clock == nullptr) options.clock = SystemClock();
  if (options.entropy == nullptr) options.entropy = SystemEntropy();
  return options;
}

Result<BackupInfo> ShipBackup(Backend& source, const ManifestRecord& state, Backend& repository,
                              const BackupOptions& options) {
  TARN_TRY(CheckText("label", options.label));
  TARN_TRY(CheckText("writer", options.writer));
  TARN_ASSIGN(Repository there, Repository::OpenFor(repository, state.store_id));
  return Shipment(source, state, there, options).Run();
}

Result<BackupInfo> Engine::Backup(Backend& repository, BackupOptions options) {
  TARN_TRY(Flush());
  const Moment now = Freeze();
  if (options.transfer.clock == nullptr) options.transfer.clock = store_->parts.clock;
  if (options.transfer.entropy == nullptr) options.transfer.entropy = store_->parts.entropy;
  return ShipBackup(*store_->parts.backend, now.record, repository, options);
}

}  // namespace kernel

using kernel::Repository;

Result<BackupInfo> Backup(DB& db, Backend& repository, const BackupOptions& options) {
  return db.engine_->Backup(repository, options);
}

Result<std::vector<BackupInfo>> ListBackups(Backend& repository) {
  TARN_ASSIGN(const Repository there, Repository::Open(repository));
  TARN_ASSIGN(const std::vector<uint64_t> numbers, there.Numbers());
  std::vector<BackupInfo> all;
  for (const uint64_t number : numbers) {
    auto info = there.ReadSummary(BackupBlobName(number));
    if (info.status().code() == Code::kNotFound) continue;  // pruned meanwhile
    TARN_TRY(info.status());
    all.push_back(std::move(*info));
  }
  return all;
}

Result<BackupInfo> FindBackup(Backend& repository, uint64_t number) {
  TARN_ASSIGN(const Repository there, Repository::Open(repository));
  TARN_ASSIGN(number, there.Find(number));
  return there.ReadSummary(BackupBlobName(number));
}

Result<std::vector<CloneInfo>> ListClones(Backend& repository) {
  TARN_ASSIGN(const Repository there, Repository::Open(repository));
  TARN_ASSIGN(const std::vector<std::string> names, there.Names(kernel::kClones));
  std::vector<CloneInfo> all;
  for (const std::string& name : names) {
    auto info = there.ReadSummary(name);
    if (info.status().code() == Code::kNotFound) continue;  // detached meanwhile
    TARN_TRY(info.status());
    all.push_back({name.substr(kernel::kClones.size()), std::move(*info)});
  }
  return all;
}

}  // namespace tarn
