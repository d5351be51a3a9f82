// Opening and closing a store: recovery. docs/architecture.md, "the life of a crash".
//
// For writing: take the lock; load the newest manifest state (or create it); replay the log from its first_wal
// into memtables; see that every table is there; write what was replayed into level-0 tables; begin a new log
// segment; and publish one record with a higher epoch that holds these tables and names the segment as first_wal.
// Only then is the store open: nothing is served that a second crash could take back, the old log is no longer
// needed, and table blobs that no record names are removed. Not earlier: until our record has taken its number, one
// that a dead writer sent over a network may still land there, and names what looked like an orphan.
//
// An open that fails for damage has changed nothing: all checks come before the first change.
//
// Read-only: no lock, nothing is changed. All tables are opened at once, so that their bytes stay readable when
// a live writer drops them; if the writer changed the store meanwhile, the whole attempt is repeated.

#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "base/next_step.h"
#include "kernel/constants.h"
#include "kernel/engine.h"
#include "kernel/log_replay.h"
#include "kernel/merge_jobs.h"

namespace tarn::kernel {
namespace {

std::string NewStoreId(Entropy& entropy) {
  std::string id(16, '\0');
  entropy.Fill(id);
  return id;
}

// A list that leaves no page out.
Result<std::vector<BlobInfo>> ListAll(Backend& backend, std::string_view prefix) {
  std::vector<BlobInfo> all;
  for (bool more = true; more;) {
    TARN_ASSIGN(ListPage page, backend.List(prefix, all.empty() ? "" : all.back().name, 1000));
    more = page.more && !page.blobs.empty();
    std::move(page.blobs.begin(), page.blobs.end(), std::back_inserter(all));
  }
  return all;
}

// Of a blob below table/; another name than TableBlobName(of the result) is not a table's.
uint64_t TableNumberOf(const std::string& name) { return std::strtoull(name.c_str() + 6, nullptr, 16); }

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(const Settings& settings, Components parts) {
  std::unique_ptr<Engine> engine(new Engine());
  engine->backend_ = parts.backend;
  for (int attempt = 0;; ++attempt) {
    engine->store_ = std::make_unique<Store>(settings, parts);
    const Status opened = settings.read_only ? engine->OpenReadOnly() : engine->OpenForWriting();
    if (opened.ok()) return engine;
    if (attempt == kOpenAttempts || !engine->OthersInterfered(opened)) return opened;
  }
}

// Whether the error may just be that another writer was at work meanwhile. Where there are locks, only readers have
// such company. Once we hold the log (TakeLog), he can finish what he is about, a record of the manifest, and nothing
// more.
bool Engine::OthersInterfered(const Status& opened) const {
  if (!store_->settings.read_only && backend_->features().locks != nullptr) return false;
  const bool lost_a_race = opened.code() == Code::kBusy || opened.code() == Code::kFenced;
  return (log_ != nullptr && lost_a_race) || MovedOn(store_->manifest_for_open().state().last().number);
}

// Whether a live writer has published since somebody looked, who then saw record `from`. Then tables or log segments
// may have been deleted under his hands.
bool Engine::MovedOn(uint64_t from) const {
  Manifest now(*store_->parts.backend);
  return now.Load().ok() && now.state().last().number != from;
}

std::string Engine::HolderLine() const {
  const std::string& who = store_->parts.holder;
  return "pid " + std::to_string(getpid()) + (who.empty() ? "" : " (" + who + ")");
}

std::shared_ptr<MemSet> Engine::NewMemSet(uint64_t first_wal) {
  std::vector<uint32_t> families;
  for (const auto& [id, name] : store_->manifest_for_open().state().families()) families.push_back(id);
  return std::make_shared<MemSet>(*store_->parts.memtable, families, first_wal, &store_->budget);
}

Status Engine::OpenReadOnly() {
  Manifest& manifest = store_->manifest_for_open();
  TARN_TRY(manifest.Load());
  const ManifestRecord last = manifest.state().last();
  auto mem = NewMemSet(last.first_wal);
  TARN_TRY(store_->InstallManifest(mem));
  const std::shared_ptr<const ReadView> view = store_->Pin().view;
  for (const auto& [id, family] : view->version->families) {
    for (const RunRef& run : family->runs) {
      for (const auto& table : run->tables) {
        const Result<const Table*> opened = table->Get();
        if (!opened.ok()) return opened.status();
      }
    }
  }
  mem->set_last_sequence(last.last_sequence);
  TARN_ASSIGN(const ReplayedLog log,
              ReplayLog(*store_->parts.wal, *store_->parts.backend, manifest.state(), mem.get()));
  mem->ChargeGrowth();
  store_->Show(std::max(last.last_sequence, mem->last_sequence()));
  // If the writer has published meanwhile, the log may already lack what its new tables hold.
  Manifest again(*store_->parts.backend);
  TARN_TRY(again.Load());
  if (again.state().last().first_wal != last.first_wal)
    return Status::Unavailable("the store's writer moved on while it was read; open it again");
  return CheckManifestIsNewest(again.state(), log);
}

Status Engine::OpenForWriting() {
  const BackendFeatures features = store_->parts.backend->features();
  if (features.append != nullptr && features.locks == nullptr) {
    return Status::Unsupported("backend " + store_->parts.backend->info().name +
                               " has append files but no locks, so two writers could not be told apart");
  }
  if (features.locks != nullptr && lock_ == nullptr) {
    TARN_ASSIGN(lock_, features.locks->TryLock("lock", HolderLine()));
  }
  TARN_TRY(LoadOrCreate());
  Manifest& manifest = store_->manifest_for_open();
  const ManifestRecord last = manifest.state().last();
  auto recovered = NewMemSet(last.first_wal);
  recovered->set_last_sequence(last.last_sequence);
  TARN_ASSIGN(const ReplayedLog log,
              ReplayLog(*store_->parts.wal, *store_->parts.backend, manifest.state(), recovered.get()));
  TARN_TRY(CheckManifestIsNewest(manifest.state(), log));
  recovered->ChargeGrowth();
  TARN_TRY(store_->InstallManifest(recovered));
  TARN_ASSIGN(const std::vector<BlobInfo> orphans, CheckTables());
  store_->Show(std::max(last.last_sequence, recovered->last_sequence()));
  manifest.TakeOver(last.epoch + 1, HolderLine());
  // Before the record that names it: a first_wal that is not there is a loss and not a crash.
  TARN_TRY(TakeLog(std::max(log.next_segment, last.first_wal)));
  const uint64_t segment = log_->segment();
  if (features.locks == nullptr) store_->RaiseTableNumber(store_->NewTableNumber() + kTablesUnderWay);
  TARN_TRY(SaveRecovered(recovered, segment));
  TARN_TRY(RemoveOrphans(orphans));
  StartWriting();
  TARN_TRY(writes_->ReleaseWal(segment));  // what recovery has superseded
  background_->Kick();
  return {};
}

// Busy: another writer wrote on behind what was replayed. He cannot any more, so what is replayed next is all. What
// an earlier attempt took is ours as long as nothing stands behind it; else somebody has taken the log from us.
Status Engine::TakeLog(uint64_t segment) {
  if (log_ != nullptr && log_->segment() + 1 == segment) return {};
  TARN_ASSIGN(log_, store_->parts.wal->Open(*store_->parts.backend, store_->store_id(), segment));
  if (log_->segment() == segment) return {};
  return Status::Busy("another writer of the store is at work; close it, or open the store again");
}

Status Engine::LoadOrCreate() {
  Manifest& manifest = store_->manifest_for_open();
  const Status loaded = manifest.Load();
  if (loaded.ok()) {
    if (store_->settings.error_if_exists)
      return Status::Busy("a store exists here already; open it, or choose another place");
    return {};
  }
  if (loaded.code() != Code::kNotFound || !store_->settings.create_if_missing) return loaded;
  return manifest.Create(NewStoreId(*store_->parts.entropy), HolderLine());
}

// Every table that the manifest names must be there with all its bytes: if one is not, the manifest may be an older
// one, whose "orphans" are the newer tables. Returns these.
Result<std::vector<BlobInfo>> Engine::CheckTables() {
  constexpr uint64_t kNeverGivenOut = 1ull << 63;  // so far up that only a stray file is called so
  std::map<uint64_t, ManifestTable> missing = store_->manifest_for_open().state().tables();
  TARN_ASSIGN(const std::vector<BlobInfo> blobs, ListAll(*store_->parts.backend, "table/"));
  std::vector<BlobInfo> orphans;
  for (const BlobInfo& blob : blobs) {
    const uint64_t number = TableNumberOf(blob.name);
    if (TableBlobName(number) != blob.name || number >= kNeverGivenOut) continue;  // a stray file
    store_->RaiseTableNumber(number + 1);
    const auto named = missing.find(number);
    if (named == missing.end()) {
      orphans.push_back(blob);
    } else if (named->second.meta.file_bytes == blob.size) {
      missing.erase(named);
    }
  }
  for (const auto& [number, table] : missing) {  // says what is wrong with the first
    TARN_TRY(Table::Open(*store_->parts.backend, store_->store_id(), number, table.meta.file_bytes).status());
  }
  return orphans;
}

// Left by jobs that never ended. Their numbers are not used again. What does not open as a table of this store was
// not left by a job of this store, and stays.
Status Engine::RemoveOrphans(const std::vector<BlobInfo>& orphans) {
  Backend& backend = *store_->parts.backend;
  for (const BlobInfo& orphan : orphans) {
    if (!Table::Open(backend, store_->store_id(), TableNumberOf(orphan.name), orphan.size).ok()) continue;
    const Status deleted = backend.Delete(orphan.name);
    if (!deleted.ok() && deleted.code() != Code::kNotFound) return deleted;
  }
  return {};
}

// The first record of this writer: it fences earlier ones, and supersedes the log that was replayed.
Status Engine::SaveRecovered(std::shared_ptr<MemSet> recovered, uint64_t next_segment) {
  std::vector<std::pair<uint32_t, std::unique_ptr<MergeJob>>> jobs;
  for (const auto& [id, part] : recovered->families()) {
    if (part->empty()) continue;
    auto job = NewFlushJob(*store_, id, *part, false);
    while (job->Step(kQuantumBytes)) {
    }
    TARN_TRY(job->status());
    jobs.emplace_back(id, std::move(job));
  }
  auto fresh = NewMemSet(next_segment);
  store_->PushMemSet(fresh);
  TARN_TRY(store_->Edit(
      [&](ManifestRecord* delta, const ManifestState&) {
        delta->first_wal = next_segment;
        delta->last_sequence = std::max(delta->last_sequence, recovered->last_sequence());
        for (auto& [family, job] : jobs) {
          if (job->outputs().empty()) continue;
          const uint64_t run = delta->next_run++;
          for (const TableMeta& meta : job->outputs()) delta->tables_added.push_back({family, 0, run, meta});
        }
        return Status();
      },
      recovered.get()));
  return {};
}

void Engine::StartWriting() {
  background_ = std::make_unique<Background>(
      *store_, Background::Hooks{.release_wal = [this](uint64_t first) { return writes_->ReleaseWal(first); },
                                 .set_pressure = [this](double pressure) { writes_->pacer().Set(pressure); }});
  writes_ =
      std::make_unique<WritePath>(*store_, std::move(log_),
                                  WritePath::Hooks{.memtable_switched = [this] { background_->Kick(); },
                                                   .wait_for_room = [this] { return background_->WaitForRoom(); }});
}

Status Engine::Close() {
  MutexLock lock(close_mutex_);
  if (closed_.exchange(true)) return close_status_;
  if (writes_ == nullptr) return {};
  // Waits for the write in progress; later ones are refused.
  const Status quiet = writes_->Exclusive([] { return Status(); });
  background_->Stop();
  close_status_ = store_->failed() ? quiet : writes_->Close();
  if (close_status_.ok()) close_status_ = WitnessClose();
  store_->SweepGraveyard();
  return close_status_;
}

// States in the manifest how far the log went, so that a log which is cut off afterwards does not pass for that of a
// writer who died.
Status Engine::WitnessClose() {
  if (store_->Manifested().last().durable_sequence >= store_->visible()) return {};
  const Status published = store_->Edit([](ManifestRecord*, const ManifestState&) { return Status(); });
  // The log is whole on a full device too; it is only less protected.
  return published.code() == Code::kNoSpace ? Status() : published;
}

Engine::~Engine() {
  const Status closed = Close();
  (void)closed;  // callers that care call Close()
  background_.reset();
  writes_.reset();
  store_.reset();
  lock_.reset();
}

}  // namespace tarn::kernel
