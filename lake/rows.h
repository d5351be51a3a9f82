// Rows: typed reads of the lake's families, as of now or of one snapshot. The only code that turns rows into
// values; View, Edit and the check all read through it.
//
// A row that must exist and does not, or that does not decode, is Corruption naming the row; a name or inode
// that simply is not there is ENOENT or an empty optional, as each function says.
//
// Threads: any. A small value: copy it to bind it to another snapshot.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "lake/layout.h"
#include "tarn/db.h"

namespace tarn::lake {

struct Families {
  ColumnFamily meta, content, extents, chunks, backrefs;  // content is the family "inline"
};

// The families by name, in the order in which Init creates them.
inline constexpr const char* kFamilyNames[] = {"meta", "inline", "extents", "chunks", "backrefs"};

class Rows {
 public:
  Rows() = default;
  Rows(DB* db, const Families& families, const Snapshot* snapshot = nullptr)
      : db_(db), families_(families), snapshot_(snapshot) {}
  Rows At(const Snapshot* snapshot) const { return {db_, families_, snapshot}; }

  DB& db() const { return *db_; }
  const Families& families() const { return families_; }

  Result<Inode> FindInode(Ino ino) const;  // ENOENT
  Result<std::optional<Entry>> FindEntry(Ino parent, std::string_view name) const;
  Result<std::optional<Extent>> FindExtent(Ino ino, uint64_t block) const;
  // One answer per block, in the order asked.
  Result<std::vector<std::optional<Extent>>> FindExtents(Ino ino, const std::vector<uint64_t>& blocks) const;
  Result<std::vector<std::optional<Extent>>> FindExtentRows(const std::vector<std::string_view>& keys) const;
  Result<std::string> InlineBytes(Ino ino) const;  // empty when there is no row
  Result<Superblock> ReadSuperblock() const;       // NotFound
  Result<bool> Has(ColumnFamily family, std::string_view key) const;
  // The bytes of extents that are named together; all of them are on their way at once.
  struct Named {
    uint64_t block = 0;
    Extent extent;
  };
  Result<std::vector<std::string>> ReadChunks(Ino ino, std::span<const Named> extents) const;
  // Content of one block, without the zeros that no row holds.
  Result<std::string> ReadBlock(Ino ino, const Inode& inode, uint64_t block) const;
  // Fills all of `out` from `offset`, zeros where no row has bytes (the end of the file included).
  Status ReadContent(Ino ino, const Inode& inode, uint64_t offset, std::span<char> out) const;

  // A walk over the keys that start with `prefix`. The caller seeks. `scan`: leaves the caches alone.
  std::unique_ptr<Iterator> Walk(ColumnFamily family, std::string_view prefix, bool scan = false) const;
  // A walk over begin <= key < end (an empty end: to the last key).
  std::unique_ptr<Iterator> WalkRange(ColumnFamily family, std::string_view begin, std::string_view end,
                                      bool scan = false) const;

 private:
  ReadOptions Options() const;
  DB* db_ = nullptr;
  Families families_;
  const Snapshot* snapshot_ = nullptr;
};

}  // namespace tarn::lake
