#include "backends/local/files.h"

#include <algorithm>
#include <cerrno>

#include "backends/local/errors.h"

namespace tarn::local {
namespace {

// One system call moves less than 2 GiB; half of that keeps pages aligned.
constexpr size_t kMaxTransferBytes = 1u << 30;

Status WriteAll(FileOps& ops, int fd, const std::string& path, std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ops.Write(fd, bytes.data(), std::min(bytes.size(), kMaxTransferBytes), offset);
    if (n < 0) return FileError(static_cast<int>(-n), "write", path);
    if (n == 0) return FileError(EIO, "write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return Status::Ok();
}

class FileWriter final : public BlobWriter {
 public:
  FileWriter(StoreDirectory* directory, std::string_view name, StoreDirectory::Temporary temporary)
      : directory_(directory), name_(name), temporary_(std::move(temporary)) {}
  ~FileWriter() override {
    directory_->ops().Close(temporary_.fd);
    if (!published_) directory_->DiscardTemporary(temporary_);
  }
  Status Append(std::string_view bytes) override {
    TARN_TRY(Usable());
    failure_ = WriteAll(directory_->ops(), temporary_.fd, temporary_.path, bytes, size_);
    size_ += bytes.size();
    return failure_;
  }
  Status Finish() override {
    TARN_TRY(Usable());
    const int synced = directory_->ops().Fdatasync(temporary_.fd);
    failure_ = synced < 0 ? FileError(-synced, "sync", temporary_.path) : directory_->Publish(temporary_, name_);
    published_ = failure_.ok();
    return failure_;
  }

 private:
  Status Usable() const {
    if (published_) return Status::Invalid("blob " + name_ + " was already finished: create another blob");
    return failure_;
  }

  StoreDirectory* const directory_;
  const std::string name_;
  const StoreDirectory::Temporary temporary_;
  uint64_t size_ = 0;
  bool published_ = false;
  Status failure_;  // the first error; every later call returns it
};

class LogFile final : public AppendFile {
 public:
  LogFile(FileOps* ops, int fd, std::string path) : ops_(ops), fd_(fd), path_(std::move(path)) {}
  ~LogFile() override { ops_->Close(fd_); }
  Status Append(std::string_view bytes) override {
    TARN_TRY(failure_);
    failure_ = WriteAll(*ops_, fd_, path_, bytes, size_);
    size_ += bytes.size();
    return failure_;
  }
  Status Sync() override {
    TARN_TRY(failure_);
    const int synced = ops_->Fdatasync(fd_);
    if (synced < 0) failure_ = FileError(-synced, "sync", path_);
    return failure_;
  }

 private:
  FileOps* const ops_;
  const int fd_;
  const std::string path_;
  uint64_t size_ = 0;
  Status failure_;  // once set, the file is poisoned
};

}  // namespace

Status FileReader::CheckRange(uint64_t offset, size_t wanted) const {
  if (offset > size_ || wanted > size_ - offset) return PastTheEnd(path_, size_, offset, wanted);
  return Status::Ok();
}

Status FileReader::Read(uint64_t offset, std::span<char> out) const {
  TARN_TRY(CheckRange(offset, out.size()));
  while (!out.empty()) {
    const ssize_t n = ops_->Read(fd_, out.data(), std::min(out.size(), kMaxTransferBytes), offset);
    if (n < 0) return FileError(static_cast<int>(-n), "read", path_);
    if (n == 0) return PastTheEnd(path_, offset, offset, out.size());  // it shrank since it was opened
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return Status::Ok();
}

Result<std::unique_ptr<BlobReader>> OpenReader(const StoreDirectory& directory, std::string_view name) {
  FileOps& ops = directory.ops();
  const std::string path = directory.PathOf(name);
  const int fd = ops.OpenRead(path);
  // A file where a directory should be means just that there is no such blob.
  if (fd < 0) return FileError(fd == -ENOTDIR ? ENOENT : -fd, "open", path);
  FileStat stat;
  const int looked = ops.StatFd(fd, &stat);
  if (looked < 0 || stat.kind != FileKind::kRegular) {
    ops.Close(fd);
    if (looked < 0) return FileError(-looked, "look at", path);
    return Status::Invalid("cannot open " + path + ": it is not a file: name a blob, or remove what is not Tarn's");
  }
  return std::unique_ptr<BlobReader>(std::make_unique<FileReader>(&ops, fd, path, stat.size));
}

Result<std::unique_ptr<BlobWriter>> CreateWriter(StoreDirectory* directory, std::string_view name) {
  TARN_ASSIGN(auto temporary, directory->CreateTemporary(name));
  return std::unique_ptr<BlobWriter>(std::make_unique<FileWriter>(directory, name, std::move(temporary)));
}

Result<std::unique_ptr<AppendFile>> CreateLog(StoreDirectory* directory, std::string_view name) {
  TARN_TRY(directory->PrepareDirectoryOf(name));
  const std::string path = directory->PathOf(name);
  FileOps& ops = directory->ops();
  const int fd = ops.CreateExclusive(path);
  if (fd == -EEXIST) {
    FileStat stat;
    if (ops.Stat(path, &stat) == 0 && stat.kind != FileKind::kRegular) {
      return Status::Invalid("cannot create " + path + ": a directory has that name: choose another name");
    }
    return Status::Busy(path + " already exists: choose another name");
  }
  if (fd < 0) return FileError(-fd, "create", path);
  auto log = std::make_unique<LogFile>(&ops, fd, path);
  TARN_TRY(directory->SyncDirectoryOf(name));
  return std::unique_ptr<AppendFile>(std::move(log));
}

}  // namespace tarn::local
