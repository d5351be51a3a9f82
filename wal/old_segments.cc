#include "wal/old_segments.h"

#include <optional>
#include <string>

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
  for (std::optional<ListedSegment> deleted;;) {
    std::optional<ListedSegment> oldest;
    {
      MutexLock lock(mutex_);
      TARN_TRY(refused_);
      if (first_needed > current_) {
        return Status::Invalid("wal: segment " + std::to_string(current_) +
                               " is being written and cannot be released; rotate first");
      }
      if (deleted.has_value() && !segments_.empty() && segments_.front().number == deleted->number) {
        bytes_ -= deleted->bytes;
        segments_.pop_front();
      }
      if (!segments_.empty() && segments_.front().number < first_needed) oldest = segments_.front();
    }
    if (!oldest.has_value()) return Status::Ok();
    const Status gone = backend.Delete(SegmentName(oldest->number));
    if (!gone.ok() && gone.code() != Code::kNotFound) return gone;
    deleted = oldest;
  }
}

}  // namespace tarn::wal
