// OldSegments: the segments of a log behind the one that is being written, until they are released. It is what a
// writer shares with the thread that releases: deleting takes as long as it takes, and appends go on meanwhile.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "base/mutex.h"
#include "tarn/sdk/backend.h"
#include "wal/replay.h"

namespace tarn::wal {

class OldSegments {
 public:
  explicit OldSegments(const std::vector<ListedSegment>& listed);

  // The newest of them. One that is as large as a fence (wal/object_writer, invariant 4) is left where it is for
  // ever; so is the object of a lone payload of 8 bytes, which does no harm and does not come from the kernel.
  void Add(const ListedSegment& segment) EXCLUDES(mutex_);
  uint64_t bytes() EXCLUDES(mutex_);
  // The segment that is being written, or begins what is: it cannot be released.
  void SetCurrent(uint64_t segment) EXCLUDES(mutex_);
  // From now on Release answers so.
  void Refuse(const Status& why) EXCLUDES(mutex_);

  // WalWriter::Release. Oldest first where they are deleted one by one; a bulk delete that fails, or that a crash
  // ends, may leave any of them behind. Both are fine, because whoever reads the log begins at a segment above them
  // all. A failed delete says nothing about the log's bytes: the writer goes on, and the next Release tries again.
  Status Release(Backend& backend, uint64_t first_needed) EXCLUDES(mutex_);

 private:
  Mutex mutex_;                                            // a leaf; guards all below
  std::deque<ListedSegment> segments_ GUARDED_BY(mutex_);  // oldest first
  uint64_t bytes_ GUARDED_BY(mutex_) = 0;
  uint64_t current_ GUARDED_BY(mutex_) = 0;
  Status refused_ GUARDED_BY(mutex_);
};

}  // namespace tarn::wal
