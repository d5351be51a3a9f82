// The lake: a versioned, transactional filesystem over one DB. For faces (CLI, FUSE) and their tests.
//
// Two halves: a View reads the lake as of one moment (now, or a snapshot); Lake is the writing half and the
// owner. Every operation is one atomic batch; what a face calls a *command* (an import, one CLI verb, one
// mount session) ends with one record in the log. Rows and keys: docs/formats/lake.md.
//
// Files of up to kInlineBytes live in one row; larger ones are cut in blocks of kBlockBytes, each stored once
// under its SHA-256. Holes have no row. Inode numbers are never reused.
//
// Errors carry the errno a filesystem would give (Status::os_error) and a message that names the path or inode.
// Permissions are not checked here (the kernel does for a mount, the store's file modes for the CLI).
//
// Threads: any. Writes to one file are serialised; namespace changes take one lock.
// Memory: dirty file bytes are bounded by LakeOptions::dirty_bytes over all files: a writer that would exceed
// it flushes first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/db.h"

namespace tarn::lake {

using Ino = uint64_t;
inline constexpr Ino kRootIno = 1;
inline constexpr uint32_t kInlineBytes = 64 << 10;
inline constexpr uint32_t kBlockBytes = 128 << 10;
inline constexpr uint32_t kMaxName = 255;          // bytes
inline constexpr uint32_t kMaxSymlink = 4095;      // bytes
inline constexpr uint32_t kMaxXattrValue = 65536;  // bytes

struct Attr {
  Ino ino = 0;
  uint32_t mode = 0;  // type and permission bits, as in stat(2)
  uint32_t nlink = 0;
  uint32_t uid = 0, gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;    // bytes; directories: number of entries
  uint64_t blocks = 0;  // 512-byte units that hold data (holes do not count)
  int64_t atime_ns = 0, mtime_ns = 0, ctime_ns = 0, btime_ns = 0;  // since 1970 UTC
};

struct DirEntry {
  std::string name;
  Ino ino = 0;
  uint32_t type = 0;  // the S_IFMT bits of mode
};

// Which attributes a SetAttr changes.
struct AttrChange {
  std::optional<uint32_t> mode;  // permission bits only
  std::optional<uint32_t> uid, gid;
  std::optional<uint64_t> size;  // truncate or extend with a hole
  std::optional<int64_t> atime_ns, mtime_ns, ctime_ns;
};

struct Owner {
  uint32_t uid = 0, gid = 0;
};

struct Usage {
  uint64_t inodes = 0;
  uint64_t logical_bytes = 0;                // sum of file sizes
  uint64_t total_bytes = 0, free_bytes = 0;  // of the device below
};

struct LogRecord {
  uint64_t id = 0;  // 1, 2, 3...
  uint64_t sequence = 0;
  uint64_t wall_nanos = 0;
  std::string who;                // user@host
  std::string command;            // the command line
  uint64_t files = 0, bytes = 0;  // what it added or changed
};

struct SnapshotInfo {
  std::string name;
  uint64_t sequence = 0;
  uint64_t wall_nanos = 0;
};

// The lake as of one moment. Destroyed before the Lake that made it.
class View {
 public:
  virtual ~View() = default;
  virtual Result<Attr> Lookup(Ino parent, std::string_view name) = 0;
  virtual Result<Attr> GetAttr(Ino ino) = 0;
  // Entries with a name greater than `after` (empty: from the start), bytewise, at most `limit`. "." and ".."
  // are the face's business.
  virtual Result<std::vector<DirEntry>> ReadDir(Ino dir, std::string_view after, size_t limit) = 0;
  virtual Result<Ino> ParentOf(Ino dir) = 0;  // of a directory; the root's is itself
  // Fewer bytes than asked only at the end of the file.
  virtual Result<size_t> Read(Ino ino, uint64_t offset, std::span<char> out) = 0;
  // The next offset >= `offset` that holds data (or a hole); ENXIO past the end, as lseek(2).
  virtual Result<uint64_t> SeekData(Ino ino, uint64_t offset) = 0;
  virtual Result<uint64_t> SeekHole(Ino ino, uint64_t offset) = 0;
  virtual Result<std::string> ReadLink(Ino ino) = 0;
  virtual Result<std::string> GetXattr(Ino ino, std::string_view name) = 0;  // ENODATA
  virtual Result<std::vector<std::string>> ListXattr(Ino ino) = 0;
  virtual Result<lake::Usage> GetUsage() = 0;
};

struct LakeOptions {
  Settings settings;  // of the store below
  uint64_t dirty_bytes = 32ull << 20;
  // Of an operation that returned. kNone: in order, but not before a Sync, SyncAll, Publish, AppendLog or Close; for
  // stores on which a commit is a request.
  Durability durability = Durability::kProcess;
};

enum class RenameMode : uint8_t { kReplace, kNoReplace, kExchange };

// One change that others may have cached. Faces that cache (the mount) subscribe.
struct Change {
  enum class What : uint8_t { kEntry, kInode } what = What::kEntry;
  Ino ino = 0;       // kEntry: the directory; kInode: attributes and content of this inode
  std::string name;  // kEntry only
};

struct CheckReport {
  uint64_t inodes = 0, entries = 0, blocks = 0, bytes = 0;
  std::vector<std::string> problems;  // one line each: what, where, what to do
};

class Lake {
 public:
  // Fails with Invalid when the store exists already (Init) or holds no lake (Open).
  static Result<std::unique_ptr<Lake>> Init(Components components, const LakeOptions& options);
  static Result<std::unique_ptr<Lake>> Open(Components components, const LakeOptions& options);
  virtual ~Lake() = default;
  virtual Status Close() = 0;  // flushes everything to power-safe
  // Of a lake that was opened read-only: moves Head() on to what its writer has made durable (DB::CatchUp).
  virtual Status CatchUp() = 0;

  // Reading.
  virtual View& Head() = 0;
  virtual Result<std::unique_ptr<View>> At(std::string_view snapshot) = 0;

  // Namespace. Names are 1..kMaxName bytes without '/' and NUL, and not "." or "..".
  // Create: any type but directory and symlink.
  virtual Result<Attr> Create(Ino parent, std::string_view name, uint32_t mode, uint64_t rdev, Owner owner) = 0;
  virtual Result<Attr> MakeDir(Ino parent, std::string_view name, uint32_t mode, Owner owner) = 0;
  virtual Result<Attr> Symlink(Ino parent, std::string_view name, std::string_view target, Owner owner) = 0;
  virtual Result<Attr> Link(Ino ino, Ino parent, std::string_view name) = 0;
  virtual Status Unlink(Ino parent, std::string_view name) = 0;  // not directories
  virtual Status RemoveDir(Ino parent, std::string_view name) = 0;
  // O(1) for directories of any size. A directory is never moved below itself (EINVAL).
  virtual Status Rename(Ino from, std::string_view name, Ino to, std::string_view new_name, RenameMode mode) = 0;
  // Removes a whole tree: one atomic unlink of its root, then its space is reclaimed in bounded batches.
  virtual Status RemoveTree(Ino parent, std::string_view name) = 0;

  // Content. Open keeps an unlinked file readable until the matching Release.
  virtual Status Open(Ino ino) = 0;
  virtual void Release(Ino ino) = 0;
  virtual Status Write(Ino ino, uint64_t offset, std::string_view bytes) = 0;
  virtual Result<Attr> SetAttr(Ino ino, const AttrChange& change) = 0;
  virtual Status PunchHole(Ino ino, uint64_t offset, uint64_t length) = 0;
  virtual Status SetXattr(Ino ino, std::string_view name, std::string_view value, bool create, bool replace) = 0;
  virtual Status RemoveXattr(Ino ino, std::string_view name) = 0;
  virtual Status Flush(Ino ino) = 0;  // dirty bytes of the file into the store (survives kill -9)
  virtual Status Sync(Ino ino) = 0;   // and everything before it onto the device (survives power loss)
  virtual Status SyncAll() = 0;

  // A staging area makes a long command atomic: build a tree below Stage()'s directory, which no path reaches,
  // then Publish it in one batch together with its log record. Stages that were never published are reclaimed
  // at the next open.
  virtual Result<Ino> Stage(Owner owner) = 0;
  // Moves the single entry `name` of the stage to parent/new_name (power-safe on return). kReplace swaps an
  // existing tree out and reclaims it. A stage left empty by this ends; dropping one that ended is OK.
  virtual Status Publish(Ino stage, std::string_view name, Ino parent, std::string_view new_name, RenameMode mode,
                         const LogRecord& record) = 0;
  virtual Status DropStage(Ino stage) = 0;

  // History. AppendLog fills id, sequence and time; power-safe on return.
  virtual Result<LogRecord> AppendLog(const LogRecord& record) = 0;
  // Newest first; before_id 0: from the newest.
  virtual Result<std::vector<LogRecord>> ReadLog(uint64_t before_id, size_t limit) = 0;
  virtual Result<SnapshotInfo> CreateSnapshot(std::string_view name) = 0;
  virtual Status DropSnapshot(std::string_view name) = 0;
  virtual std::vector<SnapshotInfo> ListSnapshots() = 0;

  // Invariants of docs/formats/lake.md, over everything. `deep` also reads and hashes every block.
  virtual Result<CheckReport> Check(bool deep,
                                    const std::function<void(uint64_t done, uint64_t total)>& progress) = 0;
  // Called after each change was applied, on the thread that made it. One subscriber; null ends it.
  virtual void Subscribe(std::function<void(const Change&)> subscriber) = 0;
  virtual DB& db() = 0;
};

// Resolves an absolute path ("/a/b"); follows no symlinks; "." and ".." components are EINVAL.
Result<Attr> Resolve(View& view, std::string_view path);
// Splits "/a/b/c" into the directory "/a/b" (resolved) and "c".
struct Place {
  Ino parent = 0;
  std::string name;
};
Result<Place> ResolveParent(View& view, std::string_view path);

}  // namespace tarn::lake
