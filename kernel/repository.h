// Repository: the blobs of a backup repository by their roles, and the protocol that keeps a prune from deleting what
// somebody counts on. docs/formats/backup.md.
//
// A *hold* is a record that keeps its tables: a backup, the intent of a running one, a clone's registration. Whoever
// wants to count on tables that are there puts a hold first and looks for prunes afterwards; a prune puts its marker
// first and looks for holds afterwards. Lists and reads of a backend see what was written before they began, so at
// least one of the two sees the other: a hold gives way, a prune spares. So no clock and no lock is needed.
//
// Threads: one at a time; any number of processes.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "format/backup_record.h"
#include "tarn/sdk/backend.h"
#include "tarn/sdk/effects.h"

namespace tarn::kernel {

inline constexpr std::string_view kBackups = "backup/", kIntents = "intent/", kClones = "clone/", kPrunes = "prune/";

class Repository {
 public:
  // NotFound when the place is no repository.
  static Result<Repository> Open(Backend& backend);
  // Makes an empty place a repository. Invalid when it holds something else, or another store's backups.
  static Result<Repository> OpenFor(Backend& backend, const std::string& store_id);

  Backend& backend() const { return *backend_; }
  const std::string& store_id() const { return store_id_; }

  // Ascending. Stray names below backup/ are left out.
  Result<std::vector<uint64_t>> Numbers() const;
  // `number` 0: the newest. NotFound.
  Result<uint64_t> Find(uint64_t number) const;
  Result<BackupRecord> Read(const std::string& name) const;
  Result<BackupInfo> ReadSummary(const std::string& name) const;
  Result<std::vector<std::string>> Names(std::string_view prefix) const;

  // Puts `record` below `prefix` under a fresh name, which is returned. Busy when a prune is under way: then nothing
  // is left. From the moment it returns until the hold is deleted, no prune deletes one of its tables.
  Result<std::string> Hold(std::string_view prefix, const BackupRecord& record, Entropy& entropy) const;
  // Deletes a hold or marker. One that is gone is fine.
  Status Release(const std::string& name) const;
  // The commit: puts the record under the next free number, which is set.
  Status Commit(BackupRecord* record) const;

 private:
  Repository(Backend& backend, std::string store_id) : backend_(&backend), store_id_(std::move(store_id)) {}

  Backend* backend_;
  std::string store_id_;
};

// 16 hexadecimal digits that nobody else has.
std::string NewId(Entropy& entropy);
// The whole of a small blob. Corruption above a gibibyte.
Result<std::string> ReadWhole(Backend& backend, const std::string& name);

}  // namespace tarn::kernel
