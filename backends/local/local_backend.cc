// The local backend: opening a directory, and the verbs of the contract over store_directory.h and files.h.
//
// The ladder of reads is probed once, at open: io_uring if the kernel and the container allow it, else pread on
// the host's threads. info().read_engine says which rung is in use and why.
//
// Locks are flock() on a file that is never removed (removing it would let two processes hold "the" lock, each
// on its own inode). They vanish with the process. Taking a lock is also the moment when the temporary files of
// dead writers are removed: the holder knows that no other process writes here. Opened read-only, the lock keeps
// writers out all the same, but records no holder and removes nothing.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "backends/local/errors.h"
#include "backends/local/files.h"
#include "backends/local/local_internal.h"
#include "backends/local/store_directory.h"
#include "backends/local/uring.h"
#include "tarn/sdk/blob_name.h"

namespace tarn::local {
namespace {

constexpr size_t kMaxHolderBytes = 512;  // of a lock's line that is shown to people

class FileLock final : public Lock {
 public:
  FileLock(FileOps* ops, int fd) : ops_(ops), fd_(fd) {}
  ~FileLock() override { ops_->Close(fd_); }  // which gives the flock back

 private:
  FileOps* const ops_;
  const int fd_;
};

std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, std::min(text.find('\n'), kMaxHolderBytes)));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

class LocalBackend final : public Backend,
                           public AppendStore,
                           public LockStore,
                           public ReadQueueSource,
                           public SpaceSource {
 public:
  LocalBackend(std::shared_ptr<FileOps> ops, std::string root, const LocalOptions& options)
      : read_only_(options.read_only),
        direct_reads_(options.direct_reads),
        directory_(std::move(ops), std::move(root)) {
    info_.name = "local";
    const std::string why_not = options.allow_io_uring ? WhyNoUring() : "switched off by the caller";
    uring_ = why_not.empty();
    info_.read_engine = uring_ ? "io_uring" : "pread (io_uring: " + why_not + ")";
  }

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override {
    if (read_only_) return {.locks = this, .queues = this, .space = this};
    return {.append = this, .locks = this, .queues = this, .space = this};
  }

  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override {
    TARN_TRY(CheckBlobName(name));
    return OpenReader(directory_, name, direct_reads_);
  }
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override {
    TARN_TRY(CheckWritable(name));
    return CreateWriter(&directory_, name);
  }
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    TARN_ASSIGN(auto writer, Create(name));
    TARN_TRY(writer->Append(bytes));
    const Status finished = writer->Finish();
    if (finished.code() == Code::kBusy && finished.os_error() == 0) return PutOutcome::kExists;
    TARN_TRY(finished);
    return PutOutcome::kCreated;
  }
  Status Delete(std::string_view name) override {
    TARN_TRY(CheckWritable(name));
    const std::string path = directory_.PathOf(name);
    const int result = directory_.ops().Unlink(path);
    return result < 0 ? FileError(result == -ENOTDIR ? ENOENT : -result, "delete", path) : Status::Ok();
  }
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return directory_.List(prefix, after, limit);
  }

  Result<std::unique_ptr<AppendFile>> CreateAppend(std::string_view name) override {
    TARN_TRY(CheckWritable(name));
    return CreateLog(&directory_, name);
  }
  Result<std::unique_ptr<Lock>> TryLock(std::string_view name, std::string_view holder) override;
  std::unique_ptr<ReadQueue> NewReadQueue() override { return uring_ ? NewUringQueue() : nullptr; }
  bool MayMove() const override { return !uring_; }
  Result<SpaceInfo> Space() override {
    SpaceInfo space;
    const int result = directory_.ops().Space(directory_.root(), &space);
    if (result < 0) return FileError(-result, "ask for the free space of", directory_.root());
    return space;
  }

 private:
  Status CheckWritable(std::string_view name) const {
    TARN_TRY(CheckBlobName(name));
    if (!read_only_) return Status::Ok();
    return Status::Invalid("cannot change " + directory_.PathOf(name) +
                           ": the directory was opened read-only: open it for writing");
  }

  BackendInfo info_;
  const bool read_only_;
  const bool direct_reads_;
  bool uring_ = false;
  StoreDirectory directory_;
};

Result<std::unique_ptr<Lock>> LocalBackend::TryLock(std::string_view name, std::string_view holder) {
  TARN_TRY(CheckBlobName(name));
  FileOps& ops = directory_.ops();
  const std::string path = directory_.LockPathOf(name);
  const int fd = read_only_ ? ops.OpenRead(path) : ops.OpenLockFile(path);
  // Nobody holds a lock whose file was never made, and a reader does not make it.
  if (read_only_ && fd == -ENOENT) return std::unique_ptr<Lock>(std::make_unique<Lock>());
  if (fd < 0) return FileError(-fd, "open lock file", path);
  auto lock = std::make_unique<FileLock>(&ops, fd);
  const int locked = ops.TryFlock(fd);
  if (locked == -EWOULDBLOCK) {
    char line[kMaxHolderBytes];
    const ssize_t n = ops.Read(fd, line, sizeof(line), 0);
    std::string other = OneLine({line, n > 0 ? static_cast<size_t>(n) : 0});
    if (other.empty()) other = "another process";
    return Status::Busy(directory_.root() + " is locked: held by " + other + ": close it there first");
  }
  if (locked < 0) return FileError(-locked, "lock", path);
  if (read_only_) return std::unique_ptr<Lock>(std::move(lock));
  // The old holder's line may be longer; readers stop at the end of the first line.
  const std::string line = OneLine(holder) + "\n";
  const ssize_t written = ops.Write(fd, line.data(), line.size(), 0);
  if (written < 0) return FileError(static_cast<int>(-written), "write lock file", path);
  directory_.RemoveLeftovers();
  return std::unique_ptr<Lock>(std::move(lock));
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Makes the directory and, when that is missing too, the one around it.
Status MakeRoot(FileOps& ops, const std::string& directory, int levels) {
  int made = ops.MakeDirectory(directory);
  if (made == -ENOENT && levels > 1) {
    TARN_TRY(MakeRoot(ops, ParentOf(directory), levels - 1));
    made = ops.MakeDirectory(directory);
  }
  return made < 0 && made != -EEXIST ? FileError(-made, "make directory", directory) : Status::Ok();
}

// Makes the names of what MakeRoot makes durable, from the top down. Also when they were there: their maker may
// have died before it came to this, and a power cut would take the whole store along.
Status SyncRoot(FileOps& ops, const std::string& directory) {
  const std::string parent = ParentOf(directory), above = ParentOf(parent);
  for (const std::string& around : {above, parent}) {
    const int synced = ops.SyncDirectory(around);
    // Where we may not look, or nothing can be made, no process like us has made anything.
    if (synced == -EACCES || synced == -EPERM || synced == -EROFS || synced == -EINVAL) continue;
    if (synced < 0) return FileError(-synced, "sync directory", around);
  }
  return Status::Ok();
}

Status CheckRoot(FileOps& ops, const std::string& directory, const LocalOptions& options) {
  FileStat stat;
  int looked = ops.Stat(directory, &stat);
  const bool create = options.create && !options.read_only;
  if (looked == -ENOENT && create) {
    TARN_TRY(MakeRoot(ops, directory, 2));
    looked = ops.Stat(directory, &stat);
  }
  if (looked == -ENOENT) {
    return Status::NotFound("no directory " + directory + ": check the path, or create the store first");
  }
  if (looked < 0) return FileError(-looked, "open directory", directory);
  if (stat.kind != FileKind::kDirectory) {
    return Status::Invalid(directory + " is not a directory: name a directory for the store");
  }
  if (create) TARN_TRY(SyncRoot(ops, directory));
  const int wanted = options.read_only ? R_OK | X_OK : R_OK | W_OK | X_OK;
  if (access(directory.c_str(), wanted) == 0) return Status::Ok();
  return FileError(errno, options.read_only ? "read in directory" : "write in directory", directory);
}

}  // namespace

Result<std::shared_ptr<Backend>> OpenLocalWith(std::shared_ptr<FileOps> ops, const std::string& directory,
                                               const LocalOptions& options) {
  std::string path = directory;
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.empty()) return Status::Invalid("the directory of the store has no name: give its path");
  TARN_TRY(CheckRoot(*ops, path, options));
  // Absolute, because a daemon changes its working directory.
  const std::unique_ptr<char, decltype(&std::free)> absolute(realpath(path.c_str(), nullptr), &std::free);
  if (absolute == nullptr) return FileError(errno, "open directory", path);
  return std::shared_ptr<Backend>(std::make_shared<LocalBackend>(std::move(ops), absolute.get(), options));
}

Result<std::shared_ptr<Backend>> OpenLocal(const std::string& directory, const LocalOptions& options) {
  return OpenLocalWith(PosixFileOps(), directory, options);
}

}  // namespace tarn::local
