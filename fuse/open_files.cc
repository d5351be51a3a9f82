#include "fuse/open_files.h"

namespace tarn::fuse {

Status OpenFiles::Open(lake::Ino ino) {
  if (lake_ != nullptr) TARN_TRY(lake_->Open(ino));
  MutexLock lock(mutex_);
  ++files_[ino].opens;
  return Status::Ok();
}

void OpenFiles::Release(lake::Ino ino) {
  {
    MutexLock lock(mutex_);
    const auto file = files_.find(ino);
    if (file == files_.end()) return;
    if (--file->second.opens == 0) files_.erase(file);
  }
  if (lake_ != nullptr) lake_->Release(ino);
}

Result<DirHandle*> OpenFiles::OpenDir(lake::View& view, lake::Ino ino) {
  if (lake_ != nullptr) TARN_TRY(lake_->Open(ino));
  auto handle = std::make_unique<DirHandle>(view, ino);
  DirHandle* const key = handle.get();
  MutexLock lock(mutex_);
  dirs_.emplace(key, std::move(handle));
  return key;
}

void OpenFiles::ReleaseDir(DirHandle* handle) {
  std::unique_ptr<DirHandle> owned;
  {
    MutexLock lock(mutex_);
    const auto dir = dirs_.find(handle);
    if (dir == dirs_.end()) return;
    owned = std::move(dir->second);
    dirs_.erase(dir);
  }
  if (lake_ != nullptr) lake_->Release(owned->ino());
}

bool OpenFiles::Hold(lake::Ino ino) {
  if (lake_ == nullptr || !lake_->Open(ino).ok()) return false;
  {
    MutexLock lock(mutex_);
    if (held_.insert(ino).second) return true;
  }
  lake_->Release(ino);
  return false;
}

void OpenFiles::Drop(lake::Ino ino) {
  {
    MutexLock lock(mutex_);
    if (held_.erase(ino) == 0) return;
  }
  lake_->Release(ino);
}

void OpenFiles::ReleaseAll() {
  std::unordered_map<lake::Ino, File> files;
  std::unordered_map<DirHandle*, std::unique_ptr<DirHandle>> dirs;
  std::unordered_set<lake::Ino> held;
  {
    MutexLock lock(mutex_);
    files.swap(files_);
    dirs.swap(dirs_);
    held.swap(held_);
  }
  if (lake_ == nullptr) return;
  for (const auto& [ino, file] : files) {
    for (uint64_t i = 0; i < file.opens; ++i) lake_->Release(ino);
  }
  for (const auto& [handle, owned] : dirs) lake_->Release(handle->ino());
  for (const lake::Ino ino : held) lake_->Release(ino);
}

bool OpenFiles::Settled(lake::Ino ino) { return WritesOf(ino) == 0; }

void OpenFiles::NoteWrite(lake::Ino ino) {
  MutexLock lock(mutex_);
  const auto file = files_.find(ino);
  if (file != files_.end()) ++file->second.writes;
}

uint64_t OpenFiles::WritesOf(lake::Ino ino) {
  MutexLock lock(mutex_);
  const auto file = files_.find(ino);
  return file == files_.end() ? 0 : file->second.writes;
}

void OpenFiles::ForgetWrites(lake::Ino ino, uint64_t writes) {
  MutexLock lock(mutex_);
  const auto file = files_.find(ino);
  if (file != files_.end() && file->second.writes == writes) file->second.writes = 0;
}

}  // namespace tarn::fuse
