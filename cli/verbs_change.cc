// mkdir, rm, mv, ln: changes of the namespace, like the programs of the same name, with two differences that keep
// data: nothing that exists is replaced without -f, and all operands are looked at before the first is touched.
// Each command leaves one record in the lake's log, also when it failed half way.
#include <sys/stat.h>

#include "cli/paths.h"
#include "cli/text.h"
#include "cli/verbs.h"
#include "cli/walk.h"

namespace tarn::cli {
namespace {

// Logs what a command did, even when it ended in an error; the first error wins.
Status Logged(Context& context, uint64_t files, uint64_t bytes, Status result) {
  if (files == 0) return result;
  const Status logged = context.Record(files, bytes);
  return result.ok() ? logged : result;
}

lake::Owner OwnerOf(const Context& context) { return {context.caller.uid, context.caller.gid}; }

struct MkdirOptions {
  bool parents = false;
  std::string mode;
};

Result<uint32_t> ParseMode(const std::string& text) {
  if (text.empty()) return 0755u;
  uint32_t mode = 0;
  for (const char c : text) {
    if (c < '0' || c > '7' || mode > 0777) {
      return Status(Code::kInvalid, fmt::format("{}: not a mode; write it in octal, like 0755", Escape(text)),
                    EINVAL);
    }
    mode = mode * 8 + static_cast<uint32_t>(c - '0');
  }
  return mode;
}

// Creates the missing directories of one path; `made` counts them.
Status MakePath(Context& context, const LakePath& path, uint32_t mode, bool parents, uint64_t* made) {
  lake::View& view = context.lake->Head();
  for (size_t depth = parents ? 1 : path.parts.size(); depth <= path.parts.size(); ++depth) {
    LakePath prefix;
    prefix.parts.assign(path.parts.begin(), path.parts.begin() + static_cast<ptrdiff_t>(depth));
    TARN_ASSIGN(const Spot spot, FindSpot(view, prefix));
    if (spot.existing.has_value()) {
      // Through a link, as mkdir -p: a link to a directory is a directory.
      TARN_ASSIGN(const lake::Attr there, Find(view, prefix, true));
      if (!S_ISDIR(there.mode))
        return {Code::kInvalid, fmt::format("{}: a file is there already; name another path", Escape(spot.path)),
                EEXIST};
      if (!parents)
        return {Code::kInvalid, fmt::format("{}: exists already; nothing to do, or use -p", Escape(spot.path)),
                EEXIST};
      continue;
    }
    const bool last = depth == path.parts.size();
    const Status status =
        context.lake->MakeDir(spot.parent, spot.name, S_IFDIR | (last ? mode : 0755u), OwnerOf(context)).status();
    TARN_TRY(At(spot.path, status));
    ++*made;
  }
  return {};
}

Status Mkdir(Context& context, const MkdirOptions& options, const Operands& operands) {
  TARN_ASSIGN(const uint32_t mode, ParseMode(options.mode));
  std::vector<LakePath> paths;
  for (const std::string& operand : operands) {
    TARN_ASSIGN(LakePath path, ParseLakePath(operand));
    path.trailing_slash = false;
    if (path.parts.empty() && !options.parents) {
      return {Code::kInvalid, "/: exists already; name a directory below it", EEXIST};
    }
    paths.push_back(std::move(path));
  }
  uint64_t made = 0;
  Status status;
  for (size_t i = 0; i < paths.size() && status.ok(); ++i) {
    status = MakePath(context, paths[i], mode, options.parents, &made);
  }
  return Logged(context, made, 0, status);
}

struct RmOptions {
  bool recursive = false, force = false, dry_run = false;
};

Status RemoveOne(Context& context, const Spot& spot, bool directory) {
  return At(spot.path, directory ? context.lake->RemoveTree(spot.parent, spot.name)
                                 : context.lake->Unlink(spot.parent, spot.name));
}

Status Rm(Context& context, const RmOptions& options, const Operands& operands) {
  lake::View& view = context.lake->Head();
  std::vector<Spot> spots;
  TreeSum sum;
  for (const std::string& operand : operands) {
    TARN_ASSIGN(const LakePath path, ParseLakePath(operand));
    auto spot = FindSpot(view, path);
    const bool missing = spot.ok() ? !spot->existing.has_value() : spot.status().code() == Code::kNotFound;
    if (missing && options.force) continue;
    if (!spot.ok()) return spot.status();
    if (missing) return NoSuchPath(spot->path);
    if (S_ISDIR(spot->existing->mode) && !options.recursive) {
      return IsADirectory(spot->path, "remove it with all it holds: rm -r");
    }
    TARN_ASSIGN(const TreeSum one, SumTree(context, view, {spot->path, spot->name, *spot->existing, 0, true}));
    sum.files += one.files;
    sum.directories += one.directories;
    sum.bytes += one.bytes;
    if (options.dry_run) {
      context.out.Print("would remove {} ({}, {})\n", Escape(spot->path),
                        Plural(one.files + one.directories, "item", "items"), HumanBytes(one.bytes));
    }
    spots.push_back(std::move(spot).value());
  }
  if (options.dry_run) return {};
  Status status;
  uint64_t removed = 0;
  for (size_t i = 0; i < spots.size() && status.ok(); ++i) {
    status = RemoveOne(context, spots[i], S_ISDIR(spots[i].existing->mode));
    // An operand below an earlier one is gone with it.
    if (status.code() == Code::kNotFound && i > 0) status = {};
    if (status.ok()) ++removed;
  }
  const bool all = removed == spots.size();
  return Logged(context, all ? sum.files + sum.directories : removed, all ? sum.bytes : 0, status);
}

struct MvOptions {
  bool force = false, dry_run = false;
};

struct Move {
  Spot from, to;
};

Result<Move> PlanMove(lake::View& view, const std::string& source, const LakePath& dest, bool into, bool force) {
  TARN_ASSIGN(const LakePath path, ParseLakePath(source));
  Move move;
  TARN_ASSIGN(move.from, FindSpot(view, path));
  if (!move.from.existing.has_value()) return NoSuchPath(move.from.path);
  TARN_ASSIGN(move.to, FindTarget(view, dest, BaseName(path), into));
  if (!move.to.existing.has_value()) return move;
  if (move.to.existing->ino == move.from.existing->ino) {
    return Status(
        Code::kInvalid,
        fmt::format("{}: is the same file as {}; nothing to do", Escape(move.from.path), Escape(move.to.path)),
        EINVAL);
  }
  if (!force) {
    return Status(Code::kInvalid,
                  fmt::format("{}: exists already; replace it with -f, or name another path", Escape(move.to.path)),
                  EEXIST);
  }
  return move;
}

Status Mv(Context& context, const MvOptions& options, const Operands& operands) {
  lake::View& view = context.lake->Head();
  TARN_ASSIGN(const LakePath dest, ParseLakePath(operands.back()));
  const size_t count = operands.size() - 1;
  std::vector<Move> moves;
  for (size_t i = 0; i < count; ++i) {
    TARN_ASSIGN(Move move, PlanMove(view, operands[i], dest, count > 1, options.force));
    if (options.dry_run) {
      context.out.Print("would move {} to {}{}\n", Escape(move.from.path), Escape(move.to.path),
                        move.to.existing.has_value() ? " (replacing what is there)" : "");
    }
    moves.push_back(std::move(move));
  }
  if (options.dry_run) return {};
  Status status;
  uint64_t moved = 0;
  const auto mode = options.force ? lake::RenameMode::kReplace : lake::RenameMode::kNoReplace;
  for (const Move& move : moves) {
    status = At(move.from.path,
                context.lake->Rename(move.from.parent, move.from.name, move.to.parent, move.to.name, mode));
    if (!status.ok()) break;
    ++moved;
  }
  return Logged(context, moved, 0, status);
}

Status Ln(Context& context, bool symbolic, const Operands& operands) {
  lake::View& view = context.lake->Head();
  TARN_ASSIGN(const LakePath link, ParseLakePath(operands[1]));
  const std::string& target = operands[0];
  const std::string base = target.substr(target.find_last_of('/') + 1);
  TARN_ASSIGN(const Spot spot, FindTarget(view, link, base, false));
  if (spot.existing.has_value()) {
    return {Code::kInvalid, fmt::format("{}: exists already; name another path", Escape(spot.path)), EEXIST};
  }
  if (symbolic) {
    TARN_TRY(At(spot.path, context.lake->Symlink(spot.parent, spot.name, target, OwnerOf(context)).status()));
    return context.Record(1, 0);
  }
  TARN_ASSIGN(const LakePath path, ParseLakePath(target));
  TARN_ASSIGN(const lake::Attr file, Find(view, path, false));
  if (S_ISDIR(file.mode)) return IsADirectory(path.text(), "directories have one name; make a symbolic link: ln -s");
  TARN_TRY(At(spot.path, context.lake->Link(file.ino, spot.parent, spot.name).status()));
  return context.Record(1, 0);
}

}  // namespace

void AddChangeVerbs(CommandLine& line) {
  auto mkdir = std::make_shared<MkdirOptions>();
  line.Add({"Change", "mkdir", "Create directories", "PATH...", 1, kMany, Needs::kLake,
            "tarn mkdir /photos\ntarn mkdir -p /photos/2026/july"},
           [mkdir](Context& context, const Operands& operands) { return Mkdir(context, *mkdir, operands); })
      .Flag("-p,--parents", &mkdir->parents, "with the directories above; none is an error")
      .Option("-m,--mode", &mkdir->mode, "MODE", "permissions in octal (default 0755)");

  auto rm = std::make_shared<RmOptions>();
  line.Add({"Change", "rm", "Remove files and trees", "PATH...", 1, kMany, Needs::kLake,
            "tarn rm /notes/old.txt\ntarn rm -r --dry-run /photos/2019\ntarn rm -r /photos/2019"},
           [rm](Context& context, const Operands& operands) { return Rm(context, *rm, operands); })
      .Flag("-r,-R,--recursive", &rm->recursive, "directories with all they hold, each at once")
      .Flag("-f,--force", &rm->force, "a path that does not exist is no error")
      .Flag("--dry-run", &rm->dry_run, "say what would be removed and remove nothing");

  auto mv = std::make_shared<MvOptions>();
  line.Add({"Change", "mv", "Move or rename", "SOURCE... DEST", 2, kMany, Needs::kLake,
            "tarn mv /inbox /archive\ntarn mv /a.txt /b.txt /notes/\ntarn mv -f /new.db /data.db"},
           [mv](Context& context, const Operands& operands) { return Mv(context, *mv, operands); })
      .Flag("-f,--force", &mv->force, "replace what is there")
      .Flag("--dry-run", &mv->dry_run, "say what would be moved and move nothing");

  auto symbolic = std::make_shared<bool>(false);
  line.Add({"Change", "ln", "Make a hard or symbolic link", "TARGET LINK", 2, 2, Needs::kLake,
            "tarn ln /data/a /data/same-a\ntarn ln -s ../shared/a /data/link-to-a"},
           [symbolic](Context& context, const Operands& operands) { return Ln(context, *symbolic, operands); })
      .Flag("-s,--symbolic", symbolic.get(), "a symbolic link; TARGET is kept as written");
}

}  // namespace tarn::cli
