// DeadRanges: stretches of keys in which nothing lives, as iterators found them, so that the next iterator need not
// walk over their tombstones again. The case in mind is a queue that is consumed from the front: until compaction has
// dropped the tombstones, each look at its head would pass everything that was ever taken from it.
//
// A *dead range* [begin, end) of a family's user keys has a sequence `since`: as long as it is remembered, no
// snapshot from `since` on sees a value in it. An iterator that meets a dead key inside jumps to the range's end by
// one seek.
//
// How a range is found. An iterator with snapshot S that passed a long row of dead keys offers it. What it saw is
// true at S; a writer may have put a key into the row since. So the row is first published, as a *watch*, and then
// the last sequence P is read that a writer has announced. A writer announces its sequences, then looks what is
// published, takes the keys it puts out of it, and only then makes its changes visible. Hence, by the one order of
// all seq_cst operations:
//   1. A put later than P was announced after the watch was published, so its writer sees the watch.
//   2. If P <= S, the puts up to P were seen by the walk, and later ones see the watch: it is a dead range since S.
//   3. Otherwise the watch stays, with its P. If it still stands when another iterator with a snapshot S' >= P has
//      walked over (a part of) it and met nothing alive, that part is a dead range since S', for the same reason.
//   4. An iterator whose snapshot includes a put was made after the put became visible, so it no longer finds a range
//      with that key in it, unless later walks found the key dead again, and then since a later sequence.
// Deletes and range deletes take nothing out: a dead key stays dead. Ranges that overlap or touch become one, since
// the later of the two: each part is dead for that snapshot.
//
// A put cuts the range that it falls into; each side is believed to keep half of the dead keys, and is forgotten when
// that is no longer a row worth a seek. So a stretch that fills up again soon costs its writers nothing any more.
//
// Bounded: kMaxRanges of a store, of which the one that was used longest ago gives way, with keys of at most
// kMaxRangeKeyBytes. Nothing is persistent; a store that is opened knows no ranges.
//
// Threads: any. Lock order: mutex_ is a leaf. Without any range or watch, writers and iterators take no lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "kernel/statistics.h"
#include "tarn/sdk/internal_key.h"

namespace tarn::kernel {

// Rows of fewer dead keys than this are not remembered by stores that are opened from now on. A jump is a seek,
// which costs as much as eight steps or so, and each remembered range costs writers a search. Tests lower it, so that
// short lives meet dead ranges everywhere.
inline std::atomic<uint32_t> least_dead_row{64};

struct KeyRange {
  std::string begin, end;  // [begin, end)

  bool Contains(std::string_view key) const { return begin <= key && key < end; }
};

class DeadRanges {
 public:
  static constexpr size_t kMaxRanges = 256;          // a put searches among the ranges of its family
  static constexpr size_t kMaxWatches = 8;           // of a family; a put looks at each
  static constexpr size_t kMaxRangeKeyBytes = 1024;  // so all of them hold half a megabyte at most

  explicit DeadRanges(Statistics& stats) : stats_(stats), least_row_(least_dead_row.load()) {}

  // For writers, one at a time: changes up to `last` are going to be visible. True: call Forget with each key that is
  // put, before Store::Show.
  bool Announce(Sequence last) {
    announced_.store(last);  // seq_cst, as the next line: see 1. above
    return published_.load() != 0;
  }
  Sequence announced() const { return announced_.load(std::memory_order_relaxed); }
  void Forget(uint32_t family, std::string_view key) EXCLUDES(mutex_);

  // For iterators. True, with the range, when the key lies in one that is dead for the snapshot.
  bool Find(uint32_t family, std::string_view key, Sequence snapshot, KeyRange* range) EXCLUDES(mutex_);
  // The snapshot sees nothing in `row`, where a walk has passed `keys` dead keys one by one.
  void Offer(uint32_t family, const KeyRange& row, uint64_t keys, Sequence snapshot) EXCLUDES(mutex_);

  // What is offered afterwards, by an iterator that still has the family, gives way in time.
  void DropFamily(uint32_t family) EXCLUDES(mutex_);

  uint32_t least_row() const { return least_row_; }
  Statistics& stats() { return stats_; }

 private:
  struct Watch {
    KeyRange row;
    Sequence announced;  // P
  };
  struct Range {
    KeyRange row;
    Sequence since;
    uint64_t keys;  // about how many steps a jump saves
    uint64_t used;  // by uses_
  };
  struct Family {
    std::vector<Range> ranges;   // in order; they neither overlap nor touch
    std::vector<Watch> watches;  // oldest first
  };

  void Prove(Family& family, const KeyRange& row, uint64_t keys, Sequence snapshot) REQUIRES(mutex_);
  static bool Known(const Family& family, const KeyRange& row);
  void Add(Family& family, Range range) REQUIRES(mutex_);
  bool Cut(std::vector<Range>* ranges, std::string_view key) const;
  void MakeRoom() REQUIRES(mutex_);
  void Publish() REQUIRES(mutex_);

  Statistics& stats_;
  const uint32_t least_row_;
  std::atomic<Sequence> announced_{0};
  std::atomic<size_t> published_{0};  // ranges and watches
  Mutex mutex_;                       // guards: what is published
  std::map<uint32_t, Family> families_ GUARDED_BY(mutex_);
  uint64_t uses_ GUARDED_BY(mutex_) = 0;
};

// The dead keys that one iterator passes in a row, in either direction. Knows when to look for a dead range, and when
// the row is worth remembering.
class DeadRow {
 public:
  // `ranges` may be null: then it only counts. It outlives the row.
  DeadRow(DeadRanges* ranges, uint32_t family, Sequence snapshot)
      : ranges_(ranges), family_(family), snapshot_(snapshot) {}

  // The iterator was sent elsewhere: the first dead key it meets is looked up. After a step only a row that has some
  // length already is, so that single dead keys among live ones cost nothing.
  void Start() { next_look_ = 1; }
  // A dead key, in the order of the walk. True: it lies in a dead range(), to be jumped over.
  bool Pass(std::string_view key);
  const KeyRange& range() const { return range_; }
  bool any() const { return passed_ != 0; }
  // Nothing more is dead here. `whole`: no error cut the walk short, so the row may be offered.
  void Finish(bool whole);

 private:
  static constexpr uint64_t kShort = 8;  // as many steps as a seek costs

  DeadRanges* const ranges_;
  const uint32_t family_;
  const Sequence snapshot_;
  uint64_t passed_ = 0;  // keys, not counting those that were jumped over
  uint64_t next_look_ = 1;
  bool jumped_ = false;  // the row holds a range, which grows by it
  KeyRange row_;         // from the first to the last of them, and what was jumped over
  KeyRange range_;
};

}  // namespace tarn::kernel
