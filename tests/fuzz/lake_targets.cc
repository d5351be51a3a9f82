// The lake's rows, and paths: as programs give them (lake/path) and as people type them (cli/paths), over a small
// tree whose one link leads wherever the input says.
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "cli/paths.h"
#include "lake/lake.h"
#include "lake/layout.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"

namespace tarn::fuzz {
namespace {

template <typename Row>
void CheckRow(std::string_view key, std::string_view value) {
  Row row;
  const Status decoded = lake::Decode(key, value, &row);
  if (!decoded.ok()) {
    MUST(decoded.code() == Code::kCorruption || decoded.code() == Code::kUnsupported, decoded.ToString());
    MUST(decoded.message().find('\n') == std::string_view::npos, "an error of two lines");
    return;
  }
  const std::string again = lake::Encode(row);
  MUST(again.size() <= value.size(), "the encoder needs more bytes than the decoder took");
  MUST(again.size() < value.size() || again == value, "encode(decode(x)) is not x");
  Row twice;
  MUST(lake::Decode(key, again, &twice).ok() && lake::Encode(twice) == again, "an encoded row does not read back");
}

void CheckKeys(std::string_view key) {
  uint64_t number = 0, block = 0;
  std::string_view name;
  lake::Digest digest;
  if (lake::ParseMetaKey(key, &number, &name)) {
    MUST(lake::NameKey(key[0], number, name) == key, "a meta key is another one");
  }
  if (lake::ParseExtentKey(key, &number, &block)) {
    MUST(lake::ExtentKey(number, block) == key, "an extent key is another one");
  }
  if (lake::ParseBackrefKey(key, &digest, &number, &block)) {
    MUST(lake::BackrefKey(digest, number, block) == key, "a backref key is another one");
  }
}

// The root (1) has a directory "a" (2), a file "f" (3) and the link "l" (4); "a" has "b" (5), a directory.
class Tree final : public lake::View {
 public:
  explicit Tree(std::string_view link) : link_(link) {}
  Result<lake::Attr> Lookup(lake::Ino parent, std::string_view name) override {
    static const std::map<std::pair<lake::Ino, std::string_view>, lake::Ino> kEntries = {
        {{1, "a"}, 2}, {{1, "f"}, 3}, {{1, "l"}, 4}, {{2, "b"}, 5}};
    if (!IsDir(parent)) return Status::FromErrno(ENOTDIR, "not a directory; name another");
    MUST(!name.empty() && name != "." && name != ".." && name.find('/') == name.npos, "a lookup of no name");
    const auto found = kEntries.find({parent, name});
    if (found == kEntries.end()) return Status::FromErrno(ENOENT, "no such entry; name another");
    return GetAttr(found->second);
  }
  Result<lake::Attr> GetAttr(lake::Ino ino) override {
    lake::Attr attr;
    attr.ino = ino;
    attr.mode = IsDir(ino) ? S_IFDIR | 0755 : (ino == 4 ? S_IFLNK | 0777 : S_IFREG | 0644);
    return attr;
  }
  Result<std::string> ReadLink(lake::Ino) override { return std::string(link_); }
  // Paths ask for nothing else.
  Result<std::vector<lake::DirEntry>> ReadDir(lake::Ino, std::string_view, size_t) override { return Unasked(); }
  Result<lake::Ino> ParentOf(lake::Ino) override { return Unasked(); }
  Result<size_t> Read(lake::Ino, uint64_t, std::span<char>) override { return Unasked(); }
  Result<uint64_t> SeekData(lake::Ino, uint64_t) override { return Unasked(); }
  Result<uint64_t> SeekHole(lake::Ino, uint64_t) override { return Unasked(); }
  Result<std::string> GetXattr(lake::Ino, std::string_view) override { return Unasked(); }
  Result<std::vector<std::string>> ListXattr(lake::Ino) override { return Unasked(); }
  Result<lake::Usage> GetUsage() override { return Unasked(); }

 private:
  static bool IsDir(lake::Ino ino) { return ino == 1 || ino == 2 || ino == 5; }
  static Status Unasked() { Fail(__FILE__, __LINE__, "a path asks for more than names"); }
  const std::string_view link_;
};

// That a message is one line, whoever prints it sees to (EscapeControls).
void CheckNextStep(const Status& status) {
  MUST(status.message().find("; ") != std::string_view::npos, "no next step: " + status.ToString());
}

}  // namespace

void RunLakeRows(std::string_view input) {
  Input in(input);
  const uint8_t kind = in.Byte();
  const std::string_view key = in.Bytes(in.Below(64));
  const std::string_view value = in.Rest();
  CheckKeys(key);
  switch (kind % 5) {
    case 0: CheckRow<lake::Inode>(key, value); break;
    case 1: {
      CheckRow<lake::Entry>(key, value);
      lake::Entry entry;
      MUST(!lake::Decode(key, value, &entry).ok() || (entry.type & ~S_IFMT) == 0, "a type that is no file type");
      break;
    }
    case 2: CheckRow<lake::Extent>(key, value); break;
    case 3: CheckRow<lake::LogRecord>(key, value); break;
    default: CheckRow<lake::Superblock>(key, value);
  }
}

// Input: length of the link's target, the target, a path.
void RunPaths(std::string_view input) {
  Input in(input);
  Tree tree(in.Short());
  const std::string_view text = in.Rest();
  const Result<lake::Attr> resolved = lake::Resolve(tree, text);
  const Result<lake::Place> place = lake::ResolveParent(tree, text);
  for (const Status& status : {resolved.status(), place.status()}) {
    MUST(status.ok() || status.os_error() != 0, "an error of a path without errno: " + status.ToString());
  }
  MUST(!place.ok() || !place->name.empty(), "an entry without a name");
  const Result<cli::LakePath> path = cli::ParseLakePath(text);
  if (!path.ok()) {
    CheckNextStep(path.status());
    MUST(!resolved.ok(), "programs may give a path that people may not type");
    return;
  }
  const Result<cli::LakePath> again = cli::ParseLakePath(path->text());
  MUST(again.ok() && again->parts == path->parts, "a path written and parsed is another one");
  const Result<lake::Attr> found = cli::Find(tree, *path, false);
  if (!found.ok()) CheckNextStep(found.status());
  // Without links on the way both mean the same.
  const bool linked = std::count(path->parts.begin(), path->parts.end(), "l") > 0;
  if (resolved.ok() && !linked) MUST(found.ok() && found->ino == resolved->ino, "two readers of one path disagree");
  const Result<lake::Attr> followed = cli::Find(tree, *path, true);
  if (!followed.ok()) CheckNextStep(followed.status());
  MUST(!followed.ok() || !S_ISLNK(followed->mode), "a followed path ends at a link");
  const Result<cli::Spot> spot = cli::FindSpot(tree, *path);
  if (!spot.ok()) CheckNextStep(spot.status());
  if (spot.ok() && spot->existing) MUST(found.ok() && found->ino == spot->existing->ino, "a spot is elsewhere");
  const Result<cli::Spot> target = cli::FindTarget(tree, *path, "n", path->trailing_slash);
  if (!target.ok()) CheckNextStep(target.status());
}

}  // namespace tarn::fuzz
