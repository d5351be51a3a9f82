// Small pieces of the local file system: descriptors that close themselves, whole reads and writes, directory
// listings, extended attributes. Everything is relative to a directory descriptor and follows no symbolic links,
// so that a path means the same to a verb wherever it runs, and cannot be bent while it runs.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/status.h"

namespace tarn::cli {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  void reset() { UniqueFd closing(release()); }

 private:
  int fd_ = -1;
};

// openat(2) with O_CLOEXEC, again after EINTR; a failure leaves errno set and gives a descriptor that is not ok().
UniqueFd OpenAt(int directory, const std::string& path, int flags, mode_t mode = 0);

// Names in an open directory, without "." and "..", sorted bytewise.
Result<std::vector<std::string>> ListDirectory(int directory, std::string_view shown);

// Reads up to out.size() bytes at `offset`; 0 at the end; -1 with errno.
ssize_t ReadSome(int fd, std::span<char> out, uint64_t offset);
// Reads a stream until `out` is full or the stream ends.
Result<size_t> ReadStream(int fd, std::span<char> out, std::string_view shown);
Status WriteAll(int fd, std::string_view bytes, uint64_t offset, std::string_view shown);

// Whether `inner` is `outer` or lies below it; both are open directories.
Result<bool> IsWithin(int inner, int outer);
// The path a descriptor has now, as the kernel tells it.
std::string PathOf(int fd);

struct LocalXattr {
  std::string name, value;
};
// Those that a lake keeps: user.* for everyone; as root also trusted.*, capabilities and ACLs.
Result<std::vector<LocalXattr>> ReadXattrs(int fd, std::string_view shown);
bool KeepsXattr(std::string_view name);

inline int64_t NanosOf(const struct timespec& t) { return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec; }
struct timespec TimespecOf(int64_t ns);

}  // namespace tarn::cli
