// System calls of which the N-th fails: FileOps over the real ones. For the sweep of the local backend.
//
// A fault is an errno, with or without the effect, or a transfer that moves less than was asked for: one byte, half,
// nothing. Every open descriptor is known, so that a leak is seen. Syncs are counted and fail like the others, but
// are not carried out: these tests cut no power, and a thousand stores would wait for the device.
//
// Threads: any, because reads run on the store's pool.
#pragma once

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "backends/local/file_ops.h"

namespace tarn::test {

enum class SysCall : uint8_t {
  kOpenRead,
  kCreate,
  kOpenLock,
  kRead,
  kWrite,
  kSync,
  kMap,
  kTruncate,
  kFlock,
  kStat,
  kRename,
  kLink,
  kUnlink,
  kMakeDirectory,
  kSyncDirectory,
  kList,
  kSpace,
};

enum class Transfer : uint8_t { kWhole, kOneByte, kHalf, kNothing };

struct SystemFault {
  int error = 0;  // 0: the transfer is what is wrong
  Transfer transfer = Transfer::kWhole;
  bool forever = false;
  bool effect_happens = false;
  bool (*selects)(SysCall) = nullptr;
};

class FaultyFileOps final : public local::FileOps {
 public:
  // `fault` outlives its use. nth 0 counts only; a null fault ends it and keeps the counts.
  void Arm(const SystemFault* fault, uint64_t nth) {
    std::lock_guard lock(mutex_);
    fault_ = fault;
    if (fault == nullptr) return;
    nth_ = nth;
    calls_ = fired_ = 0;
    hit_log_ = hit_publish_ = false;
  }
  uint64_t calls() const { return Locked(calls_); }
  uint64_t fired() const { return Locked(fired_); }
  bool hit_log() const { return Locked(hit_log_); }
  bool hit_publish() const { return Locked(hit_publish_); }
  std::map<int, std::string> open_files() const { return Locked(open_); }

  int OpenRead(const std::string& path) override { return Opened(SysCall::kOpenRead, path, &FileOps::OpenRead); }
  int CreateExclusive(const std::string& path) override {
    return Opened(SysCall::kCreate, path, &FileOps::CreateExclusive);
  }
  int OpenLockFile(const std::string& path) override {
    return Opened(SysCall::kOpenLock, path, &FileOps::OpenLockFile);
  }
  void Close(int fd) override {
    {
      std::lock_guard lock(mutex_);
      open_.erase(fd);
    }
    real_->Close(fd);
  }
  ssize_t Read(int fd, char* out, size_t n, uint64_t offset) override {
    return Moved(SysCall::kRead, fd, n, [&](size_t some) { return real_->Read(fd, out, some, offset); });
  }
  ssize_t Write(int fd, const char* bytes, size_t n, uint64_t offset) override {
    return Moved(SysCall::kWrite, fd, n, [&](size_t some) { return real_->Write(fd, bytes, some, offset); });
  }
  int Fdatasync(int fd) override {
    return Done(SysCall::kSync, PathOf(fd), [] { return 0; });
  }
  int MapWindow(int fd, uint64_t offset, size_t n, local::Window* out) override {
    return Done(SysCall::kMap, PathOf(fd), [&] { return real_->MapWindow(fd, offset, n, out); });
  }
  void UnmapWindow(const local::Window& window) override { real_->UnmapWindow(window); }
  int Store(int fd, const local::Window& window, const char* bytes, size_t n, uint64_t offset) override {
    return real_->Store(fd, window, bytes, n, offset);  // no system call, so nothing to fail
  }
  int Truncate(int fd, uint64_t size) override {
    return Done(SysCall::kTruncate, PathOf(fd), [&] { return real_->Truncate(fd, size); });
  }
  int TryFlock(int fd) override {
    return Done(SysCall::kFlock, PathOf(fd), [&] { return real_->TryFlock(fd); });
  }
  int StatFd(int fd, local::FileStat* out) override {
    return Done(SysCall::kStat, PathOf(fd), [&] { return real_->StatFd(fd, out); });
  }
  int Stat(const std::string& path, local::FileStat* out) override {
    return Done(SysCall::kStat, path, [&] { return real_->Stat(path, out); });
  }
  int RenameNoReplace(const std::string& from, const std::string& to) override {
    return Done(SysCall::kRename, to, [&] { return real_->RenameNoReplace(from, to); });
  }
  int Link(const std::string& from, const std::string& to) override {
    return Done(SysCall::kLink, to, [&] { return real_->Link(from, to); });
  }
  int Unlink(const std::string& path) override {
    return Done(SysCall::kUnlink, path, [&] { return real_->Unlink(path); });
  }
  int MakeDirectory(const std::string& path) override {
    return Done(SysCall::kMakeDirectory, path, [&] { return real_->MakeDirectory(path); });
  }
  int SyncDirectory(const std::string& path) override {
    return Done(SysCall::kSyncDirectory, path, [] { return 0; });
  }
  int ListDirectory(const std::string& path, std::vector<local::DirectoryEntry>* out) override {
    return Done(SysCall::kList, path, [&] { return real_->ListDirectory(path, out); });
  }
  int Space(const std::string& path, SpaceInfo* out) override {
    return Done(SysCall::kSpace, path, [&] { return real_->Space(path, out); });
  }

 private:
  template <typename T>
  T Locked(const T& value) const {
    std::lock_guard lock(mutex_);
    return value;
  }
  std::string PathOf(int fd) const {
    std::lock_guard lock(mutex_);
    const auto found = open_.find(fd);
    return found == open_.end() ? std::string() : found->second;
  }
  // The fault, if this call meets it.
  const SystemFault* Hit(SysCall call, const std::string& path) {
    std::lock_guard lock(mutex_);
    if (fault_ == nullptr || !fault_->selects(call)) return nullptr;
    ++calls_;
    if (nth_ == 0 || (fault_->forever ? calls_ < nth_ : calls_ != nth_)) return nullptr;
    ++fired_;
    hit_log_ |= path.find("/wal") != std::string::npos;
    // A full device at any other call means that the name is not there.
    hit_publish_ |=
        path.find("/manifest") != std::string::npos && (call == SysCall::kSyncDirectory || fault_->error != ENOSPC);
    return fault_;
  }
  template <typename Call>
  int Done(SysCall what, const std::string& path, Call call) {
    const SystemFault* fault = Hit(what, path);
    if (fault == nullptr) return call();
    if (fault->effect_happens) {
      if (const int result = call(); result < 0) return result;
    }
    return -fault->error;
  }
  template <typename Call>
  ssize_t Moved(SysCall what, int fd, size_t n, Call call) {
    const SystemFault* fault = Hit(what, PathOf(fd));
    if (fault == nullptr) return call(n);
    switch (fault->transfer) {
      case Transfer::kNothing: return 0;
      case Transfer::kOneByte: return call(std::min<size_t>(n, 1));
      case Transfer::kHalf: return call((n + 1) / 2);
      case Transfer::kWhole: break;
    }
    if (fault->effect_happens) {
      if (const ssize_t result = call(n); result < 0) return result;
    }
    return -fault->error;
  }
  int Opened(SysCall what, const std::string& path, int (FileOps::*open)(const std::string&)) {
    const SystemFault* fault = Hit(what, path);
    if (fault != nullptr && !fault->effect_happens) return -fault->error;
    const int fd = (real_.get()->*open)(path);
    if (fd < 0) return fd;
    if (fault != nullptr) {  // the file is there, its descriptor is not
      real_->Close(fd);
      return -fault->error;
    }
    std::lock_guard lock(mutex_);
    open_[fd] = path;
    return fd;
  }

  const std::shared_ptr<FileOps> real_ = local::PosixFileOps();
  mutable std::mutex mutex_;  // guards what follows; not held during calls
  const SystemFault* fault_ = nullptr;
  uint64_t nth_ = 0, calls_ = 0, fired_ = 0;
  bool hit_log_ = false, hit_publish_ = false;
  std::map<int, std::string> open_;  // descriptor -> path
};

}  // namespace tarn::test
