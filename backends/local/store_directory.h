// The directory of a store: where names live, how a name becomes durable, how names are listed. For backends/local.
//
// Layout. Blob "table/17" is the file <root>/table/17; each segment before the last is a directory, made when
// first needed and never removed. Files that are no blobs have names with letters outside the alphabet of blob
// names, so no blob can be called like them and no list shows them:
//
//   .TMP-<pid>-<n>   a blob being written, beside its final place
//   LOCK, LOCK+<x>   the file behind lock "lock", and behind any other lock x ('/' written as '+')
//
// Invariants:
//   1. A directory is used only after its entry in its parent was synced by this process. A directory that was
//      already there may have been made by a process that died before its sync, so "it exists" is not enough.
//   2. A blob gets its name by a rename that replaces nothing, after its bytes were synced; then the directory
//      is synced. So a name that is seen always has its whole bytes, also after power loss.
//
// Threads: any.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "backends/local/file_ops.h"
#include "tarn/sdk/backend.h"

namespace tarn::local {

class StoreDirectory {
 public:
  // `root` is absolute and exists.
  StoreDirectory(std::shared_ptr<FileOps> ops, std::string root) : ops_(std::move(ops)), root_(std::move(root)) {}

  FileOps& ops() const { return *ops_; }
  const std::string& root() const { return root_; }
  std::string PathOf(std::string_view name) const { return root_ + "/" + std::string(name); }
  std::string LockPathOf(std::string_view name) const;

  // Makes the directories of `name` durable (invariant 1).
  Status PrepareDirectoryOf(std::string_view name);
  // Syncs the directory that holds `name`.
  Status SyncDirectoryOf(std::string_view name);

  // A new empty temporary file beside `name`, open for writing. Given back by Publish or DiscardTemporary.
  struct Temporary {
    int fd = -1;
    std::string path;
  };
  Result<Temporary> CreateTemporary(std::string_view name);
  void DiscardTemporary(const Temporary& temporary);
  // Invariant 2, after the bytes were synced. Busy when the name exists (which is then durable too). When it
  // is OK the temporary is gone; after any error it is the caller's to discard.
  Status Publish(const Temporary& temporary, std::string_view name);

  // As Backend::List.
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) const;
  // Removes the temporary files that dead writers left, unless this object itself has one. What cannot be
  // removed stays: it costs space and nothing else. REQUIRES: the caller holds the store's lock.
  void RemoveLeftovers();

 private:
  struct Walk;
  Status ListBelow(const std::string& directory, Walk& walk) const;
  void RemoveLeftoversBelow(const std::string& path) const;
  uint64_t CountTemporary();  // returns its number
  void ForgetTemporary();

  const std::shared_ptr<FileOps> ops_;
  const std::string root_;
  std::mutex mutex_;               // guards what follows; held during mkdir, its sync, and RemoveLeftovers
  std::set<std::string> durable_;  // absolute paths of directories that satisfy invariant 1
  int temporaries_ = 0;            // given out and not yet given back
  uint64_t next_temporary_ = 0;
};

}  // namespace tarn::local
