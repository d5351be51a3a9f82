#include "fuse/dir_handle.h"

#include <sys/stat.h>

namespace tarn::fuse {
namespace {

// A few listing calls' worth: a page costs one walk of the store, and the first must come soon.
constexpr size_t kPageEntries = 1024;
constexpr uint64_t kDots = 2;  // ordinals of "." and ".."

}  // namespace

std::string DirHandle::NameAt(size_t row) const {
  const uint64_t begin = row == 0 ? 0 : rows_[row - 1].name_end;
  return names_.substr(begin, rows_[row].name_end - begin);
}

Status DirHandle::Fetch() {
  const std::string after = rows_.empty() ? std::string() : NameAt(rows_.size() - 1);
  TARN_ASSIGN(const auto page, view_.ReadDir(ino_, after, kPageEntries));
  for (const lake::DirEntry& entry : page) {
    names_ += entry.name;
    rows_.push_back({entry.ino, names_.size(), entry.type});
  }
  complete_ = page.size() < kPageEntries;
  return Status::Ok();
}

DirHandle::Reader::Reader(DirHandle& handle, uint64_t from) : handle_(handle), lock_(handle.mutex_) {
  if (from != 0) return;
  handle.rows_.clear();
  handle.names_.clear();
  handle.complete_ = false;
}

Result<std::optional<lake::DirEntry>> DirHandle::Reader::At(uint64_t ordinal) {
  if (ordinal == 0) return std::optional(lake::DirEntry{".", handle_.ino_, S_IFDIR});
  if (ordinal == 1) {
    const auto parent = handle_.view_.ParentOf(handle_.ino_);
    if (parent.ok()) return std::optional(lake::DirEntry{"..", *parent, S_IFDIR});
    // A directory that was removed while it is open has no parent any more; it still lists as empty.
    if (parent.status().code() != Code::kNotFound) return parent.status();
    return std::optional(lake::DirEntry{"..", handle_.ino_, S_IFDIR});
  }
  const uint64_t row = ordinal - kDots;
  while (row >= handle_.rows_.size() && !handle_.complete_) TARN_TRY(handle_.Fetch());
  if (row >= handle_.rows_.size()) return std::optional<lake::DirEntry>();
  return std::optional(lake::DirEntry{handle_.NameAt(row), handle_.rows_[row].ino, handle_.rows_[row].type});
}

}  // namespace tarn::fuse
