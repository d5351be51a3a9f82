// FileOps that writes down each call and can fail one of them. For the durability tests of the local backend.
//
// Paths are shown below the root of the store, temporary files as ".TMP"; the descriptor of a call is shown as
// the path that it was opened with. Threads: one at a time.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backends/local/file_ops.h"

namespace tarn::test {

class RecordingFileOps final : public local::FileOps {
 public:
  explicit RecordingFileOps(std::string root) : root_(std::move(root)) {}

  // Call number n from now on (1 = the next) fails with `error` and has no effect; 0 = none.
  void FailAt(uint64_t n, int error) {
    calls_ = 0;
    fail_at_ = n;
    error_ = error;
  }
  // From now on renames answer `error`, as on a filesystem that does not know RENAME_NOREPLACE.
  void RefuseRename(int error) { rename_error_ = error; }
  // From now on a write or read moves at most so many bytes.
  void SetMaxTransfer(size_t bytes) { max_transfer_ = bytes; }
  // From now on files cannot be mapped, as on most filesystems.
  void RefuseWindows() { windows_ = false; }
  uint64_t calls() const { return calls_; }
  std::string Take() {
    std::string text;
    for (const std::string& line : lines_) text.append(line).append("\n");
    lines_.clear();
    return text;
  }

  int OpenRead(const std::string& path) override { return Opened(path, "open", &FileOps::OpenRead); }
  int CreateExclusive(const std::string& path) override { return Opened(path, "create", &FileOps::CreateExclusive); }
  int OpenLockFile(const std::string& path) override { return Opened(path, "open-lock", &FileOps::OpenLockFile); }
  void Close(int fd) override {  // cannot fail, so it is neither counted nor shown
    names_.erase(fd);
    real_->Close(fd);
  }
  ssize_t Read(int fd, char* out, size_t n, uint64_t offset) override {
    if (const int e = Enter("read " + names_[fd])) return e;
    return real_->Read(fd, out, std::min(n, max_transfer_), offset);
  }
  ssize_t Write(int fd, const char* bytes, size_t n, uint64_t offset) override {
    n = std::min(n, max_transfer_);
    const std::string size = std::to_string(n);
    if (const int e = Enter("write " + names_[fd] + " " + size)) return e;
    return real_->Write(fd, bytes, n, offset);
  }
  int Fdatasync(int fd) override {
    if (const int e = Enter("fdatasync " + names_[fd])) return e;
    return real_->Fdatasync(fd);
  }
  void StartWriteback(int fd, uint64_t offset, uint64_t n) override {
    lines_.push_back("writeback " + names_[fd] + " " + std::to_string(offset) + " " + std::to_string(n));
    real_->StartWriteback(fd, offset, n);
  }
  // A window of memory whose stores are written, so that what is recorded does not depend on the filesystem.
  int MapWindow(int fd, uint64_t offset, size_t n, local::Window* out) override {
    if (!windows_) return -EOPNOTSUPP;
    if (const int e = Enter("map " + names_[fd] + " " + std::to_string(n))) return e;
    *out = {new char[n], offset, n};
    return 0;
  }
  void UnmapWindow(const local::Window& window) override { delete[] window.at; }
  int Store(int fd, const local::Window&, const char* bytes, size_t n, uint64_t offset) override {
    lines_.push_back("store " + names_[fd] + " " + std::to_string(n));
    return real_->Write(fd, bytes, n, offset) == static_cast<ssize_t>(n) ? 0 : -EIO;
  }
  int Truncate(int fd, uint64_t size) override {
    if (const int e = Enter("truncate " + names_[fd] + " " + std::to_string(size))) return e;
    return real_->Truncate(fd, size);
  }
  int TryFlock(int fd) override {
    if (const int e = Enter("flock " + names_[fd])) return e;
    return real_->TryFlock(fd);
  }
  int StatFd(int fd, local::FileStat* out) override {
    if (const int e = Enter("fstat " + names_[fd])) return e;
    return real_->StatFd(fd, out);
  }
  int Stat(const std::string& path, local::FileStat* out) override {
    if (const int e = Enter("stat " + Short(path))) return e;
    return real_->Stat(path, out);
  }
  int RenameNoReplace(const std::string& from, const std::string& to) override {
    if (const int e = Enter("rename-noreplace " + Short(from) + " " + Short(to))) return e;
    return rename_error_ != 0 ? -rename_error_ : real_->RenameNoReplace(from, to);
  }
  int Link(const std::string& from, const std::string& to) override {
    if (const int e = Enter("link " + Short(from) + " " + Short(to))) return e;
    return real_->Link(from, to);
  }
  int Unlink(const std::string& path) override {
    if (const int e = Enter("unlink " + Short(path))) return e;
    return real_->Unlink(path);
  }
  int MakeDirectory(const std::string& path) override {
    if (const int e = Enter("mkdir " + Short(path))) return e;
    return real_->MakeDirectory(path);
  }
  int SyncDirectory(const std::string& path) override {
    if (const int e = Enter("fsync-dir " + Short(path))) return e;
    return real_->SyncDirectory(path);
  }
  int ListDirectory(const std::string& path, std::vector<local::DirectoryEntry>* out) override {
    if (const int e = Enter("readdir " + Short(path))) return e;
    return real_->ListDirectory(path, out);
  }
  int Space(const std::string& path, SpaceInfo* out) override {
    if (const int e = Enter("statvfs " + Short(path))) return e;
    return real_->Space(path, out);
  }

 private:
  // 0, or the negative errno that the call shall return.
  int Enter(std::string line) {
    const bool fails = ++calls_ == fail_at_;
    if (fails) line += " -> fails";
    lines_.push_back(std::move(line));
    return fails ? -error_ : 0;
  }
  int Opened(const std::string& path, const char* verb, int (FileOps::*open)(const std::string&)) {
    if (const int e = Enter(std::string(verb).append(" ").append(Short(path)))) return e;
    const int fd = (real_.get()->*open)(path);
    if (fd >= 0) names_[fd] = Short(path);
    return fd;
  }
  std::string Short(const std::string& path) const {
    std::string text = path == root_ ? "." : path;
    if (text.starts_with(root_ + "/")) text.erase(0, root_.size() + 1);
    const size_t temporary = text.find(".TMP-");
    if (temporary != std::string::npos) text.resize(temporary + 4);
    while (text.size() > 1 && text.back() == '/') text.pop_back();
    return text.empty() ? "." : text;
  }

  const std::shared_ptr<FileOps> real_ = local::PosixFileOps();
  const std::string root_;
  std::vector<std::string> lines_;
  std::map<int, std::string> names_;
  uint64_t calls_ = 0, fail_at_ = 0;
  int error_ = 0, rename_error_ = 0;
  bool windows_ = true;
  size_t max_transfer_ = SIZE_MAX;
};

}  // namespace tarn::test
