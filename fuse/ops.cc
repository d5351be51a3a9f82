#include "fuse/ops.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "fuse/interrupts.h"
#include "fuse/translate.h"

namespace tarn::fuse {
namespace {

// Long: what changes behind the kernel's back is told to it at once (ops.h). Not for ever, so that a lost message,
// which is a bug, heals. A snapshot does not change.
constexpr double kHeadTimeoutSeconds = 3600;
constexpr double kSnapshotTimeoutSeconds = 365 * 86400.0;
// The kernel sends a write in pieces of at most this; the largest that FUSE has.
constexpr unsigned kMaxWriteBytes = 1 << 20;
// Reads ahead and asynchronous writes that the kernel may have waiting at once: what the mount's threads can do
// (serve_loop.cc), twice.
constexpr unsigned kMaxBackground = 32;
constexpr uint64_t kStatBlockBytes = 4096;
constexpr uint64_t kEndlessBytes = 1ull << 50;

thread_local const Ops* serving = nullptr;

}  // namespace

ServingScope::ServingScope(const Ops* ops) { serving = ops; }
ServingScope::~ServingScope() { serving = nullptr; }
bool Ops::Serving(const Ops* ops) { return serving == ops; }

Ops::Ops(lake::Lake& lake, lake::View& view, const Shows& shows)
    : lake_(lake),
      view_(view),
      shows_(shows),
      timeout_seconds_(shows.fixed                ? kSnapshotTimeoutSeconds
                       : shows.follow_seconds > 0 ? static_cast<double>(shows.follow_seconds)
                                                  : kHeadTimeoutSeconds),
      clock_(SystemClock()),
      open_files_(shows.fixed || shows.follow_seconds > 0 ? nullptr : &lake) {}

const fuse_lowlevel_ops& Ops::Table() {
  static const fuse_lowlevel_ops table = {
      .init = &Ops::Init,
      .lookup = &Handler<&Ops::Lookup, false>::Call,
      .forget = &Handler<&Ops::Forget, false>::Call,
      .getattr = &Handler<&Ops::GetAttr, false>::Call,
      .setattr = &Handler<&Ops::SetAttr, true>::Call,
      .readlink = &Handler<&Ops::ReadLink, false>::Call,
      .mknod = &Handler<&Ops::Mknod, true>::Call,
      .mkdir = &Handler<&Ops::Mkdir, true>::Call,
      .unlink = &Handler<&Ops::Unlink, true>::Call,
      .rmdir = &Handler<&Ops::Rmdir, true>::Call,
      .symlink = &Handler<&Ops::Symlink, true>::Call,
      .rename = &Handler<&Ops::Rename, true>::Call,
      .link = &Handler<&Ops::Link, true>::Call,
      .open = &Handler<&Ops::Open, false>::Call,
      .read = &Handler<&Ops::Read, false>::Call,
      .write = &Handler<&Ops::Write, true>::Call,
      .flush = &Handler<&Ops::Flush, false>::Call,
      .release = &Handler<&Ops::Release, false>::Call,
      .fsync = &Handler<&Ops::Fsync, false>::Call,
      .opendir = &Handler<&Ops::OpenDir, false>::Call,
      .readdir = &Handler<&Ops::ReadDir, false>::Call,
      .releasedir = &Handler<&Ops::ReleaseDir, false>::Call,
      .fsyncdir = &Handler<&Ops::Fsync, false>::Call,
      .statfs = &Handler<&Ops::StatFs, false>::Call,
      .setxattr = &Handler<&Ops::SetXattr, true>::Call,
      .getxattr = &Handler<&Ops::GetXattr, false>::Call,
      .listxattr = &Handler<&Ops::ListXattr, false>::Call,
      .removexattr = &Handler<&Ops::RemoveXattr, true>::Call,
      .create = &Handler<&Ops::Create, true>::Call,
      .forget_multi = &Handler<&Ops::ForgetMany, false>::Call,
      .fallocate = &Handler<&Ops::Fallocate, true>::Call,
      .readdirplus = &Handler<&Ops::ReadDirPlus, false>::Call,
      .lseek = &Handler<&Ops::Lseek, false>::Call,
  };
  return table;
}

void Ops::Init(void* self, fuse_conn_info* conn) {
  conn->max_write = kMaxWriteBytes;
  conn->max_background = kMaxBackground;
  // Content goes out of date only when we say so; otherwise each own write would throw the file's pages away.
  if (!static_cast<Ops*>(self)->follows() && (conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA) != 0) {
    conn->want |= FUSE_CAP_EXPLICIT_INVAL_DATA;
    conn->want &= ~static_cast<unsigned>(FUSE_CAP_AUTO_INVAL_DATA);
  }
  conn->want |= conn->capable & FUSE_CAP_CACHE_SYMLINKS;  // a symlink's target never changes
  // The kernel takes setuid bits away on writes, by SetAttr, as it does for its own file systems.
  conn->want &= ~static_cast<unsigned>(FUSE_CAP_HANDLE_KILLPRIV);
}

void Ops::ReplyStatus(fuse_req_t req, const Status& status) { fuse_reply_err(req, ErrnoOf(status)); }
void Ops::ReplyInodeStatus(fuse_req_t req, const Status& status) { fuse_reply_err(req, ErrnoOfInode(status)); }

fuse_entry_param Ops::EntryOf(const lake::Attr& attr) {
  const bool settled = open_files_.Settled(attr.ino);
  fuse_entry_param entry = {};
  entry.ino = attr.ino;
  entry.attr = StatOf(attr, settled);
  entry.attr_timeout = AttrTimeout(settled);
  entry.entry_timeout = timeout_seconds_;
  return entry;
}

void Ops::ReplyEntry(fuse_req_t req, const Result<lake::Attr>& attr) {
  if (!attr.ok()) return ReplyStatus(req, attr.status());
  const fuse_entry_param entry = EntryOf(*attr);
  fuse_reply_entry(req, &entry);
}

void Ops::ReplyAttr(fuse_req_t req, const lake::Attr& attr) {
  const bool settled = open_files_.Settled(attr.ino);
  const struct stat st = StatOf(attr, settled);
  fuse_reply_attr(req, &st, AttrTimeout(settled));
}

void Ops::Lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Interruptible waiting(req);
  const auto attr = view_.Lookup(parent, name);
  if (waiting.GivenUp()) return;
  if (attr.ok() || attr.status().code() != Code::kNotFound) return ReplyEntry(req, attr);
  const fuse_entry_param absent = {.entry_timeout = timeout_seconds_};  // inode 0: remember that there is none
  fuse_reply_entry(req, &absent);
}

void Ops::Forget(fuse_req_t req, fuse_ino_t ino, uint64_t) {
  fuse_reply_none(req);
  open_files_.Drop(ino);
}

void Ops::ForgetMany(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  std::vector<lake::Ino> forgotten;  // the request's memory is gone after the reply
  for (size_t i = 0; i < count; ++i) forgotten.push_back(forgets[i].ino);
  fuse_reply_none(req);
  for (const lake::Ino ino : forgotten) open_files_.Drop(ino);
}

void Ops::GetAttr(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  Interruptible waiting(req);
  const auto attr = view_.GetAttr(ino);
  if (waiting.GivenUp()) return;
  if (!attr.ok()) return ReplyInodeStatus(req, attr.status());
  ReplyAttr(req, *attr);
}

void Ops::SetAttr(fuse_req_t req, fuse_ino_t ino, struct stat* to, int which, fuse_file_info*) {
  const auto nanos = [](const struct timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
  // The lake's own clock for "now": the kernel's is coarser, and a touch must not come out older than a write.
  const int64_t now = static_cast<int64_t>(clock_->WallNanos());
  lake::AttrChange change;
  if ((which & FUSE_SET_ATTR_MODE) != 0) change.mode = to->st_mode & 07777;
  if ((which & FUSE_SET_ATTR_UID) != 0) change.uid = to->st_uid;
  if ((which & FUSE_SET_ATTR_GID) != 0) change.gid = to->st_gid;
  if ((which & FUSE_SET_ATTR_SIZE) != 0) change.size = static_cast<uint64_t>(to->st_size);
  if ((which & FUSE_SET_ATTR_ATIME) != 0) change.atime_ns = nanos(to->st_atim);
  if ((which & FUSE_SET_ATTR_MTIME) != 0) change.mtime_ns = nanos(to->st_mtim);
  if ((which & FUSE_SET_ATTR_ATIME_NOW) != 0) change.atime_ns = now;
  if ((which & FUSE_SET_ATTR_MTIME_NOW) != 0) change.mtime_ns = now;
  if ((which & FUSE_SET_ATTR_CTIME) != 0) change.ctime_ns = nanos(to->st_ctim);
  const auto attr = lake_.SetAttr(ino, change);
  if (!attr.ok()) return ReplyInodeStatus(req, attr.status());
  ReplyAttr(req, *attr);
}

void Ops::ReadLink(fuse_req_t req, fuse_ino_t ino) {
  Interruptible waiting(req);
  const auto target = view_.ReadLink(ino);
  if (waiting.GivenUp()) return;
  if (!target.ok()) return ReplyInodeStatus(req, target.status());
  fuse_reply_readlink(req, target->c_str());
}

void Ops::StatFs(fuse_req_t req, fuse_ino_t) {
  Interruptible waiting(req);
  auto usage = view_.GetUsage();
  if (waiting.GivenUp()) return;
  if (!usage.ok()) return ReplyStatus(req, usage.status());
  // A bucket has no end, and programs that look for room before they write must find some.
  if (usage->total_bytes == 0) {
    usage->total_bytes = std::max(kEndlessBytes, 2 * usage->logical_bytes);
    usage->free_bytes = usage->total_bytes - usage->logical_bytes;
  }
  struct statvfs out = {};
  out.f_bsize = out.f_frsize = kStatBlockBytes;
  out.f_blocks = usage->total_bytes / kStatBlockBytes;
  out.f_bfree = out.f_bavail = usage->free_bytes / kStatBlockBytes;
  // Inodes are rows: as many fit as there is room, each at least about a block with its data.
  out.f_ffree = out.f_favail = out.f_bfree;
  out.f_files = usage->inodes + out.f_ffree;
  out.f_namemax = lake::kMaxName;
  fuse_reply_statfs(req, &out);
}

}  // namespace tarn::fuse
