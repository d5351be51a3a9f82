#include "fuse/translate.h"

#include <algorithm>
#include <cerrno>

namespace tarn::fuse {
namespace {

constexpr int64_t kNanosPerSecond = 1'000'000'000;

struct timespec TimeOf(int64_t nanos) {
  int64_t seconds = nanos / kNanosPerSecond, rest = nanos % kNanosPerSecond;
  if (rest < 0) {  // before 1970: tv_nsec counts forward all the same
    --seconds;
    rest += kNanosPerSecond;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

}  // namespace

int ErrnoOf(const Status& status) {
  switch (status.code()) {
    case Code::kOk: return 0;
    case Code::kCorruption: return EIO;
    case Code::kFenced: return EROFS;
    default: break;
  }
  if (status.os_error() != 0) return status.os_error();
  switch (status.code()) {
    case Code::kNotFound: return ENOENT;
    case Code::kBusy: return EBUSY;
    case Code::kNoSpace: return ENOSPC;
    case Code::kInvalid: return EINVAL;
    case Code::kUnsupported: return EOPNOTSUPP;
    default: return EIO;  // Unavailable too: a file that answers EAGAIN means something else to programs
  }
}

int ErrnoOfInode(const Status& status) {
  const int number = ErrnoOf(status);
  return number == ENOENT ? ESTALE : number;
}

struct stat StatOf(const lake::Attr& attr, bool settled) {
  struct stat out = {};
  out.st_ino = attr.ino;
  out.st_mode = attr.mode;
  out.st_nlink = attr.nlink;
  out.st_uid = attr.uid;
  out.st_gid = attr.gid;
  out.st_rdev = attr.rdev;
  out.st_size = static_cast<off_t>(attr.size);
  out.st_blocks = static_cast<blkcnt_t>(settled ? attr.blocks : std::max(attr.blocks, (attr.size + 511) / 512));
  out.st_blksize = lake::kBlockBytes;
  out.st_atim = TimeOf(attr.atime_ns);
  out.st_mtim = TimeOf(attr.mtime_ns);
  out.st_ctim = TimeOf(attr.ctime_ns);
  return out;
}

}  // namespace tarn::fuse
