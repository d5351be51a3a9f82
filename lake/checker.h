// Checker: the invariants of docs/formats/lake.md, tested over one snapshot.
//
// Inodes are taken in windows of kWindow, in order of number; the rows keyed by inode (marks, attributes, inline,
// extents) are merged with a window, the entries are scanned once for each. Content comes after: a merge of
// backrefs with chunks. Memory: one window (about 24 MiB), a memo of as many directories, at most kMaxProblems
// lines; it does not grow with the lake.
//
// A row that is wrong is a problem in the report; a store that cannot be read (other than Corruption, which is
// a problem too) ends the check with that error.
#pragma once

#include <functional>
#include <string>
#include <unordered_set>
#include <vector>

#include "lake/rows.h"

namespace tarn::lake {

class Checker {
 public:
  struct Counters {
    uint64_t inodes = 0, logical_bytes = 0;
  };
  using Progress = std::function<void(uint64_t done, uint64_t total)>;
  // `rows` are as of a snapshot; `counters` are what the lake believed at that moment.
  Checker(const Rows& rows, const Counters& counters, bool deep, const Progress& progress);
  Result<CheckReport> Run();

 private:
  static constexpr size_t kWindow = 262144;
  struct Seen {
    Ino ino = 0;
    uint64_t size = 0, stored = 0, parent = 0, xattrs = 0, tail = 0;  // as the row says
    uint64_t entries = 0, xattr_rows = 0, stored_rows = 0;            // as counted
    Ino named_in = 0;                                                 // directory of the last entry seen
    uint32_t mode = 0, nlink = 0;
    uint32_t links = 0, subdirs = 0;
    bool orphan = false, stage = false, trash = false;
    uint32_t type() const { return mode & 0170000; }
    bool is_dir() const { return type() == 0040000; }
    bool is_regular() const { return type() == 0100000; }
  };
  struct Window {
    std::vector<Seen> inodes;  // sorted
    Ino begin = 0;
    Ino end = 0;
    bool last = false;  // then `end` does not bound it
    bool Covers(Ino ino) const { return ino >= begin && (last || ino < end); }
    Seen* Find(Ino ino);
  };
  // One reference to a chunk, waiting to be compared with its extent.
  struct Reference {
    std::string extent_key;
    Digest digest;
    uint64_t chunk_length = 0;
    bool chunk_known = false;
  };

  void Problem(std::string text);
  void Tick();
  // Corruption becomes a problem; other errors stay.
  Status Survive(const Status& status);
  // Visits the rows [begin, end) of a family; the visitor's Corruption is a problem of that row.
  Status Scan(ColumnFamily family, const std::string& begin, const std::string& end,
              const std::function<Status(std::string_view key, std::string_view value)>& visit);
  // The same over the rows of one window, whose keys are `kind` (none: '\0') and an inode number.
  Status ScanWindow(ColumnFamily family, char kind, const Window& window,
                    const std::function<Status(std::string_view key, std::string_view value)>& visit);

  // check.cc
  Status LoadWindow(Ino begin, Window* window);
  Status CheckMarks(Window* window);
  Status CheckXattrs(Window* window);
  Status CheckEntries(Window* window);
  Status CheckEntry(Window* window, Ino parent, std::string_view name, const Entry& entry);
  void CheckInode(const Seen& seen);
  void CheckNamed(const Seen& seen);
  Status CheckReachable(const Seen& dir);
  Status CheckLog();
  Status CheckSuperblock();
  Status CheckStrays();

  // check_content.cc
  Status CheckInline(Window* window);
  Status CheckExtents(Window* window);
  Status CheckReferences();
  Status MatchExtents(std::vector<Reference>* references);
  Status FindLostBackrefs();
  void CheckChunk(std::string_view key, std::string_view bytes);

  const Rows rows_;
  const Counters counters_;
  const bool deep_;
  const Progress& progress_;
  CheckReport report_;
  uint64_t done_ = 0, total_ = 0;
  uint64_t max_ino_ = 0;
  uint64_t logical_bytes_ = 0;
  uint64_t backrefs_ = 0;
  uint64_t unmatched_ = 0;             // backrefs without their extent
  std::unordered_set<Ino> reachable_;  // directories known to lead to a root
};

}  // namespace tarn::lake
