// The memtable contract: the sorted, in-memory part of the store. For authors of memtables.
//
// A memtable keeps every version that was added until it is dropped whole; nothing is removed or changed.
// Range tombstones are not its business: the kernel keeps them beside it.
//
// Threads: any number of threads may call Add, Get, memory_bytes and use cursors (one thread per cursor) at
// once, without outside locks. An entry is visible to every reader that starts after its Add returned.
#pragma once

#include <memory>
#include <string_view>

#include "tarn/sdk/cursor.h"
#include "tarn/sdk/internal_key.h"

namespace tarn {

class Memtable {
 public:
  struct Found {
    bool present = false;  // false: this memtable knows nothing of the key at that snapshot
    Kind kind = Kind::kDelete;
    Sequence sequence = 0;
    std::string_view value;  // lives as long as the memtable
  };

  virtual ~Memtable() = default;
  // Copies key and value. Kind is kPut or kDelete. The pair (key, sequence) is new to this memtable.
  virtual void Add(std::string_view key, Sequence sequence, Kind kind, std::string_view value) = 0;
  // The newest version of `key` with a sequence <= snapshot.
  virtual Found Get(std::string_view key, Sequence snapshot) const = 0;
  // In internal key order. The memtable outlives the cursor.
  virtual std::unique_ptr<Cursor> NewCursor() const = 0;
  // All memory it holds from the system, in bytes. It is what the memory budget is charged with.
  virtual size_t memory_bytes() const = 0;
};

class MemtableStrategy {
 public:
  virtual ~MemtableStrategy() = default;
  virtual std::string_view name() const = 0;
  virtual std::unique_ptr<Memtable> Create() const = 0;
};

}  // namespace tarn
