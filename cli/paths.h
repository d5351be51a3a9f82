// Paths of the lake as people type them: absolute, "/"-separated bytes. Symbolic links are followed the way the
// kernel follows them (inside the lake: an absolute target starts at the lake's root), ".." is refused in what the
// user typed, so that no path means something else than it says.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lake/lake.h"

namespace tarn::cli {

struct LakePath {
  std::vector<std::string> parts;  // empty: the root
  bool trailing_slash = false;     // the user says it is a directory
  std::string text() const;        // "/a/b"
};
Result<LakePath> ParseLakePath(std::string_view text);

// What a path leads to. `follow`: also when its last component is a symbolic link.
Result<lake::Attr> Find(lake::View& view, const LakePath& path, bool follow);

// A name in a directory that exists, and what is there already.
struct Spot {
  lake::Ino parent = 0;
  std::string name;
  std::string path;  // for messages
  std::optional<lake::Attr> existing;
};
// REQUIRES: the path is not the root (Invalid).
Result<Spot> FindSpot(lake::View& view, const LakePath& path);

// Where a copy of something called `name` lands, by the rule of cp and mv: a directory takes it in; anything else
// is the target itself. `into`: dest must be a directory (several sources, or a trailing slash).
Result<Spot> FindTarget(lake::View& view, const LakePath& dest, std::string_view name, bool into);

std::string JoinPath(std::string_view directory, std::string_view name);
// Where the last component starts: "/a/b" -> "b", "/" -> "".
std::string BaseName(const LakePath& path);

Status NoSuchPath(std::string_view path);
Status NotADirectory(std::string_view path);
Status IsADirectory(std::string_view path, std::string_view next);

}  // namespace tarn::cli
