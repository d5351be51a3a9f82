// Import: a local tree into the lake. Everything a file system keeps comes along: types, modes, owners, times,
// extended attributes, holes, and hard links within the imported tree.
//
// A tree that changes while it is read is imported as it was met: names that vanish are left out, a file is as
// long as it was when its end was reached. Any other failure abandons the whole import.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <map>

#include "cli/local_walk.h"
#include "cli/paths.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/transfer.h"

namespace tarn::cli {
namespace {

using FileId = std::pair<dev_t, ino_t>;

struct LocalSum {
  uint64_t items = 0, bytes = 0;
};

Result<LocalSum> SumLocal(const Context& context, const std::string& source) {
  LocalSum sum;
  LocalHooks hooks;
  hooks.enter = [&](const LocalNode& node) -> Status {
    ++sum.items;
    if (S_ISREG(node.st.st_mode)) sum.bytes += static_cast<uint64_t>(node.st.st_size);
    return {};
  };
  TARN_TRY(WalkLocal(context, context.caller.cwd_fd, source, hooks));
  return sum;
}

class Importer {
 public:
  Importer(Context& context, Progress& progress, const struct stat& storage)
      : context_(context), lake_(*context.lake), progress_(progress), storage_(storage), buffer_(kCopyBytes) {}

  Status Run(const std::string& source, lake::Ino stage, const std::string& name) {
    parents_ = {stage};
    top_name_ = name;
    LocalHooks hooks;
    hooks.enter = [this](const LocalNode& node) { return Enter(node); };
    hooks.leave = [this](const LocalNode& node) { return Leave(node); };
    return WalkLocal(context_, context_.caller.cwd_fd, source, hooks);
  }

 private:
  Status Enter(const LocalNode& node) {
    auto added = Add(node, node.depth == 0 ? top_name_ : node.name);
    if (!added.ok()) return At(node.shown, added.status());
    progress_.Add(0, *added ? 1 : 0);
    return {};
  }

  // False: the file vanished before it could be read.
  Result<bool> Add(const LocalNode& node, const std::string& name) {
    const lake::Owner owner = {node.st.st_uid, node.st.st_gid};
    if (S_ISDIR(node.st.st_mode)) {
      if (node.st.st_dev == storage_.st_dev && node.st.st_ino == storage_.st_ino) {
        return Status::Invalid("holds the lake itself; import a tree beside it");
      }
      TARN_ASSIGN(const lake::Attr made, lake_.MakeDir(parents_.back(), name, node.st.st_mode, owner));
      parents_.push_back(made.ino);
      return true;
    }
    const FileId id = {node.st.st_dev, node.st.st_ino};
    const auto known = links_.find(id);
    if (known != links_.end()) {
      TARN_TRY(lake_.Link(known->second, parents_.back(), name).status());
      return true;
    }
    TARN_ASSIGN(const lake::Attr made, Make(node, name, owner));
    if (made.ino != 0 && node.st.st_nlink > 1) links_[id] = made.ino;
    return made.ino != 0;
  }

  // An attr with ino 0: the file vanished, nothing was made.
  Result<lake::Attr> Make(const LocalNode& node, const std::string& name, lake::Owner owner) {
    lake::Attr made;
    if (S_ISLNK(node.st.st_mode)) {
      std::string target(lake::kMaxSymlink + 1, '\0');
      const ssize_t n = readlinkat(node.parent, node.name.c_str(), target.data(), target.size());
      if (n < 0 && errno == ENOENT) return made;
      if (n < 0) return LocalError(errno, node.shown, "cannot read the link");
      target.resize(static_cast<size_t>(n));
      TARN_ASSIGN(made, lake_.Symlink(parents_.back(), name, target, owner));
    } else if (S_ISREG(node.st.st_mode)) {
      return MakeFile(node, name, owner);
    } else {
      TARN_ASSIGN(made, lake_.Create(parents_.back(), name, node.st.st_mode, node.st.st_rdev, owner));
    }
    TARN_TRY(SetTimes(made.ino, node.st));
    return made;
  }

  Result<lake::Attr> MakeFile(const LocalNode& node, const std::string& name, lake::Owner owner) {
    // O_NONBLOCK: should a fifo have taken its place, opening it does not hang.
    UniqueFd fd = OpenAt(node.parent, node.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    if (!fd.ok() && errno == ENOENT) return lake::Attr();
    if (!fd.ok()) return LocalError(errno, node.shown, "nothing was imported; make it readable");
    struct stat st;
    if (fstat(fd.get(), &st) != 0) return LocalError(errno, node.shown, "cannot look at it");
    if (!S_ISREG(st.st_mode)) {
      return Status::Invalid(
          fmt::format("{}: changed its type while it was imported; run it again", Escape(node.shown)));
    }
    TARN_ASSIGN(const lake::Attr made, lake_.Create(parents_.back(), name, st.st_mode, 0, owner));
    TARN_TRY(CopyContent(fd.get(), st, made.ino, node.shown));
    TARN_TRY(lake_.Flush(made.ino));
    TARN_TRY(CopyXattrs(fd.get(), made.ino, node.shown));
    TARN_TRY(SetTimes(made.ino, st));
    return made;
  }

  Status CopyContent(int fd, const struct stat& st, lake::Ino ino, const std::string& shown) {
    const auto size = static_cast<uint64_t>(st.st_size);
    const bool sparse = static_cast<uint64_t>(st.st_blocks) * 512 < size;
    uint64_t end = 0;
    for (uint64_t at = 0;;) {
      uint64_t stop = UINT64_MAX;
      if (sparse) {
        const off_t data = lseek(fd, static_cast<off_t>(at), SEEK_DATA);
        if (data < 0 && errno == ENXIO) break;
        const off_t hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
        if (data >= 0 && hole > data) {
          at = static_cast<uint64_t>(data);
          stop = static_cast<uint64_t>(hole);
        }
      }
      TARN_ASSIGN(end, CopyRange(fd, at, stop, ino, shown));
      if (end < stop) break;
      at = stop;
    }
    const off_t length = sparse ? lseek(fd, 0, SEEK_END) : 0;
    if (length <= 0 || static_cast<uint64_t>(length) <= end) return {};
    lake::AttrChange change;
    change.size = static_cast<uint64_t>(length);
    return lake_.SetAttr(ino, change).status();
  }

  // Copies [at, stop) or up to the end of the file; returns where it ended.
  Result<uint64_t> CopyRange(int fd, uint64_t at, uint64_t stop, lake::Ino ino, const std::string& shown) {
    while (at < stop) {
      TARN_TRY(context_.Check());
      const size_t want = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), stop - at));
      const ssize_t n = ReadSome(fd, {buffer_.data(), want}, at);
      if (n < 0) return LocalError(errno, shown, "nothing was imported; check the disk");
      if (n == 0) break;
      TARN_TRY(lake_.Write(ino, at, {buffer_.data(), static_cast<size_t>(n)}));
      at += static_cast<uint64_t>(n);
      progress_.Add(static_cast<uint64_t>(n), 0);
    }
    return at;
  }

  Status CopyXattrs(int fd, lake::Ino ino, const std::string& shown) {
    TARN_ASSIGN(const auto xattrs, ReadXattrs(fd, shown));
    for (const LocalXattr& xattr : xattrs) {
      TARN_TRY(lake_.SetXattr(ino, xattr.name, xattr.value, false, false));
    }
    return {};
  }

  // Mode and owner too: writing may have changed them (set-user-id bits, set-group-id directories).
  Status SetTimes(lake::Ino ino, const struct stat& st) {
    lake::AttrChange change;
    if (!S_ISLNK(st.st_mode)) change.mode = st.st_mode & 07777u;
    change.uid = st.st_uid;
    change.gid = st.st_gid;
    change.atime_ns = NanosOf(st.st_atim);
    change.mtime_ns = NanosOf(st.st_mtim);
    return lake_.SetAttr(ino, change).status();
  }

  Status Leave(const LocalNode& node) {
    const lake::Ino ino = parents_.back();
    parents_.pop_back();
    TARN_TRY(At(node.shown, CopyXattrs(node.fd, ino, node.shown)));
    return At(node.shown, SetTimes(ino, node.st));
  }

  Context& context_;
  lake::Lake& lake_;
  Progress& progress_;
  const struct stat& storage_;
  std::vector<char> buffer_;
  std::vector<lake::Ino> parents_;  // the way down, in the lake
  std::string top_name_;
  std::map<FileId, lake::Ino> links_;
};

// The name a source has by itself: its last component, or the directory's own name for ".", ".." and the like.
Result<std::string> NameOf(const Context& context, const std::string& source) {
  std::string path = source;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  std::string name = path.substr(path.find_last_of('/') + 1);
  if (name.empty() || name == "." || name == "..") {
    UniqueFd fd = OpenAt(context.caller.cwd_fd, source, O_PATH | O_DIRECTORY);
    if (!fd.ok()) return LocalError(errno, source, "check the path");
    const std::string real = PathOf(fd.get());
    name = real.substr(real.find_last_of('/') + 1);
  }
  return name;
}

// Refuses a source inside the lake's own storage; the walk itself refuses one that holds it.
Status CheckApart(const Context& context, const std::string& source, struct stat* storage) {
  *storage = {};
  UniqueFd from = OpenAt(context.caller.cwd_fd, source, O_PATH | O_NOFOLLOW);
  struct stat st;
  if (!from.ok() || fstat(from.get(), &st) != 0)
    return LocalError(errno, source, "nothing to import; check the path");
  if (context.lake_directory.empty()) return {};  // a bucket lies apart from everything here
  UniqueFd lake = OpenAt(AT_FDCWD, context.lake_directory, O_PATH | O_DIRECTORY);
  if (!lake.ok() || fstat(lake.get(), storage) != 0) {
    return LocalError(errno, context.lake_directory, "cannot look at the lake's directory");
  }
  if (!S_ISDIR(st.st_mode)) {
    const size_t slash = source.find_last_of('/');
    const std::string above = slash == std::string::npos ? "." : source.substr(0, slash + 1);
    from = OpenAt(context.caller.cwd_fd, above, O_PATH | O_DIRECTORY);
    if (!from.ok()) return LocalError(errno, above, "check the path");
  }
  TARN_ASSIGN(const bool inside, IsWithin(from.get(), lake.get()));
  bool around = false;
  if (S_ISDIR(st.st_mode)) {
    TARN_ASSIGN(around, IsWithin(lake.get(), from.get()));
  }
  if (inside || around) {
    return Status::Invalid(fmt::format("{}: {} the lake's own storage; import a tree apart from it", Escape(source),
                                       inside ? "is part of" : "holds"));
  }
  return {};
}

Status ImportOne(Context& context, const ImportOptions& options, const std::string& source, const Spot& target,
                 const struct stat& storage, Progress& progress) {
  TARN_ASSIGN(const Staging stage, Staging::Begin(context));
  const uint64_t items = progress.items(), bytes = progress.bytes();
  TARN_TRY(Importer(context, progress, storage).Run(source, stage.ino(), target.name));
  const auto mode = options.replace ? lake::RenameMode::kReplace : lake::RenameMode::kNoReplace;
  const lake::LogRecord record = context.LogRecordOf(progress.items() - items, progress.bytes() - bytes);
  return At(target.path, context.lake->Publish(stage.ino(), target.name, target.parent, target.name, mode, record));
}

}  // namespace

Status Import(Context& context, const ImportOptions& options, const Operands& operands) {
  TARN_ASSIGN(const LakePath dest, ParseLakePath(operands.back()));
  const size_t count = operands.size() - 1;
  std::vector<Spot> targets;
  struct stat storage = {};
  LocalSum total;
  for (size_t i = 0; i < count; ++i) {
    TARN_TRY(CheckApart(context, operands[i], &storage));
    TARN_ASSIGN(const std::string name, NameOf(context, operands[i]));
    TARN_ASSIGN(const Spot target, FindTarget(context.lake->Head(), dest, name, count > 1));
    if (target.existing.has_value() && !options.replace) {
      return {Code::kInvalid,
              fmt::format("{}: exists already; use --replace, or name another path", Escape(target.path)), EEXIST};
    }
    // The total is for the time left on a terminal and for a preview; else the walk is saved.
    if (options.dry_run || (context.err.terminal() && !context.quiet)) {
      TARN_ASSIGN(const LocalSum one, SumLocal(context, operands[i]));
      total.items += one.items;
      total.bytes += one.bytes;
      if (options.dry_run) {
        context.out.Print("would import {} to {} ({}, {}){}\n", Escape(operands[i]), Escape(target.path),
                          Plural(one.items, "item", "items"), HumanBytes(one.bytes),
                          target.existing.has_value() ? ", replacing what is there" : "");
      }
    }
    targets.push_back(target);
  }
  if (options.dry_run) return {};
  Progress progress(context, "import", total.bytes, total.items);
  for (size_t i = 0; i < count; ++i) {
    TARN_TRY(ImportOne(context, options, operands[i], targets[i], storage, progress));
  }
  Remark(context, "imported", progress);
  return {};
}

}  // namespace tarn::cli
