// Entries: creating, linking, unlinking, renaming; and extended attributes. Times follow POSIX: a directory whose
// entries change gets new mtime and ctime, an inode whose link count or name changes a new ctime.

#include <cerrno>

#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

constexpr uint32_t kTypeBits = 0170000, kDirType = 0040000, kSymlinkType = 0120000;
constexpr uint32_t kSetGid = 02000;
// No path that a program can name is this deep; more means that the parents run in a circle.
constexpr int kMaxDepth = 1 << 20;

std::string Name(Ino ino) { return "inode " + std::to_string(ino); }
std::string Where(Ino parent, std::string_view name) {
  return "'" + Printable(name) + "' in directory " + Name(parent);
}

bool IsSpecialOrFile(uint32_t type) {
  return type == 0100000 || type == 0010000 || type == 0020000 || type == 0060000 || type == 0140000;
}

}  // namespace

Result<Inode*> LakeImpl::LoadLive(Edit* edit, Ino ino) {
  TARN_ASSIGN(Inode* const inode, edit->Load(ino));
  if (inode->nlink == 0 && nodes_.Opens(ino) == 0) {
    return Status::FromErrno(ENOENT, Name(ino) + " was removed; look its path up again");
  }
  return inode;
}

Result<Inode*> LakeImpl::LoadDir(Edit* edit, Ino ino) {
  TARN_ASSIGN(Inode* const inode, edit->Load(ino));
  if (!inode->is_dir()) return Status::FromErrno(ENOTDIR, Name(ino) + " is not a directory; name one");
  if (inode->nlink == 0) return Status::FromErrno(ENOENT, "directory " + Name(ino) + " was removed");
  return inode;
}

Result<Entry> LakeImpl::LoadEntry(Edit* edit, Ino parent, std::string_view name) {
  TARN_ASSIGN(const auto entry, edit->rows().FindEntry(parent, name));
  if (!entry) return Status::FromErrno(ENOENT, "no entry " + Where(parent, name));
  return *entry;
}

void LakeImpl::TouchDir(Inode* dir, int64_t now, int entries, int subdirs) {
  dir->size += entries;
  dir->nlink += subdirs;
  dir->mtime = dir->ctime = now;
}

// Creates `inode` (mode, owner, rdev and target are set) as parent/name.
Result<Attr> LakeImpl::AddInode(Ino parent, std::string_view name, Inode inode) {
  TARN_TRY(CheckName(name));
  Attr attr;
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const dir, LoadDir(&edit, parent));
    TARN_ASSIGN(const auto taken, rows_.FindEntry(parent, name));
    if (taken) return Status::FromErrno(EEXIST, Where(parent, name) + " exists already");
    TARN_ASSIGN(const Ino ino, NextInode());
    const int64_t now = Now();
    const bool is_dir = inode.is_dir();
    inode.nlink = is_dir ? 2 : 1;
    inode.parent = is_dir ? parent : 0;
    inode.atime = inode.mtime = inode.ctime = inode.btime = now;
    if ((dir->mode & kSetGid) != 0) {
      inode.gid = dir->gid;
      if (is_dir) inode.mode |= kSetGid;
    }
    *edit.Add(ino) = inode;
    edit.PutEntry(parent, name, ino, inode.type());
    TouchDir(dir, now, 1, is_dir ? 1 : 0);
    TARN_TRY(Commit(&edit));
    attr = ToAttr(ino, inode);
  }
  NotifyEntry(parent, name);
  return attr;
}

Result<Attr> LakeImpl::Create(Ino parent, std::string_view name, uint32_t mode, uint64_t rdev, Owner owner) {
  if ((mode & kTypeBits) == 0) mode |= 0100000;
  if (!IsSpecialOrFile(mode & kTypeBits)) {
    return Status::FromErrno(EINVAL,
                             "Create cannot make " + Where(parent, name) + " of that type; use MakeDir or Symlink");
  }
  Inode inode;
  inode.mode = mode & (kTypeBits | 07777);
  inode.uid = owner.uid;
  inode.gid = owner.gid;
  inode.rdev = rdev;
  return AddInode(parent, name, std::move(inode));
}

Result<Attr> LakeImpl::MakeDir(Ino parent, std::string_view name, uint32_t mode, Owner owner) {
  Inode inode;
  inode.mode = kDirType | (mode & 07777);
  inode.uid = owner.uid;
  inode.gid = owner.gid;
  return AddInode(parent, name, std::move(inode));
}

Result<Attr> LakeImpl::Symlink(Ino parent, std::string_view name, std::string_view target, Owner owner) {
  if (target.empty()) return Status::FromErrno(ENOENT, "the target of " + Where(parent, name) + " is empty");
  if (target.size() > kMaxSymlink) {
    return Status::FromErrno(ENAMETOOLONG, "the target of " + Where(parent, name) + " has " +
                                               std::to_string(target.size()) + " bytes; use at most " +
                                               std::to_string(kMaxSymlink));
  }
  Inode inode;
  inode.mode = kSymlinkType | 0777;
  inode.uid = owner.uid;
  inode.gid = owner.gid;
  inode.size = target.size();
  inode.target = target;
  return AddInode(parent, name, std::move(inode));
}

Result<Attr> LakeImpl::Link(Ino ino, Ino parent, std::string_view name) {
  TARN_TRY(CheckName(name));
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const dir, LoadDir(&edit, parent));
    TARN_ASSIGN(Inode* const inode, edit.Load(ino));
    if (inode->is_dir()) return Status::FromErrno(EPERM, Name(ino) + " is a directory; only files have links");
    if (inode->nlink == 0) return Status::FromErrno(ENOENT, Name(ino) + " was removed; it cannot be linked again");
    if (inode->nlink == UINT32_MAX) return Status::FromErrno(EMLINK, Name(ino) + " has too many links");
    TARN_ASSIGN(const auto taken, rows_.FindEntry(parent, name));
    if (taken) return Status::FromErrno(EEXIST, Where(parent, name) + " exists already");
    const int64_t now = Now();
    ++inode->nlink;
    inode->ctime = now;
    edit.PutEntry(parent, name, ino, inode->type());
    TouchDir(dir, now, 1, 0);
    TARN_TRY(Commit(&edit));
  }
  NotifyEntry(parent, name);
  NotifyInode(ino);
  return head_.GetAttr(ino);
}

Status LakeImpl::DropLink(Edit* edit, Ino ino, Inode* inode) {
  inode->ctime = Now();
  if (inode->nlink > 1) {
    --inode->nlink;
    return Status::Ok();
  }
  return Doom(edit, ino, inode);
}

// The inode lost its last name. It goes now, or when it is closed, or (if it is large) in steps after the commit.
Status LakeImpl::Doom(Edit* edit, Ino ino, Inode* inode) {
  inode->nlink = 0;
  inode->parent = 0;
  if (nodes_.Opens(ino) > 0) {
    edit->PutMark(kOrphanRow, ino);
    return Status::Ok();
  }
  TARN_ASSIGN(const bool gone, RemoveInode(edit, ino, inode));
  if (!gone) edit->PutMark(kTrashRow, ino);
  return Status::Ok();
}

Status LakeImpl::RemoveEntry(Ino parent, std::string_view name, bool directory) {
  TARN_TRY(CheckName(name));
  Ino ino = 0;
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const dir, LoadDir(&edit, parent));
    TARN_ASSIGN(const Entry entry, LoadEntry(&edit, parent, name));
    ino = entry.ino;
    TARN_ASSIGN(Inode* const inode, edit.Load(ino));
    if (directory && !inode->is_dir()) {
      return Status::FromErrno(ENOTDIR, Where(parent, name) + " is not a directory; unlink it");
    }
    if (!directory && inode->is_dir()) {
      return Status::FromErrno(EISDIR, Where(parent, name) + " is a directory; remove it as one");
    }
    if (directory && inode->size != 0) {
      return Status::FromErrno(ENOTEMPTY, Where(parent, name) + " is not empty; remove its entries first");
    }
    edit.DeleteEntry(parent, name);
    TouchDir(dir, Now(), -1, directory ? -1 : 0);
    if (directory) {
      TARN_TRY(Doom(&edit, ino, inode));
    } else {
      TARN_TRY(DropLink(&edit, ino, inode));
    }
    TARN_TRY(Commit(&edit));
  }
  NotifyEntry(parent, name);
  NotifyInode(ino);
  return DrainTrash();
}

Status LakeImpl::Unlink(Ino parent, std::string_view name) { return RemoveEntry(parent, name, false); }

Status LakeImpl::RemoveDir(Ino parent, std::string_view name) { return RemoveEntry(parent, name, true); }

// A directory must not move below itself: `moved` must not be `below` or one of its ancestors.
Status LakeImpl::ForbidCycle(Edit* edit, Ino moved, Ino below) {
  Ino at = below;
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    if (at == moved) {
      return Status::FromErrno(EINVAL, "directory " + Name(moved) + " cannot move below itself; move it elsewhere");
    }
    TARN_ASSIGN(const Inode* const inode, edit->Load(at));
    if (inode->parent == at || inode->parent == 0) return Status::Ok();
    at = inode->parent;
  }
  return Status::Corruption("the parents of directory " + Name(below) + " run in a circle; run `tarn check`");
}

// The entry that a move replaces: type rules of rename(2), then its inode loses the link.
Status LakeImpl::DropReplaced(Edit* edit, const Move& move, Inode* to, uint32_t type, const Entry& old) {
  TARN_ASSIGN(Inode* const inode, edit->Load(old.ino));
  if (!move.replace_trees) {
    const bool dir = type == kDirType;
    if (dir && !inode->is_dir()) {
      return Status::FromErrno(ENOTDIR, Where(move.to, move.new_name) + " is not a directory; remove it first");
    }
    if (!dir && inode->is_dir()) {
      return Status::FromErrno(EISDIR, Where(move.to, move.new_name) + " is a directory; remove it first");
    }
    if (dir && inode->size != 0) {
      return Status::FromErrno(ENOTEMPTY, Where(move.to, move.new_name) + " is not empty; remove its entries first");
    }
  }
  TouchDir(to, Now(), -1, inode->is_dir() ? -1 : 0);
  if (!inode->is_dir()) return DropLink(edit, old.ino, inode);
  if (inode->size == 0) return Doom(edit, old.ino, inode);
  inode->nlink = 0;
  inode->parent = 0;
  edit->PutMark(kTrashRow, old.ino);
  return Status::Ok();
}

Status LakeImpl::MoveEntry(Edit* edit, const Move& move) {
  TARN_TRY(CheckName(move.name));
  TARN_TRY(CheckName(move.new_name));
  TARN_ASSIGN(Inode* const from, LoadDir(edit, move.from));
  TARN_ASSIGN(Inode* const to, LoadDir(edit, move.to));
  TARN_ASSIGN(const Entry source, LoadEntry(edit, move.from, move.name));
  TARN_ASSIGN(const auto target, edit->rows().FindEntry(move.to, move.new_name));
  if (target && move.mode == RenameMode::kNoReplace) {
    return Status::FromErrno(EEXIST, Where(move.to, move.new_name) + " exists already");
  }
  if (!target && move.mode == RenameMode::kExchange) {
    return Status::FromErrno(ENOENT, "no entry " + Where(move.to, move.new_name) + " to exchange with");
  }
  // Two names of one file, or the same name: rename(2) says that nothing happens.
  if (target && target->ino == source.ino) return Status::Ok();
  const bool exchange = move.mode == RenameMode::kExchange;
  const bool crosses = move.from != move.to;
  const int source_dirs = source.type == kDirType ? 1 : 0;
  if (crosses && source_dirs != 0) TARN_TRY(ForbidCycle(edit, source.ino, move.to));
  if (crosses && exchange && target->type == kDirType) TARN_TRY(ForbidCycle(edit, target->ino, move.from));

  const int64_t now = Now();
  TARN_ASSIGN(Inode* const moved, edit->Load(source.ino));
  moved->ctime = now;
  edit->touched.push_back(source.ino);
  if (target) edit->touched.push_back(target->ino);
  if (exchange) {
    const int target_dirs = target->type == kDirType ? 1 : 0;
    TARN_ASSIGN(Inode* const other, edit->Load(target->ino));
    other->ctime = now;
    if (target_dirs != 0) other->parent = move.from;
    edit->PutEntry(move.from, move.name, target->ino, target->type);
    TouchDir(from, now, 0, target_dirs - source_dirs);
    TouchDir(to, now, 0, source_dirs - target_dirs);
  } else {
    if (target) TARN_TRY(DropReplaced(edit, move, to, source.type, *target));
    edit->DeleteEntry(move.from, move.name);
    TouchDir(from, now, -1, -source_dirs);
    TouchDir(to, now, 1, source_dirs);
  }
  if (source_dirs != 0) moved->parent = move.to;
  edit->PutEntry(move.to, move.new_name, source.ino, source.type);
  return Status::Ok();
}

Status LakeImpl::Rename(Ino from, std::string_view name, Ino to, std::string_view new_name, RenameMode mode) {
  std::vector<Ino> touched;
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_TRY(MoveEntry(&edit, {from, name, to, new_name, mode, false}));
    if (!edit.batch().empty()) TARN_TRY(Commit(&edit));
    touched = std::move(edit.touched);
  }
  NotifyEntry(from, name);
  NotifyEntry(to, new_name);
  for (const Ino ino : touched) NotifyInode(ino);
  return DrainTrash();
}

Status LakeImpl::RemoveTree(Ino parent, std::string_view name) {
  TARN_TRY(CheckName(name));
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const dir, LoadDir(&edit, parent));
    TARN_ASSIGN(const Entry entry, LoadEntry(&edit, parent, name));
    edit.DeleteEntry(parent, name);
    TARN_TRY(DropReplaced(&edit, {0, {}, parent, name, RenameMode::kReplace, true}, dir, entry.type, entry));
    TARN_TRY(Commit(&edit));
  }
  NotifyEntry(parent, name);
  return DrainTrash();
}

Status LakeImpl::Open(Ino ino) {
  MutexLock lock(mutex_);
  Edit edit(rows_);
  TARN_TRY(LoadLive(&edit, ino).status());
  nodes_.AddOpen(ino);
  return Status::Ok();
}

void LakeImpl::Release(Ino ino) {
  {
    MutexLock lock(mutex_);
    if (nodes_.DropOpen(ino) > 0 || read_only_) return;
    Edit edit(rows_);
    const Result<Inode*> inode = edit.Load(ino);
    if (!inode.ok() || (*inode)->nlink > 0) return;
    // Nobody could act on an error here, and nothing is lost: the orphan row stays, the next open reclaims.
    edit.DeleteMark(kOrphanRow, ino);
    if (!Doom(&edit, ino, *inode).ok() || !Commit(&edit).ok()) return;
  }
  (void)DrainTrash();  // as above: what is left is marked as trash
}

Status LakeImpl::SetXattr(Ino ino, std::string_view name, std::string_view value, bool create, bool replace) {
  if (name.empty() || name.size() > kMaxName || name.find('\0') != name.npos) {
    return Status::FromErrno(ERANGE, "attribute name '" + Printable(name) + "' is not of 1 to " +
                                         std::to_string(kMaxName) + " bytes without NUL");
  }
  if (value.size() > kMaxXattrValue) {
    return Status::FromErrno(E2BIG, "attribute '" + Printable(name) + "' of " + Name(ino) + " would have " +
                                        std::to_string(value.size()) + " bytes; use at most " +
                                        std::to_string(kMaxXattrValue));
  }
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const inode, LoadLive(&edit, ino));
    const std::string key = NameKey(kXattrRow, ino, name);
    TARN_ASSIGN(const bool exists, rows_.Has(rows_.families().meta, key));
    if (exists && create) return Status::FromErrno(EEXIST, Name(ino) + " has '" + Printable(name) + "' already");
    if (!exists && replace) return Status::FromErrno(ENODATA, Name(ino) + " has no '" + Printable(name) + "'");
    edit.batch().Put(rows_.families().meta, key, value);
    if (!exists) ++inode->xattrs;
    inode->ctime = Now();
    TARN_TRY(Commit(&edit));
  }
  NotifyInode(ino);
  return Status::Ok();
}

Status LakeImpl::RemoveXattr(Ino ino, std::string_view name) {
  {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const inode, LoadLive(&edit, ino));
    const std::string key = NameKey(kXattrRow, ino, name);
    TARN_ASSIGN(const bool exists, rows_.Has(rows_.families().meta, key));
    if (!exists) return Status::FromErrno(ENODATA, Name(ino) + " has no attribute '" + Printable(name) + "'");
    edit.batch().Delete(rows_.families().meta, key);
    --inode->xattrs;
    inode->ctime = Now();
    TARN_TRY(Commit(&edit));
  }
  NotifyInode(ino);
  return Status::Ok();
}

}  // namespace tarn::lake
