#include "cli/local_walk.h"

#include <fcntl.h>

#include <cerrno>
#include <vector>

#include "cli/paths.h"

namespace tarn::cli {
namespace {

struct Level {
  LocalNode directory;
  UniqueFd fd;
  std::vector<std::string> names;
  size_t next = 0;
};

Status CannotLook(int error, const std::string& shown) {
  return LocalError(error, shown,
                    error == EMFILE ? "the tree is deeper than this process may open; raise ulimit -n"
                                    : "check the path and its permissions");
}

}  // namespace

Status WalkLocal(const Context& context, int directory, const std::string& path, const LocalHooks& hooks) {
  std::vector<Level> levels;
  const auto visit = [&](LocalNode node) -> Status {
    if (fstatat(node.parent, node.name.c_str(), &node.st, AT_SYMLINK_NOFOLLOW) != 0) {
      return errno == ENOENT && node.depth > 0 ? Status() : CannotLook(errno, node.shown);
    }
    if (!S_ISDIR(node.st.st_mode)) return hooks.enter(node);
    Level level;
    level.fd = OpenAt(node.parent, node.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!level.fd.ok()) return errno == ENOENT && node.depth > 0 ? Status() : CannotLook(errno, node.shown);
    node.fd = level.fd.get();
    TARN_ASSIGN(level.names, ListDirectory(node.fd, node.shown));
    TARN_TRY(hooks.enter(node));
    level.directory = std::move(node);
    levels.push_back(std::move(level));
    return {};
  };
  LocalNode start;
  start.parent = directory;
  start.name = start.shown = path;
  TARN_TRY(visit(std::move(start)));
  while (!levels.empty()) {
    TARN_TRY(context.Check());
    Level& level = levels.back();
    if (level.next == level.names.size()) {
      if (hooks.leave) TARN_TRY(hooks.leave(level.directory));
      levels.pop_back();
      continue;
    }
    LocalNode node;
    node.name = std::move(level.names[level.next++]);
    node.parent = level.fd.get();
    node.shown = JoinPath(level.directory.shown, node.name);
    node.depth = level.directory.depth + 1;
    TARN_TRY(visit(std::move(node)));
  }
  return {};
}

}  // namespace tarn::cli
