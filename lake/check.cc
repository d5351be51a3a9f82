// The checker's walk over inodes, entries and marks; content is check_content.cc. What it is and what it promises
// stands in checker.h.
#include <algorithm>

#include "lake/checker.h"
#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

constexpr size_t kMaxProblems = 1000;
constexpr uint64_t kTicksPerReport = 256;
constexpr const char* kRepair = "; restore it from a snapshot or backup";

std::string Name(Ino ino) { return "inode " + std::to_string(ino); }

}  // namespace

Result<CheckReport> LakeImpl::Check(bool deep, const std::function<void(uint64_t, uint64_t)>& progress) {
  TARN_TRY(FlushAll());
  std::unique_ptr<Snapshot> moment;
  Checker::Counters counters;
  {
    MutexLock lock(mutex_);
    moment = db_->GetSnapshot();
    if (!counted_) TARN_TRY(CountInodes());
    counters = {inodes_, logical_bytes_};
  }
  return Checker(rows_.At(moment.get()), counters, deep, progress).Run();
}

Checker::Checker(const Rows& rows, const Counters& counters, bool deep, const Progress& progress)
    : rows_(rows), counters_(counters), deep_(deep), progress_(progress) {
  // How many blocks there are is known after the inodes; until then the sizes are the guess.
  total_ = counters.inodes + counters.logical_bytes / kBlockBytes;
}

Result<CheckReport> Checker::Run() {
  Window window;
  for (Ino begin = 0; !window.last; begin = window.end) {
    TARN_TRY(LoadWindow(begin, &window));
    TARN_TRY(CheckMarks(&window));
    TARN_TRY(CheckXattrs(&window));
    TARN_TRY(CheckInline(&window));
    TARN_TRY(CheckExtents(&window));
    TARN_TRY(CheckEntries(&window));
    for (const Seen& seen : window.inodes) {
      CheckInode(seen);
      if (seen.is_dir()) TARN_TRY(CheckReachable(seen));
    }
  }
  total_ = done_ + report_.blocks;
  TARN_TRY(CheckReferences());
  TARN_TRY(CheckLog());
  TARN_TRY(CheckSuperblock());
  TARN_TRY(CheckStrays());
  if (progress_) progress_(total_, total_);
  return std::move(report_);
}

Checker::Seen* Checker::Window::Find(Ino ino) {
  const auto at = std::lower_bound(inodes.begin(), inodes.end(), ino,
                                   [](const Seen& seen, Ino number) { return seen.ino < number; });
  return at != inodes.end() && at->ino == ino ? &*at : nullptr;
}

void Checker::Problem(std::string text) {
  if (report_.problems.size() < kMaxProblems) {
    report_.problems.push_back(std::move(text));
  } else if (report_.problems.size() == kMaxProblems) {
    report_.problems.push_back("more than " + std::to_string(kMaxProblems) +
                               " problems; repair these and check again");
  }
}

void Checker::Tick() {
  ++done_;
  if (progress_ && done_ % kTicksPerReport == 0) progress_(std::min(done_, total_), total_);
}

Status Checker::Survive(const Status& status) {
  if (status.code() != Code::kCorruption) return status;
  Problem(std::string(status.message()));
  return Status::Ok();
}

Status Checker::Scan(ColumnFamily family, const std::string& begin, const std::string& end,
                     const std::function<Status(std::string_view, std::string_view)>& visit) {
  const auto walk = rows_.WalkRange(family, begin, end, true);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) TARN_TRY(Survive(visit(walk->key(), walk->value())));
  return Survive(walk->status());
}

Status Checker::ScanWindow(ColumnFamily family, char kind, const Window& window,
                           const std::function<Status(std::string_view, std::string_view)>& visit) {
  const auto bound = [kind](Ino ino) { return kind == '\0' ? InoKey(ino) : MetaKey(kind, ino); };
  const std::string past_kind = kind == '\0' ? std::string() : std::string(1, static_cast<char>(kind + 1));
  return Scan(family, window.begin == 0 ? (kind == '\0' ? std::string() : std::string(1, kind)) : bound(window.begin),
              window.last ? past_kind : bound(window.end), visit);
}

Status Checker::LoadWindow(Ino begin, Window* window) {
  window->inodes.clear();
  window->begin = begin;
  window->last = true;
  const auto walk =
      rows_.WalkRange(rows_.families().meta, begin == 0 ? std::string(1, kInodeRow) : MetaKey(kInodeRow, begin),
                      std::string(1, kInodeRow + 1), true);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    Ino ino;
    std::string_view rest;
    if (!ParseMetaKey(walk->key(), &ino, &rest) || !rest.empty()) {
      Problem("inode key '" + Printable(walk->key()) + "' is malformed" + kRepair);
      continue;
    }
    if (window->inodes.size() == kWindow) {
      window->end = ino;
      window->last = false;
      break;
    }
    ++report_.inodes;
    Tick();
    max_ino_ = std::max(max_ino_, ino);
    Seen& seen = window->inodes.emplace_back();
    seen.ino = ino;
    Inode inode;
    const Status decoded = Decode(walk->key(), walk->value(), &inode);
    if (!decoded.ok()) {
      Problem(std::string(decoded.message()));
      continue;
    }
    if (inode.is_regular()) logical_bytes_ += inode.size;
    if (inode.is_symlink() ? inode.size != inode.target.size() : !inode.target.empty()) {
      Problem(Name(ino) + ": the symlink target does not fit its type and size" + kRepair);
    }
    seen.size = inode.size;
    seen.stored = inode.stored;
    seen.parent = inode.parent;
    seen.xattrs = inode.xattrs;
    seen.tail = inode.tail;
    seen.mode = inode.mode;
    seen.nlink = inode.nlink;
  }
  return Survive(walk->status());
}

Status Checker::CheckMarks(Window* window) {
  for (const char kind : {kOrphanRow, kStageRow, kTrashRow}) {
    TARN_TRY(ScanWindow(rows_.families().meta, kind, *window, [&](std::string_view key, std::string_view value) {
      Ino ino = 0;
      std::string_view rest;
      Seen* const seen = ParseMetaKey(key, &ino, &rest) ? window->Find(ino) : nullptr;
      if (seen == nullptr || !rest.empty() || !value.empty()) {
        Problem("row '" + Printable(key) + "' marks no inode; opening the lake for writing removes it");
        return Status::Ok();
      }
      (kind == kOrphanRow ? seen->orphan : kind == kStageRow ? seen->stage : seen->trash) = true;
      return Status::Ok();
    }));
  }
  return Status::Ok();
}

Status Checker::CheckXattrs(Window* window) {
  return ScanWindow(rows_.families().meta, kXattrRow, *window, [&](std::string_view key, std::string_view value) {
    Ino ino = 0;
    std::string_view name;
    Seen* const seen = ParseMetaKey(key, &ino, &name) ? window->Find(ino) : nullptr;
    if (seen == nullptr || name.empty() || name.size() > kMaxName || value.size() > kMaxXattrValue) {
      Problem("attribute row '" + Printable(key) + "' is malformed or of no inode" + kRepair);
    } else {
      ++seen->xattr_rows;
    }
    return Status::Ok();
  });
}

Status Checker::CheckEntries(Window* window) {
  const bool first = window->begin == 0;  // what concerns a row by itself is reported once
  return Scan(rows_.families().meta, std::string(1, kEntryRow), std::string(1, kEntryRow + 1),
              [&](std::string_view key, std::string_view value) -> Status {
                Ino parent;
                std::string_view name;
                if (!ParseMetaKey(key, &parent, &name)) {
                  if (first) Problem("entry key '" + Printable(key) + "' is malformed" + kRepair);
                  return Status::Ok();
                }
                Entry entry;
                const Status decoded = Decode(key, value, &entry);
                if (!decoded.ok()) return first ? decoded : Status::Ok();
                if (first) {
                  ++report_.entries;
                  if (!CheckName(name).ok()) {
                    Problem("entry '" + Printable(name) + "' of directory " + Name(parent) +
                            " has an impossible name; rename it");
                  }
                }
                return CheckEntry(window, parent, name, entry);
              });
}

Status Checker::CheckEntry(Window* window, Ino parent, std::string_view name, const Entry& entry) {
  const auto where = [&] { return "entry '" + Printable(name) + "' of directory " + Name(parent); };
  if (window->Covers(parent)) {
    Seen* const dir = window->Find(parent);
    if (dir == nullptr || !dir->is_dir()) {
      Problem(where() + ": there is no such directory" + kRepair);
    } else {
      ++dir->entries;
      if (entry.type == 0040000) ++dir->subdirs;
    }
  }
  if (!window->Covers(entry.ino)) return Status::Ok();
  Seen* const target = window->Find(entry.ino);
  if (target == nullptr) {
    Problem(where() + " names " + Name(entry.ino) + ", which does not exist; unlink it");
    return Status::Ok();
  }
  if (entry.type != target->type()) Problem(where() + " disagrees with the type of " + Name(entry.ino) + kRepair);
  ++target->links;
  target->named_in = parent;
  return Status::Ok();
}

void Checker::CheckInode(const Seen& seen) {
  const std::string who = Name(seen.ino);
  const auto differ = [&](const char* what, uint64_t said, uint64_t counted) {
    if (said == counted) return;
    Problem(who + ": its row says " + std::to_string(said) + " " + what + ", there are " + std::to_string(counted) +
            kRepair);
  };
  differ("extended attributes", seen.xattrs, seen.xattr_rows);
  differ("stored bytes", seen.stored, seen.stored_rows);
  if (seen.is_dir()) differ("entries", seen.size, seen.entries);
  if (seen.tail != 0 && !seen.trash) Problem(who + ": a truncated tail is not marked for reclaim" + kRepair);
  if (seen.tail != 0 && !seen.is_regular()) Problem(who + ": only files have truncated tails" + kRepair);
  if (seen.stage && (!seen.is_dir() || seen.links != 0)) Problem(who + ": a staging area has a name" + kRepair);
  if (seen.nlink == 0) {
    differ("links", 0, seen.links);
    if (!seen.orphan && !seen.trash) Problem(who + " has no name and nothing will reclaim it" + kRepair);
    return;
  }
  if (seen.orphan) Problem(who + " is marked as an orphan but has links" + kRepair);
  if (seen.trash && seen.tail == 0) Problem(who + " is marked as trash but has links" + kRepair);
  CheckNamed(seen);
}

// Links of an inode that is in use.
void Checker::CheckNamed(const Seen& seen) {
  const std::string who = Name(seen.ino);
  if (!seen.is_dir()) {
    if (seen.links != seen.nlink) {
      Problem(who + ": its row says " + std::to_string(seen.nlink) + " links, " + std::to_string(seen.links) +
              " entries name it" + kRepair);
    }
    if (seen.parent != 0) Problem(who + " is no directory but has a parent" + kRepair);
    return;
  }
  if (seen.nlink != 2 + seen.subdirs) {
    Problem("directory " + who + ": its row says " + std::to_string(seen.nlink) + " links, its subdirectories make " +
            std::to_string(2 + seen.subdirs) + kRepair);
  }
  const bool root = seen.ino == kRootIno || seen.stage;
  if (seen.links != (root ? 0 : 1)) {
    Problem("directory " + who + ": " + std::to_string(seen.links) + " entries name it, not " + (root ? "0" : "1") +
            kRepair);
  }
  const Ino expected = root ? seen.ino : seen.named_in;
  if (seen.links <= 1 && seen.parent != expected) {
    Problem("directory " + who + ": its row says parent " + std::to_string(seen.parent) + ", its entry is in " +
            std::to_string(expected) + kRepair);
  }
}

// Follows the parents until a root, or a directory known to lead there. Only a circle does neither.
Status Checker::CheckReachable(const Seen& dir) {
  std::unordered_set<Ino> path;
  Ino at = dir.ino;
  while (!reachable_.contains(at)) {
    if (!path.insert(at).second || path.size() > kWindow) {
      Problem("directory " + Name(dir.ino) + ": following its parents never ends at a root" + kRepair);
      return Status::Ok();
    }
    const auto inode = rows_.FindInode(at);
    if (!inode.ok() && inode.status().code() == Code::kNotFound) return Status::Ok();  // reported as an entry's
    TARN_TRY(Survive(inode.status()));
    if (!inode.ok() || inode->parent == at || inode->parent == 0) break;
    at = inode->parent;
  }
  if (reachable_.size() > kWindow) reachable_.clear();
  reachable_.insert(path.begin(), path.end());
  return Status::Ok();
}

Status Checker::CheckLog() {
  uint64_t expected = 1;
  return Scan(rows_.families().meta, std::string(1, kLogRow), std::string(1, kLogRow + 1),
              [&](std::string_view key, std::string_view value) -> Status {
                LogRecord record;
                TARN_TRY(Decode(key, value, &record));
                if (record.id != expected) {
                  Problem("log record " + std::to_string(expected) + " is missing" + kRepair);
                }
                expected = record.id + 1;
                return Status::Ok();
              });
}

Status Checker::CheckSuperblock() {
  const auto superblock = rows_.ReadSuperblock();
  if (!superblock.ok() && superblock.status().code() == Code::kNotFound) {
    Problem(std::string("the superblock is missing") + kRepair);
    return Status::Ok();
  }
  TARN_TRY(Survive(superblock.status()));
  if (superblock.ok() && superblock->next_inode <= max_ino_) {
    Problem("the superblock would hand out inode " + std::to_string(superblock->next_inode) + ", but inode " +
            std::to_string(max_ino_) + " is in use" + kRepair);
  }
  if (report_.inodes != counters_.inodes || logical_bytes_ != counters_.logical_bytes) {
    Problem("the counters say " + std::to_string(counters_.inodes) + " inodes and " +
            std::to_string(counters_.logical_bytes) + " bytes, there are " + std::to_string(report_.inodes) +
            " and " + std::to_string(logical_bytes_) + "; close and reopen the lake, it counts again after a crash");
  }
  return Status::Ok();
}

// Rows of no known kind hide between the known ones.
Status Checker::CheckStrays() {
  std::string begin;
  for (const char kind :
       {kXattrRow, kEntryRow, kInodeRow, kOrphanRow, kStageRow, kTrashRow, kLogRow, kSuperblockRow}) {
    const auto stray = [&](std::string_view key, std::string_view) {
      Problem("row '" + Printable(key) + "' is of no known kind; a newer tarn may know it");
      return Status::Ok();
    };
    TARN_TRY(Scan(rows_.families().meta, begin, std::string(1, kind), stray));
    begin = std::string(1, static_cast<char>(kind + 1));
    if (kind == kSuperblockRow) TARN_TRY(Scan(rows_.families().meta, std::string(1, kind) + '\0', {}, stray));
  }
  return Status::Ok();
}

}  // namespace tarn::lake
