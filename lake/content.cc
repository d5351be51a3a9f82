// Writing and flushing file content, and the head view that sees through to what is not flushed yet.
//
// A write lands in its file's node as whole dirty blocks; a partial one first reads the rest of its block. A
// flush hashes the blocks without the commit lock, then commits them in batches of up to 4 MiB: chunk bytes and
// the extents that name them are in the same batch, so no row ever names bytes that are not there.

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

constexpr size_t kBlocksPerBatch = 32;  // 4 MiB of content
constexpr uint64_t kMaxFileBytes = INT64_MAX - kBlockBytes;

bool AllZeros(std::string_view bytes) {
  return bytes.empty() || (bytes[0] == '\0' && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

// Makes `bytes` at least `size` long, zeros at the end, without std::string's doubling past a block.
void Extend(std::string* bytes, size_t size) {
  if (bytes->size() >= size) return;
  if (bytes->capacity() < size) {
    std::string bigger;
    bigger.reserve(std::min<size_t>(kBlockBytes, std::max(size, 2 * bytes->capacity())));
    bigger.append(*bytes);
    bytes->swap(bigger);
  }
  bytes->resize(size);
}

}  // namespace

Status LakeImpl::Write(Ino ino, uint64_t offset, std::string_view bytes) {
  TARN_TRY(Writable());
  if (offset > kMaxFileBytes || bytes.size() > kMaxFileBytes - offset) {
    return Status::FromErrno(EFBIG, "a write at offset " + std::to_string(offset) + " of inode " +
                                        std::to_string(ino) + " would make the file too large");
  }
  const NodeTable::Pin node = nodes_.Get(ino);
  do {
    TARN_TRY(MakeRoom());
    const size_t length = std::min<size_t>(bytes.size(), kBlockBytes - offset % kBlockBytes);
    MutexLock lock(node->mutex);
    TARN_TRY(WritePiece(*node, offset, bytes.substr(0, length)));
    offset += length;
    bytes.remove_prefix(length);
  } while (!bytes.empty());
  NotifyInode(ino);
  return Status::Ok();
}

// Flushes the files that have been dirty longest until one more block fits in the budget. Writers of several
// threads may each be one block over it.
Status LakeImpl::MakeRoom() {
  while (nodes_.dirty_bytes() + kBlockBytes > dirty_limit_) {
    const NodeTable::Pin oldest = nodes_.OldestDirty();
    if (!oldest) break;
    MutexLock lock(oldest->mutex);
    TARN_TRY(FlushNode(*oldest));
  }
  return Status::Ok();
}

// One piece within one block.
Status LakeImpl::WritePiece(Node& node, uint64_t offset, std::string_view piece) {
  TARN_ASSIGN(Inode inode, rows_.FindInode(node.ino));
  TARN_TRY(RequireRegular(node.ino, inode));
  if (inode.nlink == 0 && nodes_.Opens(node.ino) == 0) {
    return Status::FromErrno(ENOENT, "inode " + std::to_string(node.ino) + " was removed");
  }
  if (piece.empty()) return Status::Ok();
  if (inode.tail != 0) {
    MutexLock lock(mutex_);
    TARN_TRY(FinishTail(node.ino));
  }
  const auto pending = nodes_.PendingOf(node.ino);
  const uint64_t size = pending ? pending->size : inode.size;
  const uint64_t block = offset / kBlockBytes, home = block * kBlockBytes;
  const size_t begin = offset - home, end = begin + piece.size();
  const uint64_t old_length = std::min<uint64_t>(size > home ? size - home : 0, kBlockBytes);
  const bool known = node.blocks.contains(block);
  const uint64_t before = known ? node.blocks[block].capacity() : 0;
  std::string bytes;
  if (known) {
    bytes.swap(node.blocks[block]);
  } else if (old_length > 0 && (begin > 0 || end < old_length)) {
    TARN_ASSIGN(bytes, rows_.ReadBlock(node.ino, inode, block));
  }
  Extend(&bytes, end);
  std::memcpy(bytes.data() + begin, piece.data(), piece.size());
  const int64_t grown = static_cast<int64_t>(bytes.capacity()) - static_cast<int64_t>(before);
  node.blocks[block].swap(bytes);
  const int64_t now = Now();
  nodes_.SetDirty(node, {std::max(size, offset + piece.size()), now, now}, grown);
  return Status::Ok();
}

Status LakeImpl::Flush(Ino ino) {
  const NodeTable::Pin node = nodes_.Find(ino);
  if (!node) return Status::Ok();
  MutexLock lock(node->mutex);
  return FlushNode(*node);
}

void LakeImpl::Discard(Node& node) {
  node.blocks.clear();
  nodes_.SetClean(node);
}

Status LakeImpl::FlushNode(Node& node) {
  const auto pending = nodes_.PendingOf(node.ino);
  if (!pending) return Status::Ok();
  const auto inode = rows_.FindInode(node.ino);
  if (!inode.ok() && inode.status().code() == Code::kNotFound) {
    Discard(node);  // the file was removed, nobody has it open
    return Status::Ok();
  }
  TARN_TRY(inode.status());
  if (inode->is_inline() && inode->stored > 0 && pending->size > kInlineBytes && !node.blocks.contains(0)) {
    // The file outgrows its inline row, whose bytes move into the first block.
    TARN_ASSIGN(std::string bytes, rows_.InlineBytes(node.ino));
    nodes_.SetDirty(node, *pending, static_cast<int64_t>(bytes.capacity()));
    node.blocks[0] = std::move(bytes);
  }
  std::vector<DirtyBlock> blocks;
  for (const auto& [block, bytes] : node.blocks) {
    DirtyBlock& dirty = blocks.emplace_back(DirtyBlock{block, bytes, std::nullopt});
    if (pending->size <= kInlineBytes || AllZeros(bytes)) continue;
    dirty.extent = Extent{static_cast<uint32_t>(bytes.size()), Sha256(bytes)};
  }
  std::span<const DirtyBlock> rest = blocks;
  while (rest.size() > kBlocksPerBatch) {
    const auto group = rest.first(kBlocksPerBatch);
    TARN_TRY(CommitBlocks(node, group, *pending, false));
    for (const DirtyBlock& done : group) {
      nodes_.Shrink(node, node.blocks[done.block].capacity());
      node.blocks.erase(done.block);
    }
    rest = rest.subspan(kBlocksPerBatch);
  }
  TARN_TRY(CommitBlocks(node, rest, *pending, true));
  Discard(node);
  return Status::Ok();
}

// One batch of a flush. All but the last let the file grow only as far as their blocks reach, so that a crash
// between two leaves a prefix of what was written.
Status LakeImpl::CommitBlocks(Node& node, std::span<const DirtyBlock> blocks, const Pending& pending, bool last) {
  MutexLock lock(mutex_);
  Edit edit(rows_);
  const Result<Inode*> loaded = edit.Load(node.ino);
  if (!loaded.ok() && loaded.status().code() == Code::kNotFound) return Status::Ok();  // removed meanwhile
  TARN_TRY(loaded.status());
  Inode* const inode = *loaded;
  if (inode->nlink == 0 && nodes_.Opens(node.ino) == 0) return Status::Ok();  // being reclaimed
  const bool was_inline = inode->is_inline();
  const uint64_t old_size = inode->size;
  const uint64_t old_inline = was_inline ? inode->stored : 0;
  const uint64_t reach = blocks.empty() ? 0 : (blocks.back().block + 1) * kBlockBytes;
  inode->size = last ? pending.size : std::max(old_size, std::min(pending.size, reach));
  if (inode->is_inline()) {
    if (!blocks.empty()) edit.PutInline(node.ino, inode, old_inline, blocks[0].bytes);
  } else {
    if (was_inline) edit.PutInline(node.ino, inode, old_inline, {});
    std::vector<std::optional<Extent>> old(blocks.size());
    if (!was_inline) {
      std::vector<uint64_t> numbers;
      for (const DirtyBlock& dirty : blocks) numbers.push_back(dirty.block);
      TARN_ASSIGN(old, rows_.FindExtents(node.ino, numbers));
    }
    for (size_t i = 0; i < blocks.size(); ++i) {
      edit.ReplaceExtent(node.ino, inode, blocks[i].block, old[i], blocks[i].extent, blocks[i].bytes);
    }
  }
  // The times now, not those of the flush's beginning: a SetAttr may have set them meanwhile.
  const auto times = nodes_.PendingOf(node.ino);
  inode->mtime = times ? times->mtime : pending.mtime;
  inode->ctime = std::max(inode->ctime, times ? times->ctime : pending.ctime);
  return Commit(&edit);
}

Status LakeImpl::FlushAll() {
  for (const Ino ino : nodes_.Dirty()) TARN_TRY(Flush(ino));
  return Status::Ok();
}

Status LakeImpl::Sync(Ino ino) {
  TARN_TRY(Flush(ino));
  return read_only_ ? Status::Ok() : db_->SyncWal();
}

Status LakeImpl::SyncAll() {
  TARN_TRY(FlushAll());
  return read_only_ ? Status::Ok() : db_->SyncWal();
}

Result<Attr> HeadView::GetAttr(Ino ino) {
  // Memory first: if a flush comes between, the store has the same values.
  const auto pending = lake_->nodes_.PendingOf(ino);
  TARN_ASSIGN(Attr attr, StoreView::GetAttr(ino));
  if (pending) {
    attr.size = pending->size;
    attr.mtime_ns = pending->mtime;
    attr.ctime_ns = std::max(attr.ctime_ns, pending->ctime);
  }
  return attr;
}

Result<size_t> HeadView::Read(Ino ino, uint64_t offset, std::span<char> out) {
  if (const NodeTable::Pin node = lake_->nodes_.Find(ino); node) {
    MutexLock lock(node->mutex);
    if (const auto pending = lake_->nodes_.PendingOf(ino)) return ReadDirty(*node, pending->size, offset, out);
  }
  return StoreView::Read(ino, offset, out);
}

// Flushes of this file are held off by its mutex, so rows and memory fit together.
Result<size_t> HeadView::ReadDirty(Node& node, uint64_t size, uint64_t offset, std::span<char> out) {
  if (offset >= size) return size_t{0};
  out = out.first(std::min<uint64_t>(out.size(), size - offset));
  TARN_ASSIGN(const Inode inode, rows().FindInode(node.ino));
  TARN_TRY(rows().ReadContent(node.ino, inode, offset, out));
  const uint64_t end = offset + out.size();
  for (auto it = node.blocks.lower_bound(offset / kBlockBytes); it != node.blocks.end(); ++it) {
    const uint64_t home = it->first * kBlockBytes;
    if (home >= end) break;
    const uint64_t from = std::max(home, offset), to = std::min(home + kBlockBytes, end);
    const uint64_t data_end = std::clamp(home + it->second.size(), from, to);
    // A dirty block has all that its rows have, so behind its end they left zeros.
    std::memcpy(out.data() + (from - offset), it->second.data() + (from - home), data_end - from);
  }
  return out.size();
}

Result<uint64_t> HeadView::SeekData(Ino ino, uint64_t offset) {
  TARN_TRY(lake_->Flush(ino));
  return StoreView::SeekData(ino, offset);
}

Result<uint64_t> HeadView::SeekHole(Ino ino, uint64_t offset) {
  TARN_TRY(lake_->Flush(ino));
  return StoreView::SeekHole(ino, offset);
}

Result<lake::Usage> HeadView::GetUsage() {
  lake::Usage usage;
  {
    MutexLock lock(lake_->mutex_);
    if (!lake_->counted_) TARN_TRY(lake_->CountInodes());
    usage.inodes = lake_->inodes_;
    usage.logical_bytes = lake_->logical_bytes_;
  }
  return WithSpace(usage);
}

}  // namespace tarn::lake
