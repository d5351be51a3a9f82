// Export: a tree of the lake (now, or as of a snapshot) into a local directory, exactly: types, modes, times, holes,
// hard links, extended attributes, and as root also owners.
//
// Nothing is ever written outside the destination: each file is made relative to an open directory, no symbolic link
// is followed below it, and names are single components. Directories stay private (0700) until they are complete;
// then they get their mode and their times.
#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <unordered_map>

#include "cli/local_fs.h"
#include "cli/paths.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/transfer.h"
#include "cli/walk.h"

namespace tarn::cli {
namespace {

constexpr const char* kNotEmpty = "exists already; overwrite with --force, or name another path";

class Exporter {
 public:
  Exporter(Context& context, lake::View& view, const ExportOptions& options, Progress& progress)
      : context_(context), view_(view), options_(options), progress_(progress), buffer_(kCopyBytes) {}

  // Makes `start` as `name` in the open directory `into`. `merge`: the directory may be there already.
  Status Run(const Node& start, UniqueFd into, const std::string& name, const std::string& shown, bool merge) {
    levels_.push_back(std::move(into));
    top_name_ = name;
    top_shown_ = shown;
    top_path_ = start.path;
    merge_top_ = merge;
    WalkHooks hooks;
    hooks.enter = [this](const Node& node) { return Enter(node); };
    hooks.leave = [this](const Node& node) { return Leave(node); };
    return WalkLake(context_, view_, start, hooks);
  }

 private:
  int Here() const { return levels_.back().get(); }
  std::string Shown(const Node& node) const {
    return node.depth == 0 ? top_shown_
                           : JoinPath(top_shown_, node.path.substr(top_path_ == "/" ? 1 : top_path_.size() + 1));
  }

  Result<bool> Enter(const Node& node) {
    const std::string& name = node.depth == 0 ? top_name_ : node.name;
    if (name.empty() || (node.depth > 0 && (name == "." || name == ".." || name.find('/') != std::string::npos))) {
      return Status::Corruption(fmt::format("{}: no name a file can have; run: tarn check", Escape(node.path)));
    }
    progress_.Add(0, 1);
    const std::string shown = Shown(node);
    if (S_ISDIR(node.attr.mode)) {
      TARN_TRY(EnterDirectory(node, name, shown));
      return true;
    }
    if (options_.force && unlinkat(Here(), name.c_str(), 0) != 0 && errno != ENOENT) {
      return LocalError(errno, shown, "remove it first");
    }
    const auto known = links_.find(node.attr.ino);
    if (known != links_.end()) {
      TARN_TRY(MakeLink(known->second, name, shown));
      return false;
    }
    TARN_TRY(Make(node, name, shown));
    if (node.attr.nlink > 1) links_[node.attr.ino] = TrailTo(name);
    return false;
  }

  Status EnterDirectory(const Node& node, const std::string& name, const std::string& shown) {
    const bool merge = options_.force || (node.depth == 0 && merge_top_);
    if (mkdirat(Here(), name.c_str(), 0700) != 0 && !(errno == EEXIST && merge)) {
      return LocalError(errno, shown, errno == EEXIST ? kNotEmpty : "cannot make the directory");
    }
    // The start may be reached through a link the user typed; below it no link is followed.
    const int follow = node.depth == 0 && merge_top_ ? 0 : O_NOFOLLOW;
    UniqueFd fd = OpenAt(Here(), name, O_RDONLY | O_DIRECTORY | follow);
    if (!fd.ok()) return LocalError(errno, shown, "a directory belongs there; remove what is in its place");
    levels_.push_back(std::move(fd));
    trail_.push_back(name);
    return {};
  }

  Status Leave(const Node& node) {
    const std::string shown = Shown(node);
    TARN_TRY(Finish(Here(), node, shown));
    levels_.pop_back();
    trail_.pop_back();
    return {};
  }

  Status Make(const Node& node, const std::string& name, const std::string& shown) {
    switch (node.attr.mode & S_IFMT) {
      case S_IFREG: return MakeFile(node, name, shown);
      case S_IFLNK: {
        TARN_ASSIGN(const std::string target, view_.ReadLink(node.attr.ino));
        if (symlinkat(target.c_str(), Here(), name.c_str()) != 0) return Failed(shown);
        return FinishByName(node, name, shown);
      }
      default:
        if (mknodat(Here(), name.c_str(), (node.attr.mode & S_IFMT) | 0600, node.attr.rdev) != 0)
          return Failed(shown);
        return FinishByName(node, name, shown);
    }
  }

  Status Failed(const std::string& shown) const {
    const int error = errno;
    return LocalError(error, shown,
                      error == EEXIST   ? kNotEmpty
                      : error == EPERM  ? "this kind of file needs root; run it as root"
                      : error == ENOSPC ? "free some space and run it again"
                                        : "cannot make it; check the destination");
  }

  Status MakeFile(const Node& node, const std::string& name, const std::string& shown) {
    UniqueFd fd = OpenAt(Here(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (!fd.ok()) return Failed(shown);
    if (node.attr.size > 0 && ftruncate(fd.get(), static_cast<off_t>(node.attr.size)) != 0) return Failed(shown);
    for (uint64_t at = 0; at < node.attr.size;) {
      auto data = view_.SeekData(node.attr.ino, at);
      if (!data.ok() && data.status().os_error() == ENXIO) break;
      if (!data.ok()) return At(node.path, data.status());
      auto hole = view_.SeekHole(node.attr.ino, *data);
      if (!hole.ok()) return At(node.path, hole.status());
      at = std::min(*hole, node.attr.size);
      TARN_TRY(CopyRange(node, fd.get(), *data, at, shown));
    }
    return Finish(fd.get(), node, shown);
  }

  Status CopyRange(const Node& node, int fd, uint64_t at, uint64_t stop, const std::string& shown) {
    while (at < stop) {
      TARN_TRY(context_.Check());
      const size_t want = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), stop - at));
      auto got = view_.Read(node.attr.ino, at, {buffer_.data(), want});
      if (!got.ok()) return At(node.path, got.status());
      if (*got == 0) break;  // it was cut short since it was looked at
      TARN_TRY(WriteAll(fd, {buffer_.data(), *got}, at, shown));
      at += *got;
      progress_.Add(*got, 0);
    }
    return {};
  }

  // Owner first (it clears capabilities and set-user-id), user attributes while the file is still writable, then
  // mode, the other attributes (an ACL adjusts the mode), and times last.
  Status Finish(int fd, const Node& node, const std::string& shown) {
    if (geteuid() == 0 && fchown(fd, node.attr.uid, node.attr.gid) != 0)
      return LocalError(errno, shown, "cannot set its owner");
    std::vector<LocalXattr> xattrs;
    if (!options_.no_xattrs) TARN_TRY(LoadXattrs(node, &xattrs));
    TARN_TRY(SetXattrs(fd, xattrs, true, shown));
    if (fchmod(fd, node.attr.mode & 07777) != 0) return LocalError(errno, shown, "cannot set its mode");
    TARN_TRY(SetXattrs(fd, xattrs, false, shown));
    const struct timespec times[2] = {TimespecOf(node.attr.atime_ns), TimespecOf(node.attr.mtime_ns)};
    if (futimens(fd, times) != 0) return LocalError(errno, shown, "cannot set its times");
    return {};
  }

  Status LoadXattrs(const Node& node, std::vector<LocalXattr>* out) {
    auto names = view_.ListXattr(node.attr.ino);
    if (!names.ok()) return At(node.path, names.status());
    for (const std::string& name : *names) {
      if (!KeepsXattr(name)) continue;
      auto value = view_.GetXattr(node.attr.ino, name);
      if (!value.ok()) return At(node.path, value.status());
      out->push_back({name, std::move(value).value()});
    }
    return {};
  }

  static Status SetXattrs(int fd, const std::vector<LocalXattr>& xattrs, bool user, const std::string& shown) {
    for (const LocalXattr& xattr : xattrs) {
      if (xattr.name.starts_with("user.") != user) continue;
      if (fsetxattr(fd, xattr.name.c_str(), xattr.value.data(), xattr.value.size(), 0) != 0) {
        return LocalError(
            errno, shown,
            fmt::format("cannot keep its attribute {}; go on without with --no-xattrs", Escape(xattr.name)));
      }
    }
    return {};
  }

  // Links, fifos, sockets and devices: never opened.
  Status FinishByName(const Node& node, const std::string& name, const std::string& shown) {
    if (geteuid() == 0 && fchownat(Here(), name.c_str(), node.attr.uid, node.attr.gid, AT_SYMLINK_NOFOLLOW) != 0) {
      return LocalError(errno, shown, "cannot set its owner");
    }
    if (!S_ISLNK(node.attr.mode) && fchmodat(Here(), name.c_str(), node.attr.mode & 07777, 0) != 0) {
      return LocalError(errno, shown, "cannot set its mode");
    }
    const struct timespec times[2] = {TimespecOf(node.attr.atime_ns), TimespecOf(node.attr.mtime_ns)};
    if (utimensat(Here(), name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return LocalError(errno, shown, "cannot set its times");
    }
    return {};
  }

  // The names from the destination's directory down to a file here.
  std::vector<std::string> TrailTo(const std::string& name) const {
    std::vector<std::string> trail = trail_;
    trail.push_back(name);
    return trail;
  }

  // A further name of a file made before. Its directory is reached component by component, so that nothing that
  // was changed below the destination meanwhile can lead elsewhere.
  Status MakeLink(const std::vector<std::string>& trail, const std::string& name, const std::string& shown) {
    UniqueFd at;
    int current = levels_.front().get();
    for (size_t i = 0; i + 1 < trail.size(); ++i) {
      UniqueFd next = OpenAt(current, trail[i], O_PATH | O_DIRECTORY | (i == 0 && merge_top_ ? 0 : O_NOFOLLOW));
      if (!next.ok()) return LocalError(errno, shown, "the destination was changed meanwhile; run it again");
      at = std::move(next);
      current = at.get();
    }
    if (linkat(current, trail.back().c_str(), Here(), name.c_str(), 0) != 0) return Failed(shown);
    return {};
  }

  Context& context_;
  lake::View& view_;
  const ExportOptions& options_;
  Progress& progress_;
  std::vector<char> buffer_;
  std::vector<UniqueFd> levels_;    // open directories: the destination's, then the way down
  std::vector<std::string> trail_;  // their names, from the destination's directory
  std::unordered_map<lake::Ino, std::vector<std::string>> links_;
  std::string top_name_, top_shown_, top_path_;
  bool merge_top_ = false;
};

struct Destination {
  UniqueFd directory;
  std::string name;
  std::string shown;
  bool merge = false;
};

// Where it lands, by the rule of cp: an existing directory takes it in under its own name (the lake's root has
// none: it takes the place of an empty directory).
Result<Destination> FindDestination(const Context& context, const std::string& dest, const std::string& base,
                                    bool force) {
  Destination place;
  place.shown = dest;
  struct stat st;
  const int found = fstatat(context.caller.cwd_fd, dest.c_str(), &st, 0);
  if (found == 0 && S_ISDIR(st.st_mode)) {
    place.directory = OpenAt(context.caller.cwd_fd, dest, O_RDONLY | O_DIRECTORY);
    if (!place.directory.ok()) return LocalError(errno, dest, "check its permissions");
    if (!base.empty()) {
      place.name = base;
      place.shown = JoinPath(dest, base);
    } else {
      TARN_ASSIGN(const auto names, ListDirectory(place.directory.get(), dest));
      if (!names.empty() && !force) return LocalError(ENOTEMPTY, dest, "name an empty directory, or use --force");
      place.name = ".";
      place.merge = true;
    }
  } else {
    if (found != 0 && errno != ENOENT) return LocalError(errno, dest, "check the path");
    std::string path = dest;
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    const size_t slash = path.find_last_of('/');
    const std::string above = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    place.name = path.substr(slash == std::string::npos ? 0 : slash + 1);
    place.directory = OpenAt(context.caller.cwd_fd, above, O_RDONLY | O_DIRECTORY);
    if (!place.directory.ok()) return LocalError(errno, above, "name a directory that exists");
  }
  if (!place.merge && !force && fstatat(place.directory.get(), place.name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
    return LocalError(EEXIST, place.shown, "overwrite it with --force, or name another path");
  }
  return place;
}

}  // namespace

Status Export(Context& context, const ExportOptions& options, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
  TARN_ASSIGN(const LakePath path, ParseLakePath(operands[0]));
  Node start;
  TARN_ASSIGN(start.attr, Find(*view, path, false));
  start.path = path.text();
  start.name = BaseName(path);
  TARN_ASSIGN(Destination place, FindDestination(context, operands[1], start.name, options.force));
  TreeSum total;
  if (context.err.terminal() && !context.quiet) {
    TARN_ASSIGN(total, SumTree(context, *view, start));
  }
  Progress progress(context, "export", total.bytes, total.files + total.directories);
  Exporter exporter(context, *view, options, progress);
  TARN_TRY(exporter.Run(start, std::move(place.directory), place.name, place.shown, place.merge));
  Remark(context, "exported", progress);
  return {};
}

}  // namespace tarn::cli
