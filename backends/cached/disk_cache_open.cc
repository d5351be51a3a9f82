// DiskCache between two lives: what is on the disk at the beginning, and what is put there at the end.
#include <algorithm>
#include <utility>

#include "backends/cached/disk_cache.h"

namespace tarn::cached {
namespace {

constexpr size_t kPage = 1000;
// An index is written anew when so much of what it says has changed: a command that looks at one file shall not
// rewrite the index of a terabyte.
constexpr uint64_t kChangesShare = 16;
constexpr uint64_t kMarksShare = 64;

Status NoCache(const std::string& name) {
  return Status::Invalid("the store of the cache holds " + name +
                         ", which is no cache's: name a directory of its own for it");
}

}  // namespace

Result<std::unique_ptr<DiskCache>> DiskCache::Open(std::shared_ptr<Backend> disk, const CacheOptions& options) {
  std::unique_ptr<Lock> lock;
  if (LockStore* const locks = disk->features().locks; locks != nullptr) {
    TARN_ASSIGN(lock, locks->TryLock("lock", options.holder.empty() ? "a cache" : options.holder));
  }
  std::unique_ptr<DiskCache> cache(new DiskCache(std::move(disk), options, std::move(lock)));
  const Status loaded = cache->Load();
  if (loaded.ok()) return cache;
  cache->off_ = true;  // there is nothing to save
  return loaded;
}

Status DiskCache::Load() {
  std::vector<BlobInfo> segments;
  std::vector<uint64_t> indexes;
  TARN_TRY(LoadNames(&segments, &indexes));
  const std::map<uint64_t, IndexEntry> index = LoadIndex(indexes);
  for (const BlobInfo& segment : segments) LoadSegment(segment, index);
  shrink_ = true;  // the limit may have been higher
  WriteSealed();
  return Status::Ok();
}

// All blobs are counted; segments by age.
Status DiskCache::LoadNames(std::vector<BlobInfo>* segments, std::vector<uint64_t>* indexes) {
  std::string after;
  for (bool more = true; more;) {
    TARN_ASSIGN(const ListPage page, disk_->List("", after, kPage));
    MutexLock lock(mutex_);
    for (const BlobInfo& blob : page.blobs) {
      const auto segment = ParseSegmentName(blob.name);
      const auto index = ParseIndexName(blob.name);
      if (!segment && !index) return NoCache(blob.name);
      if (segment) segments->push_back(blob);
      if (index) indexes->push_back(*index);
      used_bytes_ += blob.size;
      if (index) index_bytes_ = blob.size;  // in the end that of the newest
      next_number_ = std::max(next_number_, (segment ? segment->number : *index) + 1);
      after = blob.name;
    }
    more = page.more;
  }
  const auto number = [](const BlobInfo& blob) { return ParseSegmentName(blob.name)->number; };
  std::sort(segments->begin(), segments->end(),
            [&](const BlobInfo& a, const BlobInfo& b) { return number(a) < number(b); });
  return Status::Ok();
}

// What the newest index says. It stays on the disk until there is another one; older ones are deleted.
std::map<uint64_t, IndexEntry> DiskCache::LoadIndex(const std::vector<uint64_t>& indexes) {
  std::map<uint64_t, IndexEntry> entries;
  MutexLock writing(write_mutex_);
  for (const uint64_t number : indexes) {
    const std::string name = NameOfIndex(number);
    const auto bytes = ReadBlob(name, options_.limit_bytes);
    if (number == indexes.back() && bytes.ok()) {
      const auto index = DecodeIndex(*bytes, options_.extent_bytes, number);
      if (index) {
        for (const IndexEntry& entry : *index) entries[entry.number] = entry;
        MutexLock lock(mutex_);
        index_number_ = number;
        continue;
      }
      MutexLock lock(mutex_);
      ++counters_.damaged;
    }
    if (bytes.ok()) DeleteBlob(name, bytes->size());
  }
  return entries;
}

Result<std::string> DiskCache::ReadBlob(const std::string& name, uint64_t limit) {
  const auto read = [&]() -> Result<std::string> {
    TARN_ASSIGN(const auto reader, disk_->Open(name));
    if (reader->size() > limit) return Status::Corruption(name + " is larger than the cache may be");
    std::string bytes(reader->size(), '\0');
    TARN_TRY(reader->Read(0, bytes));
    return bytes;
  };
  Result<std::string> bytes = read();
  if (!bytes.ok()) Note(bytes.status());
  return bytes;
}

void DiskCache::LoadSegment(const BlobInfo& blob, const std::map<uint64_t, IndexEntry>& index) {
  const SegmentName name = *ParseSegmentName(blob.name);
  const auto indexed = index.find(name.number);
  std::optional<std::vector<ContentsEntry>> entries;
  const uint64_t most = blob.size < kTrailerBytes ? 0 : blob.size - kTrailerBytes;
  if (indexed != index.end()) entries = DecodeContents(indexed->second.contents, options_.extent_bytes, most);
  if (!entries) entries = ReadContents(blob.name, name.number);
  auto segment = std::make_unique<Segment>();
  segment->name = name;
  segment->stored = true;
  segment->stored_bytes = blob.size;
  MutexLock writing(write_mutex_);
  if (!entries) {
    DeleteBlob(blob.name, blob.size);
    return;
  }
  MutexLock lock(mutex_);
  const bool marked = indexed != index.end() && indexed->second.hits.size() == entries->size();
  for (size_t i = 0; i < entries->size(); ++i) {
    const ContentsEntry& from = (*entries)[i];
    Entry entry;
    entry.extent = from.extent;
    entry.offset = from.offset;
    entry.bytes = from.bytes;
    entry.checksum = from.checksum;
    if (marked) entry.hits = static_cast<uint8_t>(indexed->second.hits[i]) & 3;
    segment->data_bytes = std::max<uint64_t>(segment->data_bytes, uint64_t{entry.offset} + entry.bytes);
    index_.File(segment.get(), from.blob, entry);
  }
  if (indexed == index.end()) ++changes_;
  KeepStored(std::move(segment));
}

// From the segment itself. Nothing when it is damaged, or of another version.
std::optional<std::vector<ContentsEntry>> DiskCache::ReadContents(const std::string& name, uint64_t number) {
  const auto read = [&]() -> Result<std::optional<std::vector<ContentsEntry>>> {
    TARN_ASSIGN(const auto reader, disk_->Open(name));
    if (reader->size() < kTrailerBytes) return {std::nullopt};
    std::string trailer(kTrailerBytes, '\0');
    TARN_TRY(reader->Read(reader->size() - kTrailerBytes, trailer));
    const auto bytes = ContentsBytes(trailer, reader->size(), options_.extent_bytes);
    if (!bytes) return {std::nullopt};
    const uint64_t data_bytes = reader->size() - kTrailerBytes - *bytes;
    std::string contents(*bytes, '\0');
    TARN_TRY(reader->Read(data_bytes, contents));
    if (!VerifyContents(contents, trailer, data_bytes, number)) return {std::nullopt};
    return DecodeContents(contents, options_.extent_bytes, data_bytes);
  };
  auto contents = read();
  if (!contents.ok()) {
    Note(contents.status());
    return std::nullopt;
  }
  if (!*contents) {
    MutexLock lock(mutex_);
    ++counters_.damaged;
  }
  return *contents;
}

// Small segments would become many in the course of short lives: the newest of each part is written anew together
// with what was gathered, if both fit into one.
void DiskCache::Save() {
  if (off()) return;
  for (const Part part : {Part::kProbation, Part::kMain}) {
    MutexLock writing(write_mutex_);
    std::optional<SegmentName> newest;
    {
      MutexLock lock(mutex_);
      const auto& segments = stored_[static_cast<size_t>(part)];
      const auto& filling = filling_[static_cast<size_t>(part)];
      if (filling != nullptr && !segments.empty() &&
          segments.rbegin()->second->data_bytes + filling->data_bytes + options_.extent_bytes <=
              options_.segment_bytes) {
        newest = segments.rbegin()->second->name;
      }
    }
    if (newest) Evict(*newest, Keep::kAll);
  }
  {
    MutexLock lock(mutex_);
    for (auto& filling : filling_) {
      if (filling != nullptr) sealed_.push_back(std::move(filling));
    }
  }
  WriteSealed();
  SaveIndex();
}

void DiskCache::SaveIndex() {
  MutexLock writing(write_mutex_);
  std::vector<IndexEntry> entries;
  uint64_t number, old_number, old_bytes;
  {
    MutexLock lock(mutex_);
    if (off()) return;
    const uint64_t segments = stored_[0].size() + stored_[1].size();
    const bool much = changes_ * kChangesShare >= segments && changes_ > 0;
    if (!much && (marks_ == 0 || marks_ * kMarksShare < index_.entries())) return;
    for (const auto& part : stored_) {
      for (const auto& [age, segment] : part) entries.push_back(EntryOf(*segment));
    }
    number = next_number_++;
    old_number = index_number_;
    old_bytes = index_bytes_;
    index_number_ = 0;
  }
  if (old_number != 0 && !DeleteBlob(NameOfIndex(old_number), old_bytes)) return;
  const std::string index = EncodeIndex(entries, options_.extent_bytes, number);
  if (MakeRoom(index.size(), Keep::kNothing)) WriteBlob(NameOfIndex(number), index, {});
}

}  // namespace tarn::cached
