#include "lake/view.h"

#include <algorithm>
#include <cerrno>

namespace tarn::lake {
namespace {

std::string Name(Ino ino) { return "inode " + std::to_string(ino); }

Status PastEnd(Ino ino, uint64_t offset) {
  return Status::FromErrno(ENXIO, Name(ino) + " has no such bytes at or after offset " + std::to_string(offset));
}

}  // namespace

Status RequireRegular(Ino ino, const Inode& inode) {
  if (inode.is_regular()) return Status::Ok();
  return inode.is_dir() ? Status::FromErrno(EISDIR, Name(ino) + " is a directory; name a file")
                        : Status::FromErrno(EINVAL, Name(ino) + " is not a regular file; name one");
}

Result<Attr> StoreView::Lookup(Ino parent, std::string_view name) {
  TARN_TRY(CheckName(name));
  TARN_ASSIGN(const auto entry, rows_.FindEntry(parent, name));
  if (!entry) {
    TARN_ASSIGN(const Inode dir, rows_.FindInode(parent));
    if (!dir.is_dir()) return Status::FromErrno(ENOTDIR, Name(parent) + " is not a directory; name one");
    return Status::FromErrno(ENOENT, "no entry '" + Printable(name) + "' in directory " + Name(parent));
  }
  Result<Attr> attr = GetAttr(entry->ino);
  if (attr.ok() || attr.status().code() != Code::kNotFound) return attr;
  // Either the entry went away between the two reads, or it dangles. One moment tells.
  const auto moment = rows_.db().GetSnapshot();
  const Rows fixed = snapshot_ ? rows_ : rows_.At(moment.get());
  TARN_ASSIGN(const auto again, fixed.FindEntry(parent, name));
  if (!again) return Status::FromErrno(ENOENT, "no entry '" + Printable(name) + "' in directory " + Name(parent));
  Result<Inode> inode = fixed.FindInode(again->ino);
  if (inode.ok()) return ToAttr(again->ino, *inode);
  if (inode.status().code() != Code::kNotFound) return inode.status();
  return Status::Corruption("entry '" + Printable(name) + "' of directory " + Name(parent) + " names " +
                            Name(again->ino) + ", which does not exist; run `tarn check`");
}

Result<Attr> StoreView::GetAttr(Ino ino) {
  TARN_ASSIGN(const Inode inode, rows_.FindInode(ino));
  return ToAttr(ino, inode);
}

Result<std::vector<DirEntry>> StoreView::ReadDir(Ino dir, std::string_view after, size_t limit) {
  TARN_ASSIGN(const Inode inode, rows_.FindInode(dir));
  if (!inode.is_dir()) return Status::FromErrno(ENOTDIR, Name(dir) + " is not a directory; name one");
  const std::string prefix = MetaKey(kEntryRow, dir);
  const auto walk = rows_.Walk(rows_.families().meta, prefix);
  // The smallest key greater than `after` is `after` with a zero byte behind it.
  walk->Seek(after.empty() ? prefix : NameKey(kEntryRow, dir, after) + '\0');
  std::vector<DirEntry> entries;
  for (; walk->valid() && entries.size() < limit; walk->Next()) {
    Entry entry;
    TARN_TRY(Decode(walk->key(), walk->value(), &entry));
    entries.push_back({std::string(walk->key().substr(prefix.size())), entry.ino, entry.type});
  }
  TARN_TRY(walk->status());
  return entries;
}

Result<Ino> StoreView::ParentOf(Ino dir) {
  TARN_ASSIGN(const Inode inode, rows_.FindInode(dir));
  if (!inode.is_dir()) return Status::FromErrno(ENOTDIR, Name(dir) + " is not a directory; name one");
  if (inode.parent == 0) return Status::FromErrno(ENOENT, Name(dir) + " was removed and has no parent");
  return inode.parent;
}

Result<Inode> StoreView::OpenContent(Ino ino, Rows* rows, std::unique_ptr<Snapshot>* hold) {
  *rows = rows_;
  if (snapshot_ == nullptr) {
    *hold = rows_.db().GetSnapshot();
    *rows = rows_.At(hold->get());
  }
  TARN_ASSIGN(Inode inode, rows->FindInode(ino));
  TARN_TRY(RequireRegular(ino, inode));
  return inode;
}

Result<size_t> StoreView::Read(Ino ino, uint64_t offset, std::span<char> out) {
  Rows rows;
  std::unique_ptr<Snapshot> hold;
  TARN_ASSIGN(const Inode inode, OpenContent(ino, &rows, &hold));
  if (offset >= inode.size) return size_t{0};
  out = out.first(std::min<uint64_t>(out.size(), inode.size - offset));
  TARN_TRY(rows.ReadContent(ino, inode, offset, out));
  return out.size();
}

Result<uint64_t> StoreView::SeekData(Ino ino, uint64_t offset) {
  Rows rows;
  std::unique_ptr<Snapshot> hold;
  TARN_ASSIGN(const Inode inode, OpenContent(ino, &rows, &hold));
  if (offset >= inode.size) return PastEnd(ino, offset);
  if (inode.is_inline()) {
    TARN_ASSIGN(const std::string bytes, rows.InlineBytes(ino));
    return offset < bytes.size() ? Result<uint64_t>(offset) : PastEnd(ino, offset);
  }
  const auto walk = rows.Walk(rows.families().extents, InoKey(ino));
  for (walk->Seek(ExtentKey(ino, offset / kBlockBytes)); walk->valid(); walk->Next()) {
    Extent extent;
    TARN_TRY(Decode(walk->key(), walk->value(), &extent));
    const uint64_t begin = DecodeBig64(walk->key().data() + 8) * kBlockBytes;
    if (begin >= inode.size) break;  // a tail that is being reclaimed
    if (offset < begin + extent.length) return std::max(begin, offset);
  }
  TARN_TRY(walk->status());
  return PastEnd(ino, offset);
}

Result<uint64_t> StoreView::SeekHole(Ino ino, uint64_t offset) {
  Rows rows;
  std::unique_ptr<Snapshot> hold;
  TARN_ASSIGN(const Inode inode, OpenContent(ino, &rows, &hold));
  if (offset >= inode.size) return PastEnd(ino, offset);
  if (inode.is_inline()) {
    TARN_ASSIGN(const std::string bytes, rows.InlineBytes(ino));
    return std::max<uint64_t>(offset, bytes.size());
  }
  const auto walk = rows.Walk(rows.families().extents, InoKey(ino));
  uint64_t at = offset;  // everything from offset up to here is data
  for (walk->Seek(ExtentKey(ino, offset / kBlockBytes)); walk->valid(); walk->Next()) {
    Extent extent;
    TARN_TRY(Decode(walk->key(), walk->value(), &extent));
    const uint64_t begin = DecodeBig64(walk->key().data() + 8) * kBlockBytes;
    if (at < begin || at >= begin + extent.length) break;
    at = begin + extent.length;
  }
  TARN_TRY(walk->status());
  return std::min(at, inode.size);
}

Result<std::string> StoreView::ReadLink(Ino ino) {
  TARN_ASSIGN(Inode inode, rows_.FindInode(ino));
  if (!inode.is_symlink()) return Status::FromErrno(EINVAL, Name(ino) + " is not a symlink; name one");
  return std::move(inode.target);
}

Result<std::string> StoreView::GetXattr(Ino ino, std::string_view name) {
  std::string value;
  const Status found = rows_.db().Get(rows_.families().meta, NameKey(kXattrRow, ino, name), &value,
                                      snapshot_ ? ReadOptions{.snapshot = snapshot_.get()} : ReadOptions{});
  if (found.ok()) return value;
  if (found.code() != Code::kNotFound) return found;
  TARN_TRY(rows_.FindInode(ino).status());
  return Status::FromErrno(ENODATA, Name(ino) + " has no attribute '" + Printable(name) + "'");
}

Result<std::vector<std::string>> StoreView::ListXattr(Ino ino) {
  TARN_ASSIGN(const Inode inode, rows_.FindInode(ino));
  std::vector<std::string> names;
  if (inode.xattrs == 0) return names;
  const std::string prefix = MetaKey(kXattrRow, ino);
  const auto walk = rows_.Walk(rows_.families().meta, prefix);
  for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
    names.emplace_back(walk->key().substr(prefix.size()));
  }
  TARN_TRY(walk->status());
  return names;
}

Result<lake::Usage> StoreView::GetUsage() {
  TARN_ASSIGN(const Superblock superblock, rows_.ReadSuperblock());
  return WithSpace({superblock.inodes, superblock.logical_bytes, 0, 0});
}

Result<lake::Usage> StoreView::WithSpace(lake::Usage usage) {
  if (space_ == nullptr) return usage;
  TARN_ASSIGN(const SpaceInfo space, space_->Space());
  usage.total_bytes = space.total_bytes;
  usage.free_bytes = space.free_bytes;
  return usage;
}

}  // namespace tarn::lake
