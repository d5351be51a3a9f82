// Requests that change names, and extended attributes.

#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <cstdio>
#include <string_view>

#include "fuse/interrupts.h"
#include "fuse/ops.h"
#include "fuse/translate.h"

namespace tarn::fuse {
namespace {

lake::Owner OwnerOf(fuse_req_t req) {
  const fuse_ctx* const caller = fuse_req_ctx(req);
  return {caller->uid, caller->gid};
}

// "system." names are the kernel's; the only ones that programs ask a file system for are ACLs (ops.h).
bool IsSystemName(std::string_view name) { return name.starts_with("system."); }

// The reply to a question for `bytes`, whose asker has room for `size`, or asks only how much it needs (0).
void ReplySized(fuse_req_t req, const std::string& bytes, size_t size) {
  if (size == 0) {
    fuse_reply_xattr(req, bytes.size());
  } else if (size < bytes.size()) {
    fuse_reply_err(req, ERANGE);
  } else {
    fuse_reply_buf(req, bytes.data(), bytes.size());
  }
}

}  // namespace

void Ops::Mknod(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  ReplyEntry(req, lake_.Create(parent, name, mode, rdev, OwnerOf(req)));
}

void Ops::Mkdir(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  ReplyEntry(req, lake_.MakeDir(parent, name, mode & 07777, OwnerOf(req)));
}

void Ops::Symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  ReplyEntry(req, lake_.Symlink(parent, name, target, OwnerOf(req)));
}

void Ops::Link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char* name) {
  ReplyEntry(req, lake_.Link(ino, parent, name));
}

// Runs `remove`, which takes away the name, and holds the inode if that was its last one.
template <typename Remove>
Status Ops::Removing(lake::Ino parent, const char* name, const Remove& remove) {
  const auto victim = view_.Lookup(parent, name);
  const bool last = victim.ok() && (S_ISDIR(victim->mode) || victim->nlink == 1);
  const bool held = last && open_files_.Hold(victim->ino);
  const Status removed = remove();
  if (held && !removed.ok()) open_files_.Drop(victim->ino);
  return removed;
}

void Ops::Unlink(fuse_req_t req, fuse_ino_t parent, const char* name) {
  ReplyStatus(req, Removing(parent, name, [&] { return lake_.Unlink(parent, name); }));
}

void Ops::Rmdir(fuse_req_t req, fuse_ino_t parent, const char* name) {
  ReplyStatus(req, Removing(parent, name, [&] { return lake_.RemoveDir(parent, name); }));
}

void Ops::Rename(fuse_req_t req, fuse_ino_t from, const char* name, fuse_ino_t to, const char* new_name,
                 unsigned flags) {
  lake::RenameMode mode = lake::RenameMode::kReplace;
  switch (flags) {
    case 0: break;
    case RENAME_NOREPLACE: mode = lake::RenameMode::kNoReplace; break;
    case RENAME_EXCHANGE: mode = lake::RenameMode::kExchange; break;
    default: fuse_reply_err(req, EINVAL); return;
  }
  const auto rename = [&] { return lake_.Rename(from, name, to, new_name, mode); };
  ReplyStatus(req, mode == lake::RenameMode::kReplace ? Removing(to, new_name, rename) : rename());
}

void Ops::SetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, const char* value, size_t size, int flags) {
  if (IsSystemName(name)) {
    fuse_reply_err(req, EOPNOTSUPP);
    return;
  }
  ReplyInodeStatus(
      req, lake_.SetXattr(ino, name, {value, size}, (flags & XATTR_CREATE) != 0, (flags & XATTR_REPLACE) != 0));
}

void Ops::GetXattr(fuse_req_t req, fuse_ino_t ino, const char* name, size_t size) {
  if (IsSystemName(name)) {
    fuse_reply_err(req, EOPNOTSUPP);
    return;
  }
  Interruptible waiting(req);
  const auto value = view_.GetXattr(ino, name);
  if (waiting.GivenUp()) return;
  if (!value.ok()) return ReplyInodeStatus(req, value.status());
  ReplySized(req, *value, size);
}

void Ops::ListXattr(fuse_req_t req, fuse_ino_t ino, size_t size) {
  Interruptible waiting(req);
  const auto names = view_.ListXattr(ino);
  if (waiting.GivenUp()) return;
  if (!names.ok()) return ReplyInodeStatus(req, names.status());
  std::string list;
  for (const std::string& name : *names) list.append(name).push_back('\0');
  ReplySized(req, list, size);
}

void Ops::RemoveXattr(fuse_req_t req, fuse_ino_t ino, const char* name) {
  if (IsSystemName(name)) {
    fuse_reply_err(req, EOPNOTSUPP);
    return;
  }
  ReplyInodeStatus(req, lake_.RemoveXattr(ino, name));
}

}  // namespace tarn::fuse
