// DB: the store. For everyone who embeds Tarn.
//
//   auto db = tarn::DB::Open({}, "/tmp/store");
//   if (!db.ok()) { puts(db.status().ToString().c_str()); return 1; }
//   tarn::Status s = (*db)->Put("key", "value");
//   std::string value;
//   s = (*db)->Get("key", &value);
//
// Keys and values are bytes; keys are ordered bytewise. Every write is atomic, over all column families, and
// durable to the level asked (tarn/sdk/wal.h: none, process, power). Reads see every write that returned
// before they started. A snapshot fixes what reads see; a *named* snapshot does so across restarts.
//
// Threads: any number may use a DB at once. Snapshots, iterators and transactions must be destroyed before it.
//
// Errors: Corruption names blob and offset. After an I/O error on the write path the store turns read-only:
// every write returns that first error until it is reopened; reads go on.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/components.h"
#include "tarn/iterator.h"
#include "tarn/settings.h"
#include "tarn/status.h"
#include "tarn/write_batch.h"

namespace tarn {

namespace kernel {
class Engine;
}

struct BackupInfo;
struct BackupOptions;

// A moment of the store. While it lives, versions it can see are kept.
class Snapshot {
 public:
  virtual ~Snapshot() = default;
  virtual Sequence sequence() const = 0;
};

struct ReadOptions {
  const Snapshot* snapshot = nullptr;  // null: now
  // Iterators only. Bytes behind the views must outlive the iterator's creation only (they are copied).
  std::string_view lower_bound = {};  // first key that may be seen; empty: none
  std::string_view upper_bound = {};  // first key that may not be seen; empty: none
  std::string_view prefix = {};       // only keys that start with it; combined with the bounds
  bool fill_cache = true;             // false for one-time scans, so that they evict nothing
};

struct WriteOptions {
  WriteOptions() = default;
  WriteOptions(Durability d) : durability(d), use_default(false) {}  // NOLINT: implicit on purpose
  Durability durability = Durability::kProcess;
  bool use_default = true;  // true: Settings::durability rules
};

struct NamedSnapshot {
  std::string name;
  Sequence sequence = 0;
  uint64_t created_wall_nanos = 0;
};

// An optimistic transaction: reads see the store as of Begin plus its own writes; Commit succeeds only if no
// key that was read (Get) or written has changed since (a key that is absent again, as it was, has not).
// Iterators are not tracked. Threads: one at a time.
class Transaction {
 public:
  class Impl;  // kernel/transaction.h
  explicit Transaction(std::unique_ptr<Impl> impl);
  ~Transaction();
  Status Get(ColumnFamily family, std::string_view key, std::string* value);
  void Put(ColumnFamily family, std::string_view key, std::string_view value);
  void Delete(ColumnFamily family, std::string_view key);
  // Busy: a conflict, nothing was written; begin again. After Commit or Rollback the transaction is over and
  // further calls are Invalid.
  Status Commit(const WriteOptions& options = {});
  void Rollback();

 private:
  std::unique_ptr<Impl> impl_;
};

class DB {
 public:
  // `location` is a path or file:// URL of a directory, or an s3:// URL (docs/s3.md).
  static Result<std::unique_ptr<DB>> Open(const Settings& settings, const std::string& location);
  // With organs of the caller's choice; components.backend is required.
  static Result<std::unique_ptr<DB>> Open(const Settings& settings, Components components);
  ~DB();  // Close(), its error dropped
  // Seals the log, so that each lost byte of it shows, and stops background work. Further calls are Invalid. Close
  // twice is fine.
  Status Close();
  // Of a store that was opened read-only: moves what reads see forward to what its writer has made durable, never
  // backwards; snapshots and iterators keep their moment. Cheap when nothing changed: on S3 two requests. On a store
  // that is open for writing there is nothing to catch up with. After an error the view is the one before;
  // Unavailable: the writer was faster, or storage is away; try again. Calls wait for each other, reads for none.
  // Tables that only the view of a snapshot or iterator needs are the writer's to delete. On a local disk they stay
  // readable; over a network such a read is then Unavailable with os_error ESTALE, and has to begin anew.
  Status CatchUp();

  // Column families. "default" always exists.
  Result<ColumnFamily> CreateFamily(std::string_view name);  // Busy when it exists
  Result<ColumnFamily> FindFamily(std::string_view name);    // NotFound
  Status DropFamily(ColumnFamily family);                    // at once, with all its data
  std::vector<std::string> ListFamilies();

  // Writes.
  Status Put(std::string_view key, std::string_view value, const WriteOptions& options = {});
  Status Delete(std::string_view key, const WriteOptions& options = {});
  Status DeleteRange(std::string_view begin, std::string_view end, const WriteOptions& options = {});
  Status Write(const WriteBatch& batch, const WriteOptions& options = {});
  // Everything acknowledged so far, at any level, survives power loss when this returns.
  Status SyncWal();
  std::unique_ptr<Transaction> Begin();

  // Reads. NotFound is not an error but an answer. `value` is overwritten; its capacity is reused.
  Status Get(std::string_view key, std::string* value, const ReadOptions& options = {});
  Status Get(ColumnFamily family, std::string_view key, std::string* value, const ReadOptions& options = {});
  // One status and one value per key; all needed device reads are in flight together.
  std::vector<Status> MultiGet(ColumnFamily family, const std::vector<std::string_view>& keys,
                               std::vector<std::string>* values, const ReadOptions& options = {});
  std::unique_ptr<Iterator> NewIterator(const ReadOptions& options = {}) { return NewIterator({}, options); }
  std::unique_ptr<Iterator> NewIterator(ColumnFamily family, const ReadOptions& options = {});
  std::unique_ptr<Snapshot> GetSnapshot();

  // Named snapshots: persisted, kept until dropped.
  Result<NamedSnapshot> CreateNamedSnapshot(std::string_view name);  // Busy when the name is taken
  Status DropNamedSnapshot(std::string_view name);                   // NotFound
  std::vector<NamedSnapshot> ListNamedSnapshots();
  Result<std::unique_ptr<Snapshot>> OpenNamedSnapshot(std::string_view name);

  // Maintenance.
  Status Flush();    // all memtables into tables; returns when they are published
  Status Compact();  // all families down to one run each; drops everything no snapshot sees
  // A complete, independent copy of the store as of now, in an empty backend.
  Status Checkpoint(Backend& target);
  // Reads and verifies every block of every table, the manifest and the log. The first damage found is the error.
  Status Verify();

  // Facts. Statistics are cumulative counters and gauges since open, named like "wal.syncs"; the names are
  // listed in docs/statistics.md. Property is text for people: "levels", "families", "summary".
  std::map<std::string, uint64_t> Statistics();
  Result<std::string> Property(std::string_view name);

 private:
  friend Result<BackupInfo> Backup(DB& db, Backend& repository, const BackupOptions& options);  // tarn/backup.h
  explicit DB(std::unique_ptr<kernel::Engine> engine);
  std::unique_ptr<kernel::Engine> engine_;
};

}  // namespace tarn
