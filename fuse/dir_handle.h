// DirHandle: one open directory. Gives each entry an ordinal that stays the same while the handle lives, so that a
// program may delete while it lists, and seek back.
//
// Ordinal 0 is ".", 1 is "..", then the names in the lake's order. Names are fetched a page at a time, each page
// after the last name of the one before, so entries that come and go in between shift nothing. What was fetched is
// kept until the handle goes or the program rewinds: about 24 bytes and the name for each entry.
//
// Threads: any; one at a time inside.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "lake/lake.h"

namespace tarn::fuse {

class DirHandle {
 public:
  DirHandle(lake::View& view, lake::Ino ino) : view_(view), ino_(ino) {}
  lake::Ino ino() const { return ino_; }

  // For the length of one listing call. Ordinal 0 begins anew and sees the directory as it is now.
  class Reader {
   public:
    Reader(DirHandle& handle, uint64_t from);
    // None behind the last entry.
    Result<std::optional<lake::DirEntry>> At(uint64_t ordinal);

   private:
    DirHandle& handle_;
    std::lock_guard<std::mutex> lock_;
  };

 private:
  struct Row {
    lake::Ino ino = 0;
    uint64_t name_end = 0;  // in names_; it begins where the one before ends
    uint32_t type = 0;
  };

  std::string NameAt(size_t row) const;
  Status Fetch();

  lake::View& view_;
  const lake::Ino ino_;
  std::mutex mutex_;  // everything below
  std::vector<Row> rows_;
  std::string names_;
  bool complete_ = false;
};

}  // namespace tarn::fuse
