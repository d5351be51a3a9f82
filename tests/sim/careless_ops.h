// FileOps that forgets one kind of thing: what the local backend would do with a line missing. For the tests that
// prove the simulated filesystem would notice.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/local/file_ops.h"

namespace tarn::test {

enum class Lapse : uint8_t {
  kNone,
  kNoFdatasync,
  kNoSyncAfterMkdir,   // of the directory around a new one
  kNoSyncAfterRename,  // of a blob's directory, after it got its name
  kNoSyncAfterCreate,  // of a log's directory
  kNoSyncAfterExists,  // of the directory of a blob whose name was taken
  kRetriesFdatasync,   // once, when it failed
  kShortReadIsWhole,
  kShortWriteIsWhole,
};

class CarelessOps final : public local::FileOps {
 public:
  CarelessOps(std::shared_ptr<local::FileOps> ops, Lapse lapse) : ops_(std::move(ops)), lapse_(lapse) {}

  int OpenRead(const std::string& path) override { return ops_->OpenRead(path); }
  int CreateExclusive(const std::string& path) override {
    before_ = Lapse::kNoSyncAfterCreate;
    return ops_->CreateExclusive(path);
  }
  int OpenLockFile(const std::string& path) override { return ops_->OpenLockFile(path); }
  void Close(int fd) override { ops_->Close(fd); }
  ssize_t Read(int fd, char* out, size_t n, uint64_t offset) override {
    const ssize_t moved = ops_->Read(fd, out, n, offset);
    return moved > 0 && lapse_ == Lapse::kShortReadIsWhole ? static_cast<ssize_t>(n) : moved;
  }
  ssize_t Write(int fd, const char* bytes, size_t n, uint64_t offset) override {
    const ssize_t moved = ops_->Write(fd, bytes, n, offset);
    return moved > 0 && lapse_ == Lapse::kShortWriteIsWhole ? static_cast<ssize_t>(n) : moved;
  }
  int Fdatasync(int fd) override {
    if (lapse_ == Lapse::kNoFdatasync) return 0;
    const int result = ops_->Fdatasync(fd);
    return result < 0 && lapse_ == Lapse::kRetriesFdatasync ? ops_->Fdatasync(fd) : result;
  }
  int MapWindow(int fd, uint64_t offset, size_t n, local::Window* out) override {
    return ops_->MapWindow(fd, offset, n, out);
  }
  void UnmapWindow(const local::Window& window) override { ops_->UnmapWindow(window); }
  int Store(int fd, const local::Window& window, const char* bytes, size_t n, uint64_t offset) override {
    return ops_->Store(fd, window, bytes, n, offset);
  }
  int Truncate(int fd, uint64_t size) override { return ops_->Truncate(fd, size); }
  int TryFlock(int fd) override { return ops_->TryFlock(fd); }
  int StatFd(int fd, local::FileStat* out) override { return ops_->StatFd(fd, out); }
  int Stat(const std::string& path, local::FileStat* out) override { return ops_->Stat(path, out); }
  int RenameNoReplace(const std::string& from, const std::string& to) override {
    const int result = ops_->RenameNoReplace(from, to);
    before_ = result == 0 ? Lapse::kNoSyncAfterRename : Lapse::kNoSyncAfterExists;
    return result;
  }
  int Link(const std::string& from, const std::string& to) override { return ops_->Link(from, to); }
  int Unlink(const std::string& path) override { return ops_->Unlink(path); }
  int MakeDirectory(const std::string& path) override {
    before_ = Lapse::kNoSyncAfterMkdir;
    return ops_->MakeDirectory(path);
  }
  int SyncDirectory(const std::string& path) override {
    return lapse_ != Lapse::kNone && lapse_ == before_ ? 0 : ops_->SyncDirectory(path);
  }
  int ListDirectory(const std::string& path, std::vector<local::DirectoryEntry>* out) override {
    return ops_->ListDirectory(path, out);
  }
  int Space(const std::string& path, SpaceInfo* out) override { return ops_->Space(path, out); }

 private:
  const std::shared_ptr<local::FileOps> ops_;
  const Lapse lapse_;
  Lapse before_ = Lapse::kNone;  // which lapse the next sync of a directory would be
};

}  // namespace tarn::test
