// ls, stat, cat: looking at files. Every operand is resolved before the first byte is printed, so that a wrong
// path among several leaves no half answer behind.
#include <pwd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <map>

#include "cli/paths.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/walk.h"

namespace tarn::cli {
namespace {

constexpr size_t kPage = 1000;
constexpr size_t kReadBytes = 1 << 20;

struct LsOptions {
  bool detailed = false, all = false, recursive = false, itself = false, human = false, inode = false, json = false;
  std::string at;
};

// Resolves every operand ("/" when there is none).
Result<std::vector<Node>> FindAll(lake::View& view, const Operands& operands, bool follow) {
  std::vector<Node> nodes;
  for (const std::string& operand : operands.empty() ? Operands{"/"} : operands) {
    TARN_ASSIGN(const LakePath path, ParseLakePath(operand));
    Node node;
    TARN_ASSIGN(node.attr, Find(view, path, follow));
    node.path = path.text();
    node.name = BaseName(path);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

class Lister {
 public:
  Lister(Context& context, lake::View& view, const LsOptions& options)
      : context_(context), view_(view), options_(options), array_(context.out) {}

  Status Run(const std::vector<Node>& nodes) {
    const bool headers = nodes.size() > 1 || options_.recursive;
    for (const Node& node : nodes) {
      if (!S_ISDIR(node.attr.mode) || options_.itself) TARN_TRY(Line(node, node.path));
    }
    for (const Node& node : nodes) {
      if (!S_ISDIR(node.attr.mode) || options_.itself) continue;
      if (!options_.recursive) {
        TARN_TRY(Directory(node, headers));
        continue;
      }
      WalkHooks hooks;
      hooks.enter = [&](const Node& below) -> Result<bool> {
        if (!S_ISDIR(below.attr.mode) || (below.depth > 0 && Hidden(below.name))) return false;
        TARN_TRY(Directory(below, true));
        return true;
      };
      TARN_TRY(WalkLake(context_, view_, node, hooks));
    }
    if (options_.json) array_.Finish();
    return {};
  }

 private:
  bool Hidden(const std::string& name) const { return !options_.all && name.starts_with('.'); }

  Status Directory(const Node& directory, bool header) {
    if (header && !options_.json) {
      context_.out.Print("{}{}:\n", any_header_ ? "\n" : "", Escape(directory.path));
      any_header_ = true;
    }
    std::string after;
    while (true) {
      TARN_TRY(context_.Check());
      auto page = view_.ReadDir(directory.attr.ino, after, kPage);
      if (!page.ok()) return At(directory.path, page.status());
      for (const lake::DirEntry& entry : *page) {
        if (!Hidden(entry.name)) TARN_TRY(Entry(directory, entry));
      }
      if (page->size() < kPage) return {};
      after = page->back().name;
    }
  }

  Status Entry(const Node& directory, const lake::DirEntry& entry) {
    Node node;
    node.name = entry.name;
    node.path = JoinPath(directory.path, entry.name);
    node.attr.ino = entry.ino;
    node.attr.mode = entry.type;
    if (options_.detailed || options_.json) {
      auto attr = view_.GetAttr(entry.ino);
      if (!attr.ok() && attr.status().code() == Code::kNotFound) return {};  // removed since it was listed
      if (!attr.ok()) return At(node.path, attr.status());
      node.attr = *attr;
    }
    return Line(node, node.name);
  }

  Status Line(const Node& node, const std::string& shown) {
    std::string target;
    if (S_ISLNK(node.attr.mode) && (options_.detailed || options_.json)) {
      auto link = view_.ReadLink(node.attr.ino);
      if (!link.ok()) return At(node.path, link.status());
      target = std::move(link).value();
    }
    if (options_.json) {
      Json object;
      SetName(&object, "path", node.path);
      object.update(AttrJson(node.attr));
      if (S_ISLNK(node.attr.mode)) SetName(&object, "target", target);
      array_.Add(object);
      return {};
    }
    if (options_.inode) context_.out.Print("{:>8} ", node.attr.ino);
    if (options_.detailed) Detail(node.attr);
    context_.out.Write(Escape(shown));
    if (options_.detailed && S_ISLNK(node.attr.mode)) context_.out.Print(" -> {}", Escape(target));
    context_.out.Write("\n");
    return {};
  }

  void Detail(const lake::Attr& attr) {
    std::string size = options_.human ? ShortBytes(attr.size) : fmt::format("{}", attr.size);
    if (S_ISCHR(attr.mode) || S_ISBLK(attr.mode)) size = fmt::format("{}, {}", major(attr.rdev), minor(attr.rdev));
    context_.out.Print("{} {:>3} {:<8} {:<8} {:>10} {} ", ModeString(attr.mode), attr.nlink, User(attr.uid), attr.gid,
                       size, TimeText(attr.mtime_ns));
  }

  const std::string& User(uint32_t uid) {
    auto found = users_.find(uid);
    if (found != users_.end()) return found->second;
    std::vector<char> buffer(16 << 10);
    struct passwd entry;
    struct passwd* known = nullptr;
    const bool named = getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &known) == 0 && known != nullptr;
    return users_[uid] = named ? std::string(known->pw_name) : fmt::format("{}", uid);
  }

  Context& context_;
  lake::View& view_;
  const LsOptions& options_;
  JsonArray array_;
  std::map<uint32_t, std::string> users_;
  bool any_header_ = false;
};

Status Ls(Context& context, const LsOptions& options, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
  TARN_ASSIGN(const auto nodes, FindAll(*view, operands, !options.detailed && !options.itself));
  return Lister(context, *view, options).Run(nodes);
}

struct StatOptions {
  bool json = false, follow = false;
  std::string at;
};

Result<Json> StatJson(lake::View& view, const Node& node) {
  Json object;
  SetName(&object, "path", node.path);
  object.update(AttrJson(node.attr));
  if (S_ISLNK(node.attr.mode)) {
    TARN_ASSIGN(const std::string target, view.ReadLink(node.attr.ino));
    SetName(&object, "target", target);
  }
  TARN_ASSIGN(const auto names, view.ListXattr(node.attr.ino));
  Json xattrs = Json::array();
  for (const std::string& name : names) {
    TARN_ASSIGN(const std::string value, view.GetXattr(node.attr.ino, name));
    Json one;
    SetName(&one, "name", name);
    SetName(&one, "value", value);
    xattrs.push_back(std::move(one));
  }
  object["xattrs"] = std::move(xattrs);
  return object;
}

void PrintStat(Context& context, const Json& object, const lake::Attr& attr) {
  Output& out = context.out;
  const auto text = [&](const char* key) { return Escape(object[key].get<std::string>()); };
  out.Print("  File: {}{}\n", text("path"), S_ISLNK(attr.mode) ? " -> " + text("target") : std::string());
  out.Print("  Size: {:<12} Blocks: {:<10} Inode: {:<12} Links: {}\n", attr.size, attr.blocks, attr.ino, attr.nlink);
  out.Print("  Type: {:<12} Access: ({:04o}/{})  Uid: {}  Gid: {}\n", TypeName(attr.mode), attr.mode & 07777,
            ModeString(attr.mode), attr.uid, attr.gid);
  if (S_ISCHR(attr.mode) || S_ISBLK(attr.mode)) {
    out.Print("Device: {}, {}\n", major(attr.rdev), minor(attr.rdev));
  }
  out.Print("Access: {}\nModify: {}\nChange: {}\n Birth: {}\n", TimeNanos(attr.atime_ns), TimeNanos(attr.mtime_ns),
            TimeNanos(attr.ctime_ns), TimeNanos(attr.btime_ns));
  for (const Json& xattr : object["xattrs"]) {
    out.Print(" Xattr: {} = {}\n", Escape(xattr["name"].get<std::string>()),
              Escape(xattr["value"].get<std::string>()));
  }
}

Status Stat(Context& context, const StatOptions& options, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
  TARN_ASSIGN(const auto nodes, FindAll(*view, operands, options.follow));
  JsonArray array(context.out);
  for (const Node& node : nodes) {
    TARN_TRY(context.Check());
    auto object = StatJson(*view, node);
    if (!object.ok()) return At(node.path, object.status());
    if (options.json) {
      array.Add(*object);
    } else {
      PrintStat(context, *object, node.attr);
    }
  }
  if (options.json) array.Finish();
  return {};
}

Status Cat(Context& context, const std::string& at, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(at));
  TARN_ASSIGN(const auto nodes, FindAll(*view, operands, true));
  for (const Node& node : nodes) {
    if (S_ISDIR(node.attr.mode)) return IsADirectory(node.path, "cat prints files; see: tarn ls");
    if (!S_ISREG(node.attr.mode)) {
      return {
          Code::kInvalid,
          fmt::format("{}: a {} has no content; name a regular file", Escape(node.path), TypeName(node.attr.mode)),
          EINVAL};
    }
  }
  std::vector<char> buffer(kReadBytes);
  for (const Node& node : nodes) {
    for (uint64_t offset = 0;;) {
      TARN_TRY(context.Check());
      auto got = view->Read(node.attr.ino, offset, buffer);
      if (!got.ok()) return At(node.path, got.status());
      if (*got == 0) break;
      context.out.Write({buffer.data(), *got});
      offset += *got;
    }
  }
  return {};
}

}  // namespace

void AddReadVerbs(CommandLine& line) {
  auto ls = std::make_shared<LsOptions>();
  line.Add({"Look", "ls", "List files and directories", "[PATH...]", 0, kMany, Needs::kLakeToRead,
            "tarn ls /\ntarn ls -l /photos\ntarn ls -R --json /photos\ntarn ls --at monday /photos"},
           [ls](Context& context, const Operands& operands) { return Ls(context, *ls, operands); })
      .Flag("-l", &ls->detailed, "mode, links, owner, size, time (UTC), link target")
      .Flag("-a,--all", &ls->all, "names that start with a dot too")
      .Flag("-R,--recursive", &ls->recursive, "everything below as well")
      .Flag("-d,--directory", &ls->itself, "the directory itself, not what is in it")
      .Flag("-h,--human-readable", &ls->human, "sizes like 1.5M")
      .Flag("-i,--inode", &ls->inode, "inode numbers")
      .Flag("--json", &ls->json, "a JSON array")
      .Option("--at", &ls->at, "SNAPSHOT", "as of a named snapshot");

  auto stat = std::make_shared<StatOptions>();
  line.Add({"Look", "stat", "Everything known about a file", "PATH...", 1, kMany, Needs::kLakeToRead,
            "tarn stat /photos/cat.jpg\ntarn stat --json /photos/cat.jpg | jq .[0].size"},
           [stat](Context& context, const Operands& operands) { return Stat(context, *stat, operands); })
      .Flag("-L,--dereference", &stat->follow, "follow a symbolic link")
      .Flag("--json", &stat->json, "a JSON array")
      .Option("--at", &stat->at, "SNAPSHOT", "as of a named snapshot");

  auto at = std::make_shared<std::string>();
  line.Add({"Look", "cat", "Print files", "PATH...", 1, kMany, Needs::kLakeToRead,
            "tarn cat /notes/todo.txt\ntarn cat --at monday /notes/todo.txt | diff - todo.txt"},
           [at](Context& context, const Operands& operands) { return Cat(context, *at, operands); })
      .Option("--at", at.get(), "SNAPSHOT", "as of a named snapshot");
}

}  // namespace tarn::cli
