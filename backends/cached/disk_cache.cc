#include "backends/cached/disk_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tarn::cached {
namespace {

constexpr size_t kMaxReaders = 256;  // segments open for reading: a descriptor each
constexpr int kMaxFailures = 8;      // a disk that works now and then still helps
constexpr uint32_t kFindsOfWatch = 256;
constexpr uint8_t kMaxHits = 3;  // S3-FIFO's two bits
constexpr size_t kMaxGhosts = 1 << 20;

size_t GhostsFor(const CacheOptions& options) {
  return std::clamp<size_t>(options.limit_bytes / options.extent_bytes, 16, kMaxGhosts);
}

}  // namespace

DiskCache::DiskCache(std::shared_ptr<Backend> disk, const CacheOptions& options, std::unique_ptr<Lock> lock)
    : disk_(std::move(disk)), options_(options), lock_(std::move(lock)), index_(GhostsFor(options)) {
  if (options_.background) pool_ = std::make_unique<ThreadPool>(1, "tarn-cache");
}

DiskCache::~DiskCache() {
  pool_.reset();
  Save();
}

DiskCache::Found DiskCache::Find(const BlobKey& blob, uint32_t extent, bool distrust, size_t from,
                                 std::span<char> out, Place* place) {
  if (off()) return Found::kNothing;
  if (finds_.fetch_add(1, std::memory_order_relaxed) % kFindsOfWatch == kFindsOfWatch - 1) WatchSpace();
  MutexLock lock(mutex_);
  const auto slot = index_.Find(blob, extent);
  if (!slot || (distrust && !(*slot)->confirmed)) return Found::kNothing;
  Entry& entry = **slot;
  if (from + out.size() > entry.bytes) {
    index_.Unfile(*slot);  // not this blob's, whatever it is
    return Found::kNothing;
  }
  const Segment& segment = *slot->segment;
  if (!segment.stored) {
    std::memcpy(out.data(), segment.memory.data() + entry.offset + from, out.size());
    return Found::kMemory;
  }
  if (entry.hits < kMaxHits) {
    ++entry.hits;
    ++marks_;
  }
  *place = {segment.name, blob, extent, entry.offset, entry.bytes, entry.checksum};
  return Found::kDisk;
}

Result<std::shared_ptr<const BlobReader>> DiskCache::OpenSegment(const Place& place) {
  const uint64_t number = place.segment.number;
  {
    MutexLock lock(mutex_);
    const auto found = readers_.find(number);
    if (found != readers_.end()) return found->second;
  }
  TARN_ASSIGN(std::unique_ptr<BlobReader> opened, disk_->Open(NameOfSegment(place.segment)));
  std::shared_ptr<const BlobReader> reader = std::move(opened);
  MutexLock lock(mutex_);
  if (FindStored(place.segment) == nullptr) return reader;
  if (readers_.try_emplace(number, reader).second) opened_.push_back(number);
  if (readers_.size() > kMaxReaders) ForgetReader(opened_.front());
  return reader;
}

bool DiskCache::Check(const Place& place, const Status& read, std::string_view bytes) {
  const bool good =
      read.ok() && ExtentChecksum(place.blob, place.extent, options_.extent_bytes, bytes) == place.checksum;
  if (good) return true;  // failures_ is left to writes: reads may come from the system's memory
  if (!read.ok() && read.code() != Code::kNotFound) Note(read);
  MutexLock lock(mutex_);
  if (read.ok()) ++counters_.damaged;
  const auto slot = index_.Find(place.blob, place.extent);
  const bool still_there = slot && slot->segment->name.number == place.segment.number;
  if (still_there) index_.Unfile(*slot);
  return false;
}

void DiskCache::Insert(const BlobKey& blob, uint32_t extent, std::string_view bytes, bool wait) {
  const uint64_t checksum = ExtentChecksum(blob, extent, options_.extent_bytes, bytes);
  bool sealed = false;
  {
    MutexLock lock(mutex_);
    if (off()) return;
    if (const auto slot = index_.Find(blob, extent)) {
      if ((*slot)->checksum == checksum && (*slot)->bytes == bytes.size()) {
        (*slot)->confirmed = true;
        return;
      }
      ++counters_.damaged;
      index_.Unfile(*slot);
    }
    while (wait && sealed_.size() >= kMaxSealed) AwaitRoom();
    if (sealed_.size() >= kMaxSealed) {
      ++counters_.skipped;
      return;
    }
    const bool hot = options_.warm || index_.Remembers(blob, extent);
    Entry entry;
    entry.extent = extent;
    entry.checksum = checksum;
    sealed = Append(hot ? Part::kMain : Part::kProbation, blob, entry, bytes);
  }
  if (sealed) Kick();
}

void DiskCache::AwaitRoom() {
  std::unique_lock<std::mutex> held(mutex_.native(), std::adopt_lock);
  room_.wait(held);
  held.release();
}

bool DiskCache::Append(Part part, const BlobKey& blob, Entry entry, std::string_view bytes) {
  std::unique_ptr<Segment>& filling = filling_[static_cast<size_t>(part)];
  if (filling == nullptr) {
    filling = std::make_unique<Segment>();
    filling->name = {part, next_number_++};
    filling->memory.reserve(options_.segment_bytes);
  }
  entry.offset = static_cast<uint32_t>(filling->memory.size());
  entry.bytes = static_cast<uint32_t>(bytes.size());
  filling->memory += bytes;
  filling->data_bytes = filling->memory.size();
  index_.File(filling.get(), blob, entry);
  if (filling->memory.size() + options_.extent_bytes <= options_.segment_bytes) return false;
  sealed_.push_back(std::move(filling));
  return true;
}

void DiskCache::Drop(const std::string& name) {
  MutexLock lock(mutex_);
  std::vector<SegmentName> dead;
  index_.UnfileBlob(name, &dead);
  dead_.insert(dead_.end(), dead.begin(), dead.end());
}

Segment* DiskCache::FindStored(SegmentName name) {
  const auto& segments = stored_[static_cast<size_t>(name.part)];
  const auto found = segments.find(name.number);
  return found == segments.end() ? nullptr : found->second.get();
}

void DiskCache::Kick() {
  if (pool_ == nullptr) return WriteSealed();
  pool_->Run([this] { WriteSealed(); });
}

// Others fill the disk, too: from time to time the free space is looked at, also when nothing is written.
void DiskCache::WatchSpace() {
  if (MissingSpace(0) == 0 || shrink_.exchange(true)) return;
  Kick();
}

// How much less than the reserve would be free on the disk with so many bytes more.
uint64_t DiskCache::MissingSpace(uint64_t bytes) {
  SpaceSource* const source = disk_->features().space;
  if (source == nullptr) return 0;
  const Result<SpaceInfo> space = source->Space();
  if (!space.ok()) return 0;  // writing will tell
  const uint64_t wanted = options_.reserve_bytes + bytes;
  return space->free_bytes < wanted ? wanted - space->free_bytes : 0;
}

void DiskCache::Note(const Status& status) {
  MutexLock lock(mutex_);
  if (status.ok()) {
    failures_ = 0;
    return;
  }
  ++counters_.errors;
  // A full disk is no broken one: room will be made, or somebody else makes it.
  if (status.code() != Code::kNoSpace && ++failures_ >= kMaxFailures) off_ = true;
}

void DiskCache::ForgetReader(uint64_t number) {
  readers_.erase(number);
  std::erase(opened_, number);
}

void DiskCache::AppendMeters(std::vector<Meter>* meters) {
  MutexLock lock(mutex_);
  meters->push_back({"cache.bytes", used_bytes_});
  meters->push_back({"cache.damaged", counters_.damaged});
  meters->push_back({"cache.errors", counters_.errors});
  meters->push_back({"cache.evicted_bytes", counters_.evicted_bytes});
  meters->push_back({"cache.limit_bytes", options_.limit_bytes});
  meters->push_back({"cache.skipped", counters_.skipped});
  meters->push_back({"cache.written_bytes", counters_.written_bytes});
}

std::unique_ptr<ReadQueue> DiskCache::NewDiskQueue() {
  ReadQueueSource* const source = disk_->features().queues;
  return source == nullptr ? nullptr : source->NewReadQueue();
}

bool DiskCache::DiskQueueMayMove() const {
  const ReadQueueSource* const source = disk_->features().queues;
  return source == nullptr || source->MayMove();
}

}  // namespace tarn::cached
