// WalkLake: a whole tree of the lake, depth first, in bytewise order of names. What tree, du, ls -R, cp, rm and
// export are made of. Memory: one page of names per level of depth; no recursion, so depth is no danger.
#pragma once

#include <functional>
#include <string>

#include "cli/context.h"
#include "lake/lake.h"

namespace tarn::cli {

struct Node {
  std::string path;  // "/a/b", for people
  std::string name;  // "b"
  lake::Attr attr;
  int depth = 0;     // of the start: 0
  bool last = true;  // of its directory
};

struct WalkHooks {
  // Called for each node before what is below it. False: a directory's content is left out (and leave not called).
  std::function<Result<bool>(const Node&)> enter;
  // Called for each directory after its content. May be null.
  std::function<Status(const Node&)> leave;
};

Status WalkLake(const Context& context, lake::View& view, Node start, const WalkHooks& hooks);

// What is below (and at) a node: for log records, progress and previews.
struct TreeSum {
  uint64_t files = 0;  // everything that is no directory
  uint64_t directories = 0;
  uint64_t bytes = 0;  // of regular files
};
Result<TreeSum> SumTree(const Context& context, lake::View& view, Node start);

}  // namespace tarn::cli
