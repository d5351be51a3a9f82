// Mender: the passes of lake/mend.h. Each pass sees the rows as the pass before it left them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "lake/mend.h"
#include "lake/rows.h"

namespace tarn::lake {

inline constexpr Ino kNeverGivenOut = 1ull << 62;  // no lake lives long enough to hand out such a number

// Inode rows asked for in ascending order, by one walk along them.
class InodeWalk {
 public:
  explicit InodeWalk(const Rows& rows);
  Result<std::optional<Inode>> Find(Ino ino);  // nothing: there is no such inode

 private:
  const std::unique_ptr<Iterator> walk_;
};

class Mender {
 public:
  Mender(const Rows& rows, const MendHooks& hooks) : rows_(rows), hooks_(hooks) {}
  Result<uint64_t> Run();

 private:
  static constexpr size_t kWindow = 262144;
  struct Seen {
    Ino ino = 0;
    uint32_t links = 0;
    Inode inode;           // without its target, which is read again when the row is written
    Ino named_in = 0;      // directories: where the entry that stays is
    std::string named_as;  // and what it is called
    uint64_t xattr_rows = 0, stored_rows = 0;
    bool orphan = false, stage = false, trash = false;
  };
  struct Window {
    std::vector<Seen> inodes;  // sorted
    Ino begin = 0, end = 0;
    bool last = false;  // then `end` does not bound it
    bool Covers(Ino ino) const { return ino >= begin && (last || ino < end); }
    Seen* Find(Ino ino);
  };
  using Visit = std::function<Status(std::string_view key, std::string_view value)>;

  // mend.cc: names and inodes
  Status MakeRoot();
  Status DropUnreadable();
  Status ReviveDirectories();
  Status MendWindow(Window* window);
  Status ReadMarks(Window* window);
  Status CountXattrs(Window* window);
  Status CountLinks(Window* window);
  Status CountLink(Window* window, std::string_view key, Ino parent, std::string_view name, Entry entry);
  Status SettleInode(const Seen& seen);
  Status Reconnect(Ino ino, Inode inode);
  Status FindLostAndFound();
  Status CutCircles();
  Status CountDirectories();
  Status RenumberLog();
  Result<std::optional<Superblock>> FindSuperblock();
  Status MakeSuperblock();

  // mend_content.cc
  Status ReviveFiles();
  Status DropStrayContent(Window* window);
  Status MatchBackrefs();
  Status MatchChunks();
  Status CountContent(Window* window);
  Result<std::string> MissingBytes(Ino ino, const Inode& inode);

  // mend_tools.cc
  Status LoadWindow(Ino begin, Window* window);
  Status EachWindow(const std::function<Status(Window*)>& pass);
  Status Scan(ColumnFamily family, const std::string& begin, const std::string& end, const Visit& visit);
  Status ScanKind(char kind, const Visit& visit);
  Status ScanWindow(ColumnFamily family, char kind, const Window& window, const Visit& visit);
  Status Put(ColumnFamily family, std::string_view key, std::string_view value);
  Status Drop(ColumnFamily family, std::string_view key);
  Status PutInode(Ino ino, const Inode& inode);
  Status Flush();
  // Says `what` about a directory or an entry of it, now.
  Status TellEntry(Ino parent, std::string_view name, const std::string& what);
  // Says it about an inode when its names have been looked up, all of a pass at once.
  void TellInode(Ino ino, std::string what);
  Status TellPending();
  Result<std::string> PathOf(Ino dir);
  Result<std::string> NameIn(Ino parent, Ino ino);  // empty: it has none there
  // Nothing: it is not there. A row that cannot be read is an error, and never one that is lost.
  Result<std::optional<Inode>> LookUp(Ino ino);
  ColumnFamily meta() const { return rows_.families().meta; }

  const Rows rows_;
  const MendHooks& hooks_;
  WriteBatch batch_;
  uint64_t changes_ = 0, visited_ = 0;
  Ino max_ino_ = 0;
  Ino lost_found_ = 0;  // 0: not needed yet
  std::string lost_found_name_;
  std::unordered_map<Ino, std::string> paths_;  // of directories
  std::vector<std::pair<Ino, std::string>> pending_;
};

}  // namespace tarn::lake
