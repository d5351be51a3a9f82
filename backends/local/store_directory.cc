#include "backends/local/store_directory.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "backends/local/errors.h"
#include "tarn/sdk/blob_name.h"

namespace tarn::local {
namespace {

constexpr std::string_view kTemporaryPrefix = ".TMP-";

std::string DirectoryOf(const std::string& path) { return path.substr(0, path.rfind('/')); }

std::string TemporaryName(uint64_t number) {
  return std::string(kTemporaryPrefix) + std::to_string(getpid()) + "-" + std::to_string(number);
}

}  // namespace

std::string StoreDirectory::LockPathOf(std::string_view name) const {
  if (name == "lock") return root_ + "/LOCK";
  std::string file = "LOCK+" + std::string(name);
  std::replace(file.begin(), file.end(), '/', '+');
  return root_ + "/" + file;
}

Status StoreDirectory::PrepareDirectoryOf(std::string_view name) {
  const std::string wanted = DirectoryOf(PathOf(name));
  std::lock_guard lock(mutex_);
  // From the top down, so that a durable directory never stands in one that is not.
  for (size_t end = root_.size(); end < wanted.size();) {
    const size_t slash = wanted.find('/', end + 1);
    end = slash == std::string::npos ? wanted.size() : slash;
    const std::string directory = wanted.substr(0, end);
    if (durable_.contains(directory)) continue;
    const int made = ops_->MakeDirectory(directory);
    if (made < 0 && made != -EEXIST) return FileError(-made, "make directory", directory);
    FileStat stat;
    const int looked = ops_->Stat(directory, &stat);
    if (looked < 0) return FileError(-looked, "look at directory", directory);
    if (stat.kind != FileKind::kDirectory) return FileError(ENOTDIR, "make directory", directory);
    const int synced = ops_->SyncDirectory(DirectoryOf(directory));
    if (synced < 0) return FileError(-synced, "sync directory", DirectoryOf(directory));
    durable_.insert(directory);
  }
  return Status::Ok();
}

Status StoreDirectory::SyncDirectoryOf(std::string_view name) {
  const std::string directory = DirectoryOf(PathOf(name));
  const int synced = ops_->SyncDirectory(directory);
  return synced < 0 ? FileError(-synced, "sync directory", directory) : Status::Ok();
}

Result<StoreDirectory::Temporary> StoreDirectory::CreateTemporary(std::string_view name) {
  TARN_TRY(PrepareDirectoryOf(name));
  for (;;) {
    Temporary temporary;
    // Counted before the file is there, so that RemoveLeftovers never takes it for a dead writer's.
    temporary.path = DirectoryOf(PathOf(name)) + "/" + TemporaryName(CountTemporary());
    temporary.fd = ops_->CreateExclusive(temporary.path);
    if (temporary.fd >= 0) return temporary;
    ForgetTemporary();
    // A dead process of our pid left that name behind, or another backend of ours has it: take the next.
    if (temporary.fd != -EEXIST) return FileError(-temporary.fd, "create", temporary.path);
  }
}

void StoreDirectory::DiscardTemporary(const Temporary& temporary) {
  ops_->Unlink(temporary.path);  // a file that stays is a leftover, see RemoveLeftovers
  ForgetTemporary();
}

Status StoreDirectory::Publish(const Temporary& temporary, std::string_view name) {
  const std::string path = PathOf(name);
  int renamed = ops_->RenameNoReplace(temporary.path, path);
  const bool linked = renamed == -EINVAL || renamed == -ENOSYS;  // not every filesystem knows the flag
  if (linked) renamed = ops_->Link(temporary.path, path);
  if (renamed == -EEXIST) {
    FileStat stat;
    if (ops_->Stat(path, &stat) == 0 && stat.kind != FileKind::kRegular) {
      return Status::Invalid("cannot publish " + path + ": a directory has that name: choose another name");
    }
    // Whoever relies on "it exists" may do so after power loss too, although its writer may not have come to
    // sync the directory yet.
    TARN_TRY(SyncDirectoryOf(name));
    return Status::Busy(path + " already exists: choose another name");
  }
  if (renamed < 0) return FileError(-renamed, "publish", path);
  TARN_TRY(SyncDirectoryOf(name));
  if (linked) ops_->Unlink(temporary.path);
  ForgetTemporary();
  return Status::Ok();
}

// One List in progress: what is asked for, and the page so far.
struct StoreDirectory::Walk {
  std::string_view prefix;
  std::string_view after;
  size_t limit;
  ListPage page;
};

Result<ListPage> StoreDirectory::List(std::string_view prefix, std::string_view after, size_t limit) const {
  Walk walk{prefix, after, limit, {}};
  TARN_TRY(ListBelow("", walk));
  return std::move(walk.page);
}

// `directory` is "" or ends in '/'. Entries of directories are compared with their '/', which makes the walk
// meet full names in bytewise order: "a-b" < "a/x" < "a0".
Status StoreDirectory::ListBelow(const std::string& directory, Walk& walk) const {
  std::vector<DirectoryEntry> entries;
  const int listed = ops_->ListDirectory(root_ + "/" + directory, &entries);
  if (listed == -ENOENT && !directory.empty()) return Status::Ok();  // removed while we walk
  if (listed < 0) return FileError(-listed, "list directory", root_ + "/" + directory);
  for (DirectoryEntry& entry : entries) {
    if (entry.kind == FileKind::kDirectory) entry.name += '/';
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  for (const DirectoryEntry& entry : entries) {
    const std::string name = directory + entry.name;
    const bool is_directory = entry.kind == FileKind::kDirectory;
    if (entry.kind == FileKind::kOther || !CheckBlobName(is_directory ? name + "x" : name).ok()) continue;
    if (is_directory) {
      const size_t common = std::min(name.size(), walk.prefix.size());
      const bool may_match = std::string_view(name).substr(0, common) == walk.prefix.substr(0, common);
      const bool all_before = name < walk.after && !walk.after.starts_with(name);
      if (may_match && !all_before) TARN_TRY(ListBelow(name, walk));
    } else if (name.starts_with(walk.prefix) && name > walk.after) {
      FileStat stat;
      const int looked = ops_->Stat(root_ + "/" + name, &stat);
      if (looked == -ENOENT) continue;  // deleted while we walk
      if (looked < 0) return FileError(-looked, "look at", root_ + "/" + name);
      if (walk.page.blobs.size() == walk.limit) {
        walk.page.more = true;
      } else {
        walk.page.blobs.push_back({name, stat.size});
      }
    }
    if (walk.page.more) return Status::Ok();
  }
  return Status::Ok();
}

uint64_t StoreDirectory::CountTemporary() {
  std::lock_guard lock(mutex_);
  ++temporaries_;
  return next_temporary_++;
}

void StoreDirectory::ForgetTemporary() {
  std::lock_guard lock(mutex_);
  --temporaries_;
}

void StoreDirectory::RemoveLeftovers() {
  std::lock_guard lock(mutex_);
  if (temporaries_ == 0) RemoveLeftoversBelow(root_);
}

void StoreDirectory::RemoveLeftoversBelow(const std::string& path) const {
  std::vector<DirectoryEntry> entries;
  if (ops_->ListDirectory(path, &entries) < 0) return;
  for (const DirectoryEntry& entry : entries) {
    const std::string child = path + "/" + entry.name;
    if (entry.kind == FileKind::kRegular && entry.name.starts_with(kTemporaryPrefix)) ops_->Unlink(child);
    if (entry.kind == FileKind::kDirectory && CheckBlobName(entry.name).ok()) RemoveLeftoversBelow(child);
  }
}

}  // namespace tarn::local
