// The engine's rarer operations: column families, named snapshots, flush, compact, checkpoint, verify.
#include "base/assert.h"
#include "base/next_step.h"
#include "kernel/constants.h"
#include "kernel/engine.h"
#include "kernel/held_snapshot.h"
#include "kernel/log_replay.h"
#include "kernel/scan_source.h"
#include "kernel/store_copy.h"

namespace tarn::kernel {
namespace {

Status CheckName(std::string_view what, std::string_view name) {
  if (!name.empty() && name.size() <= 255) return {};
  return Status::Invalid(std::string(what) + " name of " + std::to_string(name.size()) +
                         " bytes; it must have 1 to 255");
}

}  // namespace

Status Engine::Usable() const {
  return closed_.load(std::memory_order_acquire) ? Status::Invalid("the store was closed; open it again") : Status();
}

Status Engine::Writable() const {
  TARN_TRY(Usable());
  if (writes_ == nullptr)
    return Status::Invalid("the store was opened read-only; open it without read_only to change it");
  return {};
}

Status Engine::Write(const WriteBatch& batch, const WriteOptions& options, const std::function<Status()>& validate) {
  TARN_TRY(Writable());
  TARN_TRY(ValidateBatch(batch, *store_->Pin().view->version, *store_));
  return writes_->Write(batch, options.use_default ? store_->settings.durability : options.durability, validate);
}

Status Engine::SyncWal() {
  TARN_TRY(Writable());
  return writes_->SyncWal();
}

Result<ColumnFamily> Engine::CreateFamily(std::string_view name) {
  TARN_TRY(Writable());
  TARN_TRY(CheckName("column family", name));
  ColumnFamily created;
  TARN_TRY(writes_->Exclusive([&] {
    TARN_TRY(store_->Edit([&](ManifestRecord* delta, const ManifestState& state) {
      for (const auto& [id, existing] : state.families()) {
        if (existing == name)
          return Status::Busy("column family \"" + existing + "\" exists already; use FindFamily");
      }
      created.id = delta->next_family++;
      delta->families_added.push_back({created.id, std::string(name)});
      return Status();
    }));
    return writes_->RestartMemSet();  // so that the active set has a place for it
  }));
  return created;
}

Result<ColumnFamily> Engine::FindFamily(std::string_view name) {
  TARN_TRY(Usable());
  const std::shared_ptr<const ReadView> view = store_->Pin().view;
  for (const auto& [id, family] : view->version->families) {
    if (family->name == name) return ColumnFamily{id};
  }
  return Status::NotFound("no column family \"" + std::string(name) + "\"; create it with CreateFamily");
}

Status Engine::DropFamily(ColumnFamily family) {
  TARN_TRY(Writable());
  if (family.id == 0) return Status::Invalid("the default column family cannot be dropped");
  TARN_TRY(writes_->Exclusive([&] {
    return store_->Edit([&](ManifestRecord* delta, const ManifestState& state) {
      if (!state.families().contains(family.id)) return store_->UnknownFamily(family.id);
      delta->families_dropped.push_back(family.id);
      for (const auto& [number, table] : state.tables()) {
        if (table.family == family.id) delta->tables_removed.push_back(number);
      }
      return Status();
    });
  }));
  background_->Kick();  // writers need not pay for its debt any more
  return {};
}

std::unique_ptr<Snapshot> Engine::GetSnapshot() {
  if (follower_ != nullptr) return std::make_unique<HeldSnapshot>(*store_, store_->RegisterPinned());
  return std::make_unique<HeldSnapshot>(*store_, Store::Pinned{nullptr, store_->RegisterSnapshot()});
}

// The log is synced first: a persisted snapshot must not name sequences that a power cut could give to others. Where
// the log may be lost with its disk that does not do, and the snapshot waits until all it sees is in tables.
Result<NamedSnapshot> Engine::CreateNamedSnapshot(std::string_view name) {
  TARN_TRY(Writable());
  TARN_TRY(CheckName("snapshot", name));
  const std::unique_ptr<Snapshot> held = GetSnapshot();
  TARN_TRY(LogIsNear() ? Flush() : writes_->SyncWal());
  const NamedSnapshot made{std::string(name), held->sequence(), store_->parts.clock->WallNanos()};
  TARN_TRY(store_->Edit([&](ManifestRecord* delta, const ManifestState& state) {
    if (state.snapshots().contains(made.name)) {
      return Status::Busy("snapshot \"" + made.name + "\" exists already; drop it first or choose another name");
    }
    delta->snapshots_added.push_back({made.name, made.sequence, made.created_wall_nanos});
    return Status();
  }));
  return made;
}

Status Engine::DropNamedSnapshot(std::string_view name) {
  TARN_TRY(Writable());
  return store_->Edit([&](ManifestRecord* delta, const ManifestState& state) {
    if (!state.snapshots().contains(std::string(name))) {
      return Status::NotFound("no snapshot \"" + std::string(name) + "\"");
    }
    delta->snapshots_dropped.emplace_back(name);
    return Status();
  });
}

Result<std::unique_ptr<Snapshot>> Engine::OpenNamedSnapshot(std::string_view name) {
  TARN_TRY(Usable());
  TARN_ASSIGN(Store::Pinned moment, store_->RegisterNamedSnapshot(name));
  if (follower_ == nullptr) moment.view = nullptr;
  return std::unique_ptr<Snapshot>(std::make_unique<HeldSnapshot>(*store_, std::move(moment)));
}

Status Engine::Flush() {
  TARN_TRY(Writable());
  TARN_TRY(writes_->Exclusive([&] { return writes_->SwitchMemSet(); }));
  return background_->WaitForFlushes();
}

Status Engine::Compact() {
  TARN_TRY(Flush());
  return background_->CompactAll();
}

Engine::Moment Engine::Freeze() {
  Moment now;
  now.record = store_->FullRecord(&now.pinned);
  ManifestRecord& record = now.record;
  // A snapshot that was made after the flush is not of this moment: the copy lacks changes that it sees, and would
  // give their sequences to others.
  record.first_wal = 0;  // its log is still to begin
  record.durable_sequence = record.last_sequence;
  std::erase_if(record.snapshots_added, [&](const auto& made) { return made.sequence > record.last_sequence; });
  return now;
}

Status Engine::Checkpoint(Backend& target) {
  TARN_TRY(Flush());
  TARN_ASSIGN(const ListPage there, target.List("", "", 1));
  if (!there.blobs.empty())
    return Status::Invalid("the target of a checkpoint must be empty; it holds " + there.blobs[0].name);
  const Moment now = Freeze();
  const TransferOptions alone{.parallel = 1, .clock = store_->parts.clock};
  TARN_TRY(CopyBlobs(*store_->parts.backend, target, TablesOf(now.record), alone));
  return FoundStore(target, now.record, *store_->parts.entropy);
}

Status Engine::Verify() {
  TARN_TRY(Usable());
  // Past the block cache and past what open tables keep, and past copies that are near: they say nothing about what
  // they are copies of.
  Backend& backend = *store_->parts.backend;
  BlockCache nothing(&store_->budget);
  ReadEngine device(backend, nothing, store_->stats);
  const std::shared_ptr<const ReadView> view = store_->Pin().view;
  for (const auto& [id, family] : view->version->families) {
    for (const RunRef& run : family->runs) {
      for (const auto& handle : run->tables) {
        const Placer::PastCopy past(store_->placer, handle->meta().number);
        ScanSource source(device, false);
        if (store_->settings.read_only) {  // the live writer may have deleted the name; the open table still reads
          TARN_ASSIGN(const Table* table, handle->Get());
          TARN_TRY(table->Verify(source));
          continue;
        }
        const TableMeta& meta = handle->meta();
        TARN_ASSIGN(auto table, Table::Open(backend, store_->store_id(), meta.number, meta.file_bytes));
        TARN_TRY(table->Verify(source));
      }
    }
  }
  // A read-only store has read both when it was opened, and its view is of that time.
  return store_->settings.read_only ? Status() : VerifyLog();
}

// The manifest and the log as a recovery would find them now, beside the writers of this store.
Status Engine::VerifyLog() {
  Backend& backend = *store_->parts.backend;
  for (int attempt = 0;; ++attempt) {
    const uint64_t published = store_->manifest_number();
    Manifest manifest(backend);
    TARN_TRY(manifest.Load());
    const uint64_t found = manifest.state().last().number;
    if (found < published) {
      return Status::Corruption(ManifestBlobName(published) + ", byte 0: the manifest record is missing" +
                                std::string(kRepairStep));
    }
    const Result<ReplayedLog> log = ReplayLog(*store_->parts.wal, backend, manifest.state(), nullptr);
    if (log.ok()) return CheckManifestIsNewest(store_->Manifested(), *log);
    // A flush may have released segments meanwhile.
    if (attempt == kOpenAttempts || !MovedOn(found)) return log.status();
  }
}

}  // namespace tarn::kernel
