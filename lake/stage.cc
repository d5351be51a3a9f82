// Staging areas: trees that no path reaches until they are published, so that a long command is atomic.

#include <cerrno>

#include "lake/lake_impl.h"

namespace tarn::lake {

Result<Ino> LakeImpl::Stage(Owner owner) {
  MutexLock lock(mutex_);
  TARN_ASSIGN(const Ino ino, NextInode());
  Edit edit(rows_);
  Inode* const inode = edit.Add(ino);
  inode->mode = 0040700;
  inode->nlink = 2;
  inode->uid = owner.uid;
  inode->gid = owner.gid;
  inode->parent = ino;
  inode->atime = inode->mtime = inode->ctime = inode->btime = Now();
  edit.PutMark(kStageRow, ino);
  TARN_TRY(Commit(&edit));
  return ino;
}

Status LakeImpl::Publish(Ino stage, std::string_view name, Ino parent, std::string_view new_name, RenameMode mode,
                         const LogRecord& record) {
  TARN_TRY(FlushAll());
  std::vector<Ino> touched;
  {
    MutexLock lock(mutex_);
    TARN_ASSIGN(const bool staged, rows_.Has(rows_.families().meta, MetaKey(kStageRow, stage)));
    if (!staged) {
      return Status::FromErrno(ENOENT, "inode " + std::to_string(stage) +
                                           " is not a staging area; it was published "
                                           "or dropped before");
    }
    Edit edit(rows_);
    TARN_TRY(MoveEntry(&edit, {stage, name, parent, new_name, mode, true}));
    TARN_ASSIGN(Inode* const root, edit.Load(stage));
    if (root->size == 0) {
      edit.DeleteMark(kStageRow, stage);
      TARN_TRY(Doom(&edit, stage, root));
    }
    AddLog(&edit, record);
    TARN_TRY(Commit(&edit, Durability::kPower));
    ++next_log_id_;
    touched = std::move(edit.touched);
  }
  NotifyEntry(parent, new_name);
  for (const Ino ino : touched) NotifyInode(ino);
  return DrainTrash();
}

Status LakeImpl::DropStage(Ino stage) {
  {
    MutexLock lock(mutex_);
    TARN_ASSIGN(const bool staged, rows_.Has(rows_.families().meta, MetaKey(kStageRow, stage)));
    if (!staged) return Status::Ok();  // published, or dropped before
    Edit edit(rows_);
    TARN_ASSIGN(Inode* const root, edit.Load(stage));
    root->nlink = 0;
    root->parent = 0;
    edit.DeleteMark(kStageRow, stage);
    edit.PutMark(kTrashRow, stage);
    TARN_TRY(Commit(&edit));
  }
  return DrainTrash();
}

}  // namespace tarn::lake
