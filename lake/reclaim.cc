// Taking apart what has no name any more, in batches of bounded size. Each step leaves a state that the next one,
// or the next open, goes on from; what is left to do is in the rows themselves (docs/formats/lake.md).

#include <algorithm>

#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

// Rows removed by one step. An extent goes with its backref and chunk row, about 150 bytes of batch.
constexpr size_t kExtentsPerStep = 512;
constexpr size_t kXattrsPerStep = 512;
// Entries per step; each may take a file of up to kExtentsPerStep extents along, so the bytes are bounded too.
constexpr size_t kEntriesPerStep = 256;
constexpr size_t kStepBytes = 1 << 20;

}  // namespace

// Removes extents of blocks in [begin, end), a bounded number. True: none is left.
Result<bool> LakeImpl::RemoveExtents(Edit* edit, Ino ino, Inode* inode, uint64_t begin, uint64_t end) {
  const auto walk = rows_.WalkRange(rows_.families().extents, ExtentKey(ino, begin), ExtentKey(ino, end));
  size_t removed = 0;
  for (walk->SeekToFirst(); walk->valid() && removed < kExtentsPerStep; walk->Next(), ++removed) {
    Ino owner;
    uint64_t block;
    if (!ParseExtentKey(walk->key(), &owner, &block)) {
      return Status::Corruption("extent key '" + Printable(walk->key()) + "' is malformed; run `tarn check`");
    }
    Extent extent;
    TARN_TRY(Decode(walk->key(), walk->value(), &extent));
    edit->ReplaceExtent(ino, inode, block, extent, std::nullopt, {});
  }
  TARN_TRY(walk->status());
  return !walk->valid();
}

Result<bool> LakeImpl::RemoveXattrs(Edit* edit, Ino ino, Inode* inode) {
  if (inode->xattrs == 0) return true;
  const auto walk = rows_.Walk(rows_.families().meta, MetaKey(kXattrRow, ino));
  size_t removed = 0;
  for (walk->SeekToFirst(); walk->valid() && removed < kXattrsPerStep; walk->Next(), ++removed) {
    edit->batch().Delete(rows_.families().meta, walk->key());
  }
  TARN_TRY(walk->status());
  inode->xattrs -= std::min<uint64_t>(removed, inode->xattrs);
  return !walk->valid();
}

// Removes entries of a directory that is trash, a bounded number. True: none is left.
Result<bool> LakeImpl::RemoveEntries(Edit* edit, Ino dir, Inode* inode) {
  const std::string prefix = MetaKey(kEntryRow, dir);
  const auto walk = rows_.Walk(rows_.families().meta, prefix);
  size_t removed = 0;
  for (walk->SeekToFirst(); walk->valid(); walk->Next(), ++removed) {
    if (removed == kEntriesPerStep || edit->batch().bytes().size() > kStepBytes) return false;
    Entry entry;
    TARN_TRY(Decode(walk->key(), walk->value(), &entry));
    edit->DeleteEntry(dir, walk->key().substr(prefix.size()));
    if (inode->size > 0) --inode->size;
    const Result<Inode*> child = edit->Load(entry.ino);
    if (!child.ok() && child.status().code() == Code::kNotFound) continue;  // a dangling entry: it is gone now
    TARN_TRY(child.status());
    if (!(*child)->is_dir()) {
      TARN_TRY(DropLink(edit, entry.ino, *child));
    } else if ((*child)->size == 0) {
      TARN_TRY(Doom(edit, entry.ino, *child));
    } else {
      (*child)->nlink = 0;
      (*child)->parent = 0;
      edit->PutMark(kTrashRow, entry.ino);
    }
  }
  TARN_TRY(walk->status());
  return true;
}

// Removes an inode without names or entries with all that hangs on it. False: some is left for another step.
Result<bool> LakeImpl::RemoveInode(Edit* edit, Ino ino, Inode* inode) {
  if (inode->is_regular()) {
    if (!inode->is_inline() || inode->tail != 0) {
      TARN_ASSIGN(const bool done, RemoveExtents(edit, ino, inode, 0, UINT64_MAX));
      if (!done) return false;
    }
    if (inode->is_inline()) edit->PutInline(ino, inode, inode->stored, {});
  }
  TARN_ASSIGN(const bool done, RemoveXattrs(edit, ino, inode));
  if (!done) return false;
  if (inode->tail != 0) edit->DeleteMark(kTrashRow, ino);
  edit->Erase(ino);
  return true;
}

Status LakeImpl::ReclaimStep(Ino ino) {
  Edit edit(rows_);
  const Result<Inode*> loaded = edit.Load(ino);
  if (!loaded.ok() && loaded.status().code() != Code::kNotFound) return loaded.status();
  if (!loaded.ok()) {
    edit.DeleteMark(kTrashRow, ino);
    return Commit(&edit);
  }
  Inode* const inode = *loaded;
  const bool in_use = inode->nlink > 0 || nodes_.Opens(ino) > 0;
  bool done = true;
  if (inode->tail != 0 && in_use) {
    TARN_ASSIGN(done, RemoveExtents(&edit, ino, inode, inode->tail - 1, UINT64_MAX));
    if (done) inode->tail = 0;
  } else if (inode->nlink == 0) {
    if (inode->is_dir()) {
      TARN_ASSIGN(done, RemoveEntries(&edit, ino, inode));
    }
    if (done && in_use) {
      edit.PutMark(kOrphanRow, ino);  // a directory that somebody still has open
    } else if (done) {
      TARN_ASSIGN(done, RemoveInode(&edit, ino, inode));
    }
  }
  if (done) edit.DeleteMark(kTrashRow, ino);
  return Commit(&edit);
}

// A truncated tail must be gone before the file may grow over it again.
Status LakeImpl::FinishTail(Ino ino) {
  for (;;) {
    TARN_ASSIGN(const Inode inode, rows_.FindInode(ino));
    if (inode.tail == 0) return Status::Ok();
    TARN_TRY(ReclaimStep(ino));
  }
}

// Works until no trash is left, letting others in between two steps.
Status LakeImpl::DrainTrash() {
  for (;;) {
    MutexLock lock(mutex_);
    if (trash_.empty()) return Status::Ok();
    const Ino ino = *trash_.rbegin();  // the youngest: mostly a child of older trash, so the set stays small
    const Status step = ReclaimStep(ino);
    if (!step.ok()) {
      trash_.erase(ino);  // its row stays for the next open; others must not stumble over it again
      return step;
    }
  }
}

}  // namespace tarn::lake
