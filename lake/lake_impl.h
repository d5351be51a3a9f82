// LakeImpl: the lake behind lake.h. One class, as its operations share one lock and one set of counters; what has
// state of its own is apart: Rows (reads), Edit (one atomic change), NodeTable (open and dirty files).
//
//   lake.cc       open, recovery, close, commit          namespace.cc  entries, links, attributes' names
//   content.cc    writes and flushes                     truncate.cc   SetAttr, sizes, holes
//   reclaim.cc    trash                                  stage.cc      staging areas
//   history.cc    log and snapshots                      check.cc      invariants
//
// Every change is built and committed under mutex_, so an Edit sees the newest rows and nothing moves below it.
// Hashing and waiting for another file's flush happen outside. Lock order: Node::mutex, mutex_, NodeTable's own.
// The subscriber is called with no lock held.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "lake/edit.h"
#include "lake/lake.h"
#include "lake/node_table.h"
#include "lake/reader_view.h"
#include "lake/rows.h"
#include "lake/view.h"

namespace tarn::lake {

class LakeImpl;

// The newest state: the rows, and above them what is dirty in memory.
class HeadView final : public StoreView {
 public:
  HeadView(LakeImpl* lake, const Rows& rows, SpaceSource* space) : StoreView(rows, nullptr, space), lake_(lake) {}
  Result<Attr> GetAttr(Ino ino) override;
  Result<size_t> Read(Ino ino, uint64_t offset, std::span<char> out) override;
  Result<uint64_t> SeekData(Ino ino, uint64_t offset) override;
  Result<uint64_t> SeekHole(Ino ino, uint64_t offset) override;
  Result<lake::Usage> GetUsage() override;

 private:
  Result<size_t> ReadDirty(Node& node, uint64_t size, uint64_t offset, std::span<char> out) REQUIRES(node.mutex);
  LakeImpl* const lake_;
};

class LakeImpl final : public Lake {
 public:
  LakeImpl(std::unique_ptr<DB> db, const Families& families, Components components, const LakeOptions& options);
  ~LakeImpl() override;
  // Writes the first rows of a new lake.
  Status Format();
  // Reads the superblock, and unless read-only takes apart what a crash or a former mount left behind.
  Status Recover();

  Status Close() override;
  Status CatchUp() override;
  View& Head() override {
    if (read_only_) return reader_;
    return head_;
  }
  Result<std::unique_ptr<View>> At(std::string_view snapshot) override;
  Result<Attr> Create(Ino parent, std::string_view name, uint32_t mode, uint64_t rdev, Owner owner) override;
  Result<Attr> MakeDir(Ino parent, std::string_view name, uint32_t mode, Owner owner) override;
  Result<Attr> Symlink(Ino parent, std::string_view name, std::string_view target, Owner owner) override;
  Result<Attr> Link(Ino ino, Ino parent, std::string_view name) override;
  Status Unlink(Ino parent, std::string_view name) override;
  Status RemoveDir(Ino parent, std::string_view name) override;
  Status Rename(Ino from, std::string_view name, Ino to, std::string_view new_name, RenameMode mode) override;
  Status RemoveTree(Ino parent, std::string_view name) override;
  Status Open(Ino ino) override;
  void Release(Ino ino) override;
  Status Write(Ino ino, uint64_t offset, std::string_view bytes) override;
  Result<Attr> SetAttr(Ino ino, const AttrChange& change) override;
  Status PunchHole(Ino ino, uint64_t offset, uint64_t length) override;
  Status SetXattr(Ino ino, std::string_view name, std::string_view value, bool create, bool replace) override;
  Status RemoveXattr(Ino ino, std::string_view name) override;
  Status Flush(Ino ino) override;
  Status Sync(Ino ino) override;
  Status SyncAll() override;
  Result<Ino> Stage(Owner owner) override;
  Status Publish(Ino stage, std::string_view name, Ino parent, std::string_view new_name, RenameMode mode,
                 const LogRecord& record) override;
  Status DropStage(Ino stage) override;
  Result<LogRecord> AppendLog(const LogRecord& record) override;
  Result<std::vector<LogRecord>> ReadLog(uint64_t before_id, size_t limit) override;
  Result<SnapshotInfo> CreateSnapshot(std::string_view name) override;
  Status DropSnapshot(std::string_view name) override;
  std::vector<SnapshotInfo> ListSnapshots() override;
  Result<CheckReport> Check(bool deep, const std::function<void(uint64_t done, uint64_t total)>& progress) override;
  void Subscribe(std::function<void(const Change&)> subscriber) override;
  DB& db() override { return *db_; }

 private:
  friend class HeadView;

  int64_t Now() { return static_cast<int64_t>(components_.clock->WallNanos()); }
  Status Writable() const;  // EROFS

  // lake.cc
  Status Commit(Edit* edit) REQUIRES(mutex_) { return Commit(edit, durability_); }
  Status Commit(Edit* edit, Durability durability) REQUIRES(mutex_);
  Status WriteSuperblock(bool clean, Durability durability) REQUIRES(mutex_);
  Result<Ino> NextInode() REQUIRES(mutex_);
  Status ReadCounters(const Superblock& superblock) REQUIRES(mutex_);
  Status CountInodes() REQUIRES(mutex_);
  Status MarkLeftovers() REQUIRES(mutex_);
  void NotifyEntry(Ino dir, std::string_view name) { Notify({Change::What::kEntry, dir, std::string(name)}); }
  void NotifyInode(Ino ino) { Notify({Change::What::kInode, ino, {}}); }
  void Notify(const Change& change);

  // namespace.cc
  struct Move {
    Ino from = 0;
    std::string_view name;
    Ino to = 0;
    std::string_view new_name;
    RenameMode mode = RenameMode::kReplace;
    bool replace_trees = false;  // a directory that is not empty may be replaced, and anything by anything
  };
  Result<Inode*> LoadLive(Edit* edit, Ino ino) REQUIRES(mutex_);
  Result<Inode*> LoadDir(Edit* edit, Ino ino) REQUIRES(mutex_);
  Result<Entry> LoadEntry(Edit* edit, Ino parent, std::string_view name) REQUIRES(mutex_);
  Result<Attr> AddInode(Ino parent, std::string_view name, Inode inode) EXCLUDES(mutex_);
  void TouchDir(Inode* dir, int64_t now, int entries, int subdirs);
  Status DropLink(Edit* edit, Ino ino, Inode* inode) REQUIRES(mutex_);
  Status Doom(Edit* edit, Ino ino, Inode* inode) REQUIRES(mutex_);
  Status RemoveEntry(Ino parent, std::string_view name, bool directory) EXCLUDES(mutex_);
  Status ForbidCycle(Edit* edit, Ino moved, Ino below) REQUIRES(mutex_);
  Status MoveEntry(Edit* edit, const Move& move) REQUIRES(mutex_);
  Status DropReplaced(Edit* edit, const Move& move, Inode* to, uint32_t type, const Entry& old) REQUIRES(mutex_);

  // content.cc
  struct DirtyBlock {
    uint64_t block = 0;
    std::string_view bytes;
    std::optional<Extent> extent;  // none: all zeros
  };
  Status MakeRoom();
  Status WritePiece(Node& node, uint64_t offset, std::string_view piece) REQUIRES(node.mutex) EXCLUDES(mutex_);
  Status FlushNode(Node& node) REQUIRES(node.mutex) EXCLUDES(mutex_);
  Status CommitBlocks(Node& node, std::span<const DirtyBlock> blocks, const Pending& pending, bool last)
      REQUIRES(node.mutex) EXCLUDES(mutex_);
  Status FlushAll() EXCLUDES(mutex_);
  void Discard(Node& node) REQUIRES(node.mutex);

  // truncate.cc
  Status PrepareResize(Node& node, uint64_t size) REQUIRES(node.mutex) EXCLUDES(mutex_);
  Status Resize(Edit* edit, Ino ino, Inode* inode, uint64_t size) REQUIRES(mutex_);
  Status Blank(Node& node, uint64_t from, uint64_t to) REQUIRES(node.mutex) EXCLUDES(mutex_);
  Status RemoveBlocks(Ino ino, uint64_t begin, uint64_t end) EXCLUDES(mutex_);

  // reclaim.cc
  Result<bool> RemoveExtents(Edit* edit, Ino ino, Inode* inode, uint64_t begin, uint64_t end) REQUIRES(mutex_);
  Result<bool> RemoveXattrs(Edit* edit, Ino ino, Inode* inode) REQUIRES(mutex_);
  Result<bool> RemoveEntries(Edit* edit, Ino dir, Inode* inode) REQUIRES(mutex_);
  Result<bool> RemoveInode(Edit* edit, Ino ino, Inode* inode) REQUIRES(mutex_);
  Status ReclaimStep(Ino ino) REQUIRES(mutex_);
  Status FinishTail(Ino ino) REQUIRES(mutex_);
  Status DrainTrash() EXCLUDES(mutex_);

  // history.cc
  Result<std::shared_ptr<View>> OpenSnapshot(const std::string& name);
  LogRecord AddLog(Edit* edit, const LogRecord& record) REQUIRES(mutex_);

  Components components_;
  const uint64_t dirty_limit_;
  const Durability durability_;
  const bool read_only_;
  const std::unique_ptr<DB> db_;
  const Rows rows_;
  SpaceSource* const space_;
  NodeTable nodes_;
  HeadView head_;
  ReaderView reader_;  // of head_

  Mutex mutex_;  // every commit; see the top for the order
  uint64_t next_inode_ GUARDED_BY(mutex_) = 0;
  uint64_t leased_until_ GUARDED_BY(mutex_) = 0;  // numbers below may be handed out without a write
  uint64_t next_log_id_ GUARDED_BY(mutex_) = 1;
  uint64_t inodes_ GUARDED_BY(mutex_) = 0;
  uint64_t logical_bytes_ GUARDED_BY(mutex_) = 0;
  bool counted_ GUARDED_BY(mutex_) = true;  // the two above are of now; a reader counts when it is asked
  std::set<Ino> trash_ GUARDED_BY(mutex_);  // of the trash rows, those not given up on after an error
  bool closed_ GUARDED_BY(mutex_) = false;

  Mutex subscriber_mutex_;  // the pointer only; the call runs without it
  std::shared_ptr<const std::function<void(const Change&)>> subscriber_ GUARDED_BY(subscriber_mutex_);
};

}  // namespace tarn::lake
