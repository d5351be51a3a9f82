// Opening and closing a store: recovery. docs/architecture.md, "the life of a crash".
//
// For writing: take the lock; load the newest manifest state (or create it); replay the log from its first_wal
// into memtables; see that every table is there; write what was replayed into level-0 tables; begin a new log
// segment; and publish one record with a higher epoch that holds these tables and names the segment as first_wal.
// Only then is the store open: nothing is served that a second crash could take back, the old log is no longer
// needed, and table blobs that no record names are removed, with what else earlier writers left inside the backend.
// Not earlier: until our record has taken its number, one that a dead writer sent over a network may still land
// there, and names what looked like an orphan.
//
// An open that fails for damage has changed nothing: all checks come before the first change.
//
// A log that is beside the store (BackendInfo::log_is_near) may be on another disk than ours. Then an opening is
// refused, unless the log was said to be lost: the store goes back to its last durable point, and on from there (RFC
// 0003).
//
// Read-only: no lock, nothing is changed. If the writer changed the store meanwhile, the whole attempt is repeated.
// Then the view is fixed until it is told to catch up (follow.h).

#include <unistd.h>

#include <algorithm>

#include "base/assert.h"
#include "base/delete_all.h"
#include "base/list_all.h"
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

// Of a blob below table/; another name than TableBlobName(of the result) is not a table's.
uint64_t TableNumberOf(const std::string& name) { return std::strtoull(name.c_str() + 6, nullptr, 16); }

}  // namespace

Result<std::unique_ptr<Engine>> Engine::Open(const Settings& settings, Components parts) {
  std::unique_ptr<Engine> engine(new Engine());
  engine->backend_ = parts.backend;
  for (int attempt = 0;; ++attempt) {
    engine->follower_.reset();
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

// Fenced when a writer after the one of `epoch`, which is us, has the store; else `said`.
Status Engine::LostTo(uint64_t epoch, const Status& said) const {
  Manifest now(*store_->parts.backend);
  if (!now.Load().ok() || now.state().last().epoch <= epoch) return said;
  const ManifestRecord& last = now.state().last();
  return Status::Fenced("the store was taken over by " + last.writer + " (epoch " + std::to_string(last.epoch) +
                        "), who deleted what was read here; reopen it (" + std::string(said.message()) + ")");
}

std::string Engine::HolderLine() const {
  const std::string& who = store_->parts.holder;
  char host[256] = "";
  if (LogIsNear() && gethostname(host, sizeof(host) - 1) != 0) host[0] = '\0';
  const std::string where = host[0] == '\0' ? "" : std::string(" on ") + host;
  return "pid " + std::to_string(getpid()) + where + (who.empty() ? "" : " (" + who + ")");
}

std::shared_ptr<MemSet> Engine::NewMemSet(uint64_t first_wal) {
  return NewMemSetFor(*store_, store_->manifest_for_open().state(), first_wal);
}

Status Engine::OpenReadOnly() {
  Manifest& manifest = store_->manifest_for_open();
  TARN_TRY(manifest.Load());
  const ManifestRecord last = manifest.state().last();
  auto mem = NewMemSet(last.first_wal);
  TARN_TRY(store_->InstallManifest(mem));
  TARN_TRY(Follower::OpenTables(*store_, *store_->Pin().view->version));
  mem->set_last_sequence(last.last_sequence);
  TARN_ASSIGN(const ReplayedLog log, ReplayLog(*store_->parts.wal, *store_->parts.backend, manifest.state(),
                                               mem.get(), store_->settings.accept_lost_log));
  mem->ChargeGrowth();
  store_->Show(std::max(last.last_sequence, mem->last_sequence()));
  // If the writer has published meanwhile, the log may already lack what its new tables hold.
  Manifest again(*store_->parts.backend);
  TARN_TRY(again.Load());
  if (again.state().last().first_wal != last.first_wal)
    return Status::Unavailable("the store's writer moved on while it was read; open it again");
  TARN_TRY(CheckManifestIsNewest(again.state(), log));
  follower_ = std::make_unique<Follower>(*store_, manifest, mem, log);
  store_->explain_damage = [this](const Status& said, uint64_t view) {
    return follower_->MovedOn(view) ? Store::MovedOn(said) : said;
  };
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
  TARN_ASSIGN(const ReplayedLog log, ReplayLog(*store_->parts.wal, *store_->parts.backend, manifest.state(),
                                               recovered.get(), store_->settings.accept_lost_log));
  TARN_TRY(CheckManifestIsNewest(manifest.state(), log));
  recovered->ChargeGrowth();
  TARN_TRY(store_->InstallManifest(recovered));
  TARN_ASSIGN(const std::vector<BlobInfo> orphans, CheckTables());
  store_->Show(std::max(last.last_sequence, recovered->last_sequence()));
  manifest.TakeOver(last.epoch + 1, HolderLine());
  if (manifest.OthersMayPublish()) {
    store_->explain_damage = [this, epoch = last.epoch + 1](const Status& said, uint64_t) {
      return LostTo(epoch, said);
    };
  }
  // Before the record that names it: a first_wal that is not there is a loss and not a crash.
  TARN_TRY(TakeLog(FirstOwnSegment(log, last.first_wal)));
  const uint64_t segment = log_->segment();
  if (features.locks == nullptr || log.lost) store_->RaiseTableNumber(store_->NewTableNumber() + kTablesUnderWay);
  const uint64_t first_table = features.collector == nullptr ? 0 : store_->NewTableNumber();
  TARN_TRY(SaveRecovered(recovered, segment));
  TARN_TRY(RemoveOrphans(orphans));
  if (features.collector != nullptr) CollectGarbage(features.collector, last.epoch + 1, first_table);
  StartWriting();
  TARN_TRY(writes_->ReleaseWal(segment));  // what recovery has superseded
  background_->Kick();
  return {};
}

// No lock keeps two machines apart, and the number of its first segment is what tells their logs from each other.
uint64_t Engine::FirstOwnSegment(const ReplayedLog& log, uint64_t first_wal) {
  const uint64_t next = std::max(log.next_segment, first_wal);
  if (!log.lost && (!LogIsNear() || first_wal != 0)) return next;
  uint64_t drawn;
  store_->parts.entropy->Fill({reinterpret_cast<char*>(&drawn), sizeof(drawn)});
  return next + kSegmentsUnderWay + drawn % kDrawnSegments;
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
  std::vector<std::string> ours;
  for (const BlobInfo& orphan : orphans) {
    const bool opens = Table::Open(backend, store_->store_id(), TableNumberOf(orphan.name), orphan.size).ok();
    if (opens) ours.push_back(orphan.name);
  }
  return DeleteAll(backend, ours);
}

// What earlier writers' calls left inside the backend. All of them are fenced by now, and gave out smaller numbers; a
// later one, who may have fenced us, gives out larger ones. What cannot be collected waits for the next opening.
void Engine::CollectGarbage(Collector* collector, uint64_t epoch, uint64_t first_table) {
  const Status collected = collector->Collect(epoch, [first_table](std::string_view name) {
    if (!name.starts_with("table/")) return false;
    const uint64_t number = TableNumberOf(std::string(name));
    return number < first_table && TableBlobName(number) == name;
  });
  (void)collected;
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
  writes_ = std::make_unique<WritePath>(
      *store_, std::move(log_),
      WritePath::Hooks{.memtable_switched = [this] { background_->Kick(); },
                       .wait_for_room = [this] { return background_->WaitForRoom(); },
                       .wait_for_flushes = [this] { return background_->WaitForFlushes(); }});
}

Status Engine::Close() {
  MutexLock lock(close_mutex_);
  if (closed_.exchange(true)) return close_status_;
  if (writes_ == nullptr) return {};
  if (LogIsNear() && !store_->failed()) close_status_ = FlushForOthers();
  // Waits for the write in progress; later ones are refused.
  const Status quiet = writes_->Exclusive([this] { return writes_->FlushUnlogged(); });
  background_->Stop();
  if (close_status_.ok()) close_status_ = !quiet.ok() || store_->failed() ? quiet : writes_->Close();
  if (close_status_.ok()) close_status_ = WitnessClose();
  store_->SweepGraveyard();
  return close_status_;
}

// So that the store loses nothing when it is opened where its log is not. What cannot be flushed now is still in the
// log.
Status Engine::FlushForOthers() {
  Status flushed = writes_->Exclusive([&] { return writes_->SwitchMemSet(); });
  if (flushed.ok()) flushed = background_->WaitForFlushes();
  return store_->failed() ? flushed : Status();
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
  follower_.reset();
  store_.reset();
  lock_.reset();
}

}  // namespace tarn::kernel
