#include <cerrno>

#include "lake/layout.h"

namespace tarn::lake {
namespace {

// The components of an absolute path; repeated and trailing slashes mean nothing more than one.
Result<std::vector<std::string_view>> Split(std::string_view path) {
  if (!path.starts_with('/')) {
    return Status::FromErrno(EINVAL, "path '" + Printable(path) + "' is not absolute; start it with '/'");
  }
  std::vector<std::string_view> parts;
  for (size_t at = 0; at < path.size();) {
    const size_t begin = path.find_first_not_of('/', at);
    if (begin == path.npos) break;
    at = std::min(path.find('/', begin), path.size());
    parts.push_back(path.substr(begin, at - begin));
    TARN_TRY(CheckName(parts.back()).Annotate("path '" + Printable(path) + "'"));
  }
  return parts;
}

Result<Attr> Descend(View& view, std::string_view path, std::span<const std::string_view> parts) {
  const std::string where = "path '" + Printable(path) + "'";
  Result<Attr> at = view.GetAttr(kRootIno);
  for (const std::string_view part : parts) {
    if (!at.ok()) break;
    at = view.Lookup(at->ino, part);
  }
  if (!at.ok()) return at.status().Annotate(where);
  return at;
}

}  // namespace

Result<Attr> Resolve(View& view, std::string_view path) {
  TARN_ASSIGN(const auto parts, Split(path));
  TARN_ASSIGN(const Attr attr, Descend(view, path, parts));
  if (path.ends_with('/') && (attr.mode & 0170000) != 0040000) {
    return Status::FromErrno(ENOTDIR, "path '" + Printable(path) + "' is not a directory; drop the last '/'");
  }
  return attr;
}

Result<Place> ResolveParent(View& view, std::string_view path) {
  TARN_ASSIGN(const auto parts, Split(path));
  if (parts.empty()) return Status::FromErrno(EINVAL, "the root '/' has no parent; name something below it");
  TARN_ASSIGN(const Attr dir, Descend(view, path, std::span(parts).first(parts.size() - 1)));
  if ((dir.mode & 0170000) != 0040000) {
    return Status::FromErrno(ENOTDIR, "path '" + Printable(path) + "': its parent is not a directory");
  }
  return Place{dir.ino, std::string(parts.back())};
}

}  // namespace tarn::lake
