// Engine: one open store, put together: Store (what is there), WritePath (how it changes) and Background (how
// it is kept in shape). DB (include/tarn/db.h) is a thin face over it.
//
// Threads: any, after Open. Destruction order matters and is the reverse of the members below.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "kernel/background.h"
#include "kernel/follow.h"
#include "kernel/store.h"
#include "kernel/write_path.h"
#include "tarn/backup.h"
#include "tarn/db.h"

namespace tarn::kernel {

struct ReplayedLog;

class Engine {
 public:
  // Recovers or creates the store. `parts` is complete (assemble.h).
  static Result<std::unique_ptr<Engine>> Open(const Settings& settings, Components parts);
  ~Engine();
  Status Close();

  // follow.cc
  Status CatchUp();
  // The record of the view that a read at `snapshot` (null: now) answers from.
  uint64_t ViewFor(const Snapshot* snapshot) const;
  // Whether a read of `view` that failed is worth another try, because what it missed the writer deleted, and the
  // view is a later one now.
  bool CaughtUpAfter(uint64_t view, Status* failed);

  Store& store() { return *store_; }
  // OK while open; Invalid after Close.
  Status Usable() const;
  Status Writable() const;  // also Invalid on a read-only store

  Status Write(const WriteBatch& batch, const WriteOptions& options,
               const std::function<Status()>& validate = nullptr);
  Status SyncWal();

  // admin.cc
  Result<ColumnFamily> CreateFamily(std::string_view name);
  Result<ColumnFamily> FindFamily(std::string_view name);
  Status DropFamily(ColumnFamily family);
  Result<NamedSnapshot> CreateNamedSnapshot(std::string_view name);
  Status DropNamedSnapshot(std::string_view name);
  Result<std::unique_ptr<Snapshot>> OpenNamedSnapshot(std::string_view name);
  std::unique_ptr<Snapshot> GetSnapshot();
  Status Flush();
  Status Compact();
  // The store as of the last flush: a full record that needs no log, and a pin on its tables.
  struct Moment {
    ManifestRecord record;
    std::shared_ptr<const ReadView> pinned;
  };
  Moment Freeze();
  Status Checkpoint(Backend& target);
  Result<BackupInfo> Backup(Backend& repository, BackupOptions options);  // backup.cc
  Status Verify();

  // facts.cc
  std::map<std::string, uint64_t> Statistics();
  Result<std::string> Property(std::string_view name);

 private:
  Engine() = default;
  Status OpenReadOnly();
  bool MovedOn(uint64_t from) const;
  Status LostTo(uint64_t epoch, const Status& said) const;
  bool OthersInterfered(const Status& opened) const;
  Status OpenForWriting();
  Status LoadOrCreate();
  Status SaveRecovered(std::shared_ptr<MemSet> recovered, uint64_t next_segment);
  Result<std::vector<BlobInfo>> CheckTables();
  Status RemoveOrphans(const std::vector<BlobInfo>& orphans);
  void CollectGarbage(Collector* collector, uint64_t epoch, uint64_t first_table);
  Status TakeLog(uint64_t segment);
  uint64_t FirstOwnSegment(const ReplayedLog& log, uint64_t first_wal);
  void StartWriting();
  Status FlushForOthers();
  Status WitnessClose();
  bool LogIsNear() const { return backend_->info().log_is_near; }
  Status VerifyLog();
  std::shared_ptr<MemSet> NewMemSet(uint64_t first_wal);
  std::string HolderLine() const;

  std::shared_ptr<Backend> backend_;  // outlives the lock it handed out
  std::unique_ptr<Lock> lock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Follower> follower_;      // null on a store that is open for writing
  std::unique_ptr<WalWriter> log_;          // taken by an opening that is not through; earlier writers are shut out
  std::unique_ptr<WritePath> writes_;       // null on a read-only store
  std::unique_ptr<Background> background_;  // null on a read-only store
  std::atomic<bool> closed_{false};
  Mutex close_mutex_;  // guards: the closing; taken first of all, so a second Close() waits for the first
  Status close_status_ GUARDED_BY(close_mutex_);
};

}  // namespace tarn::kernel
