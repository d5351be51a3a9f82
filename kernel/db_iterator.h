// Iterator::Impl: from versions to keys. The inner cursor walks every version of every key (memtables and
// tables, merged); this walk shows, for each user key, the newest version that the snapshot may see, and skips
// keys whose newest version is a tombstone or lies under a newer range tombstone.
//
// Positions. Forward, the cursor stands on the entry that is shown, and key and value are its views. Backward, the
// cursor stands on the last entry of the user key *before* the one that is shown (or on none), because the
// newest version is met last; key and value are copies.
//
// Range tombstones are not in the cursor. RangeCover answers "the newest range tombstone over this key" and
// remembers the stretch of keys for which the answer stays the same, so most keys cost one comparison. A
// stretch that is deleted as of the snapshot itself is jumped over with one seek.
//
// Keys that are deleted one by one are passed one by one, once: a long row of them is offered to DeadRanges, and
// whoever meets one of them afterwards jumps over all. A walk over live keys knows nothing of it.
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/range_tombstones.h"
#include "kernel/dead_ranges.h"
#include "tarn/iterator.h"
#include "tarn/sdk/cursor.h"
#include "tarn/sdk/internal_key.h"

namespace tarn::kernel {

class Store;

struct IteratorSpec {
  std::unique_ptr<Cursor> merged;                  // internal keys of all memtables and tables
  std::vector<const RangeTombstones*> tombstones;  // of the same; `pin` keeps them alive
  Sequence snapshot = kMaxSequence;
  std::string lower_bound, upper_bound, prefix;  // as in ReadOptions
  std::shared_ptr<const void> pin;               // keeps everything alive that the cursor reads
  DeadRanges* dead_ranges = nullptr;             // of the store, which outlives its iterators; null: none are known
  uint32_t family = 0;
  // To explain errors; outlives its iterators. Null: they are told as they are.
  Store* store = nullptr;
  uint64_t view = 0;  // the record of the view that is read (ReadView::manifest)
};

// The newest range tombstone over a key, for keys that are asked for mostly in order.
class RangeCover {
 public:
  RangeCover(const std::vector<const RangeTombstones*>& sets, Sequence snapshot);
  // The newest sequence <= snapshot that deletes the key; 0 = none.
  Sequence At(std::string_view user_key) {
    if (sets_.empty()) return 0;
    if (!known_ || user_key < begin_ || (bounded_ && user_key >= end_)) Locate(user_key);
    return cover_;
  }
  // The stretch around the last key asked for in which the answer is the same: [begin, end). When the answer
  // is not 0 both ends exist.
  std::string_view begin() const { return begin_; }
  std::string_view end() const { return end_; }

 private:
  void Locate(std::string_view user_key);

  std::vector<const RangeTombstones*> sets_;  // the ones that are not empty
  const Sequence snapshot_;
  std::string_view begin_, end_;  // into the sets
  Sequence cover_ = 0;
  bool known_ = false, bounded_ = false;
};

}  // namespace tarn::kernel

namespace tarn {

class Iterator::Impl {
 public:
  explicit Impl(kernel::IteratorSpec spec);

  void SeekToFirst();
  void SeekToLast();
  void Seek(std::string_view key);
  void SeekForPrev(std::string_view key);
  void Next();
  void Prev();

  bool valid() const { return valid_; }
  std::string_view key() const { return key_; }
  std::string_view value() const { return value_; }
  const Status& status() const { return status_; }

 private:
  enum class Direction : uint8_t { kForward, kBackward };

  void Begin(Direction direction);
  void SeekCursor(std::string_view user_key);
  void StepBeforeCursor();
  void LeaveBackward();
  bool OnEntry();
  void End(Status status);
  void FindForward(bool skip_saved_key);
  bool PassDeadForward(std::string_view user_key);
  void PassNewer(std::string_view user_key);
  void FindBackward();
  bool ReadBackward(Sequence cover);

  std::shared_ptr<const void> pin_;  // first: destroyed last
  std::unique_ptr<Cursor> cursor_;
  kernel::RangeCover cover_;
  kernel::DeadRow dead_;
  const Sequence snapshot_;
  kernel::Store* const store_;
  const uint64_t view_;
  std::string lower_, upper_;  // bounds and prefix together
  bool has_upper_ = false;

  std::string_view key_, value_;
  std::string saved_key_, saved_value_;
  std::string target_;  // scratch for seeks
  Status status_;
  Direction direction_ = Direction::kForward;
  bool valid_ = false;
};

}  // namespace tarn
