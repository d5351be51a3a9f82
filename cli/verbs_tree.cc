// tree, du: a whole tree at a glance.
#include <sys/stat.h>

#include <unordered_set>

#include "cli/paths.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/walk.h"

namespace tarn::cli {
namespace {

constexpr uint64_t kNoLimit = UINT64_MAX;

struct TreeOptions {
  bool all = false, json = false;
  uint64_t depth = kNoLimit;
  std::string at;
};

Result<Node> NodeAt(lake::View& view, const std::string& operand) {
  TARN_ASSIGN(const LakePath path, ParseLakePath(operand));
  Node node;
  TARN_ASSIGN(node.attr, Find(view, path, true));
  node.path = path.text();
  node.name = BaseName(path);
  return node;
}

// The rails left of a line: one piece for each level above it that has more to come.
class Rails {
 public:
  std::string For(const Node& node) {
    more_.resize(static_cast<size_t>(node.depth));
    if (node.depth == 0) return "";
    more_.back() = !node.last;
    std::string out;
    for (size_t i = 0; i + 1 < more_.size(); ++i) out += more_[i] ? "│   " : "    ";
    return out + (node.last ? "└── " : "├── ");
  }

 private:
  std::vector<bool> more_;
};

Status Tree(Context& context, const TreeOptions& options, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
  TARN_ASSIGN(Node start, NodeAt(*view, operands.empty() ? "/" : operands[0]));
  uint64_t directories = 0, files = 0;
  Rails rails;
  JsonArray array(context.out);
  WalkHooks hooks;
  hooks.enter = [&](const Node& node) -> Result<bool> {
    if (node.depth > 0 && !options.all && node.name.starts_with('.')) return false;
    const bool directory = S_ISDIR(node.attr.mode);
    if (node.depth > 0) ++(directory ? directories : files);
    if (options.json) {
      Json object;
      SetName(&object, "path", node.path);
      object["depth"] = node.depth;
      object["type"] = TypeName(node.attr.mode);
      object["size"] = node.attr.size;
      array.Add(object);
    } else {
      std::string target;
      if (S_ISLNK(node.attr.mode)) {
        TARN_ASSIGN(const std::string link, view->ReadLink(node.attr.ino));
        target = " -> " + Escape(link);
      }
      context.out.Print("{}{}{}\n", rails.For(node), Escape(node.depth == 0 ? node.path : node.name), target);
    }
    return static_cast<uint64_t>(node.depth) < options.depth;
  };
  TARN_TRY(WalkLake(context, *view, std::move(start), hooks));
  if (options.json) {
    array.Finish();
  } else {
    context.out.Print("\n{}, {}\n", Plural(directories, "directory", "directories"), Plural(files, "file", "files"));
  }
  return {};
}

struct DuOptions {
  bool summary = false, all = false, human = false, apparent = false, json = false;
  uint64_t depth = kNoLimit;
  std::string at;
};

// One du over all its operands: a file with several names counts once.
class DiskUse {
 public:
  DiskUse(Context& context, lake::View& view, const DuOptions& options)
      : context_(context), view_(view), options_(options), array_(context.out) {}

  Status Add(Node start) {
    sums_.assign(1, 0);
    WalkHooks hooks;
    hooks.enter = [this](const Node& node) -> Result<bool> {
      if (S_ISDIR(node.attr.mode)) {
        sums_.push_back(SizeOf(node.attr));
        return true;
      }
      const bool again = node.attr.nlink > 1 && !seen_.insert(node.attr.ino).second;
      if (again) return false;
      sums_.back() += SizeOf(node.attr);
      if (node.depth == 0 || (options_.all && Shown(node))) Show(node, SizeOf(node.attr));
      return false;
    };
    hooks.leave = [this](const Node& node) -> Status {
      const uint64_t sum = sums_.back();
      sums_.pop_back();
      sums_.back() += sum;
      if (node.depth == 0 || Shown(node)) Show(node, sum);
      return {};
    };
    return WalkLake(context_, view_, std::move(start), hooks);
  }

  void Finish() {
    if (options_.json) array_.Finish();
  }

 private:
  uint64_t SizeOf(const lake::Attr& attr) const {
    if (!options_.apparent) return attr.blocks * 512;
    return S_ISREG(attr.mode) || S_ISLNK(attr.mode) ? attr.size : 0;
  }
  bool Shown(const Node& node) const {
    return !options_.summary && static_cast<uint64_t>(node.depth) <= options_.depth;
  }
  void Show(const Node& node, uint64_t bytes) {
    if (options_.json) {
      Json object;
      SetName(&object, "path", node.path);
      object["bytes"] = bytes;
      array_.Add(object);
      return;
    }
    std::string size = fmt::format("{}", options_.apparent ? bytes : (bytes + 1023) / 1024);
    if (options_.human) size = ShortBytes(bytes);
    context_.out.Print("{}\t{}\n", size, Escape(node.path));
  }

  Context& context_;
  lake::View& view_;
  const DuOptions& options_;
  JsonArray array_;
  std::vector<uint64_t> sums_;  // one for each directory on the way down, after one for the whole operand
  std::unordered_set<lake::Ino> seen_;
};

Status Du(Context& context, const DuOptions& options, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
  std::vector<Node> starts;
  for (const std::string& operand : operands.empty() ? Operands{"/"} : operands) {
    TARN_ASSIGN(Node node, NodeAt(*view, operand));
    starts.push_back(std::move(node));
  }
  DiskUse use(context, *view, options);
  for (Node& start : starts) TARN_TRY(use.Add(std::move(start)));
  use.Finish();
  return {};
}

}  // namespace

void AddTreeVerbs(CommandLine& line) {
  auto tree = std::make_shared<TreeOptions>();
  line.Add({"Look", "tree", "Draw a tree", "[PATH]", 0, 1, Needs::kLakeToRead,
            "tarn tree /photos\ntarn tree -L 2 --at monday /"},
           [tree](Context& context, const Operands& operands) { return Tree(context, *tree, operands); })
      .Flag("-a,--all", &tree->all, "names that start with a dot too")
      .Number("-L,--level", &tree->depth, "N", "this many levels at most")
      .Flag("--json", &tree->json, "a JSON array, parents before children")
      .Option("--at", &tree->at, "SNAPSHOT", "as of a named snapshot");

  auto du = std::make_shared<DuOptions>();
  line.Add({"Look", "du", "Space used by trees, in KiB before deduplication", "[PATH...]", 0, kMany,
            Needs::kLakeToRead, "tarn du -sh /photos\ntarn du -d 1 /"},
           [du](Context& context, const Operands& operands) { return Du(context, *du, operands); })
      .Flag("-s,--summarize", &du->summary, "one line for each operand")
      .Flag("-a,--all", &du->all, "files too, not only directories")
      .Flag("-h,--human-readable", &du->human, "sizes like 1.5M")
      .Flag("-b,--bytes", &du->apparent, "sizes of files in bytes, holes included")
      .Number("-d,--max-depth", &du->depth, "N", "print only this many levels below an operand")
      .Flag("--json", &du->json, "a JSON array, in bytes")
      .Option("--at", &du->at, "SNAPSHOT", "as of a named snapshot");
}

}  // namespace tarn::cli
