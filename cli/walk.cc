#include "cli/walk.h"

#include <sys/stat.h>

#include <iterator>
#include <utility>
#include <vector>

#include "cli/paths.h"

namespace tarn::cli {
namespace {

constexpr size_t kPage = 1000;

struct Level {
  Node directory;
  std::vector<lake::DirEntry> page;
  size_t next = 0;
  bool complete = false;  // no entries beyond this page
};

// Makes sure that, when there is a next entry, it is also known whether another one follows it.
Status Refill(lake::View& view, Level* level) {
  if (level->complete || level->next + 1 < level->page.size()) return {};
  std::string after = level->page.empty() ? std::string() : level->page.back().name;
  auto more = view.ReadDir(level->directory.attr.ino, after, kPage);
  if (!more.ok()) return At(level->directory.path, more.status());
  level->page.erase(level->page.begin(), level->page.begin() + static_cast<ptrdiff_t>(level->next));
  level->next = 0;
  level->complete = more->size() < kPage;
  level->page.insert(level->page.end(), std::make_move_iterator(more->begin()), std::make_move_iterator(more->end()));
  return {};
}

}  // namespace

Status WalkLake(const Context& context, lake::View& view, Node start, const WalkHooks& hooks) {
  std::vector<Level> levels;
  const auto visit = [&](Node node) -> Status {
    TARN_ASSIGN(const bool below, hooks.enter(node));
    if (below && S_ISDIR(node.attr.mode)) levels.push_back({std::move(node), {}, 0, false});
    return {};
  };
  TARN_TRY(visit(std::move(start)));
  while (!levels.empty()) {
    TARN_TRY(context.Check());
    Level& level = levels.back();
    TARN_TRY(Refill(view, &level));
    if (level.next == level.page.size()) {
      if (hooks.leave) TARN_TRY(hooks.leave(level.directory));
      levels.pop_back();
      continue;
    }
    const lake::DirEntry entry = std::move(level.page[level.next++]);
    Node node;
    node.name = entry.name;
    node.path = JoinPath(level.directory.path, entry.name);
    node.depth = level.directory.depth + 1;
    node.last = level.complete && level.next == level.page.size();
    auto attr = view.GetAttr(entry.ino);
    if (!attr.ok() && attr.status().code() == Code::kNotFound) continue;  // removed by someone since it was listed
    if (!attr.ok()) return At(node.path, attr.status());
    node.attr = *attr;
    TARN_TRY(visit(std::move(node)));
  }
  return {};
}

Result<TreeSum> SumTree(const Context& context, lake::View& view, Node start) {
  TreeSum sum;
  WalkHooks hooks;
  hooks.enter = [&](const Node& node) -> Result<bool> {
    if (S_ISDIR(node.attr.mode)) {
      ++sum.directories;
    } else {
      ++sum.files;
      if (S_ISREG(node.attr.mode)) sum.bytes += node.attr.size;
    }
    return true;
  };
  TARN_TRY(WalkLake(context, view, std::move(start), hooks));
  return sum;
}

}  // namespace tarn::cli
