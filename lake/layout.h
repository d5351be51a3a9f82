// Keys and values of the lake's rows, as docs/formats/lake.md specifies them. Pure functions; nothing here
// touches a store. Decoders accept any bytes and report Corruption with the row's key.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "lake/lake.h"
#include "lake/sha256.h"

namespace tarn::lake {

inline constexpr uint64_t kFormatVersion = 1;

// First byte of a key in the meta family.
inline constexpr char kInodeRow = 'I';
inline constexpr char kEntryRow = 'D';
inline constexpr char kXattrRow = 'A';
inline constexpr char kOrphanRow = 'O';
inline constexpr char kStageRow = 'S';
inline constexpr char kTrashRow = 'T';
inline constexpr char kLogRow = 'V';
inline constexpr char kSuperblockRow = 'Z';

struct Inode {
  uint32_t mode = 0, nlink = 0, uid = 0, gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;
  uint64_t stored = 0;  // bytes of content that have a row
  Ino parent = 0;       // directories only
  uint64_t xattrs = 0;  // number of xattr rows
  uint64_t tail = 0;    // 1 + first block of a truncated tail that awaits reclaim
  int64_t atime = 0, mtime = 0, ctime = 0, btime = 0;
  std::string target;  // symlinks only

  uint32_t type() const { return mode & 0170000; }
  bool is_dir() const { return type() == 0040000; }
  bool is_regular() const { return type() == 0100000; }
  bool is_symlink() const { return type() == 0120000; }
  bool is_inline() const { return size <= kInlineBytes; }
};

struct Entry {
  Ino ino = 0;
  uint32_t type = 0;  // the S_IFMT bits
};

struct Extent {
  uint32_t length = 0;
  Digest digest;
};

struct Superblock {
  uint64_t next_inode = 0;
  bool clean = false;
  uint64_t inodes = 0, logical_bytes = 0;
};

// Keys.
void PutBig64(std::string* out, uint64_t v);
uint64_t DecodeBig64(const char* p);
std::string InoKey(Ino ino);                      // inline, and the prefix of one file's extents
std::string MetaKey(char kind, uint64_t number);  // one row of a kind, or the prefix of an inode's entries, xattrs
std::string NameKey(char kind, Ino ino, std::string_view name);
std::string ExtentKey(Ino ino, uint64_t block);
std::string BackrefKey(const Digest& digest, Ino ino, uint64_t block);

// Keys as they come out of a scan. False: the key has not the shape that its family allows.
bool ParseMetaKey(std::string_view key, uint64_t* number, std::string_view* name);
bool ParseExtentKey(std::string_view key, Ino* ino, uint64_t* block);
bool ParseBackrefKey(std::string_view key, Digest* digest, Ino* ino, uint64_t* block);

// Values.
std::string Encode(const Inode& inode);
std::string Encode(const Entry& entry);
std::string Encode(const Extent& extent);
std::string Encode(const LogRecord& record);  // without its id, which is in the key
std::string Encode(const Superblock& superblock);
Status Decode(std::string_view key, std::string_view value, Inode* inode);
Status Decode(std::string_view key, std::string_view value, Entry* entry);
Status Decode(std::string_view key, std::string_view value, Extent* extent);
Status Decode(std::string_view key, std::string_view value, LogRecord* record);
Status Decode(std::string_view key, std::string_view value, Superblock* superblock);

Attr ToAttr(Ino ino, const Inode& inode);
// Why `name` cannot name an entry: EINVAL or ENAMETOOLONG.
Status CheckName(std::string_view name);
// Bytes as text for messages: others than printable ASCII as \xNN, at most 64 of them.
std::string Printable(std::string_view bytes);

}  // namespace tarn::lake
