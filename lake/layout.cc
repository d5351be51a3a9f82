#include "lake/layout.h"

#include <algorithm>
#include <cerrno>

#include "base/coding.h"

namespace tarn::lake {
namespace {

Status BadRow(std::string_view key, const char* what) {
  return Status::Corruption("lake row '" + Printable(key) + "' is not a valid " + what +
                            "; run `tarn check`, then restore from a snapshot or backup");
}

bool GetTime(std::string_view* in, int64_t* time) {
  uint64_t bits;
  if (!GetFixed64(in, &bits)) return false;
  *time = static_cast<int64_t>(bits);
  return true;
}

}  // namespace

void PutBig64(std::string* out, uint64_t v) {
  for (int shift = 56; shift >= 0; shift -= 8) out->push_back(static_cast<char>(v >> shift));
}

uint64_t DecodeBig64(const char* p) {
  uint64_t v = 0;
  for (int i = 0; i < 8; ++i) v = v << 8 | static_cast<unsigned char>(p[i]);
  return v;
}

std::string InoKey(Ino ino) {
  std::string key;
  PutBig64(&key, ino);
  return key;
}

std::string MetaKey(char kind, uint64_t number) { return NameKey(kind, number, {}); }

std::string NameKey(char kind, Ino ino, std::string_view name) {
  std::string key(1, kind);
  PutBig64(&key, ino);
  key.append(name);
  return key;
}

std::string ExtentKey(Ino ino, uint64_t block) {
  std::string key = InoKey(ino);
  PutBig64(&key, block);
  return key;
}

std::string BackrefKey(const Digest& digest, Ino ino, uint64_t block) {
  std::string key(digest.view());
  PutBig64(&key, ino);
  PutBig64(&key, block);
  return key;
}

bool ParseMetaKey(std::string_view key, uint64_t* number, std::string_view* name) {
  if (key.size() < 9) return false;
  *number = DecodeBig64(key.data() + 1);
  *name = key.substr(9);
  return true;
}

bool ParseExtentKey(std::string_view key, Ino* ino, uint64_t* block) {
  if (key.size() != 16) return false;
  *ino = DecodeBig64(key.data());
  *block = DecodeBig64(key.data() + 8);
  return true;
}

bool ParseBackrefKey(std::string_view key, Digest* digest, Ino* ino, uint64_t* block) {
  if (key.size() != 48) return false;
  std::copy_n(key.data(), 32, digest->bytes.data());
  return ParseExtentKey(key.substr(32), ino, block);
}

std::string Encode(const Inode& inode) {
  std::string out;
  for (const uint64_t v : {uint64_t{inode.mode}, uint64_t{inode.nlink}, uint64_t{inode.uid}, uint64_t{inode.gid},
                           inode.rdev, inode.size, inode.stored, inode.parent, inode.xattrs, inode.tail}) {
    PutVarint(&out, v);
  }
  for (const int64_t t : {inode.atime, inode.mtime, inode.ctime, inode.btime}) {
    PutFixed64(&out, static_cast<uint64_t>(t));
  }
  PutBytes(&out, inode.target);
  return out;
}

Status Decode(std::string_view key, std::string_view in, Inode* inode) {
  std::string_view target;
  const bool ok = GetVarint32(&in, &inode->mode) && GetVarint32(&in, &inode->nlink) &&
                  GetVarint32(&in, &inode->uid) && GetVarint32(&in, &inode->gid) && GetVarint(&in, &inode->rdev) &&
                  GetVarint(&in, &inode->size) && GetVarint(&in, &inode->stored) && GetVarint(&in, &inode->parent) &&
                  GetVarint(&in, &inode->xattrs) && GetVarint(&in, &inode->tail) && GetTime(&in, &inode->atime) &&
                  GetTime(&in, &inode->mtime) && GetTime(&in, &inode->ctime) && GetTime(&in, &inode->btime) &&
                  GetBytes(&in, &target) && in.empty();
  if (!ok || inode->size > INT64_MAX || target.size() > kMaxSymlink) return BadRow(key, "inode");
  inode->target = target;
  return Status::Ok();
}

std::string Encode(const Entry& entry) {
  std::string out;
  PutVarint(&out, entry.ino);
  PutVarint(&out, entry.type >> 12);
  return out;
}

Status Decode(std::string_view key, std::string_view in, Entry* entry) {
  uint64_t type;
  if (!GetVarint(&in, &entry->ino) || !GetVarint(&in, &type) || type > 15 || !in.empty()) {
    return BadRow(key, "directory entry");
  }
  entry->type = static_cast<uint32_t>(type << 12);
  return Status::Ok();
}

std::string Encode(const Extent& extent) {
  std::string out;
  PutVarint(&out, extent.length);
  out.append(extent.digest.view());
  return out;
}

Status Decode(std::string_view key, std::string_view in, Extent* extent) {
  if (!GetVarint32(&in, &extent->length) || extent->length == 0 || extent->length > kBlockBytes ||
      in.size() != extent->digest.bytes.size()) {
    return BadRow(key, "extent");
  }
  std::copy_n(in.data(), in.size(), extent->digest.bytes.data());
  return Status::Ok();
}

std::string Encode(const LogRecord& record) {
  std::string out;
  PutVarint(&out, record.sequence);
  PutFixed64(&out, record.wall_nanos);
  PutBytes(&out, record.who);
  PutBytes(&out, record.command);
  PutVarint(&out, record.files);
  PutVarint(&out, record.bytes);
  return out;
}

Status Decode(std::string_view key, std::string_view in, LogRecord* record) {
  std::string_view who, command;
  if (key.size() != 9 || !GetVarint(&in, &record->sequence) || !GetFixed64(&in, &record->wall_nanos) ||
      !GetBytes(&in, &who) || !GetBytes(&in, &command) || !GetVarint(&in, &record->files) ||
      !GetVarint(&in, &record->bytes) || !in.empty()) {
    return BadRow(key, "log record");
  }
  record->id = DecodeBig64(key.data() + 1);
  record->who = who;
  record->command = command;
  return Status::Ok();
}

std::string Encode(const Superblock& superblock) {
  std::string out;
  for (const uint64_t v : {kFormatVersion, superblock.next_inode, uint64_t{superblock.clean}, superblock.inodes,
                           superblock.logical_bytes}) {
    PutVarint(&out, v);
  }
  return out;
}

Status Decode(std::string_view key, std::string_view in, Superblock* superblock) {
  uint64_t version, clean;
  if (!GetVarint(&in, &version)) return BadRow(key, "superblock");
  if (version != kFormatVersion) {
    return Status::Unsupported("the lake has format " + std::to_string(version) + ", this build reads format " +
                               std::to_string(kFormatVersion) + "; use a newer tarn");
  }
  if (!GetVarint(&in, &superblock->next_inode) || !GetVarint(&in, &clean) || clean > 1 ||
      !GetVarint(&in, &superblock->inodes) || !GetVarint(&in, &superblock->logical_bytes) || !in.empty()) {
    return BadRow(key, "superblock");
  }
  superblock->clean = clean == 1;
  return Status::Ok();
}

Attr ToAttr(Ino ino, const Inode& inode) {
  Attr attr;
  attr.ino = ino;
  attr.mode = inode.mode;
  attr.nlink = inode.nlink;
  attr.uid = inode.uid;
  attr.gid = inode.gid;
  attr.rdev = inode.rdev;
  attr.size = inode.size;
  attr.blocks = (inode.stored + 511) / 512;
  attr.atime_ns = inode.atime;
  attr.mtime_ns = inode.mtime;
  attr.ctime_ns = inode.ctime;
  attr.btime_ns = inode.btime;
  return attr;
}

Status CheckName(std::string_view name) {
  if (name.size() > kMaxName) {
    return Status::FromErrno(ENAMETOOLONG, "name '" + Printable(name) + "' has " + std::to_string(name.size()) +
                                               " bytes; use at most " + std::to_string(kMaxName));
  }
  if (name.empty() || name == "." || name == ".." || name.find('/') != name.npos || name.find('\0') != name.npos) {
    return Status::FromErrno(EINVAL, "'" + Printable(name) + "' cannot name a directory entry; choose another name");
  }
  return Status::Ok();
}

std::string Printable(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes.substr(0, 64)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += "\\x";
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
  }
  return bytes.size() > 64 ? text + "..." : text;
}

}  // namespace tarn::lake
