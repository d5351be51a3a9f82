// Requests on open files and open directories.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <vector>

#include "fuse/interrupts.h"
#include "fuse/ops.h"
#include "fuse/translate.h"

namespace tarn::fuse {
namespace {

// A buffer of this thread's for one reply: at most the kernel's largest request, 1 MiB, so no new pages each time.
std::span<char> ReplyBuffer(size_t size) {
  thread_local std::vector<char> buffer;
  if (buffer.size() < size) buffer.resize(size);
  return std::span<char>(buffer).first(size);
}

DirHandle* HandleOf(const fuse_file_info* file) {
  return reinterpret_cast<DirHandle*>(static_cast<uintptr_t>(file->fh));  // OpenDir put it there
}

// What the kernel may do with an open file: its pages stay true (ops.h) unless the mount follows another writer, and
// closing one that was only read has nothing to flush.
void Grant(fuse_file_info* file, bool keep_cache) {
  file->keep_cache = keep_cache ? 1 : 0;
  file->noflush = (file->flags & O_ACCMODE) == O_RDONLY ? 1 : 0;
}

}  // namespace

void Ops::Create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  const fuse_ctx* const caller = fuse_req_ctx(req);
  const auto attr = lake_.Create(parent, name, S_IFREG | (mode & 07777), 0, {caller->uid, caller->gid});
  if (!attr.ok()) {
    // Somebody else made it since the kernel looked. ESTALE: it looks again, and opens what is there.
    const bool beaten = attr.status().os_error() == EEXIST && (file->flags & O_EXCL) == 0;
    fuse_reply_err(req, beaten ? ESTALE : ErrnoOf(attr.status()));
    return;
  }
  const Status opened = open_files_.Open(attr->ino);
  if (!opened.ok()) return ReplyInodeStatus(req, opened);
  Grant(file, true);
  const fuse_entry_param entry = EntryOf(*attr);
  if (fuse_reply_create(req, &entry, file) == -ENOENT) open_files_.Release(attr->ino);  // nobody waits for it
}

void Ops::Open(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file) {
  if (read_only() && (file->flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY) {
    fuse_reply_err(req, EROFS);
    return;
  }
  const Status opened = open_files_.Open(ino);
  if (!opened.ok()) return ReplyInodeStatus(req, opened);
  if ((file->flags & O_TRUNC) != 0) {
    lake::AttrChange empty;
    empty.size = 0;
    const Status emptied = lake_.SetAttr(ino, empty).status();
    if (!emptied.ok()) {
      open_files_.Release(ino);
      return ReplyInodeStatus(req, emptied);
    }
  }
  Grant(file, !follows());
  if (fuse_reply_open(req, file) == -ENOENT) open_files_.Release(ino);
}

void Ops::Read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, fuse_file_info*) {
  const std::span<char> buffer = ReplyBuffer(size);
  Interruptible waiting(req);
  const auto got = view_.Read(ino, static_cast<uint64_t>(offset), buffer);
  if (waiting.GivenUp()) return;
  if (!got.ok()) return ReplyInodeStatus(req, got.status());
  fuse_reply_buf(req, buffer.data(), *got);
}

void Ops::Write(fuse_req_t req, fuse_ino_t ino, const char* bytes, size_t size, off_t offset, fuse_file_info*) {
  open_files_.NoteWrite(ino);
  const Status written = lake_.Write(ino, static_cast<uint64_t>(offset), {bytes, size});
  if (!written.ok()) return ReplyInodeStatus(req, written);
  fuse_reply_write(req, size);
}

Status Ops::FlushFile(lake::Ino ino) {
  if (read_only()) return Status::Ok();
  return open_files_.Settle(ino, [this](lake::Ino file) { return lake_.Flush(file); });
}

void Ops::Flush(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) { ReplyInodeStatus(req, FlushFile(ino)); }

// Of files and of directories. Syncing data without times would save nothing: both are in one log.
void Ops::Fsync(fuse_req_t req, fuse_ino_t ino, int, fuse_file_info*) {
  if (read_only()) return ReplyStatus(req, Status::Ok());
  Interruptible waiting(req);
  const Status synced = open_files_.Settle(ino, [this](lake::Ino file) { return lake_.Sync(file); });
  if (!waiting.GivenUp()) ReplyInodeStatus(req, synced);
}

// Flushes once more: pages of a shared mapping are written after the last close.
void Ops::Release(fuse_req_t req, fuse_ino_t ino, fuse_file_info*) {
  const Status flushed = FlushFile(ino);
  open_files_.Release(ino);
  ReplyInodeStatus(req, flushed);
}

Status Ops::Grow(lake::Ino ino, uint64_t end) {
  TARN_ASSIGN(const lake::Attr attr, view_.GetAttr(ino));
  if (attr.size >= end) return Status::Ok();
  lake::AttrChange change;
  change.size = end;
  return lake_.SetAttr(ino, change).status();
}

// A lake cannot set room aside: what equal bytes share and compression saves is not known before they are written.
// It can tell that there is none.
Status Ops::CheckRoom(uint64_t bytes) {
  TARN_ASSIGN(const lake::Usage usage, view_.GetUsage());
  if (usage.total_bytes == 0 || bytes <= usage.free_bytes) return Status::Ok();
  return Status::NoSpace("the device has not " + std::to_string(bytes) + " bytes free; make room");
}

void Ops::Fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length, fuse_file_info*) {
  const bool punch = (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0;
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  if (offset < 0 || length <= 0) return ReplyStatus(req, Status::FromErrno(EINVAL, "no such range"));
  if (offset > std::numeric_limits<off_t>::max() - length) {
    return ReplyStatus(req, Status::FromErrno(EFBIG, "the range ends behind the largest file"));
  }
  if ((mode & ~(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)) != 0) {
    return ReplyStatus(req, Status::Unsupported("no such mode of fallocate"));
  }
  Status done = punch ? lake_.PunchHole(ino, static_cast<uint64_t>(offset), static_cast<uint64_t>(length))
                      : CheckRoom(static_cast<uint64_t>(length));
  if (done.ok() && !keep_size) done = Grow(ino, static_cast<uint64_t>(offset + length));
  ReplyInodeStatus(req, done);
}

void Ops::Lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence, fuse_file_info*) {
  if (whence != SEEK_DATA && whence != SEEK_HOLE) {
    fuse_reply_err(req, EINVAL);
    return;
  }
  const auto from = static_cast<uint64_t>(offset);
  Interruptible waiting(req);
  const auto found = whence == SEEK_DATA ? view_.SeekData(ino, from) : view_.SeekHole(ino, from);
  if (waiting.GivenUp()) return;
  if (!found.ok()) return ReplyInodeStatus(req, found.status());
  fuse_reply_lseek(req, static_cast<off_t>(*found));
}

void Ops::OpenDir(fuse_req_t req, fuse_ino_t ino, fuse_file_info* file) {
  const auto handle = open_files_.OpenDir(view_, ino);
  if (!handle.ok()) return ReplyInodeStatus(req, handle.status());
  file->fh = reinterpret_cast<uintptr_t>(*handle);
  file->cache_readdir = file->keep_cache = shows_.fixed ? 1 : 0;
  if (fuse_reply_open(req, file) == -ENOENT) open_files_.ReleaseDir(*handle);
}

void Ops::ReadDir(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
  List(req, size, offset, file, false);
}

void Ops::ReadDirPlus(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
  List(req, size, offset, file, true);
}

void Ops::ReleaseDir(fuse_req_t req, fuse_ino_t, fuse_file_info* file) {
  open_files_.ReleaseDir(HandleOf(file));
  fuse_reply_err(req, 0);
}

// Fills one reply with entries from the ordinal `offset` on. An error is reported only when nothing came before it;
// otherwise the next call meets it again.
void Ops::List(fuse_req_t req, size_t size, off_t offset, fuse_file_info* file, bool with_attributes) {
  const std::span<char> buffer = ReplyBuffer(size);
  Interruptible waiting(req);
  DirHandle* const handle = HandleOf(file);
  Status failed;
  size_t used = 0;
  auto ordinal = static_cast<uint64_t>(offset);
  for (DirHandle::Reader reader(*handle, ordinal);; ++ordinal) {
    const auto entry = reader.At(ordinal);
    failed = entry.status();
    if (!entry.ok() || !entry->has_value()) break;
    const std::span<char> room = buffer.subspan(used);
    const size_t needed = AddListed(req, handle->ino(), **entry, ordinal + 1, with_attributes, room, &failed);
    if (!failed.ok() || needed > room.size()) break;
    used += needed;
  }
  if (waiting.GivenUp()) return;
  if (used == 0 && !failed.ok()) return ReplyInodeStatus(req, failed);
  fuse_reply_buf(req, buffer.data(), used);
}

// Adds one entry, and says how many bytes it takes: more than `room` has when it did not fit, 0 when it is gone.
size_t Ops::AddListed(fuse_req_t req, lake::Ino dir, const lake::DirEntry& entry, uint64_t next, bool with_attributes,
                      std::span<char> room, Status* failed) {
  const auto next_offset = static_cast<off_t>(next);
  fuse_entry_param param = {};
  param.attr.st_ino = entry.ino;
  param.attr.st_mode = entry.type;
  if (!with_attributes) {
    return fuse_add_direntry(req, room.data(), room.size(), entry.name.c_str(), &param.attr, next_offset);
  }
  if (entry.name != "." && entry.name != "..") {
    // Looked up now, by name: the kernel will remember what this says, and the page may be old. The kernel holds
    // its lock of the directory, so the answer cannot be overtaken.
    const auto attr = view_.Lookup(dir, entry.name);
    if (!attr.ok() && attr.status().code() == Code::kNotFound) return 0;
    if (!attr.ok()) {
      *failed = attr.status();
      return 0;
    }
    param = EntryOf(*attr);
  }
  return fuse_add_direntry_plus(req, room.data(), room.size(), entry.name.c_str(), &param, next_offset);
}

}  // namespace tarn::fuse
