// Opening and closing a store: recovery. docs/architecture.md, "the life of a crash".
//
// For writing: take the lock; load the newest manifest state (or create it); replay the log from its first_wal
// into memtables; remove table blobs no record names; write what was replayed into level-0 tables; and publish
// one record with a higher epoch that holds these tables and the new first_wal. Only then is the store open:
// nothing is served that a second crash could take back, and the old log is no longer needed.
//
// Read-only: no lock, nothing is changed. All tables are opened at once, so that their bytes stay readable when
// a live writer drops them; if the writer changed the store meanwhile, the whole attempt is repeated.

#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "kernel/batch.h"
#include "kernel/constants.h"
#include "kernel/engine.h"
#include "kernel/merge_jobs.h"

namespace tarn::kernel {
namespace {

std::string NewStoreId(Entropy& entropy) {
  std::string id(16, '\0');
  entropy.Fill(id);
  return id;
}

// Adds the changes of one log record to the memtables. Families the manifest no longer has were dropped.
Status ApplyPayload(std::string_view bytes, MemSet* mem) {
  TARN_ASSIGN(const Payload payload, ParsePayload(bytes));
  if (payload.first <= mem->last_sequence()) {
    return Status::Corruption("log record goes back in sequence to " + std::to_string(payload.first) +
                              "; run `tarn check`");
  }
  std::string_view changes = payload.changes;
  for (uint64_t i = 0; i < payload.count; ++i) {
    BatchChange change;
    if (!NextChange(&changes, &change))
      return Status::Corruption("log record holds a malformed batch; run `tarn check`");
    if (FamilyMem* family = mem->Find(change.family)) {
      family->Add(change.kind, payload.first + i, change.key, change.value);
    }
  }
  if (!changes.empty()) return Status::Corruption("log record is longer than its batch; run `tarn check`");
  if (payload.count > 0) mem->set_last_sequence(payload.first + payload.count - 1);
  return {};
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(const Settings& settings, Components parts) {
  std::unique_ptr<Engine> engine(new Engine());
  engine->backend_ = parts.backend;
  for (int attempt = 0;; ++attempt) {
    engine->store_ = std::make_unique<Store>(settings, parts);
    const Status opened = settings.read_only ? engine->OpenReadOnly() : engine->OpenForWriting();
    if (opened.ok()) return engine;
    if (!settings.read_only || attempt == kReadOnlyAttempts || !engine->MovedOn()) return opened;
  }
}

// Whether a live writer has published since this read-only attempt looked. Then the error, whatever it says, may
// just be that tables or log segments were deleted under its hands.
bool Engine::MovedOn() const {
  Manifest now(*store_->parts.backend);
  return now.Load().ok() && now.state().last().number != store_->manifest_for_open().state().last().number;
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
  TARN_TRY(ReplayLog(mem.get()).status());
  mem->ChargeGrowth();
  store_->Show(std::max(last.last_sequence, mem->last_sequence()));
  // If the writer has published meanwhile, the log may already lack what its new tables hold.
  Manifest again(*store_->parts.backend);
  TARN_TRY(again.Load());
  if (again.state().last().first_wal != last.first_wal)
    return Status::Unavailable("the store's writer moved on while it was read; open it again");
  return {};
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
  TARN_ASSIGN(const WalReplayEnd end, ReplayLog(recovered.get()));
  recovered->ChargeGrowth();
  TARN_TRY(store_->InstallManifest(recovered));
  TARN_TRY(RemoveOrphans());
  store_->Show(std::max(last.last_sequence, recovered->last_sequence()));
  manifest.TakeOver(last.epoch + 1, HolderLine());
  const uint64_t segment = std::max(end.next_segment, last.first_wal);
  TARN_TRY(SaveRecovered(recovered, segment));
  TARN_ASSIGN(auto wal, store_->parts.wal->Open(*store_->parts.backend, store_->store_id(), segment));
  StartWriting(std::move(wal));
  TARN_TRY(writes_->ReleaseWal(segment));  // what recovery has superseded
  background_->Kick();
  return {};
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

Result<WalReplayEnd> Engine::ReplayLog(MemSet* mem) {
  const ManifestState& state = store_->manifest_for_open().state();
  return store_->parts.wal->Replay(*store_->parts.backend, state.store_id(), state.last().first_wal,
                                   [&](uint64_t, std::string_view payload) { return ApplyPayload(payload, mem); });
}

// A table blob that no record names was left by a job that never ended. Its number is not used again.
Status Engine::RemoveOrphans() {
  const auto& tables = store_->manifest_for_open().state().tables();
  Backend& backend = *store_->parts.backend;
  std::string after;
  for (bool more = true; more;) {
    TARN_ASSIGN(const ListPage page, backend.List("table/", after, 1000));
    for (const BlobInfo& blob : page.blobs) {
      after = blob.name;
      const uint64_t number = std::strtoull(blob.name.c_str() + 6, nullptr, 16);
      if (TableBlobName(number) != blob.name) continue;  // not ours to delete
      store_->RaiseTableNumber(number + 1);
      if (tables.contains(number)) continue;
      const Status deleted = backend.Delete(blob.name);
      if (!deleted.ok() && deleted.code() != Code::kNotFound) return deleted;
    }
    more = page.more && !page.blobs.empty();
  }
  return {};
}

// The first record of this writer: it fences earlier ones, and supersedes the log that was replayed.
Status Engine::SaveRecovered(std::shared_ptr<MemSet> recovered, uint64_t next_segment) {
  std::vector<std::pair<uint32_t, std::unique_ptr<MergeJob>>> jobs;
  for (const auto& [id, part] : recovered->families()) {
    if (part->empty()) continue;
    auto job = NewFlushJob(*store_, *part, false);
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

void Engine::StartWriting(std::unique_ptr<WalWriter> wal) {
  background_ = std::make_unique<Background>(
      *store_, Background::Hooks{.release_wal = [this](uint64_t first) { return writes_->ReleaseWal(first); },
                                 .set_pressure = [this](double pressure) { writes_->pacer().Set(pressure); }});
  writes_ =
      std::make_unique<WritePath>(*store_, std::move(wal),
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
  store_->SweepGraveyard();
  return close_status_;
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
