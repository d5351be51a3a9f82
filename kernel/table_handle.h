// TableHandle: one table of the store, opened when it is first read, deleted when nobody needs it any more.
//
// Versions, iterators and jobs share handles. A handle that a manifest record removed is marked obsolete; when
// its last user lets go, its number goes to the Graveyard, and the background work deletes the blob from there.
// So nothing is deleted before what supersedes it is durable, nor while a reader looks at it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "format/manifest_record.h"
#include "format/table.h"

namespace tarn::kernel {

// Table numbers whose blobs may be deleted. Threads: any.
class Graveyard {
 public:
  void Bury(uint64_t number) EXCLUDES(mutex_);
  std::vector<uint64_t> Exhume() EXCLUDES(mutex_);  // empties it
  bool empty() const { return count_.load(std::memory_order_acquire) == 0; }

 private:
  Mutex mutex_;  // guards: the list
  std::vector<uint64_t> numbers_ GUARDED_BY(mutex_);
  std::atomic<size_t> count_{0};
};

class TableHandle {
 public:
  TableHandle(Backend& backend, std::string store_id, TableMeta meta, std::shared_ptr<Graveyard> graveyard)
      : backend_(backend), store_id_(std::move(store_id)), meta_(std::move(meta)), graveyard_(std::move(graveyard)) {}
  ~TableHandle();

  const TableMeta& meta() const { return meta_; }
  // Opens on first use (blocking reads); afterwards no lock is taken. The table lives as long as the handle.
  Result<const Table*> Get() EXCLUDES(mutex_);
  // Null while it was not opened.
  const Table* Peek() const { return opened_.load(std::memory_order_acquire); }
  void MarkObsolete() { obsolete_.store(true, std::memory_order_release); }

 private:
  Backend& backend_;
  const std::string store_id_;
  const TableMeta meta_;
  const std::shared_ptr<Graveyard> graveyard_;
  std::atomic<bool> obsolete_{false};
  std::atomic<const Table*> opened_{nullptr};
  Mutex mutex_;  // guards: opening, so that it happens once
  std::shared_ptr<Table> table_ GUARDED_BY(mutex_);
};

}  // namespace tarn::kernel
