// ReadPath: point reads, batches of point reads, and the making of iterators, over a pinned view.
//
// A point read walks the sources of its family from the newest to the oldest: memtables, then runs. The first
// source that knows the key at the snapshot decides, because sequences of sources never interleave: a version or a
// range tombstone found in one is newer than everything in those behind it.
//
// It is resumable (RFC 0001): in memory it runs through; where a table needs a block it stops, and the driver
// decides: Get reads it, MultiGet gathers the wants of all keys and has them in flight together.
//
// Threads: any; a PointRead belongs to one.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/table.h"
#include "kernel/store.h"
#include "tarn/db.h"

namespace tarn::kernel {

// One lookup. Reusable; after warm-up it allocates nothing.
class PointRead {
 public:
  enum class Tables : uint8_t { kOpen, kIfOpen };  // kIfOpen: stops at one that was not opened yet
  // `view` and `key` must stay alive until the answer was taken.
  void Start(Store& store, const ReadView& view, const FamilyVersion& family, std::string_view key, Sequence snapshot,
             Tables tables = Tables::kOpen);
  // Null: the answer is there. Otherwise drive this probe to its end, then call Resume().
  TableProbe* pending() { return pending_ ? &probe_ : nullptr; }
  bool stopped() const { return stopped_; }  // at a table that is not open; there is no answer
  void Resume();

  enum class Answer : uint8_t { kAbsent, kDeleted, kFound };
  const Status& status() const { return status_; }
  Answer answer() const { return answer_; }
  Sequence sequence() const { return sequence_; }    // of what decided; 0 when absent
  std::string_view value() const { return value_; }  // lives until Release or Start, and as long as the view
  // Lets go of the value, so that a read that waits for its next use holds no block in memory.
  void Release() {
    value_ = {};
    probe_.Release();
  }

 private:
  bool TryMemtables(const ReadView& view);
  void NextTable();
  bool Decide(bool present, Kind kind, Sequence sequence, std::string_view value, Sequence cover);

  const FamilyVersion* family_ = nullptr;
  LookupHints* hints_ = nullptr;
  std::string_view key_;
  Sequence snapshot_ = 0;
  size_t next_run_ = 0;
  Sequence cover_ = 0;  // of the table being probed
  TableProbe probe_;
  Tables tables_ = Tables::kOpen;
  bool pending_ = false, stopped_ = false;
  Status status_;
  Answer answer_ = Answer::kAbsent;
  Sequence sequence_ = 0;
  std::string_view value_;
};

Status Get(Store& store, ColumnFamily family, std::string_view key, const Snapshot* snapshot, std::string* value);
std::vector<Status> MultiGet(Store& store, ColumnFamily family, const std::vector<std::string_view>& keys,
                             const Snapshot* snapshot, std::vector<std::string>* values);
// Whether the key holds another version now than at `then`, which is retained. Absent at both moments is no change,
// whatever was there between them: a merge may have forgotten it, and must not decide. For transactions.
Result<bool> ChangedSince(Store& store, uint32_t family, std::string_view key, Sequence then);
std::unique_ptr<Iterator> NewIterator(Store& store, ColumnFamily family, const ReadOptions& options);
// An iterator that shows nothing but this error.
std::unique_ptr<Iterator> NewErrorIterator(Status status);

}  // namespace tarn::kernel
