#include "backends/local/files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "backends/local/errors.h"

namespace tarn::local {
namespace {

// One system call moves less than 2 GiB; half of that keeps pages aligned.
constexpr size_t kMaxTransferBytes = 1u << 30;

// So much is written before the device is told to begin, so that a sync waits for the last of them only. RocksDB's
// bytes_per_sync, and its usual value.
constexpr uint64_t kWritebackBytes = 1 << 20;

constexpr std::array<char, 32 << 10> kZeros = {};

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
    if (failure_.ok() && size_ - written_back_ >= kWritebackBytes) {
      directory_->ops().StartWriteback(temporary_.fd, written_back_, size_ - written_back_);
      written_back_ = size_;
    }
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
  uint64_t size_ = 0, written_back_ = 0;
  bool published_ = false;
  Status failure_;  // the first error; every later call returns it
};

// Appends by storing into a mapped window at the file's end, where the filesystem lets it: what was stored is the
// kernel's and survives kill -9 like a write, without its system call. A new window is taken when one is full, so
// zeros stand behind what was appended until the file is closed; they may stay there after a crash. Where there is no
// window to be had, bytes are written as usual.
//
// An append that is large by itself is written, and so are the next few, which may be headers of more such: a system
// call is nothing beside them, and the page cache takes their bytes instead of zeros first.
//
// Who syncs seldom gets its windows written with zeros first, because the page cache then has large pieces and
// mapping them costs a third. Each sync writes such a piece whole, so who syncs often gets pages.
class LogFile final : public AppendFile {
 public:
  LogFile(FileOps* ops, int fd, std::string path) : ops_(ops), fd_(fd), path_(std::move(path)) {}
  ~LogFile() override {
    DropWindow();
    // Only to give space back: an error leaves zeros, as a crash would.
    if (size_ < end_ && failure_.ok()) ops_->Truncate(fd_, size_);
    ops_->Close(fd_);
  }
  Status Append(std::string_view bytes) override {
    TARN_TRY(failure_);
    failure_ = AppendAll(bytes);
    return failure_;
  }
  Status Sync() override {
    TARN_TRY(failure_);
    const int synced = ops_->Fdatasync(fd_);
    if (synced < 0) failure_ = FileError(-synced, "sync", path_);
    synced_ = true;
    return failure_;
  }

 private:
  static constexpr size_t kLargeBytes = 64 << 10;
  static constexpr int kWrittenAfterLarge = 8;
  // Small at first, because most programs that open a store write little; then as large as costs no more to take.
  static constexpr size_t kFirstWindowBytes = 64 << 10, kLastWindowBytes = 1 << 20;

  Status AppendAll(std::string_view bytes) {
    for (bool store = IsStored(bytes.size()); store && !bytes.empty();) {
      const bool full = window_.at == nullptr || size_ == window_.offset + window_.bytes;
      if (full && !NextWindow()) break;
      const size_t room = window_.offset + window_.bytes - size_, n = std::min(room, bytes.size());
      const int stored = ops_->Store(fd_, window_, bytes.data(), n, size_);
      if (stored < 0) return FileError(-stored, "write", path_);
      bytes.remove_prefix(n);
      size_ += n;
    }
    if (bytes.empty()) return Status::Ok();
    TARN_TRY(WriteAll(*ops_, fd_, path_, bytes, size_));
    size_ += bytes.size();
    end_ = std::max(end_, size_);
    StartWriteback();
    return Status::Ok();
  }

  bool IsStored(size_t bytes) {
    if (bytes >= kLargeBytes) {
      DropWindow();  // what is mapped costs an interrupt of all processors for each page that the device takes
      window_.bytes = 0;
      to_write_ = kWrittenAfterLarge;
      return false;
    }
    if (to_write_ == 0) return mapped_;
    --to_write_;
    return false;
  }

  // False from the first refusal on. Whatever its reason, a plain write finds out whether it is an error.
  bool NextWindow() {
    const size_t next = window_.bytes == 0 ? kFirstWindowBytes : std::min(window_.bytes * 2, kLastWindowBytes);
    DropWindow();
    StartWriteback();
    const uint64_t begin = size_ / kFirstWindowBytes * kFirstWindowBytes;  // page sizes divide it
    end_ = std::max(end_, begin + next);
    mapped_ = (synced_ || WriteZeros(begin + next)) && ops_->MapWindow(fd_, begin, next, &window_) == 0;
    synced_ = false;
    return mapped_;
  }

  bool WriteZeros(uint64_t end) {
    for (uint64_t at = size_; at < end;) {
      const ssize_t n = ops_->Write(fd_, kZeros.data(), std::min<uint64_t>(kZeros.size(), end - at), at);
      if (n <= 0) return false;
      at += static_cast<uint64_t>(n);
    }
    return true;
  }

  void StartWriteback() {
    if (size_ - written_back_ < kWritebackBytes) return;
    ops_->StartWriteback(fd_, written_back_, size_ - written_back_);
    written_back_ = size_;
  }

  void DropWindow() {
    if (window_.at != nullptr) ops_->UnmapWindow(window_);
    window_.at = nullptr;
  }

  FileOps* const ops_;
  const int fd_;
  const std::string path_;
  Window window_;  // while it is there, size_ lies in it or at its end
  bool mapped_ = true;
  int to_write_ = 0;             // of the next appends so many are written
  bool synced_ = true;           // since the window was taken; of the first it is not known yet
  uint64_t size_ = 0, end_ = 0;  // of what was appended; of the file, or more
  uint64_t written_back_ = 0;
  Status failure_;  // once set, the file is poisoned
};

}  // namespace

Status FileReader::CheckRange(uint64_t offset, size_t wanted) const {
  if (offset > size_ || wanted > size_ - offset) return PastTheEnd(path_, size_, offset, wanted);
  return Status::Ok();
}

Status FileReader::Read(uint64_t offset, std::span<char> out) const {
  TARN_TRY(CheckRange(offset, out.size()));
  if (!direct() || out.empty()) return ReadAll(offset, out, out.size());
  thread_local AlignedRead read;
  read.Start(offset, out.size(), direct_bytes_);
  TARN_TRY(ReadAll(read.begin(), {read.data(), read.size()}, read.needed()));
  read.CopyTo(out);
  return Status::Ok();
}

// Up to all of `out`, at least `needed` bytes.
Status FileReader::ReadAll(uint64_t offset, std::span<char> out, size_t needed) const {
  for (size_t done = 0; done < needed;) {
    const size_t most = std::min(out.size() - done, kMaxTransferBytes);
    const ssize_t n = ops_->Read(fd_, out.data() + done, most, offset + done);
    if (n < 0) return FileError(static_cast<int>(-n), "read", path_);
    if (n == 0)
      return PastTheEnd(path_, offset + done, offset + done, needed - done);  // it shrank since it was opened
    done += static_cast<size_t>(n);
  }
  return Status::Ok();
}

void AlignedRead::Start(uint64_t offset, size_t wanted, size_t align) {
  begin_ = offset & ~(align - 1);
  needed_ = static_cast<size_t>(offset - begin_) + wanted;
  size_ = (needed_ + align - 1) & ~(align - 1);
  if (size_ <= capacity_ && capacity_ <= kKeptBytes) return;
  memory_.reset();
  capacity_ = 0;
  const size_t wholes = (size_ + kStepBytes - 1) / kStepBytes * kStepBytes;
  memory_.reset(static_cast<char*>(::operator new(wholes, std::align_val_t(kDirectBytes))));
  capacity_ = wholes;
}

void AlignedRead::CopyTo(std::span<char> out) const {
  std::memcpy(out.data(), data() + (needed_ - out.size()), out.size());
}

Result<std::unique_ptr<BlobReader>> OpenReader(const StoreDirectory& directory, std::string_view name, bool direct) {
  FileOps& ops = directory.ops();
  const std::string path = directory.PathOf(name);
  int fd = direct ? ops.OpenReadDirect(path) : -EINVAL;
  direct = fd != -EINVAL;
  if (!direct) fd = ops.OpenRead(path);
  // A file where a directory should be means just that there is no such blob.
  if (fd < 0) return FileError(fd == -ENOTDIR ? ENOENT : -fd, "open", path);
  FileStat stat;
  const int looked = ops.StatFd(fd, &stat);
  if (looked < 0 || stat.kind != FileKind::kRegular) {
    ops.Close(fd);
    if (looked < 0) return FileError(-looked, "look at", path);
    return Status::Invalid("cannot open " + path + ": it is not a file: name a blob, or remove what is not Tarn's");
  }
  return std::unique_ptr<BlobReader>(
      std::make_unique<FileReader>(&ops, fd, direct ? ops.DirectBytes(fd) : 0, path, stat.size));
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
