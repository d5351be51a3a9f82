// SetAttr and everything that makes a file smaller: truncation and holes.

#include <algorithm>
#include <cerrno>

#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

constexpr uint64_t kMaxFileBytes = INT64_MAX - kBlockBytes;

uint64_t BlocksIn(uint64_t bytes) { return (bytes + kBlockBytes - 1) / kBlockBytes; }

}  // namespace

// Puts the file into the store. Blocks that the new size drops go too: without them a cut before the resize, or its
// failure, would leave zeros where bytes were written. Only a file that loses everything need not be stored first.
Status LakeImpl::PrepareResize(Node& node, uint64_t size) {
  if (size > kMaxFileBytes) {
    return Status::FromErrno(EFBIG, "inode " + std::to_string(node.ino) + " cannot have " + std::to_string(size) +
                                        " bytes; files end before 2^63");
  }
  if (size > 0) TARN_TRY(FlushNode(node));
  MutexLock lock(mutex_);
  return FinishTail(node.ino);
}

// Changes the size of a file without dirty bytes, or to 0. What a shrink cannot remove in this batch becomes a tail.
Status LakeImpl::Resize(Edit* edit, Ino ino, Inode* inode, uint64_t size) {
  const Inode old = *inode;
  inode->size = size;
  if (old.is_inline()) {
    if (size >= old.size && inode->is_inline()) return Status::Ok();
    TARN_ASSIGN(std::string bytes, rows_.InlineBytes(ino));
    const uint64_t old_length = bytes.size();
    if (inode->is_inline()) {
      bytes.resize(std::min(old_length, size));
      edit->PutInline(ino, inode, old_length, bytes);
      return Status::Ok();
    }
    edit->PutInline(ino, inode, old_length, {});
    if (bytes.find_first_not_of('\0') == bytes.npos) return Status::Ok();
    const std::string_view kept = edit->Keep(std::move(bytes));
    edit->ReplaceExtent(ino, inode, 0, std::nullopt, Extent{static_cast<uint32_t>(kept.size()), Sha256(kept)}, kept);
    return Status::Ok();
  }
  if (size >= old.size) return Status::Ok();
  uint64_t first_gone = BlocksIn(size);
  if (inode->is_inline()) {
    TARN_ASSIGN(std::string bytes, rows_.ReadBlock(ino, old, 0));
    bytes.resize(std::min<uint64_t>(bytes.size(), size));
    edit->PutInline(ino, inode, 0, bytes);
    first_gone = 0;
  } else if (const uint64_t keep = size % kBlockBytes; keep > 0) {
    const uint64_t block = size / kBlockBytes;
    TARN_ASSIGN(const auto extent, rows_.FindExtent(ino, block));
    if (extent && extent->length > keep) {
      TARN_ASSIGN(std::string bytes, rows_.ReadBlock(ino, old, block));
      bytes.resize(keep);
      const bool zeros = bytes.find_first_not_of('\0') == bytes.npos;
      const std::string_view kept = edit->Keep(std::move(bytes));
      std::optional<Extent> cut;
      if (!zeros) cut = Extent{static_cast<uint32_t>(keep), Sha256(kept)};
      edit->ReplaceExtent(ino, inode, block, extent, cut, kept);
    }
  }
  TARN_ASSIGN(const bool done, RemoveExtents(edit, ino, inode, first_gone, UINT64_MAX));
  if (!done) {
    inode->tail = first_gone + 1;
    edit->PutMark(kTrashRow, ino);
  }
  return Status::Ok();
}

Result<Attr> LakeImpl::SetAttr(Ino ino, const AttrChange& change) {
  {
    const NodeTable::Pin node = nodes_.Get(ino);
    MutexLock content(node->mutex);
    if (change.size) {
      TARN_ASSIGN(const Inode inode, rows_.FindInode(ino));
      TARN_TRY(RequireRegular(ino, inode));
      TARN_TRY(Writable());
      TARN_TRY(PrepareResize(*node, *change.size));
    }
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const inode, LoadLive(&edit, ino));
    const int64_t now = Now();
    if (change.size) {
      TARN_TRY(Resize(&edit, ino, inode, *change.size));
      inode->mtime = now;
    }
    if (change.mode) inode->mode = inode->type() | (*change.mode & 07777);
    if (change.uid) inode->uid = *change.uid;
    if (change.gid) inode->gid = *change.gid;
    if (change.atime_ns) inode->atime = *change.atime_ns;
    if (change.mtime_ns) inode->mtime = *change.mtime_ns;
    inode->ctime = change.ctime_ns.value_or(now);
    TARN_TRY(Commit(&edit));
    if (change.size && *change.size == 0) Discard(*node);
    nodes_.SetPendingTimes(ino, change.mtime_ns, inode->ctime);
  }
  NotifyInode(ino);
  TARN_TRY(DrainTrash());
  return head_.GetAttr(ino);
}

// Removes the extents of blocks [begin, end) in bounded batches, and notes the change.
Status LakeImpl::RemoveBlocks(Ino ino, uint64_t begin, uint64_t end) {
  for (bool done = false; !done;) {
    MutexLock lock(mutex_);
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const inode, LoadLive(&edit, ino));
    TARN_ASSIGN(done, RemoveExtents(&edit, ino, inode, begin, end));
    inode->mtime = inode->ctime = Now();
    TARN_TRY(Commit(&edit));
  }
  return Status::Ok();
}

// Zeros over [from, to), which lies within one block: a flush drops blocks that became all zeros.
Status LakeImpl::Blank(Node& node, uint64_t from, uint64_t to) {
  if (from >= to) return Status::Ok();
  return WritePiece(node, from, std::string(to - from, '\0'));
}

Status LakeImpl::PunchHole(Ino ino, uint64_t offset, uint64_t length) {
  TARN_TRY(Writable());
  {
    const NodeTable::Pin node = nodes_.Get(ino);
    MutexLock content(node->mutex);
    TARN_ASSIGN(Inode inode, rows_.FindInode(ino));
    TARN_TRY(RequireRegular(ino, inode));
    TARN_TRY(FlushNode(*node));
    TARN_ASSIGN(inode, rows_.FindInode(ino));
    if (length == 0 || offset >= inode.size) return Status::Ok();
    const uint64_t end = offset + std::min(length, inode.size - offset);
    const uint64_t first = BlocksIn(offset);
    const uint64_t last = end == inode.size ? BlocksIn(end) : end / kBlockBytes;
    if (inode.is_inline() || first > last) {
      TARN_TRY(Blank(*node, offset, end));
    } else {
      TARN_TRY(Blank(*node, offset, std::min(first * kBlockBytes, end)));
      TARN_TRY(Blank(*node, std::max(last * kBlockBytes, offset), end));
      TARN_TRY(RemoveBlocks(ino, first, last));
    }
    TARN_TRY(FlushNode(*node));
  }
  NotifyInode(ino);
  return Status::Ok();
}

}  // namespace tarn::lake
