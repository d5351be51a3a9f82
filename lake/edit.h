// Edit: one atomic change of the lake in the making. Load or create inodes, change them through the pointer,
// add rows; LakeImpl::Commit writes it all as one batch. Dropped without Commit, nothing happened.
//
// Each inode is read once and all changes of one operation meet in the same copy (a rename inside one
// directory changes that directory once). Only inodes that came out different are written.
//
// Reads of entries and extents see the store, not the rows added to this edit: no operation reads back what it
// has just written.
//
// Threads: lives under the lake's commit lock.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lake/chunk_refs.h"
#include "lake/rows.h"

namespace tarn::lake {

class Edit {
 public:
  explicit Edit(const Rows& rows) : rows_(rows) {}
  Edit(const Edit&) = delete;
  Edit& operator=(const Edit&) = delete;

  // The pointers stay valid until the edit ends. ENOENT when there is no such inode, or it was erased here.
  Result<Inode*> Load(Ino ino);
  Inode* Add(Ino ino);
  // Deletes the inode row. Everything that hangs on it has been dealt with.
  void Erase(Ino ino);

  void PutEntry(Ino parent, std::string_view name, Ino ino, uint32_t type);
  void DeleteEntry(Ino parent, std::string_view name);
  void PutMark(char kind, Ino ino);  // orphan, stage and trash rows
  void DeleteMark(char kind, Ino ino);
  // Replaces the extent of one block (or both absent: nothing). Keeps inode->stored.
  void ReplaceExtent(Ino ino, Inode* inode, uint64_t block, const std::optional<Extent>& old,
                     const std::optional<Extent>& now, std::string_view bytes);
  // Replaces the inline row of `old_length` bytes (0: there is none). Empty bytes: no row. Keeps inode->stored.
  void PutInline(Ino ino, Inode* inode, uint64_t old_length, std::string_view bytes);

  // Bytes that an edit adds and that must live until it is committed.
  std::string_view Keep(std::string bytes);

  // Writes changed inodes and chunk references into the batch. Called by LakeImpl::Commit.
  Status Finish();
  const Rows& rows() const { return rows_; }
  WriteBatch& batch() { return batch_; }

  int64_t inodes_delta() const { return inodes_delta_; }
  int64_t bytes_delta() const { return bytes_delta_; }  // after Finish
  // Inodes that become (true) or cease to be (false) trash when this edit is committed.
  std::map<Ino, bool> trash;
  // Inodes whose attributes others may have cached and no longer hold, beside the directories of the operation.
  std::vector<Ino> touched;

 private:
  struct Loaded {
    Inode inode;
    std::string before;  // encoded; empty for a new one
    uint64_t bytes_before = 0;
    bool erased = false;
  };
  const Rows rows_;
  std::map<Ino, Loaded> inodes_;
  WriteBatch batch_;
  ChunkRefs refs_;
  std::vector<std::unique_ptr<std::string>> kept_;
  int64_t inodes_delta_ = 0, bytes_delta_ = 0;
};

}  // namespace tarn::lake
