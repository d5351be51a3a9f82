// WalkLocal: a whole tree of the local file system, depth first, names in bytewise order, following no symbolic
// link and crossing no path twice: every step is relative to an open directory. The twin of WalkLake. One open
// descriptor per level of depth.
#pragma once

#include <functional>
#include <string>

#include "cli/context.h"
#include "cli/local_fs.h"

namespace tarn::cli {

struct LocalNode {
  int parent = -1;    // open directory that `name` is relative to
  std::string name;   // for the start: the path the user gave
  std::string shown;  // for messages: the way from the start
  struct stat st = {};
  int fd = -1;  // directories: open; else -1
  int depth = 0;
};

struct LocalHooks {
  std::function<Status(const LocalNode&)> enter;
  std::function<Status(const LocalNode&)> leave;  // directories, after their content; may be null
};

// Names that vanish between listing and looking are left out; the start must exist.
Status WalkLocal(const Context& context, int directory, const std::string& path, const LocalHooks& hooks);

}  // namespace tarn::cli
