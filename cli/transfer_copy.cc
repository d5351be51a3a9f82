// Copy: a tree of the lake (now, or as of a snapshot: that is how yesterday's state is restored) to another place in
// it. Content that is the same is stored once, so a copy costs rows and no blocks.
#include <sys/stat.h>

#include <cerrno>
#include <unordered_map>

#include "cli/paths.h"
#include "cli/progress.h"
#include "cli/text.h"
#include "cli/transfer.h"
#include "cli/walk.h"

namespace tarn::cli {
namespace {

class Copier {
 public:
  Copier(Context& context, lake::View& view, bool archive, Progress& progress)
      : context_(context),
        lake_(*context.lake),
        view_(view),
        archive_(archive),
        progress_(progress),
        buffer_(kCopyBytes) {}

  Status Run(const Node& start, lake::Ino stage, const std::string& name) {
    parents_ = {stage};
    top_name_ = name;
    WalkHooks hooks;
    hooks.enter = [this](const Node& node) -> Result<bool> {
      auto entered = Enter(node);
      if (!entered.ok()) return At(node.path, entered.status());
      progress_.Add(0, 1);
      return entered;
    };
    hooks.leave = [this](const Node& node) -> Status {
      const lake::Ino ino = parents_.back();
      parents_.pop_back();
      return At(node.path, Finish(node, ino));
    };
    return WalkLake(context_, view_, start, hooks);
  }

 private:
  lake::Owner OwnerFor(const lake::Attr& attr) const {
    return archive_ ? lake::Owner{attr.uid, attr.gid} : lake::Owner{context_.caller.uid, context_.caller.gid};
  }

  Result<bool> Enter(const Node& node) {
    const std::string& name = node.depth == 0 ? top_name_ : node.name;
    const lake::Ino parent = parents_.back();
    if (S_ISDIR(node.attr.mode)) {
      TARN_ASSIGN(const lake::Attr made, lake_.MakeDir(parent, name, node.attr.mode, OwnerFor(node.attr)));
      parents_.push_back(made.ino);
      return true;
    }
    const auto known = links_.find(node.attr.ino);
    if (archive_ && known != links_.end()) {
      TARN_TRY(lake_.Link(known->second, parent, name).status());
      return false;
    }
    lake::Attr made;
    if (S_ISLNK(node.attr.mode)) {
      TARN_ASSIGN(const std::string target, view_.ReadLink(node.attr.ino));
      TARN_ASSIGN(made, lake_.Symlink(parent, name, target, OwnerFor(node.attr)));
    } else {
      TARN_ASSIGN(made, lake_.Create(parent, name, node.attr.mode, node.attr.rdev, OwnerFor(node.attr)));
    }
    if (S_ISREG(node.attr.mode)) TARN_TRY(CopyContent(node, made.ino));
    TARN_TRY(Finish(node, made.ino));
    if (node.attr.nlink > 1) links_[node.attr.ino] = made.ino;
    return false;
  }

  Status CopyContent(const Node& node, lake::Ino to) {
    for (uint64_t at = 0; at < node.attr.size;) {
      auto data = view_.SeekData(node.attr.ino, at);
      if (!data.ok() && data.status().os_error() == ENXIO) break;
      if (!data.ok()) return data.status();
      TARN_ASSIGN(const uint64_t hole, view_.SeekHole(node.attr.ino, *data));
      for (at = *data; at < hole;) {
        TARN_TRY(context_.Check());
        const size_t want = static_cast<size_t>(std::min<uint64_t>(buffer_.size(), hole - at));
        TARN_ASSIGN(const size_t got, view_.Read(node.attr.ino, at, {buffer_.data(), want}));
        if (got == 0) break;  // it was cut short since it was looked at
        TARN_TRY(lake_.Write(to, at, {buffer_.data(), got}));
        at += got;
        progress_.Add(got, 0);
      }
      at = hole;
    }
    lake::AttrChange change;
    change.size = node.attr.size;
    TARN_TRY(lake_.SetAttr(to, change).status());
    return lake_.Flush(to);
  }

  Status Finish(const Node& node, lake::Ino to) {
    if (!archive_) return {};
    TARN_ASSIGN(const auto names, view_.ListXattr(node.attr.ino));
    for (const std::string& name : names) {
      TARN_ASSIGN(const std::string value, view_.GetXattr(node.attr.ino, name));
      TARN_TRY(lake_.SetXattr(to, name, value, false, false));
    }
    lake::AttrChange change;
    if (!S_ISLNK(node.attr.mode)) change.mode = node.attr.mode & 07777u;
    change.uid = node.attr.uid;
    change.gid = node.attr.gid;
    change.atime_ns = node.attr.atime_ns;
    change.mtime_ns = node.attr.mtime_ns;
    return lake_.SetAttr(to, change).status();
  }

  Context& context_;
  lake::Lake& lake_;
  lake::View& view_;
  const bool archive_;
  Progress& progress_;
  std::vector<char> buffer_;
  std::vector<lake::Ino> parents_;
  std::string top_name_;
  std::unordered_map<lake::Ino, lake::Ino> links_;
};

struct Job {
  Node from;
  Spot to;
};

Result<Job> Plan(const Context& context, lake::View& view, const CopyOptions& options, const std::string& source,
                 const LakePath& dest, bool into) {
  TARN_ASSIGN(const LakePath path, ParseLakePath(source));
  Job job;
  TARN_ASSIGN(job.from.attr, Find(view, path, !options.recursive));
  job.from.path = path.text();
  job.from.name = BaseName(path);
  if (S_ISDIR(job.from.attr.mode) && !options.recursive)
    return IsADirectory(job.from.path, "copy it with all it holds: cp -r");
  TARN_ASSIGN(job.to, FindTarget(context.lake->Head(), dest, job.from.name, into));
  if (!job.to.existing.has_value()) return job;
  if (options.at.empty() && job.to.existing->ino == job.from.attr.ino) {
    return Status(
        Code::kInvalid,
        fmt::format("{}: is the same file as {}; name another path", Escape(job.from.path), Escape(job.to.path)),
        EINVAL);
  }
  if (!options.force) {
    return Status(Code::kInvalid,
                  fmt::format("{}: exists already; replace it with -f, or name another path", Escape(job.to.path)),
                  EEXIST);
  }
  if (S_ISDIR(job.to.existing->mode) != S_ISDIR(job.from.attr.mode)) {
    return Status(
        Code::kInvalid,
        fmt::format("{}: a file and a directory do not replace each other; remove it first", Escape(job.to.path)),
        EISDIR);
  }
  return job;
}

}  // namespace

Result<Staging> Staging::Begin(Context& context) {
  TARN_ASSIGN(const lake::Ino ino, context.lake->Stage({context.caller.uid, context.caller.gid}));
  return Staging(context.lake, ino);
}

Staging::~Staging() {
  // A stage that cannot be dropped now is reclaimed when the lake is next opened.
  if (ino_ != 0) static_cast<void>(lake_->DropStage(ino_).ok());
}

void Remark(Context& context, std::string_view did, const Progress& progress) {
  if (context.quiet) return;
  context.out.Print("{} {}, {} {}\n", did, Plural(progress.items(), "item", "items"), HumanBytes(progress.bytes()),
                    RateText(progress.bytes(), progress.Seconds()));
}

Status Copy(Context& context, const CopyOptions& options, const Operands& operands) {
  TARN_ASSIGN(lake::View * view, context.ViewAt(options.at));
  TARN_ASSIGN(const LakePath dest, ParseLakePath(operands.back()));
  const size_t count = operands.size() - 1;
  std::vector<Job> jobs;
  TreeSum total;
  for (size_t i = 0; i < count; ++i) {
    TARN_ASSIGN(Job job, Plan(context, *view, options, operands[i], dest, count > 1));
    if (options.dry_run || (context.err.terminal() && !context.quiet)) {
      TARN_ASSIGN(const TreeSum one, SumTree(context, *view, job.from));
      total.files += one.files + one.directories;
      total.bytes += one.bytes;
      if (options.dry_run) {
        context.out.Print("would copy {} to {} ({}, {}){}\n", Escape(job.from.path), Escape(job.to.path),
                          Plural(one.files + one.directories, "item", "items"), HumanBytes(one.bytes),
                          job.to.existing.has_value() ? ", replacing what is there" : "");
      }
    }
    jobs.push_back(std::move(job));
  }
  if (options.dry_run) return {};
  Progress progress(context, "cp", total.bytes, total.files);
  for (const Job& job : jobs) {
    TARN_ASSIGN(const Staging stage, Staging::Begin(context));
    const uint64_t items = progress.items(), bytes = progress.bytes();
    TARN_TRY(Copier(context, *view, options.archive, progress).Run(job.from, stage.ino(), job.to.name));
    const auto mode = options.force ? lake::RenameMode::kReplace : lake::RenameMode::kNoReplace;
    TARN_TRY(At(job.to.path,
                context.lake->Publish(stage.ino(), job.to.name, job.to.parent, job.to.name, mode,
                                      context.LogRecordOf(progress.items() - items, progress.bytes() - bytes))));
  }
  return {};
}

}  // namespace tarn::cli
