// ChunkRefs: which chunks gain and lose references in one batch, and what follows for the chunks themselves.
//
// Collect first (Add, Remove), then Resolve once: it looks each hash up among the backrefs of the store and
// writes the rest of the batch. Rules, which keep invariants 8 and 9 of docs/formats/lake.md:
//   - a hash that had no backref and gains one brings its bytes along;
//   - a hash that loses its last backref and gains none takes its chunk with it.
// The existence of a chunk is read off its backrefs: their rows are small, while asking for the chunk itself
// would read it.
//
// The caller holds the lake's commit lock from Resolve until the batch is written, so that no other batch
// counts on a chunk that this one drops.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "lake/rows.h"
#include "tarn/write_batch.h"

namespace tarn::lake {

class ChunkRefs {
 public:
  // `bytes` must stay readable until Resolve.
  void Add(const Digest& digest, Ino ino, uint64_t block, std::string_view bytes);
  void Remove(const Digest& digest, Ino ino, uint64_t block);
  Status Resolve(const Rows& rows, WriteBatch* batch);

 private:
  using Place = std::pair<Ino, uint64_t>;
  struct Changes {
    std::set<Place> added, removed;
    std::string_view bytes;
  };
  std::map<Digest, Changes> changes_;  // sorted, so that the lookups walk the backrefs in order
};

}  // namespace tarn::lake
