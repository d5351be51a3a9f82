// Backup: checkpoints of a store in a repository, each holding only what the ones before it lack; restoring them; and
// clones, stores that read from a repository what they have not rewritten. For embedders, and for `tarn backup`,
// `tarn restore`, `tarn clone`.
//
//   auto made = tarn::Backup(*db, *repository, {.label = "nightly"});
//   auto all = tarn::ListBackups(*repository);
//   auto back = tarn::Restore(*repository, all->back().number, *empty_backend, {});
//
// A repository is any backend (a directory, a bucket) that holds nothing else. It belongs to one store: to the store
// id, which restored stores, checkpoints and clones of that store share. Bytes and rules: docs/formats/backup.md.
//
//   1. A backup is real when its record is there, and that is put after all its tables are durable. What was sent
//   before
//      an error, a crash or a cancellation stays, and the next backup does not send it again.
//   2. Any number of backups, restores and clonings may run at once. A prune deletes no table that one of them, a
//   backup
//      or a clone counts on. No rule depends on a clock.
//   3. That all tables of a backup are there with their sizes is checked by listing, without reading one. Their bytes
//      are what the store that holds them accepted: a bucket checks the signed hash of each body when it is sent, a
//      directory syncs it. VerifyBackups with `deep` reads and verifies every byte.
//   4. A store that comes out of a repository (or out of DB::Checkpoint) gives out table numbers from a range of its
//   own,
//      so it may be backed up into the same repository beside its siblings. For copies made in other ways (cp -r)
//      that does not hold: let only one of them back up into a repository.
//
// Threads: a call belongs to its thread and runs up to `parallel` threads of its own; different calls may run at
// once. Errors: NotFound (no repository, no such backup), Invalid (wrong target, another store's repository), Busy (a
// prune is under way), Corruption (names the blob), and what the backends report.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/db.h"
#include "tarn/sdk/backend.h"
#include "tarn/sdk/effects.h"
#include "tarn/status.h"

namespace tarn {

struct TransferOptions {
  uint64_t bytes_per_second = 0;  // of table bytes, over all threads; 0: as fast as it goes
  uint32_t parallel = 4;          // tables under way at once, 1 .. 64; 1: all on the calling thread
  // Called on the calling thread, often. An error ends the transfer and is returned; the same call goes on from
  // there.
  std::function<Status(uint64_t done_bytes, uint64_t total_bytes)> progress;
  std::shared_ptr<Clock> clock;      // null: the system's
  std::shared_ptr<Entropy> entropy;  // null: the system's
};

// One backup, and what identifies it.
struct BackupInfo {
  uint64_t number = 0;  // 1, 2, 3 ... in the order of their commits; never used twice
  std::string store_id;
  uint64_t created_wall_nanos = 0;           // a label for people
  std::string label;                         // the user's, at most 255 bytes
  std::string writer;                        // who made it, one line, at most 255 bytes
  uint64_t tables = 0, bytes = 0;            // of the whole checkpoint
  uint64_t sent_tables = 0, sent_bytes = 0;  // of these, what the repository lacked
  Sequence last_sequence = 0;
};

struct BackupOptions {
  std::string label;
  std::string writer;  // one line for people: "user@host"
  TransferOptions transfer;
};

// Flushes the memtables and ships what the repository lacks. What was written before the call is in it. The tables of
// that moment stay on the store's device until the call returns. An empty `repository` becomes one.
Result<BackupInfo> Backup(DB& db, Backend& repository, const BackupOptions& options = {});

// Oldest first. One small read for each.
Result<std::vector<BackupInfo>> ListBackups(Backend& repository);
// One of them; `number` 0: the newest.
Result<BackupInfo> FindBackup(Backend& repository, uint64_t number);

// A registration of a clone.
struct CloneInfo {
  std::string id;     // 16 hexadecimal digits
  BackupInfo backup;  // that it shows; its label is the clone's location, its time that of the cloning
};
Result<std::vector<CloneInfo>> ListClones(Backend& repository);

// Brings a backup back as a store of its own, its manifest last. `number` 0: the newest. `target` must be empty, or
// hold what an unfinished restore of the same backup left. Changes nothing in the repository.
Result<BackupInfo> Restore(Backend& repository, uint64_t number, Backend& target, const TransferOptions& options);

struct CloneOptions {
  uint64_t number = 0;   // 0: the newest
  std::string base_url;  // where every opening of the clone finds the repository: absolute, and without secrets
  std::string location;  // of the clone, for people
  TransferOptions transfer;
};
// Makes a store in `target`, which must be empty, that reads the backup's tables where they are: a few requests,
// whatever the size. The repository keeps them until the clone is detached. Open it as any location; through the
// library alone with overlay::OpenClone.
Result<BackupInfo> Clone(Backend& repository, Backend& target, const CloneOptions& options);
// Copies what the clone still reads from the repository, which `open` opens for writing, and makes it a store that
// stands alone. No writer may have it open (Busy, where the backend has locks); an interrupted call is repeated.
// `target` is the bare backend.
Status DetachClone(Backend& target,
                   const std::function<Result<std::shared_ptr<Backend>>(const std::string& url)>& open,
                   const TransferOptions& options);

struct PruneOptions {
  uint64_t keep = 0;                       // this many of the newest; at least 1
  bool dry_run = false;                    // only report
  bool force_stale = false;                // first forgets unfinished backups and prunes; nobody else may be at work
  std::vector<std::string> forget_clones;  // ids of clones that are gone
  std::function<Status()> check;           // asked between deletions; an error ends the prune, which may be repeated
  std::shared_ptr<Entropy> entropy;        // null: the system's
};
struct PruneReport {
  std::vector<uint64_t> removed, kept;  // backups
  uint64_t tables_removed = 0, bytes_removed = 0;
  uint64_t unfinished = 0;  // backups under way, or given up by a crash, whose tables were kept
  uint64_t clones = 0;      // whose tables were kept
};
// Deletes the records of old backups, then the tables that no backup, clone or backup under way needs.
Result<PruneReport> PruneBackups(Backend& repository, const PruneOptions& options);

struct VerifyBackupsOptions {
  bool deep = false;      // read and verify all bytes, not only names and sizes
  uint32_t parallel = 4;  // tables read at once, 1 .. 64
  std::function<Status(uint64_t done_bytes, uint64_t total_bytes)> progress;  // as that of a transfer
};
struct VerifyBackupsReport {
  uint64_t backups = 0, tables = 0, bytes = 0;       // what the backups and clones need
  uint64_t unneeded_tables = 0, unneeded_bytes = 0;  // the next prune removes them
  std::vector<std::string> problems;                 // one line each; empty: every backup is whole
};
Result<VerifyBackupsReport> VerifyBackups(Backend& repository, const VerifyBackupsOptions& options = {});

}  // namespace tarn
