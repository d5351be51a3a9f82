// Pruning and verifying a repository.
//
// A prune: put the marker; look at the intents, then the clones, then the backups (a backup that commits meanwhile is
// seen as one or the other, because its record is put before its intent goes); delete the records that are to go;
// delete the tables that nothing keeps. A prune that failed while it deleted tables leaves its marker: a deletion
// whose answer was lost may still happen, and would hit a backup that counts on the table.
#include <algorithm>
#include <map>
#include <set>

#include "base/system_effects.h"
#include "kernel/backup.h"
#include "kernel/block_cache.h"
#include "kernel/memory_budget.h"
#include "kernel/parallel_run.h"
#include "kernel/read_engine.h"
#include "kernel/scan_source.h"
#include "kernel/statistics.h"
#include "kernel/store_copy.h"

namespace tarn {
namespace kernel {
namespace {

constexpr size_t kDeletedAtOnce = 1000;          // as many as one request of S3 takes
constexpr uint64_t kVerifyMemory = 16ull << 20;  // blocks of the table that is read

class Pruner {
 public:
  Pruner(const Repository& repository, const PruneOptions& options) : repository_(repository), options_(options) {}

  Result<PruneReport> Run() {
    if (options_.dry_run) {
      TARN_TRY(Survey());
      return report_;
    }
    TARN_TRY(Forget());
    Entropy& entropy = options_.entropy == nullptr ? *SystemEntropy() : *options_.entropy;
    const std::string marker = std::string(kPrunes) + NewId(entropy);
    TARN_TRY(repository_.backend().PutIfAbsent(marker, "").status());
    Status status = Survey();
    if (status.ok()) status = DeleteRecords();
    if (status.ok()) status = DeleteTables();
    if (!in_doubt_) {
      const Status released = repository_.Release(marker);
      if (status.ok()) status = released;
    }
    TARN_TRY(in_doubt_ ? status.Annotate("run tarn backup prune --force-stale before the next backup") : status);
    return report_;
  }

 private:
  // What the caller says is dead.
  Status Forget() {
    for (const std::string& id : options_.forget_clones) {
      const std::string name = std::string(kClones) + id;
      const Status deleted = repository_.backend().Delete(name);
      if (deleted.code() == Code::kNotFound || deleted.code() == Code::kInvalid) {
        return Status::NotFound("no clone " + id + " is registered here; list them with: tarn backup list URL");
      }
      TARN_TRY(deleted);
    }
    if (!options_.force_stale) return {};
    for (const std::string_view prefix : {kPrunes, kIntents}) {
      TARN_ASSIGN(const std::vector<std::string> names, repository_.Names(prefix));
      for (const std::string& name : names) TARN_TRY(repository_.Release(name));
    }
    return {};
  }

  Status Survey() {
    TARN_TRY(KeepTablesOf(kIntents, &report_.unfinished));
    TARN_TRY(KeepTablesOf(kClones, &report_.clones));
    TARN_ASSIGN(std::vector<uint64_t> numbers, repository_.Numbers());
    const size_t kept = std::min<size_t>(options_.keep, numbers.size());
    const auto first_kept = numbers.end() - static_cast<ptrdiff_t>(kept);
    report_.removed.assign(numbers.begin(), first_kept);
    report_.kept.assign(first_kept, numbers.end());
    for (const uint64_t number : report_.kept) TARN_TRY(Keep(BackupBlobName(number)));
    TARN_ASSIGN(const auto there, ListTables(repository_.backend()));
    for (const auto& [name, bytes] : there) {
      if (needed_.contains(name)) continue;
      unneeded_.push_back(name);
      report_.bytes_removed += bytes;
    }
    report_.tables_removed = unneeded_.size();
    return {};
  }
  Status KeepTablesOf(std::string_view prefix, uint64_t* count) {
    TARN_ASSIGN(const std::vector<std::string> names, repository_.Names(prefix));
    for (const std::string& name : names) {
      if (prefix == kClones && Forgotten(name)) continue;  // of a dry run
      if (prefix == kIntents && options_.force_stale && options_.dry_run) continue;
      const Status kept = Keep(name);
      if (kept.code() == Code::kNotFound) continue;  // over meanwhile; a backup's record is seen below
      TARN_TRY(kept);
      ++*count;
    }
    return {};
  }
  bool Forgotten(const std::string& name) const {
    const auto& ids = options_.forget_clones;
    return std::find(ids.begin(), ids.end(), name.substr(kClones.size())) != ids.end();
  }
  Status Keep(const std::string& name) {
    TARN_ASSIGN(const BackupRecord record, repository_.Read(name));
    for (const BlobInfo& table : TablesOf(record.state)) needed_.insert(table.name);
    return {};
  }

  Status Check() const { return options_.check ? options_.check() : Status(); }

  Status DeleteRecords() {
    for (const uint64_t number : report_.removed) {
      TARN_TRY(Check());
      TARN_TRY(repository_.Release(BackupBlobName(number)));
    }
    return {};
  }
  Status DeleteTables() {
    BulkDelete* const bulk = repository_.backend().features().bulk;
    const size_t at_once = bulk == nullptr ? 1 : kDeletedAtOnce;
    for (size_t at = 0; at < unneeded_.size(); at += at_once) {
      TARN_TRY(Check());
      const std::span<const std::string> some(unneeded_.data() + at, std::min(at_once, unneeded_.size() - at));
      const Status deleted = bulk == nullptr ? repository_.Release(some[0]) : bulk->DeleteAll(some);
      in_doubt_ = !deleted.ok();
      TARN_TRY(deleted);
    }
    return {};
  }

  const Repository& repository_;
  const PruneOptions& options_;
  PruneReport report_;
  std::set<std::string> needed_;
  std::vector<std::string> unneeded_;
  bool in_doubt_ = false;  // a deletion may still happen
};

// Damage is a line of the report; what keeps us from looking is an error.
bool IsDamage(const Status& status) {
  return status.code() == Code::kCorruption || status.code() == Code::kNotFound ||
         status.code() == Code::kUnsupported;
}

class BackupVerifier {
 public:
  BackupVerifier(const Repository& repository, const VerifyBackupsOptions& options)
      : repository_(repository), options_(options) {}

  Result<VerifyBackupsReport> Run() {
    TARN_ASSIGN(const std::vector<uint64_t> numbers, repository_.Numbers());
    report_.backups = numbers.size();
    std::vector<std::string> names;
    for (const uint64_t number : numbers) names.push_back(BackupBlobName(number));
    TARN_ASSIGN(const std::vector<std::string> clones, repository_.Names(kClones));
    names.insert(names.end(), clones.begin(), clones.end());
    TARN_ASSIGN(const auto there, ListTables(repository_.backend()));
    for (const std::string& name : names) TARN_TRY(Look(name, there));
    for (const auto& [name, bytes] : there) {
      if (metas_.contains(name)) continue;
      ++report_.unneeded_tables;
      report_.unneeded_bytes += bytes;
    }
    report_.tables = metas_.size();
    for (const auto& [name, meta] : metas_) report_.bytes += meta.file_bytes;
    if (options_.deep) TARN_TRY(ReadTables(there));
    std::sort(report_.problems.begin(), report_.problems.end());  // threads find them in any order
    return std::move(report_);
  }

 private:
  Status Look(const std::string& name, const std::map<std::string, uint64_t>& there) {
    const Result<BackupRecord> record = repository_.Read(name);
    if (!record.ok()) return Note(name, record.status());
    for (const ManifestTable& table : record->state.tables_added) {
      metas_.emplace(TableBlobName(table.meta.number), table.meta);
    }
    const Status whole = CheckTablesThere(there, TablesOf(record->state));
    return whole.ok() ? Status() : Note(name, whole);
  }
  Status Note(const std::string& name, const Status& found) {
    if (!IsDamage(found)) return found;
    const std::string message(found.message());
    report_.problems.push_back(message.starts_with(name) ? message : name + ": " + message);
    return {};
  }
  Status ReadTables(const std::map<std::string, uint64_t>& there) {
    TARN_TRY(CheckParallel(options_.parallel));
    std::vector<const TableMeta*> metas;
    for (const auto& [name, meta] : metas_) {
      const auto found = there.find(name);
      if (found != there.end() && found->second == meta.file_bytes) metas.push_back(&meta);  // others were noted
    }
    MemoryBudget budget(kVerifyMemory);
    BlockCache nothing(&budget);
    Statistics unused;
    ReadEngine device(repository_.backend(), nothing, unused);
    ParallelRun run(options_.parallel, report_.bytes, options_.progress);
    Mutex mutex;  // guards: the report's problems
    return run.Run(metas.size(), [&](size_t i) {
      const Status whole = ReadTable(device, *metas[i]);
      if (!whole.ok()) {
        MutexLock lock(mutex);
        TARN_TRY(Note(TableBlobName(metas[i]->number), whole));
      }
      return run.Moved(metas[i]->file_bytes);
    });
  }
  Status ReadTable(ReadEngine& device, const TableMeta& meta) {
    TARN_ASSIGN(const auto table,
                Table::Open(repository_.backend(), repository_.store_id(), meta.number, meta.file_bytes));
    ScanSource source(device, false);
    return table->Verify(source);
  }

  const Repository& repository_;
  const VerifyBackupsOptions& options_;
  VerifyBackupsReport report_;
  std::map<std::string, TableMeta> metas_;  // by name, of all that is needed
};

}  // namespace
}  // namespace kernel

Result<PruneReport> PruneBackups(Backend& repository, const PruneOptions& options) {
  if (options.keep == 0) return Status::Invalid("a prune keeps at least one backup; say how many of the newest");
  TARN_ASSIGN(const kernel::Repository there, kernel::Repository::Open(repository));
  return kernel::Pruner(there, options).Run();
}

Result<VerifyBackupsReport> VerifyBackups(Backend& repository, const VerifyBackupsOptions& options) {
  TARN_ASSIGN(const kernel::Repository there, kernel::Repository::Open(repository));
  return kernel::BackupVerifier(there, options).Run();
}

}  // namespace tarn
