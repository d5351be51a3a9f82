// Names and inodes: who is called what, and what nobody calls any more. In the order of Run().
#include "lake/mend.h"

#include <algorithm>

#include "lake/mender.h"

namespace tarn::lake {
namespace {

std::string Plural(uint64_t n, const char* one, const char* many) {
  return std::to_string(n) + " " + (n == 1 ? one : many);
}

}  // namespace

bool HoldsLake(DB& db) {
  const std::vector<std::string> families = db.ListFamilies();
  return std::find(families.begin(), families.end(), kFamilyNames[0]) != families.end() &&
         std::any_of(std::begin(kFamilyNames) + 1, std::end(kFamilyNames), [&](const char* name) {
           return std::find(families.begin(), families.end(), name) != families.end();
         });
}

Result<uint64_t> Mend(DB& db, const MendHooks& hooks) {
  Families families;
  ColumnFamily* const members[] = {&families.meta, &families.content, &families.extents, &families.chunks,
                                   &families.backrefs};
  for (size_t i = 0; i < std::size(members); ++i) {
    auto family = db.FindFamily(kFamilyNames[i]);
    if (family.status().code() == Code::kNotFound) family = db.CreateFamily(kFamilyNames[i]);
    TARN_ASSIGN(*members[i], std::move(family));
  }
  return Mender(Rows(&db, families), hooks).Run();
}

Result<uint64_t> Mender::Run() {
  TARN_TRY(FindSuperblock().status());  // rows of a later format would only look unreadable
  TARN_TRY(DropUnreadable());
  TARN_TRY(MakeRoot());
  TARN_TRY(Flush());
  TARN_TRY(ReviveDirectories());
  TARN_TRY(ReviveFiles());
  TARN_TRY(Flush());
  TARN_TRY(EachWindow([this](Window* window) { return MendWindow(window); }));
  TARN_TRY(CutCircles());
  TARN_TRY(Flush());
  TARN_TRY(CountDirectories());
  TARN_TRY(Flush());
  TARN_TRY(EachWindow([this](Window* window) { return DropStrayContent(window); }));
  TARN_TRY(MatchBackrefs());
  TARN_TRY(Flush());
  TARN_TRY(MatchChunks());
  TARN_TRY(Flush());
  TARN_TRY(EachWindow([this](Window* window) { return CountContent(window); }));
  TARN_TRY(TellPending());
  TARN_TRY(RenumberLog());
  TARN_TRY(MakeSuperblock());
  TARN_TRY(Flush());
  return changes_;
}

// Rows that are no rows, or contradict themselves. Checksums were right, so no device did this; the passes below rely
// on it all the same.
Status Mender::DropUnreadable() {
  TARN_TRY(ScanKind(kInodeRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    std::string_view rest;
    Inode inode;
    const bool good = ParseMetaKey(key, &ino, &rest) && rest.empty() && ino != 0 && ino < kNeverGivenOut &&
                      Decode(key, value, &inode).ok();
    if (!good) return Drop(meta(), key);
    if (inode.is_symlink() ? inode.size == inode.target.size() : inode.target.empty()) return {};
    TellInode(ino, "its attributes contradict each other; look at it");
    if (inode.is_symlink()) {
      inode.size = inode.target.size();
    } else {
      inode.target.clear();
    }
    return PutInode(ino, inode);
  }));
  TARN_TRY(ScanKind(kLogRow, [&](std::string_view key, std::string_view value) -> Status {
    LogRecord record;
    return Decode(key, value, &record).ok() ? Status() : Drop(meta(), key);
  }));
  TARN_TRY(Scan(rows_.families().extents, {}, {}, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    uint64_t block;
    Extent extent;
    const bool good = ParseExtentKey(key, &ino, &block) && Decode(key, value, &extent).ok();
    return good ? Status() : Drop(rows_.families().extents, key);
  }));
  return Flush();
}

Status Mender::MakeRoot() {
  const auto root = rows_.FindInode(kRootIno);
  if (root.ok() && root->is_dir()) return {};
  if (!root.ok() && root.status().code() != Code::kNotFound) return root.status();
  Inode made;
  made.mode = 0040755;
  made.nlink = 2;
  made.parent = kRootIno;
  TellInode(kRootIno, "the root directory's attributes are lost; it belongs to root again, with mode 0755");
  return PutInode(kRootIno, made);
}

// Names in a directory whose inode is lost stay: the directory is made again. What is no name goes.
Status Mender::ReviveDirectories() {
  InodeWalk inodes(rows_);
  Ino known = 0;
  bool is_dir = false;
  return ScanKind(kEntryRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino parent;
    std::string_view name;
    Entry entry;
    if (!ParseMetaKey(key, &parent, &name) || !CheckName(name).ok() || !Decode(key, value, &entry).ok() ||
        parent == 0 || parent >= kNeverGivenOut) {
      return Drop(meta(), key);
    }
    if (parent != known) {
      known = parent;
      TARN_ASSIGN(const std::optional<Inode> inode, inodes.Find(parent));
      is_dir = !inode.has_value() || inode->is_dir();
      if (!inode.has_value()) {
        TARN_TRY(PutInode(parent, {.mode = 0040700, .nlink = 2}));
        TellInode(parent, "the directory's attributes are lost; it belongs to root now, with mode 0700");
      }
    }
    return is_dir ? Status() : Drop(meta(), key);
  });
}

Status Mender::MendWindow(Window* window) {
  TARN_TRY(ReadMarks(window));
  TARN_TRY(CountXattrs(window));
  TARN_TRY(CountLinks(window));
  for (const Seen& seen : window->inodes) TARN_TRY(SettleInode(seen));
  return {};
}

Status Mender::ReadMarks(Window* window) {
  for (const char kind : {kOrphanRow, kStageRow, kTrashRow}) {
    TARN_TRY(ScanWindow(meta(), kind, *window, [&](std::string_view key, std::string_view) -> Status {
      Ino ino;
      std::string_view rest;
      Seen* const seen = ParseMetaKey(key, &ino, &rest) && rest.empty() ? window->Find(ino) : nullptr;
      if (seen == nullptr) return Drop(meta(), key);
      (kind == kOrphanRow ? seen->orphan : kind == kStageRow ? seen->stage : seen->trash) = true;
      return {};
    }));
  }
  return {};
}

Status Mender::CountXattrs(Window* window) {
  return ScanWindow(meta(), kXattrRow, *window, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    std::string_view name;
    Seen* const seen = ParseMetaKey(key, &ino, &name) ? window->Find(ino) : nullptr;
    if (seen == nullptr || name.empty() || name.size() > kMaxName || value.size() > kMaxXattrValue) {
      return Drop(meta(), key);
    }
    ++seen->xattr_rows;
    return {};
  });
}

Status Mender::CountLinks(Window* window) {
  return ScanKind(kEntryRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino parent;
    std::string_view name;
    Entry entry;
    if (!ParseMetaKey(key, &parent, &name)) return {};
    TARN_TRY(Decode(key, value, &entry));
    return window->Covers(entry.ino) ? CountLink(window, key, parent, name, entry) : Status();
  });
}

Status Mender::CountLink(Window* window, std::string_view key, Ino parent, std::string_view name, Entry entry) {
  Seen* const seen = window->Find(entry.ino);
  if (seen == nullptr || entry.ino == kRootIno) {
    TARN_TRY(TellEntry(parent, name, "what this name stood for is lost"));
    return Drop(meta(), key);
  }
  if (entry.type != seen->inode.type()) {
    entry.type = seen->inode.type();
    TARN_TRY(Put(meta(), key, Encode(entry)));
  }
  if (!seen->inode.is_dir() || seen->links == 0) {
    ++seen->links;
    seen->named_in = parent;
    if (seen->inode.is_dir()) seen->named_as = name;
    return {};
  }
  // A directory has one name: the one in the parent that its row states, if that is among them.
  TARN_TRY(TellEntry(parent, name, "this directory has another name, too, and keeps one"));
  if (parent != seen->inode.parent) return Drop(meta(), key);
  TARN_TRY(Drop(meta(), NameKey(kEntryRow, seen->named_in, seen->named_as)));
  seen->named_in = parent;
  seen->named_as = name;
  return {};
}

// Writes the row again where it says something else than what was counted. Directories are counted later.
Status Mender::SettleInode(const Seen& seen) {
  Inode inode = seen.inode;
  const auto drop_mark = [&](char kind, bool there) {
    return there ? Drop(meta(), MetaKey(kind, seen.ino)) : Status();
  };
  if (seen.xattr_rows != inode.xattrs) {
    if (seen.xattr_rows < inode.xattrs) {
      TellInode(seen.ino,
                Plural(inode.xattrs - seen.xattr_rows, "extended attribute is", "extended attributes are") + " lost");
    }
    inode.xattrs = seen.xattr_rows;
  }
  if (!inode.is_regular()) inode.tail = 0;
  const bool root = seen.ino == kRootIno;
  const bool stage = seen.stage && inode.is_dir() && seen.links == 0 && !root;
  const bool leaving = seen.links == 0 && !root && !stage && (seen.orphan || seen.trash || inode.nlink == 0);
  if (leaving) {
    inode.nlink = 0;
    inode.parent = 0;
    if (!seen.orphan && !seen.trash) TARN_TRY(Put(meta(), MetaKey(kTrashRow, seen.ino), {}));
    TARN_TRY(drop_mark(kStageRow, seen.stage));
  } else {
    TARN_TRY(drop_mark(kOrphanRow, seen.orphan));
    if (!stage) TARN_TRY(drop_mark(kStageRow, seen.stage));
    if (inode.tail == 0) TARN_TRY(drop_mark(kTrashRow, seen.trash));
    if (inode.tail != 0 && !seen.trash) TARN_TRY(Put(meta(), MetaKey(kTrashRow, seen.ino), {}));
    if (seen.links == 0 && !root && !stage) return Reconnect(seen.ino, inode);
    inode.parent = !inode.is_dir() ? 0 : root || stage ? seen.ino : seen.named_in;
    if (!inode.is_dir()) inode.nlink = seen.links;
  }
  const bool same = inode.nlink == seen.inode.nlink && inode.parent == seen.inode.parent &&
                    inode.xattrs == seen.inode.xattrs && inode.tail == seen.inode.tail;
  return same ? Status() : PutInode(seen.ino, inode);
}

Status Mender::FindLostAndFound() {
  if (lost_found_ != 0) return {};
  std::string name = "lost+found";
  for (;; name += "+") {
    TARN_ASSIGN(const auto there, rows_.FindEntry(kRootIno, name));
    if (!there.has_value()) break;
    TARN_ASSIGN(const auto inode, LookUp(there->ino));
    // Another one may still turn out to be lost.
    if (!inode.has_value() || !inode->is_dir() || inode->parent != kRootIno) continue;
    lost_found_ = there->ino;
    lost_found_name_ = std::move(name);
    return {};
  }
  lost_found_name_ = name;
  // Behind every number in use, of which the last window knows the greatest.
  const auto walk = rows_.Walk(meta(), std::string(1, kInodeRow));
  walk->SeekToLast();
  TARN_TRY(walk->status());
  std::string_view rest;
  Ino greatest = kRootIno;
  if (walk->valid()) ParseMetaKey(walk->key(), &greatest, &rest);
  TARN_ASSIGN(const auto superblock, FindSuperblock());
  lost_found_ = greatest + 1;
  if (superblock.has_value() && superblock->next_inode < kNeverGivenOut) {
    lost_found_ = std::max(lost_found_, superblock->next_inode);
  }
  Inode made;
  made.mode = 0040700;
  made.nlink = 2;
  made.parent = kRootIno;
  TARN_TRY(PutInode(lost_found_, made));
  return Put(meta(), NameKey(kEntryRow, kRootIno, name), Encode(Entry{lost_found_, 0040000}));
}

Status Mender::Reconnect(Ino ino, Inode inode) {
  TARN_TRY(FindLostAndFound());
  std::string name = "#" + std::to_string(ino);
  for (bool taken = true; taken;) {
    TARN_ASSIGN(const auto there, rows_.FindEntry(lost_found_, name));
    taken = there.has_value();
    if (taken) name += "+";
  }
  inode.parent = inode.is_dir() ? lost_found_ : 0;
  inode.nlink = inode.is_dir() ? std::max(inode.nlink, 2u) : 1;
  if (hooks_.tell) hooks_.tell("/" + lost_found_name_ + "/" + name + ": its name is lost; it was found again here");
  TARN_TRY(Put(meta(), NameKey(kEntryRow, lost_found_, name), Encode(Entry{ino, inode.type()})));
  return PutInode(ino, inode);
}

// Every directory has one entry by now. Only in a circle do parents lead to no root.
Status Mender::CutCircles() {
  std::unordered_set<Ino> reachable{kRootIno};
  return ScanKind(kInodeRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    std::string_view rest;
    Inode inode;
    if (!ParseMetaKey(key, &ino, &rest)) return {};
    TARN_TRY(Decode(key, value, &inode));
    if (!inode.is_dir()) return {};
    std::unordered_set<Ino> path;
    for (Ino at = ino; !reachable.contains(at);) {
      if (!path.insert(at).second) {
        const Inode& cut = inode;
        const auto walk = rows_.Walk(meta(), MetaKey(kEntryRow, cut.parent), true);
        for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
          Entry entry;
          TARN_TRY(Decode(walk->key(), walk->value(), &entry));
          if (entry.ino == ino) TARN_TRY(Drop(meta(), walk->key()));
        }
        TARN_TRY(walk->status());
        TARN_TRY(Reconnect(ino, cut));
        TARN_TRY(Flush());  // the next one must see that the circle is open
        break;
      }
      TARN_ASSIGN(const auto up, LookUp(at));
      if (!up.has_value() || up->parent == at || up->parent == 0) break;
      at = up->parent;
    }
    if (reachable.size() > kWindow) reachable = {kRootIno};
    reachable.insert(path.begin(), path.end());
    return {};
  });
}

Status Mender::CountDirectories() {
  const auto entries = rows_.Walk(meta(), std::string(1, kEntryRow), true);
  entries->SeekToFirst();
  return ScanKind(kInodeRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino, parent = 0;
    std::string_view name;
    Inode inode;
    if (!ParseMetaKey(key, &ino, &name)) return {};
    TARN_TRY(Decode(key, value, &inode));
    if (!inode.is_dir()) return {};
    uint64_t size = 0;
    uint32_t subdirs = 0;
    for (; entries->valid() && ParseMetaKey(entries->key(), &parent, &name) && parent <= ino; entries->Next()) {
      Entry entry;
      TARN_TRY(Decode(entries->key(), entries->value(), &entry));
      if (parent != ino) continue;
      ++size;
      subdirs += entry.type == 0040000;
    }
    TARN_TRY(entries->status());
    const uint32_t nlink = inode.nlink == 0 ? 0 : 2 + subdirs;
    if (inode.size == size && inode.nlink == nlink) return {};
    if (size < inode.size) {
      TellInode(ino, Plural(inode.size - size, "name in this directory is", "names in this directory are") + " lost");
    }
    inode.size = size;
    inode.nlink = nlink;
    return PutInode(ino, inode);
  });
}

Status Mender::RenumberLog() {
  uint64_t next = 1;
  return ScanKind(kLogRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino id;
    std::string_view rest;
    const bool right = ParseMetaKey(key, &id, &rest) && id == next;
    const std::string place = MetaKey(kLogRow, next++);
    if (right) return {};
    const std::string kept(value);
    TARN_TRY(Drop(meta(), key));
    return Put(meta(), place, kept);
  });
}

// Nothing when it is lost, and when it is none.
Result<std::optional<Superblock>> Mender::FindSuperblock() {
  const auto there = rows_.ReadSuperblock();
  const Code code = there.status().code();
  if (code == Code::kNotFound || code == Code::kCorruption) return std::optional<Superblock>();
  TARN_TRY(there.status());
  return std::optional<Superblock>(*there);
}

Status Mender::MakeSuperblock() {
  Superblock superblock{.next_inode = kRootIno + 1, .clean = true};
  TARN_TRY(ScanKind(kInodeRow, [&](std::string_view key, std::string_view value) -> Status {
    Ino ino;
    std::string_view rest;
    Inode inode;
    if (!ParseMetaKey(key, &ino, &rest)) return {};
    TARN_TRY(Decode(key, value, &inode));
    superblock.next_inode = std::max(superblock.next_inode, ino + 1);
    ++superblock.inodes;
    if (inode.is_regular()) superblock.logical_bytes += inode.size;
    return {};
  }));
  TARN_ASSIGN(const auto there, FindSuperblock());
  if (there.has_value() && there->next_inode < kNeverGivenOut) {
    superblock.next_inode = std::max(superblock.next_inode, there->next_inode);
  }
  const std::string bytes = Encode(superblock);
  if (there.has_value() && Encode(*there) == bytes) return {};
  const uint64_t before = changes_;
  TARN_TRY(Put(meta(), std::string(1, kSuperblockRow), bytes));
  // That it was not closed, or that a snapshot was taken while it was open, is no damage.
  if (there.has_value() && there->next_inode == superblock.next_inode) changes_ = before;
  return {};
}

}  // namespace tarn::lake
