#include "cli/paths.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <deque>

#include "cli/context.h"
#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr int kMaxLinks = 40;  // as the kernel

// One walk from the root. `chain` is the way down, so that ".." in a link's target is a pop.
class Walk {
 public:
  explicit Walk(lake::View& view) : view_(view) {}

  Result<lake::Attr> Go(const LakePath& path, bool follow) {
    typed_ = path.text();
    TARN_ASSIGN(lake::Attr root, view_.GetAttr(lake::kRootIno));
    chain_ = {root};
    pending_.assign(path.parts.begin(), path.parts.end());
    while (!pending_.empty()) TARN_TRY(Step(follow));
    if (path.trailing_slash && !S_ISDIR(chain_.back().mode)) return NotADirectory(typed_);
    return chain_.back();
  }

 private:
  Status Step(bool follow) {
    const std::string part = std::move(pending_.front());
    pending_.pop_front();
    if (!S_ISDIR(chain_.back().mode)) return NotADirectory(typed_);
    if (part == "..") {
      if (chain_.size() > 1) chain_.pop_back();
      return {};
    }
    auto found = view_.Lookup(chain_.back().ino, part);
    if (!found.ok() && found.status().code() == Code::kNotFound) return NoSuchPath(typed_);
    if (!found.ok()) return At(typed_, found.status());
    if (S_ISLNK(found->mode) && (follow || !pending_.empty())) return Follow(found->ino);
    chain_.push_back(*found);
    return {};
  }

  Status Follow(lake::Ino link) {
    if (++links_ > kMaxLinks) {
      return {Code::kInvalid,
              fmt::format("{}: too many levels of symbolic links; name the file itself", Escape(typed_)), ELOOP};
    }
    TARN_ASSIGN(const std::string target, view_.ReadLink(link));
    if (target.starts_with('/')) chain_.resize(1);
    std::deque<std::string> parts;
    for (size_t at = 0; at < target.size();) {
      const size_t end = std::min(target.find('/', at), target.size());
      if (end > at && target.substr(at, end - at) != ".") parts.push_back(target.substr(at, end - at));
      at = end + 1;
    }
    pending_.insert(pending_.begin(), parts.begin(), parts.end());
    return {};
  }

  lake::View& view_;
  std::string typed_;
  std::vector<lake::Attr> chain_;
  std::deque<std::string> pending_;
  int links_ = 0;
};

std::string TextOf(const std::vector<std::string>& parts, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += "/" + parts[i];
  return out.empty() ? "/" : out;
}

}  // namespace

std::string LakePath::text() const { return TextOf(parts, parts.size()); }

Result<LakePath> ParseLakePath(std::string_view text) {
  if (!text.starts_with('/')) {
    const bool plain = !text.empty() && text.find("..") == std::string_view::npos;
    return Status(Code::kInvalid,
                  fmt::format("'{}': paths in the lake are absolute; write {}", Escape(text),
                              plain ? "/" + Escape(text) : "it from the root, like /data/x"),
                  EINVAL);
  }
  LakePath path;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('/', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      return Status(Code::kInvalid,
                    fmt::format("{}: '..' has no place in a lake path; write the path without it", Escape(text)),
                    EINVAL);
    }
    if (part.size() > lake::kMaxName) {
      return Status(Code::kInvalid,
                    fmt::format("{}: a name is at most {} bytes; shorten it", Escape(text), lake::kMaxName),
                    ENAMETOOLONG);
    }
    path.parts.emplace_back(part);
  }
  path.trailing_slash = text.size() > 1 && text.ends_with('/') && !path.parts.empty();
  return path;
}

Result<lake::Attr> Find(lake::View& view, const LakePath& path, bool follow) {
  return Walk(view).Go(path, follow || path.trailing_slash);
}

Result<Spot> FindSpot(lake::View& view, const LakePath& path) {
  if (path.parts.empty()) {
    return Status(Code::kInvalid, "/: the root of the lake stays what it is; name something below it", EBUSY);
  }
  LakePath parent = path;
  parent.parts.pop_back();
  parent.trailing_slash = !parent.parts.empty();
  TARN_ASSIGN(const lake::Attr directory, Find(view, parent, true));
  Spot spot;
  spot.parent = directory.ino;
  spot.name = path.parts.back();
  spot.path = path.text();
  auto there = view.Lookup(directory.ino, spot.name);
  if (there.ok()) {
    if (path.trailing_slash && !S_ISDIR(there->mode)) return NotADirectory(spot.path);
    spot.existing = *there;
  } else if (there.status().code() != Code::kNotFound) {
    return At(spot.path, there.status());
  }
  return spot;
}

Result<Spot> FindTarget(lake::View& view, const LakePath& dest, std::string_view name, bool into) {
  auto there = Find(view, dest, true);
  if (!there.ok() && there.status().code() != Code::kNotFound) return there.status();
  if (there.ok() && S_ISDIR(there->mode)) {
    if (name.empty()) {
      return Status(Code::kInvalid, fmt::format("{}: exists already; name a path that does not", Escape(dest.text())),
                    EEXIST);
    }
    LakePath inside = dest;
    inside.parts.emplace_back(name);
    inside.trailing_slash = false;
    return FindSpot(view, inside);
  }
  if (into || dest.trailing_slash) {
    if (there.ok()) return NotADirectory(dest.text());
    return Status(Code::kNotFound,
                  fmt::format("{}: no such directory in the lake; create it with: tarn mkdir -p {}",
                              Escape(dest.text()), ShellQuote(dest.text())),
                  ENOENT);
  }
  return FindSpot(view, dest);
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string out(directory);
  if (out.empty() || out.back() != '/') out += '/';
  return out.append(name);
}

std::string BaseName(const LakePath& path) { return path.parts.empty() ? std::string() : path.parts.back(); }

Status NoSuchPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string above(slash == 0 || slash == std::string_view::npos ? "/" : path.substr(0, slash));
  return {Code::kNotFound,
          fmt::format("{}: no such file or directory in the lake; see what is there with: tarn ls {}", Escape(path),
                      ShellQuote(above)),
          ENOENT};
}

Status NotADirectory(std::string_view path) {
  return {Code::kInvalid, fmt::format("{}: not a directory; name a directory", Escape(path)), ENOTDIR};
}

Status IsADirectory(std::string_view path, std::string_view next) {
  return {Code::kInvalid, fmt::format("{}: is a directory; {}", Escape(path), next), EISDIR};
}

}  // namespace tarn::cli
