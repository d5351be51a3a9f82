// RangeTombstones: which sequences deleted which key ranges, as a set that answers in O(log n).
//
// Overlapping tombstones are cut into *fragments*: disjoint ranges, each with the descending list of sequences
// that delete all of it. The set is immutable once built; a memtable keeps several (kernel/mem_set.h).
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/sdk/internal_key.h"

namespace tarn {

struct RangeTombstone {
  std::string begin, end;  // begin <= key < end
  Sequence sequence = 0;
};

class RangeTombstones {
 public:
  struct Fragment {
    std::string begin, end;
    std::vector<Sequence> sequences;  // descending, at least one
  };

  RangeTombstones() = default;
  explicit RangeTombstones(std::vector<RangeTombstone> tombstones);  // any order, may overlap

  // The newest sequence <= snapshot that deletes `user_key`; 0 = none.
  Sequence NewestCover(std::string_view user_key, Sequence snapshot) const;
  // The fragment that holds user_key, or null; valid as long as this set.
  const Fragment* Find(std::string_view user_key) const;

  const std::vector<Fragment>& fragments() const { return fragments_; }
  bool empty() const { return fragments_.empty(); }
  // The fragments as tombstones again, clipped to [begin, end); an empty `end` means no bound.
  std::vector<RangeTombstone> Clip(std::string_view begin, std::string_view end) const;
  size_t memory_bytes() const;

 private:
  std::vector<Fragment> fragments_;  // by begin
};

}  // namespace tarn
