// Ops: the requests of the kernel, each translated into a call of the lake and answered. Nothing here decides what
// a file is; what is decided here is what the kernel may remember.
//
//   ops.cc          the table, what is negotiated, names to inodes, attributes
//   ops_names.cc    creating, linking, renaming, removing; extended attributes
//   ops_content.cc  open files and open directories
//
// What the kernel remembers: entries (also that a name does not exist), attributes and content, for as long as it
// likes. That is right because it makes all changes itself, or is told (invalidator.h). Two things are not
// remembered: attributes of a file with bytes that are not in the store yet (translate.h says why), and an error.
// A mount that follows a writer elsewhere is told nothing, so there the kernel remembers for follow_seconds, and asks
// for content again whenever a file is opened or its size or time turn out to have changed. Listings are remembered
// of a snapshot only: a place in a listing is an ordinal of one open directory (dir_handle.h), and the kernel lets
// every program go on in the listing that was remembered last. In one that had changed since, that would skip names.
//
// Inodes: the kernel's number is the lake's, and numbers are never used twice, so there is no table of them. One that
// loses its last name through this mount is held until the kernel forgets it, because a program may be between its
// lookup and its open (open_files.h). One that others remove answers ESTALE, and the kernel walks the path again.
//
// Locks of fcntl(2) and flock(2) are not offered to this file system, so the kernel keeps them itself; they hold
// between all programs on this machine. ACLs are not offered: their attributes answer EOPNOTSUPP.
//
// Threads: any number serve requests, each with one reply. Of this folder's locks only that of an open directory is
// held while the lake is called, to read.
#pragma once

#include <string>

#include "base/system_effects.h"
#include "fuse/libfuse.h"
#include "fuse/open_files.h"
#include "lake/lake.h"

namespace tarn::fuse {

// How what a mount shows may change.
struct Shows {
  bool read_only = false;       // not through it
  bool fixed = false;           // not at all: a snapshot
  uint64_t follow_seconds = 0;  // not 0: by another process, and this often
};

class Ops {
 public:
  // `view` is what is read: the lake's head, or a snapshot. REQUIRES: both outlive this.
  Ops(lake::Lake& lake, lake::View& view, const Shows& shows);

  // For fuse_session_new, with the Ops as user data.
  static const fuse_lowlevel_ops& Table();
  // Does this thread serve a request of `ops` right now? Then the kernel knows of the change itself.
  static bool Serving(const Ops* ops);

  bool read_only() const { return shows_.read_only; }
  OpenFiles& open_files() { return open_files_; }

 private:
  template <auto method, bool kChanges>
  friend struct Handler;

  static void Init(void* self, fuse_conn_info* conn);
  bool follows() const { return shows_.follow_seconds != 0; }

  // ops.cc
  void Lookup(fuse_req_t req, fuse_ino_t parent, const char* name);
  void Forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
  void ForgetMany(fuse_req_t req, size_t count, fuse_forget_data* forgets);
  void GetAttr(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file);
  void SetAttr(fuse_req_t req, fuse_ino_t ino, struct stat* to, int which, fuse_file_info* file);
  void ReadLink(fuse_req_t req, fuse_ino_t ino);
  void StatFs(fuse_req_t req, fuse_ino_t ino);

  // ops_names.cc
  void Mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev);
  void Mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode);
  void Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name);
  void Link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char* name);
  void Unlink(fuse_req_t req, fuse_ino_t parent, const char* name);
  void Rmdir(fuse_req_t req, fuse_ino_t parent, const char* name);
  void Rename(fuse_req_t req, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name, unsigned flags);
  void SetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size, int flags);
  void GetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size);
  void ListXattr(fuse_req_t req, fuse_ino_t ino, size_t size);
  void RemoveXattr(fuse_req_t req, fuse_ino_t ino, const char* name);

  // ops_content.cc
  void Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file);
  void Open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file);
  void Read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* file);
  void Write(fuse_req_t req, fuse_ino_t ino, const char* bytes, size_t size, off_t offset, fuse_file_info* file);
  void Flush(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file);
  void Fsync(fuse_req_t req, fuse_ino_t ino, int data_only, fuse_file_info* file);
  void Release(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file);
  void Fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, fuse_file_info* file);
  void Lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, fuse_file_info* file);
  void OpenDir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file);
  void ReadDir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* file);
  void ReadDirPlus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info* file);
  void ReleaseDir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file);

  template <typename Remove>
  Status Removing(lake::Ino parent, const char* name, const Remove& remove);
  Status FlushFile(lake::Ino ino);
  Status Grow(lake::Ino ino, uint64_t end);
  Status CheckRoom(uint64_t bytes);
  void List(fuse_req_t req, size_t size, off_t offset, fuse_file_info* file, bool with_attributes);
  size_t AddListed(fuse_req_t req, lake::Ino dir, const lake::DirEntry& entry, uint64_t next, bool with_attributes,
                   std::span<char> room, Status* failed);

  double AttrTimeout(bool settled) const { return settled ? timeout_seconds_ : 0; }
  fuse_entry_param EntryOf(const lake::Attr& attr);
  void ReplyEntry(fuse_req_t req, const Result<lake::Attr>& attr);
  void ReplyAttr(fuse_req_t req, const lake::Attr& attr);
  static void ReplyStatus(fuse_req_t req, const Status& status);       // of an operation on a name
  static void ReplyInodeStatus(fuse_req_t req, const Status& status);  // of one on an inode

  lake::Lake& lake_;
  lake::View& view_;
  const Shows shows_;
  const double timeout_seconds_;
  const std::shared_ptr<Clock> clock_;
  OpenFiles open_files_;
};

// One callback of the table: finds the Ops, marks the thread as serving it, refuses changes of a read-only mount
// (the kernel does so itself until somebody remounts it rw).
struct ServingScope {
  explicit ServingScope(const Ops* ops);
  ~ServingScope();
};

template <auto method, bool kChanges>
struct Handler;
template <typename... Args, void (Ops::*method)(fuse_req_t, Args...), bool kChanges>
struct Handler<method, kChanges> {
  static void Call(fuse_req_t req, Args... args) {
    Ops* const ops = static_cast<Ops*>(fuse_req_userdata(req));
    const ServingScope scope(ops);
    if (kChanges && ops->read_only()) {
      fuse_reply_err(req, EROFS);
      return;
    }
    (ops->*method)(req, args...);
  }
};

}  // namespace tarn::fuse
