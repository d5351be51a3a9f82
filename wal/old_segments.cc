#include "wal/old_segments.h"

#include <string>

#include "base/delete_all.h"
#include "wal/record.h"

namespace tarn::wal {

OldSegments::OldSegments(const std::vector<ListedSegment>& listed) {
  for (const ListedSegment& segment : listed) Add(segment);
}

void OldSegments::Add(const ListedSegment& segment) {
  if (segment.bytes == kFenceObjectBytes) return;
  MutexLock lock(mutex_);
  segments_.push_back(segment);
  bytes_ += segment.bytes;
}

uint64_t OldSegments::bytes() {
  MutexLock lock(mutex_);
  return bytes_;
}

void OldSegments::SetCurrent(uint64_t segment) {
  MutexLock lock(mutex_);
  current_ = segment;
}

void OldSegments::Refuse(const Status& why) {
  MutexLock lock(mutex_);
  refused_ = why;
}

Status OldSegments::Release(Backend& backend, uint64_t first_needed) {
  std::vector<std::string> names;
  {
    MutexLock lock(mutex_);
    TARN_TRY(refused_);
    if (first_needed > current_) {
      return Status::Invalid("wal: segment " + std::to_string(current_) +
                             " is being written and cannot be released; rotate first");
    }
    for (const ListedSegment& segment : segments_) {
      if (segment.number < first_needed) names.push_back(SegmentName(segment.number));
    }
  }
  TARN_TRY(DeleteAll(backend, names));
  MutexLock lock(mutex_);
  while (!segments_.empty() && segments_.front().number < first_needed) {
    bytes_ -= segments_.front().bytes;
    segments_.pop_front();
  }
  return Status::Ok();
}

}  // namespace tarn::wal
