// What the passes of the mender share: windows, scans, changes, and telling people paths instead of numbers.
#include <algorithm>

#include "lake/mender.h"

namespace tarn::lake {
namespace {

constexpr size_t kBatchBytes = 1 << 20;
constexpr uint64_t kVisitsPerCheck = 1024;
constexpr size_t kMaxPaths = 65536;
constexpr int kMaxDepth = 4096;  // deeper is a circle, or nothing to read out

}  // namespace

InodeWalk::InodeWalk(const Rows& rows) : walk_(rows.Walk(rows.families().meta, std::string(1, kInodeRow), true)) {
  walk_->SeekToFirst();
}

Result<std::optional<Inode>> InodeWalk::Find(Ino ino) {
  constexpr int kSteps = 8;  // most are near the one before; the rest is reached by a seek
  const std::string wanted = MetaKey(kInodeRow, ino);
  for (int steps = 0; walk_->valid() && walk_->key() < wanted && steps < kSteps; ++steps) walk_->Next();
  if (walk_->valid() && walk_->key() < wanted) walk_->Seek(wanted);
  TARN_TRY(walk_->status());
  if (!walk_->valid() || walk_->key() != wanted) return std::optional<Inode>();
  Inode inode;
  TARN_TRY(Decode(wanted, walk_->value(), &inode));
  return std::optional<Inode>(std::move(inode));
}

Mender::Seen* Mender::Window::Find(Ino ino) {
  const auto at = std::lower_bound(inodes.begin(), inodes.end(), ino,
                                   [](const Seen& seen, Ino number) { return seen.ino < number; });
  return at != inodes.end() && at->ino == ino ? &*at : nullptr;
}

Status Mender::LoadWindow(Ino begin, Window* window) {
  window->inodes.clear();
  window->begin = begin;
  window->last = true;
  const auto walk = rows_.WalkRange(meta(), begin == 0 ? std::string(1, kInodeRow) : MetaKey(kInodeRow, begin),
                                    std::string(1, kInodeRow + 1), true);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    Seen seen;
    std::string_view rest;
    if (!ParseMetaKey(walk->key(), &seen.ino, &rest)) continue;
    if (window->inodes.size() == kWindow) {
      window->end = seen.ino;
      window->last = false;
      break;
    }
    TARN_TRY(Decode(walk->key(), walk->value(), &seen.inode));
    max_ino_ = std::max(max_ino_, seen.ino);
    seen.inode.target = {};
    window->inodes.push_back(std::move(seen));
  }
  return walk->status();
}

Status Mender::EachWindow(const std::function<Status(Window*)>& pass) {
  Window window;
  for (Ino begin = 0; !window.last; begin = window.end) {
    TARN_TRY(LoadWindow(begin, &window));
    TARN_TRY(pass(&window));
    TARN_TRY(Flush());
  }
  return {};
}

Status Mender::Scan(ColumnFamily family, const std::string& begin, const std::string& end, const Visit& visit) {
  const auto walk = rows_.WalkRange(family, begin, end, true);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    if (++visited_ % kVisitsPerCheck == 0 && hooks_.check) TARN_TRY(hooks_.check());
    TARN_TRY(visit(walk->key(), walk->value()));
  }
  return walk->status();
}

Status Mender::ScanKind(char kind, const Visit& visit) {
  return Scan(meta(), std::string(1, kind), std::string(1, static_cast<char>(kind + 1)), visit);
}

Status Mender::ScanWindow(ColumnFamily family, char kind, const Window& window, const Visit& visit) {
  const auto bound = [kind](Ino ino) { return kind == '\0' ? InoKey(ino) : MetaKey(kind, ino); };
  const std::string past_kind = kind == '\0' ? std::string() : std::string(1, static_cast<char>(kind + 1));
  const std::string first = kind == '\0' ? std::string() : std::string(1, kind);
  return Scan(family, window.begin == 0 ? first : bound(window.begin), window.last ? past_kind : bound(window.end),
              visit);
}

Status Mender::Put(ColumnFamily family, std::string_view key, std::string_view value) {
  ++changes_;
  batch_.Put(family, key, value);
  return batch_.bytes().size() < kBatchBytes ? Status() : Flush();
}

Status Mender::Drop(ColumnFamily family, std::string_view key) {
  ++changes_;
  batch_.Delete(family, key);
  return batch_.bytes().size() < kBatchBytes ? Status() : Flush();
}

Status Mender::PutInode(Ino ino, const Inode& inode) {
  Inode full = inode;
  if (inode.is_symlink() && inode.target.empty()) {
    TARN_ASSIGN(Inode there, rows_.FindInode(ino));
    full.target = std::move(there.target);
  }
  return Put(meta(), MetaKey(kInodeRow, ino), Encode(full));
}

Status Mender::Flush() {
  if (batch_.empty()) return {};
  TARN_TRY(rows_.db().Write(batch_, Durability::kNone));
  batch_.Clear();
  return {};
}

Result<std::optional<Inode>> Mender::LookUp(Ino ino) {
  auto inode = rows_.FindInode(ino);
  if (inode.status().code() == Code::kNotFound) return std::optional<Inode>();
  TARN_TRY(inode.status());
  return std::optional<Inode>(*std::move(inode));
}

Status Mender::TellEntry(Ino parent, std::string_view name, const std::string& what) {
  TARN_ASSIGN(const std::string dir, PathOf(parent));
  if (hooks_.tell) hooks_.tell(dir + (dir.ends_with('/') ? "" : "/") + std::string(name) + ": " + what);
  return {};
}

void Mender::TellInode(Ino ino, std::string what) { pending_.emplace_back(ino, std::move(what)); }

// Files do not know their names, so one scan of all entries looks for those that are wanted.
Status Mender::TellPending() {
  TARN_TRY(Flush());
  if (pending_.empty()) return {};
  std::unordered_map<Ino, std::pair<Ino, std::string>> names;
  for (const auto& [ino, what] : pending_) names[ino];
  TARN_TRY(ScanKind(kEntryRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino parent;
    std::string_view name;
    Entry entry;
    if (!ParseMetaKey(key, &parent, &name) || !Decode(key, value, &entry).ok()) return {};
    const auto wanted = names.find(entry.ino);
    if (wanted != names.end() && wanted->second.first == 0) wanted->second = {parent, std::string(name)};
    return {};
  }));
  for (const auto& [ino, what] : pending_) {
    const auto& [parent, name] = names[ino];
    if (parent != 0) {
      TARN_TRY(TellEntry(parent, name, what));
    } else if (hooks_.tell) {
      hooks_.tell((ino == kRootIno ? std::string("/") : "inode " + std::to_string(ino)) + ": " + what);
    }
  }
  pending_.clear();
  return {};
}

Result<std::string> Mender::NameIn(Ino parent, Ino ino) {
  const auto walk = rows_.Walk(meta(), MetaKey(kEntryRow, parent), true);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    Ino unused;
    std::string_view name;
    Entry entry;
    if (!ParseMetaKey(walk->key(), &unused, &name) || !Decode(walk->key(), walk->value(), &entry).ok()) continue;
    if (entry.ino == ino) return std::string(name);
  }
  TARN_TRY(walk->status());
  return std::string();
}

Result<std::string> Mender::PathOf(Ino dir) {
  if (paths_.size() > kMaxPaths) paths_.clear();
  std::vector<std::pair<Ino, std::string>> up;  // from `dir` towards the root
  std::string path;
  for (Ino at = dir; at != kRootIno;) {
    const auto known = paths_.find(at);
    if (known != paths_.end()) {
      path = known->second;
      break;
    }
    TARN_ASSIGN(const auto inode, LookUp(at));
    std::string name;
    if (inode.has_value() && inode->is_dir() && up.size() < kMaxDepth) {
      TARN_ASSIGN(name, NameIn(inode->parent, at));
    }
    if (name.empty()) {
      path = "(inode " + std::to_string(at) + ")";
      break;
    }
    up.emplace_back(at, name);
    at = inode->parent;
  }
  for (auto step = up.rbegin(); step != up.rend(); ++step) {
    path += "/" + step->second;
    paths_[step->first] = path;
  }
  return path.empty() ? std::string("/") : path;
}

}  // namespace tarn::lake
