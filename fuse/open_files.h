// OpenFiles: what the kernel holds open through one mount, which of these files have bytes that are not in the store
// yet, and the inodes that are kept although their last name is gone.
//
// Why the last: between its lookup of a name and its open of what it found, a program may be overtaken by another
// that replaces the name. On any local file system the first gets the old file. So the lake is asked to keep it
// (as if it were open) until the kernel says that it forgot the inode, which is at once when nobody uses it.
//
// Invariants
// 1. Each Open of the lake made here is paired with one Release: at the kernel's release or forget, or in ReleaseAll
//    when the mount ends.
// 2. A file that was written since its last flush is not `settled`; a write that runs beside a flush keeps it so.
//
// A mount of a snapshot opens nothing in the lake: what a snapshot holds cannot go away. Nor does a reader's that
// follows: what its writer removes is gone, and answers ESTALE.
//
// Threads: any.
#pragma once

#include <memory>
#include <unordered_map>
#include <unordered_set>

#include "base/mutex.h"
#include "fuse/dir_handle.h"
#include "lake/lake.h"

namespace tarn::fuse {

class OpenFiles {
 public:
  // `lake` is null for a snapshot, and for a reader, which can keep nothing from its writer.
  explicit OpenFiles(lake::Lake* lake) : lake_(lake) {}
  ~OpenFiles() { ReleaseAll(); }

  Status Open(lake::Ino ino) EXCLUDES(mutex_);
  void Release(lake::Ino ino) EXCLUDES(mutex_);
  // The handle lives until ReleaseDir.
  Result<DirHandle*> OpenDir(lake::View& view, lake::Ino ino) EXCLUDES(mutex_);
  void ReleaseDir(DirHandle* handle) EXCLUDES(mutex_);
  // Keeps an inode whose last name is about to go. False when it is kept already, or cannot be.
  bool Hold(lake::Ino ino) EXCLUDES(mutex_);
  // The kernel forgot it, or its name stayed. Nothing to do for most inodes.
  void Drop(lake::Ino ino) EXCLUDES(mutex_);
  void ReleaseAll() EXCLUDES(mutex_);

  bool Settled(lake::Ino ino) EXCLUDES(mutex_);
  // Called before the bytes go to the lake. REQUIRES: the file is open.
  void NoteWrite(lake::Ino ino) EXCLUDES(mutex_);
  // Flushes the file with `flush`, and takes note.
  template <typename Flush>
  Status Settle(lake::Ino ino, const Flush& flush) EXCLUDES(mutex_) {
    const uint64_t writes = WritesOf(ino);
    const Status flushed = flush(ino);
    if (flushed.ok()) ForgetWrites(ino, writes);
    return flushed;
  }

 private:
  struct File {
    uint64_t opens = 0;
    uint64_t writes = 0;  // since the last flush; 0: settled
  };

  uint64_t WritesOf(lake::Ino ino) EXCLUDES(mutex_);
  void ForgetWrites(lake::Ino ino, uint64_t writes) EXCLUDES(mutex_);

  lake::Lake* const lake_;
  Mutex mutex_;  // the tables; the lake is not called while it is held
  std::unordered_map<lake::Ino, File> files_ GUARDED_BY(mutex_);
  std::unordered_map<DirHandle*, std::unique_ptr<DirHandle>> dirs_ GUARDED_BY(mutex_);
  std::unordered_set<lake::Ino> held_ GUARDED_BY(mutex_);
};

}  // namespace tarn::fuse
