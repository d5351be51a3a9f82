// Engine: what tarn-bench asks of a key-value store. One implementation a peer, in bench/engines/; a workload is
// written once against this header, so every engine runs the same code between the clock reads.
//
// Fair by construction: an adapter gets the same EngineConfig as every other and has to honour each field, or say in
// Describe() which it cannot (LMDB has no compression). Beyond the fields it is set up as its own tuning guide says.
//
// Errors: an engine that fails ends the process with one line (Die): a row that met an error is no measurement.
// Threads: Put, Delete, Get, MultiGet and NewCursor are called by many at once; a Cursor by one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tarn::bench {

// Prints "tarn-bench: why" and exits with status 1.
[[noreturn]] void Die(const std::string& why);

// What a write survives once it is acknowledged: nothing, kill -9, the loss of power.
enum class Durability : uint8_t { kNone, kProcess, kPower };

struct EngineConfig {
  std::string dir;                        // created when absent; holds one store
  uint64_t memory_budget = 256ull << 20;  // bytes for memtables, caches, filters and indexes together
  Durability durability = Durability::kProcess;
  bool compression = true;  // lz4 above the last level, zstd in it, where the engine has levels
  uint32_t filter_bits_per_key = 10;
  bool direct_reads = false;  // reads of tables pass the page cache by
  uint32_t background_threads = 2;
};

class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void Seek(std::string_view key) = 0;  // to the first key that is not less
  virtual void SeekToFirst() = 0;
  virtual void SeekToLast() = 0;
  virtual void Next() = 0;
  virtual void Prev() = 0;
  virtual bool valid() const = 0;
  // The current entry, as one call so that an engine pays once for finding it; until the cursor moves.
  virtual std::pair<std::string_view, std::string_view> Entry() const = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;  // closes the store; everything acknowledged is on disk
  virtual void Put(std::string_view key, std::string_view value) = 0;
  virtual void Delete(std::string_view key) = 0;
  virtual bool Get(std::string_view key, std::string* value) = 0;  // false: no such key
  // values and found have the size of keys. The engine's own batched lookup, or a loop where it has none.
  virtual void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                        std::span<bool> found) = 0;
  virtual std::unique_ptr<Cursor> NewCursor() = 0;  // sees the store as of now
  // Memtables written, and no flush or compaction that the engine would do by itself is left to do.
  virtual void Settle() = 0;
  // The configuration in the engine's own terms, and what of EngineConfig it could not honour: for people.
  virtual std::string Describe() const = 0;
};

struct EngineKind {
  std::string name;     // "tarn", "rocksdb", "leveldb", "lmdb", "wiredtiger"
  std::string version;  // of the library that is linked, asked from it
  std::function<std::unique_ptr<Engine>(const EngineConfig&)> open;
};
// Those that were compiled in, Tarn first. bench/engines/registry.cc.
const std::vector<EngineKind>& EngineKinds();

}  // namespace tarn::bench
