// The real system calls behind the local backend: FileOps on POSIX. The only file of this folder that names them
// besides the ring (uring.cc); errors come back as Status with the errno kept.
//
// Threads: any; it holds no state.
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "backends/local/file_ops.h"

namespace tarn::local {
namespace {

// Runs a system call until it is not interrupted; turns -1 into -errno.
template <typename Call>
auto Retry(Call call) -> decltype(call()) {
  for (;;) {
    const auto result = call();
    if (result >= 0) return result;
    if (errno != EINTR) return -errno;
  }
}

FileKind KindOfMode(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::kRegular;
  return S_ISDIR(mode) ? FileKind::kDirectory : FileKind::kOther;
}

class Posix final : public FileOps {
 public:
  int OpenRead(const std::string& path) override {
    // O_NONBLOCK: opening a FIFO that strayed into the directory must not hang. It changes nothing for files.
    return Retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK); });
  }
  int OpenReadDirect(const std::string& path) override {
    return Retry([&] { return open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_DIRECT); });
  }
  size_t DirectBytes(int fd) override {
#ifdef STATX_DIOALIGN  // Linux 6.1
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) != 0 &&
        std::has_single_bit(st.stx_dio_offset_align) && st.stx_dio_mem_align <= kDirectBytes) {
      return std::min<size_t>(st.stx_dio_offset_align, kDirectBytes);
    }
#endif
    return kDirectBytes;
  }
  int CreateExclusive(const std::string& path) override {
    return Retry([&] { return open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666); });
  }
  int OpenLockFile(const std::string& path) override {
    return Retry([&] { return open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666); });
  }
  void Close(int fd) override { close(fd); }  // nothing was promised about bytes that were not synced
  ssize_t Read(int fd, char* out, size_t n, uint64_t offset) override {
    return Retry([&] { return pread(fd, out, n, static_cast<off_t>(offset)); });
  }
  ssize_t Write(int fd, const char* bytes, size_t n, uint64_t offset) override {
    return Retry([&] { return pwrite(fd, bytes, n, static_cast<off_t>(offset)); });
  }
  int Fdatasync(int fd) override {
    return Retry([&] { return fdatasync(fd); });
  }
  void StartWriteback(int fd, uint64_t offset, uint64_t n) override {
    sync_file_range(fd, static_cast<off_t>(offset), static_cast<off_t>(n), SYNC_FILE_RANGE_WRITE);
  }
  int MapWindow(int fd, uint64_t offset, size_t n, Window* out) override {
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) return -errno;
    // Elsewhere (copy on write, network) reserved space is no promise that a page can be written later: SIGBUS. Nor
    // is it on xfs, which shuts down after an error of its device, and then refuses pages (tests/power).
    if (fs.f_type != EXT4_SUPER_MAGIC && fs.f_type != TMPFS_MAGIC) return -EOPNOTSUPP;
    const auto at = static_cast<off_t>(offset), size = static_cast<off_t>(n);
    const int reserved = Retry([&] { return fallocate(fd, 0, at, size); });
    if (reserved < 0) return reserved;
    void* const map = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, at);
    if (map == MAP_FAILED) return -errno;
    // All pages at once cost a fifth of one fault each, and one that cannot be had is an error here, not a signal.
    // EINVAL: a kernel before 5.14.
    if (madvise(map, n, MADV_POPULATE_WRITE) != 0 && errno != EINVAL) {
      const int error = errno;
      munmap(map, n);
      return -error;
    }
    *out = {static_cast<char*>(map), offset, n};
    return 0;
  }
  void UnmapWindow(const Window& window) override { munmap(window.at, window.bytes); }
  int Store(int, const Window& window, const char* bytes, size_t n, uint64_t offset) override {
    std::memcpy(window.at + (offset - window.offset), bytes, n);
    return 0;
  }
  int Truncate(int fd, uint64_t size) override {
    return Retry([&] { return ftruncate(fd, static_cast<off_t>(size)); });
  }
  int TryFlock(int fd) override {
    return Retry([&] { return flock(fd, LOCK_EX | LOCK_NB); });
  }
  int StatFd(int fd, FileStat* out) override {
    struct stat st;
    if (fstat(fd, &st) != 0) return -errno;
    *out = {KindOfMode(st.st_mode), static_cast<uint64_t>(st.st_size)};
    return 0;
  }

  int Stat(const std::string& path, FileStat* out) override {
    struct stat st;
    if (stat(path.c_str(), &st) != 0) return -errno;
    *out = {KindOfMode(st.st_mode), static_cast<uint64_t>(st.st_size)};
    return 0;
  }
  int RenameNoReplace(const std::string& from, const std::string& to) override {
    return Retry([&] { return renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE); });
  }
  int Link(const std::string& from, const std::string& to) override {
    return Retry([&] { return link(from.c_str(), to.c_str()); });
  }
  int Unlink(const std::string& path) override {
    return Retry([&] { return unlink(path.c_str()); });
  }
  int MakeDirectory(const std::string& path) override {
    return Retry([&] { return mkdir(path.c_str(), 0777); });
  }
  int SyncDirectory(const std::string& path) override {
    const int fd = Retry([&] { return open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
    if (fd < 0) return fd;
    const int result = Retry([&] { return fsync(fd); });
    close(fd);
    return result;
  }
  int ListDirectory(const std::string& path, std::vector<DirectoryEntry>* out) override {
    DIR* dir = opendir(path.c_str());
    if (dir == nullptr) return -errno;
    int result = 0;
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(dir);
      if (entry == nullptr) {
        result = -errno;
        break;
      }
      if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
      out->push_back({entry->d_name, KindOfEntry(dirfd(dir), *entry)});
    }
    closedir(dir);
    return result;
  }
  int Space(const std::string& path, SpaceInfo* out) override {
    struct statvfs fs;
    if (Retry([&] { return statvfs(path.c_str(), &fs); }) < 0) return -errno;
    *out = {fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize};
    return 0;
  }

 private:
  static FileKind KindOfEntry(int dir_fd, const dirent& entry) {
    if (entry.d_type == DT_REG) return FileKind::kRegular;
    if (entry.d_type == DT_DIR) return FileKind::kDirectory;
    if (entry.d_type != DT_UNKNOWN) return FileKind::kOther;
    struct stat st;  // some filesystems do not fill d_type in
    if (fstatat(dir_fd, entry.d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return FileKind::kOther;
    return KindOfMode(st.st_mode);
  }
};

}  // namespace

std::shared_ptr<FileOps> PosixFileOps() {
  static const auto ops = std::make_shared<Posix>();
  return ops;
}

}  // namespace tarn::local
