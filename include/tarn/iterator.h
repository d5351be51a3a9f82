// Iterator: an ordered walk over the keys of one column family, as of one moment. For users.
//
// What it sees is fixed when it is made. While it lives it keeps the tables it reads on disk, and the memtables
// it reads in memory; iterators are cheap, long-lived ones cost space (statistics show the oldest).
//
// Threads: one at a time. key() and value() stay readable until the next move.
#pragma once

#include <memory>
#include <string_view>

#include "tarn/status.h"

namespace tarn {

class Iterator {
 public:
  class Impl;  // kernel/db_iterator.h
  explicit Iterator(std::unique_ptr<Impl> impl);
  ~Iterator();
  Iterator(const Iterator&) = delete;
  Iterator& operator=(const Iterator&) = delete;

  void SeekToFirst();                      // first key within the bounds
  void SeekToLast();                       // last key within the bounds
  void Seek(std::string_view key);         // first key >= key within the bounds
  void SeekForPrev(std::string_view key);  // last key <= key within the bounds
  void Next();                             // REQUIRES: valid()
  void Prev();                             // REQUIRES: valid()

  bool valid() const;
  std::string_view key() const;    // REQUIRES: valid()
  std::string_view value() const;  // REQUIRES: valid()
  // Not OK when the walk ended because bytes could not be read. Check it whenever valid() turns false.
  Status status() const;

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace tarn
