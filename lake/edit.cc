#include "lake/edit.h"

#include <cerrno>

namespace tarn::lake {
namespace {

uint64_t LogicalBytes(const Inode& inode) { return inode.is_regular() ? inode.size : 0; }

}  // namespace

Result<Inode*> Edit::Load(Ino ino) {
  const auto known = inodes_.find(ino);
  if (known == inodes_.end()) {
    TARN_ASSIGN(Inode inode, rows_.FindInode(ino));
    Loaded loaded{.inode = std::move(inode), .before = {}, .bytes_before = 0, .erased = false};
    loaded.before = Encode(loaded.inode);
    loaded.bytes_before = LogicalBytes(loaded.inode);
    return &inodes_.emplace(ino, std::move(loaded)).first->second.inode;
  }
  if (known->second.erased) {
    return Status::FromErrno(ENOENT, "inode " + std::to_string(ino) + " is being removed");
  }
  return &known->second.inode;
}

Inode* Edit::Add(Ino ino) {
  ++inodes_delta_;
  return &inodes_[ino].inode;
}

void Edit::Erase(Ino ino) {
  --inodes_delta_;
  inodes_[ino].erased = true;
}

void Edit::PutEntry(Ino parent, std::string_view name, Ino ino, uint32_t type) {
  batch_.Put(rows_.families().meta, NameKey(kEntryRow, parent, name), Encode(Entry{ino, type}));
}

void Edit::DeleteEntry(Ino parent, std::string_view name) {
  batch_.Delete(rows_.families().meta, NameKey(kEntryRow, parent, name));
}

void Edit::PutMark(char kind, Ino ino) {
  batch_.Put(rows_.families().meta, MetaKey(kind, ino), {});
  if (kind == kTrashRow) trash[ino] = true;
}

void Edit::DeleteMark(char kind, Ino ino) {
  batch_.Delete(rows_.families().meta, MetaKey(kind, ino));
  if (kind == kTrashRow) trash[ino] = false;
}

void Edit::ReplaceExtent(Ino ino, Inode* inode, uint64_t block, const std::optional<Extent>& old,
                         const std::optional<Extent>& now, std::string_view bytes) {
  if (old && now && old->digest == now->digest && old->length == now->length) return;
  const std::string key = ExtentKey(ino, block);
  if (old) {
    refs_.Remove(old->digest, ino, block);
    inode->stored -= old->length;
  }
  if (now) {
    refs_.Add(now->digest, ino, block, bytes);
    inode->stored += now->length;
    batch_.Put(rows_.families().extents, key, Encode(*now));
  } else if (old) {
    batch_.Delete(rows_.families().extents, key);
  }
}

void Edit::PutInline(Ino ino, Inode* inode, uint64_t old_length, std::string_view bytes) {
  if (!bytes.empty()) {
    batch_.Put(rows_.families().content, InoKey(ino), bytes);
  } else if (old_length > 0) {
    batch_.Delete(rows_.families().content, InoKey(ino));
  }
  inode->stored = inode->stored - old_length + bytes.size();
}

std::string_view Edit::Keep(std::string bytes) {
  return *kept_.emplace_back(std::make_unique<std::string>(std::move(bytes)));
}

Status Edit::Finish() {
  const ColumnFamily meta = rows_.families().meta;
  for (const auto& [ino, loaded] : inodes_) {
    bytes_delta_ -= static_cast<int64_t>(loaded.bytes_before);
    if (loaded.erased) {
      batch_.Delete(meta, MetaKey(kInodeRow, ino));
      continue;
    }
    bytes_delta_ += static_cast<int64_t>(LogicalBytes(loaded.inode));
    std::string after = Encode(loaded.inode);
    if (after != loaded.before) batch_.Put(meta, MetaKey(kInodeRow, ino), after);
  }
  return refs_.Resolve(rows_, &batch_);
}

}  // namespace tarn::lake
