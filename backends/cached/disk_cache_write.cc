// DiskCache's hand on the disk: segments are written, evicted and deleted here, by one thread at a time.
#include <algorithm>
#include <utility>

#include "backends/cached/disk_cache.h"

namespace tarn::cached {
namespace {

constexpr uint64_t kProbationShare = 10;  // a tenth, as in S3-FIFO

}  // namespace

void DiskCache::WriteSealed() {
  MutexLock writing(write_mutex_);
  if (shrink_.exchange(false)) MakeRoom(0, Keep::kHot);
  for (;;) {
    Segment* segment;
    std::string contents;
    {
      MutexLock lock(mutex_);
      if (sealed_.empty()) return;
      segment = sealed_.front().get();
      contents = EntryOf(*segment).contents;
    }
    // What is evicted for it may be copied into segments that are sealed, too: they are written in the next rounds.
    const bool stored = !contents.empty() && StoreSegment(segment, contents);
    MutexLock lock(mutex_);
    std::unique_ptr<Segment> owned = std::exchange(sealed_.front(), nullptr);
    sealed_.pop_front();
    room_.notify_all();
    if (stored) {
      owned->stored = true;
      owned->memory = {};
      ++changes_;
      if (owned->live == 0) dead_.push_back(owned->name);
      KeepStored(std::move(owned));
    } else {
      index_.UnfileAll(owned.get());
    }
  }
}

// The segment's data do not change any more, so they are read without the mutex.
bool DiskCache::StoreSegment(Segment* segment, const std::string& contents) {
  if (off()) return false;
  const std::string tail =
      contents + EncodeTrailer(contents, segment->memory.size(), options_.extent_bytes, segment->name.number);
  const uint64_t bytes = segment->memory.size() + tail.size();
  if (!MakeRoom(bytes, Keep::kHot)) return false;
  if (!WriteBlob(NameOfSegment(segment->name), segment->memory, tail)) return false;
  segment->stored_bytes = bytes;
  return true;
}

// Evicts until so many bytes more are within the limit, and leave the reserve. False: that cannot be.
bool DiskCache::MakeRoom(uint64_t bytes, Keep keep) {
  const uint64_t missing = MissingSpace(bytes);
  for (uint64_t freed = 0;;) {
    SegmentName victim;
    {
      MutexLock lock(mutex_);
      if (used_bytes_ + bytes <= options_.limit_bytes && freed >= missing) return true;
      const auto chosen = ChooseVictim();
      if (!chosen) return false;
      victim = *chosen;
      freed += FindStored(victim)->stored_bytes;
    }
    if (!Evict(victim, keep)) return false;
  }
}

std::optional<SegmentName> DiskCache::ChooseVictim() {
  while (!dead_.empty()) {
    const SegmentName name = dead_.front();
    dead_.pop_front();
    if (FindStored(name) != nullptr) return name;
  }
  const auto& probation = stored_[static_cast<size_t>(Part::kProbation)];
  const auto& main = stored_[static_cast<size_t>(Part::kMain)];
  const uint64_t share = options_.limit_bytes / kProbationShare;
  const bool too_much = part_bytes_[static_cast<size_t>(Part::kProbation)] > share;
  if (!probation.empty() && (too_much || main.empty())) return probation.begin()->second->name;
  if (!main.empty()) return main.begin()->second->name;
  return std::nullopt;
}

bool DiskCache::Evict(SegmentName name, Keep keep) {
  std::vector<Survivor> survivors;
  {
    MutexLock lock(mutex_);
    survivors = Survivors(FindStored(name), keep);
  }
  Copy(survivors, keep);
  std::unique_ptr<Segment> segment;
  {
    MutexLock lock(mutex_);
    auto& segments = stored_[static_cast<size_t>(name.part)];
    segment = std::move(segments.extract(name.number).mapped());
    for (const Entry& entry : segment->entries) {
      if (entry.blob != nullptr && name.part == Part::kProbation) index_.Remember(entry);
    }
    index_.UnfileAll(segment.get());
    part_bytes_[static_cast<size_t>(name.part)] -= segment->stored_bytes;
    if (keep != Keep::kAll) counters_.evicted_bytes += segment->stored_bytes;
    ++changes_;
    ForgetReader(name.number);
  }
  return DeleteBlob(NameOfSegment(name), segment->stored_bytes);
}

// The extents of a segment that are to be copied, in their order.
std::vector<DiskCache::Survivor> DiskCache::Survivors(Segment* segment, Keep keep) {
  std::vector<Survivor> survivors;
  if (keep == Keep::kNothing || sealed_.size() >= kMaxSealed) return survivors;
  const bool all = keep == Keep::kAll;
  const bool again = segment->name.part == Part::kMain && !all;
  uint64_t room = again ? segment->data_bytes / 2 : UINT64_MAX;
  for (int hits = 3; hits >= (all ? 0 : 1); --hits) {
    for (uint32_t i = 0; i < segment->entries.size(); ++i) {
      const Entry& entry = segment->entries[i];
      if (entry.blob == nullptr || entry.hits != hits || entry.bytes > room) continue;
      room -= entry.bytes;
      const Place place{segment->name, entry.blob->key, entry.extent, entry.offset, entry.bytes, entry.checksum};
      survivors.push_back({{segment, i}, place, static_cast<uint8_t>(all ? hits : again ? hits - 1 : 0)});
    }
  }
  std::sort(survivors.begin(), survivors.end(),
            [](const Survivor& a, const Survivor& b) { return a.slot.entry < b.slot.entry; });
  return survivors;
}

void DiskCache::Copy(const std::vector<Survivor>& survivors, Keep keep) {
  if (survivors.empty()) return;
  const auto reader = OpenSegment(survivors.front().place);
  if (!reader.ok()) return Note(reader.status());
  std::string bytes;
  for (const Survivor& survivor : survivors) {
    const Place& place = survivor.place;
    bytes.resize(place.bytes);
    if (!Check(place, (*reader)->Read(place.offset, bytes), bytes)) continue;
    MutexLock lock(mutex_);
    const auto now = index_.Find(place.blob, place.extent);
    if (now != survivor.slot) continue;  // forgotten, or replaced, meanwhile
    Entry entry = **now;
    entry.hits = survivor.hits;
    Append(keep == Keep::kAll ? place.segment.part : Part::kMain, place.blob, entry, bytes);
  }
}

// The room was made. After a failure the blob may be there or not.
bool DiskCache::WriteBlob(const std::string& name, std::string_view head, std::string_view tail) {
  const uint64_t bytes = head.size() + tail.size();
  {
    MutexLock lock(mutex_);
    used_bytes_ += bytes;
  }
  const auto write = [&]() -> Status {
    TARN_ASSIGN(const auto writer, disk_->Create(name));
    TARN_TRY(writer->Append(head));
    TARN_TRY(writer->Append(tail));
    return writer->Finish();
  };
  const Status written = write();
  Note(written);
  if (!written.ok()) {
    DeleteBlob(name, bytes);
    return false;
  }
  MutexLock lock(mutex_);
  counters_.written_bytes += bytes;
  return true;
}

bool DiskCache::DeleteBlob(const std::string& name, uint64_t bytes) {
  const Status deleted = disk_->Delete(name);
  if (!deleted.ok() && deleted.code() != Code::kNotFound) {
    Note(deleted);
    return false;  // it stays counted
  }
  MutexLock lock(mutex_);
  used_bytes_ -= bytes;
  return true;
}

void DiskCache::KeepStored(std::unique_ptr<Segment> segment) {
  part_bytes_[static_cast<size_t>(segment->name.part)] += segment->stored_bytes;
  const uint64_t number = segment->name.number;
  stored_[static_cast<size_t>(segment->name.part)][number] = std::move(segment);
}

}  // namespace tarn::cached
