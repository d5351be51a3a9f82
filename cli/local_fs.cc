#include "cli/local_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "cli/context.h"

namespace tarn::cli {
namespace {

constexpr int kMaxRetries = 8;  // an attribute that keeps growing between the two calls

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};

bool SameFile(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// The two-call dance of listxattr and getxattr: ask for the size, then for the bytes.
template <typename Call>
Result<std::string> Sized(const Call& call, std::string_view shown) {
  std::string bytes;
  for (int i = 0; i < kMaxRetries; ++i) {
    const ssize_t need = call(nullptr, 0);
    if (need < 0) return LocalError(errno, shown, "cannot read its extended attributes");
    bytes.resize(static_cast<size_t>(need));
    if (need == 0) return bytes;
    const ssize_t got = call(bytes.data(), bytes.size());
    if (got >= 0) {
      bytes.resize(static_cast<size_t>(got));
      return bytes;
    }
    if (errno != ERANGE) return LocalError(errno, shown, "cannot read its extended attributes");
  }
  return LocalError(EAGAIN, shown, "its extended attributes keep changing; try again when they are quiet");
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) close(fd_);
}

UniqueFd OpenAt(int directory, const std::string& path, int flags, mode_t mode) {
  int fd;
  do {
    fd = openat(directory, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return UniqueFd(fd);
}

Result<std::vector<std::string>> ListDirectory(int directory, std::string_view shown) {
  UniqueFd again = OpenAt(directory, ".", O_RDONLY | O_DIRECTORY);
  if (!again.ok()) return LocalError(errno, shown, "cannot read the directory; check its permissions");
  std::unique_ptr<DIR, CloseDir> dir(fdopendir(again.get()));
  if (dir == nullptr) return LocalError(errno, shown, "cannot read the directory");
  again.release();  // closedir closes it
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const struct dirent* entry = readdir(dir.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return LocalError(errno, shown, "cannot read the directory; check the disk");
  std::sort(names.begin(), names.end());
  return names;
}

ssize_t ReadSome(int fd, std::span<char> out, uint64_t offset) {
  ssize_t n;
  do {
    n = pread(fd, out.data(), out.size(), static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  return n;
}

Result<size_t> ReadStream(int fd, std::span<char> out, std::string_view shown) {
  size_t filled = 0;
  while (filled < out.size()) {
    const ssize_t n = read(fd, out.data() + filled, out.size() - filled);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return LocalError(errno, shown, "cannot read");
    if (n == 0) break;
    filled += static_cast<size_t>(n);
  }
  return filled;
}

Status WriteAll(int fd, std::string_view bytes, uint64_t offset, std::string_view shown) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return LocalError(errno, shown, errno == ENOSPC ? "free some space and run it again" : "cannot write");
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<bool> IsWithin(int inner, int outer) {
  struct stat wanted, here, above;
  if (fstat(outer, &wanted) != 0 || fstat(inner, &here) != 0)
    return LocalError(errno, "directory", "cannot look at it");
  UniqueFd at;
  int current = inner;
  while (!SameFile(here, wanted)) {
    UniqueFd up = OpenAt(current, "..", O_PATH | O_DIRECTORY);
    if (!up.ok() || fstat(up.get(), &above) != 0)
      return LocalError(errno, "..", "cannot look at the directory above");
    if (SameFile(above, here)) return false;  // the root
    here = above;
    at = std::move(up);
    current = at.get();
  }
  return true;
}

std::string PathOf(int fd) {
  char buffer[4097];
  const ssize_t n = readlink(fmt::format("/proc/self/fd/{}", fd).c_str(), buffer, sizeof buffer - 1);
  return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
}

bool KeepsXattr(std::string_view name) {
  if (name.starts_with("user.")) return true;
  if (geteuid() != 0) return false;
  return name.starts_with("trusted.") || name == "security.capability" || name.starts_with("system.posix_acl_");
}

Result<std::vector<LocalXattr>> ReadXattrs(int fd, std::string_view shown) {
  auto list = Sized([&](char* out, size_t n) { return flistxattr(fd, out, n); }, shown);
  std::vector<LocalXattr> found;
  if (!list.ok() && list.status().os_error() == EOPNOTSUPP) return found;
  if (!list.ok()) return list.status();
  for (size_t at = 0; at < list->size();) {
    const std::string name = list->c_str() + at;
    at += name.size() + 1;
    if (!KeepsXattr(name)) continue;
    auto value = Sized([&](char* out, size_t n) { return fgetxattr(fd, name.c_str(), out, n); }, shown);
    if (!value.ok() && value.status().os_error() == ENODATA) continue;  // removed since it was listed
    if (!value.ok()) return value.status();
    found.push_back({name, std::move(value).value()});
  }
  return found;
}

struct timespec TimespecOf(int64_t ns) {
  struct timespec t = {};
  t.tv_sec = ns / 1'000'000'000;
  t.tv_nsec = ns % 1'000'000'000;
  if (t.tv_nsec < 0) {
    t.tv_nsec += 1'000'000'000;
    --t.tv_sec;
  }
  return t;
}

}  // namespace tarn::cli
