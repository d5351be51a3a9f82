// WriteBatch: a list of changes, over any column families, that becomes visible and durable as one. For users.
//
// Changes apply in the order they were added, so a Put after a DeleteRange of the same key survives it.
// Threads: one at a time. Reuse with Clear() keeps the memory.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tarn/status.h"

namespace tarn {

// A keyspace of one store. A small value; valid for the store that handed it out.
struct ColumnFamily {
  uint32_t id = 0;  // 0 is the default family, which always exists
  friend bool operator==(ColumnFamily, ColumnFamily) = default;
};

class WriteBatch {
 public:
  // Keys are 0 .. 64 KiB, values 0 .. 1 GiB; DB::Write reports others as Invalid.
  void Put(ColumnFamily family, std::string_view key, std::string_view value);
  void Put(std::string_view key, std::string_view value) { Put({}, key, value); }
  void Delete(ColumnFamily family, std::string_view key);
  void Delete(std::string_view key) { Delete({}, key); }
  // Every key with begin <= key < end. An empty range (begin >= end) changes nothing.
  void DeleteRange(ColumnFamily family, std::string_view begin, std::string_view end);
  void DeleteRange(std::string_view begin, std::string_view end) { DeleteRange({}, begin, end); }
  // Adds the changes of another batch after those of this one.
  void Append(const WriteBatch& other);
  void Clear();

  uint32_t count() const { return count_; }
  bool empty() const { return count_ == 0; }
  // The changes in the encoding of docs/formats/wal.md ("batch"), without the leading sequence.
  std::string_view bytes() const { return bytes_; }

 private:
  std::string bytes_;
  uint32_t count_ = 0;
};

}  // namespace tarn
