// DropRules: may this version, or this tombstone, go? Pure: no files, no clock; the merge asks and obeys.
//
// What is promised: after the merge, every retained snapshot and every later reader sees for every key exactly
// what it saw before. The inputs of a merge are contiguous in age, so between them there is nothing else.
//
// Stripes. The retained sequences r0 < r1 < ... cut all sequences into stripes: (0, r0], (r0, r1], ...,
// (rn, now]. Two versions in one stripe are seen by the same snapshots, so the older one is never seen.
//
//                 r0            r1
//     ... p1  p2  |   p3   d4   |  t5  p6  ...      p put, d delete, t range tombstone; numbers are sequences
//     [stripe 0  ] [stripe 1   ] [stripe 2
//
// The rules:
//   1. Of the versions of a key in one stripe the newest stays: here p2, d4 and p6.
//   2. A version with a newer range tombstone over its key in its own stripe goes, whatever its kind.
//   3. Of several range tombstones over one key range in one stripe, the newest stays.
// At the bottom (nothing older lies below the inputs) a tombstone stays only if it hides something:
//   4. A delete stays only if the next older version that stays is a put, and no range tombstone that stays lies
//      between the two. So above, d4 stays because of p2.
//   5. A range tombstone stays only where it is the oldest thing that is newer than some put that stays and hides
//      it. It is kept for the output tables that hold such puts, and in no other.
// Rules 4 and 5 give every tombstone a put of its own, so at the bottom tombstones never outnumber puts.
//
// The caller retains every sequence that a reader uses or may still ask for; readers that start later use a
// sequence no lower than any in the inputs.
//
// Threads: one at a time.
#pragma once

#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "format/range_tombstones.h"

namespace tarn {

class DropRules {
 public:
  enum class Verdict : uint8_t {
    kDrop,
    kKeep,          // a version that was held before is dropped
    kKeepWithHeld,  // the version that was held stays too, before this one
    kHold,          // decided by an older version of the key; replaces what was held; no older one: dropped
  };

  // `retained` in any order. `tombstones` are those of all inputs.
  DropRules(std::vector<Sequence> retained, std::vector<RangeTombstone> tombstones, bool bottom);

  // REQUIRES: user keys ascend.
  void StartKey(std::string_view user_key);
  // The versions of the started key, newest first. Kind is kPut or kDelete.
  Verdict Judge(Sequence sequence, Kind kind);

  // The range tombstones that the output over [begin, end) must carry, clipped to it; an empty `end` means no
  // bound. REQUIRES: called for outputs in ascending order, each after the last key in it was judged and before
  // StartKey of a key behind it.
  std::vector<RangeTombstone> TakeTombstones(std::string_view begin, std::string_view end);

 private:
  static constexpr Sequence kAboveAll = kMaxSequence + 1;

  // The fragment over the started key in a set that is walked in ascending order of key.
  struct Walk {
    RangeTombstones set;
    size_t at = 0;
    const std::vector<Sequence>* sequences = nullptr;  // descending; null: no fragment holds the key
    void MoveTo(std::string_view user_key);
  };

  size_t StripeOf(Sequence sequence) const;
  Sequence TopOf(size_t stripe) const { return stripe < retained_.size() ? retained_[stripe] : kMaxSequence; }
  std::vector<RangeTombstone> OnePerStripe() const;  // rule 3
  Verdict JudgePutAtBottom(Sequence sequence);

  std::vector<Sequence> retained_;  // ascending, distinct
  const bool bottom_;
  Walk all_;   // every tombstone of the inputs: what hides
  Walk kept_;  // those that rule 3 leaves: what may be written

  // Of the started key:
  size_t stripe_ = SIZE_MAX;    // of the version judged last
  Sequence newer_ = kAboveAll;  // the version that was judged last and stays; none: all that is newer
  Sequence held_ = 0;           // the delete that waits for a put; 0: none

  std::set<std::pair<size_t, Sequence>> needed_;  // rule 5: fragments of kept_ that hide a put of this output
};

}  // namespace tarn
