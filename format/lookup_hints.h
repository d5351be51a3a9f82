// LookupHints: where point lookups found their keys lately, so that the next one of a hot key goes straight to its
// data block: past the filter, the index and the search among restart points, which are most of what a cached lookup
// costs.
//
// A hint is 8 bytes: the data block of a table, by its offset, and a restart point in it. The key's hash chooses the
// slot, and a newer hint overwrites an older one. A hint may be wrong: a tag of 16 bits tells it from those of other
// keys and tables, and nobody takes it back when a block leaves the cache. Who follows it proves what he finds
// (TableProbe::Digest); so there is no lock, no invalidation, and a race costs a detour at most.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/huge_page.h"

namespace tarn {

class LookupHints {
 public:
  struct Hint {
    uint64_t offset = 0;
    uint32_t restart = 0;
  };

  // As many slots as fit into `bytes`, a power of two, and 256 Ki at most (2 MiB), which a processor's cache still
  // holds. None when not even one fits, or there is no memory.
  explicit LookupHints(size_t bytes);
  ~LookupHints();
  LookupHints(const LookupHints&) = delete;
  LookupHints& operator=(const LookupHints&) = delete;
  size_t memory_bytes() const { return count_ * sizeof(Slot); }

  // Fetches the key's slot into the processor's cache.
  void Prefetch(uint64_t key_hash) const {
    if (count_ > 0) __builtin_prefetch(&slots_[key_hash & (count_ - 1)], 1);
  }
  bool Get(uint64_t key_hash, uint64_t table, Hint* hint) const;
  void Put(uint64_t key_hash, uint64_t table, Hint hint);

 private:
  using Slot = std::atomic<uint64_t>;  // 0: no hint

  Slot* slots_ = nullptr;
  size_t count_ = 0;
};

}  // namespace tarn
