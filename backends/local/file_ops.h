// Every system call of the local backend except io_uring's, as an object. For backends/local and its tests.
//
// The seam exists so that a test can record the exact order of writes, syncs and renames (which is the whole
// of durability) and fail each call in turn. It adds no policy: one method is one system call, or the open,
// call, close around one.
//
// Results: >= 0 is success (a descriptor, or a count of bytes), < 0 is -errno. Nothing retries here except
// EINTR inside the posix one. Threads: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tarn/sdk/backend.h"

namespace tarn::local {

enum class FileKind : uint8_t { kRegular, kDirectory, kOther };

struct FileStat {
  FileKind kind = FileKind::kOther;
  uint64_t size = 0;
};
struct DirectoryEntry {
  std::string name;
  FileKind kind = FileKind::kOther;
};

// What O_DIRECT is content with on every device we know: the size of a page, which their sectors divide.
inline constexpr size_t kDirectBytes = 4096;

// A part of a file that is mapped for writing.
struct Window {
  char* at = nullptr;
  uint64_t offset = 0;
  size_t bytes = 0;
};

class FileOps {
 public:
  virtual ~FileOps() = default;

  // Files. All descriptors are close-on-exec.
  virtual int OpenRead(const std::string& path) = 0;
  // The same past the page cache: length and offset of each read are multiples of DirectBytes, the buffer's address
  // is one of kDirectBytes. -EINVAL where that cannot be, as in a filesystem of a test that does not say otherwise.
  virtual int OpenReadDirect(const std::string& path) { return static_cast<void>(path), -EINVAL; }
  // A power of two, kDirectBytes at most: where the system says so, the sectors of the device.
  virtual size_t DirectBytes(int fd) { return static_cast<void>(fd), kDirectBytes; }
  virtual int CreateExclusive(const std::string& path) = 0;  // -EEXIST when there is something of that name
  virtual int OpenLockFile(const std::string& path) = 0;     // made when missing, never truncated
  virtual void Close(int fd) = 0;
  virtual ssize_t Read(int fd, char* out, size_t n, uint64_t offset) = 0;
  virtual ssize_t Write(int fd, const char* bytes, size_t n, uint64_t offset) = 0;
  virtual int Fdatasync(int fd) = 0;
  // Advice: has the device begin to write [offset, offset + n) of a file, so that a later Fdatasync has less to wait
  // for. It promises nothing; what fails is an error of that Fdatasync.
  virtual void StartWriteback(int fd, uint64_t offset, uint64_t n) { static_cast<void>(fd + offset + n); }
  // Gives [offset, offset + n) of a file space of its own, zeros where there was none, and maps it. `offset` is a
  // multiple of 64 KiB. -EOPNOTSUPP where a store into the map could still meet a full device.
  virtual int MapWindow(int fd, uint64_t offset, size_t n, Window* out) = 0;
  virtual void UnmapWindow(const Window& window) = 0;
  // Copies to `offset` of the file through a window that covers it. No system call; < 0 only from a simulated machine
  // that died here.
  virtual int Store(int fd, const Window& window, const char* bytes, size_t n, uint64_t offset) = 0;
  virtual int Truncate(int fd, uint64_t size) = 0;
  virtual int TryFlock(int fd) = 0;  // exclusive; -EWOULDBLOCK when another open has it
  virtual int StatFd(int fd, FileStat* out) = 0;

  // Names.
  virtual int Stat(const std::string& path, FileStat* out) = 0;
  virtual int RenameNoReplace(const std::string& from, const std::string& to) = 0;
  virtual int Link(const std::string& from, const std::string& to) = 0;
  virtual int Unlink(const std::string& path) = 0;
  virtual int MakeDirectory(const std::string& path) = 0;
  virtual int SyncDirectory(const std::string& path) = 0;
  virtual int ListDirectory(const std::string& path, std::vector<DirectoryEntry>* out) = 0;
  virtual int Space(const std::string& path, SpaceInfo* out) = 0;
};

std::shared_ptr<FileOps> PosixFileOps();

}  // namespace tarn::local
