// DiskCache: extents of blobs on a disk, in segments. For cached_backend.cc and its readers.
//
// Extents are gathered in memory and written as one blob when there is a segment of them; whole segments are evicted.
// Which extents stay is decided as in S3-FIFO (J. Yang, Y. Zhang, Z. Qiu, Y. Yue, R. Vinayak, "FIFO queues are all
// you need for cache eviction", SOSP 2023), with segments for queues:
//
//   probation: where extents begin. Those of an evicted segment that were hit meanwhile are copied into the main
//   part. The others leave a ghost, and go to the main part at once if they are wanted again soon. So what is read
//   once, by a scan of whatever length, pushes out nothing but probation, which is a tenth of a full cache.
//
//   main: evicted only while probation has less than its tenth. Extents that were hit since they came here are copied
//   to its end with one hit less, at most half of a segment, the most often hit first. So an eviction frees at least
//   half, and for an extent that is inserted at most three are written.
//
// A hit counts only after the segment was written: reads of neighbouring blocks that follow each other within a few
// MiB are one use (the "correlated references" of T. Johnson, D. Shasha, "2Q", VLDB 1994).
//
// Invariants
//   1. used_bytes_ covers every blob on the disk and the one being written, and never exceeds the limit. A blob whose
//      fate is not known is counted until the next opening.
//   2. A segment's bytes are in memory until its blob is published, so an extent that was filed is found, unless its
//      segment could not be written.
//   3. One thread at a time changes the disk: the holder of write_mutex_.
//   4. Whoever seals a segment, or evicts one (what survives is sealed, too), calls WriteSealed afterwards: a writer
//   may
//      be waiting for room_.
//   5. After kMaxFailures failures in a row, without a success between, the disk is not touched any more.
//
// Threads: any. Lock order: write_mutex_, mutex_, and below that the disk's own. No call to the disk is made under
// mutex_.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/cached/cached.h"
#include "backends/cached/index.h"
#include "base/mutex.h"
#include "base/thread_pool.h"

namespace tarn::cached {

// An extent on the disk.
struct Place {
  SegmentName segment;
  BlobKey blob;
  uint32_t extent = 0;
  uint32_t offset = 0;  // in the segment
  uint32_t bytes = 0;
  uint64_t checksum = 0;
};

class DiskCache {
 public:
  // Takes the disk's lock and reads what is there. Busy: another process has it. Invalid: there are blobs that are no
  // cache's. Other errors: the disk's.
  static Result<std::unique_ptr<DiskCache>> Open(std::shared_ptr<Backend> disk, const CacheOptions& options);
  // Writes what is in memory, and the index. Errors are forgotten: nothing here is precious.
  ~DiskCache();

  enum class Found : uint8_t { kNothing, kMemory, kDisk };
  // Looks for the bytes [from, from + out.size()) of an extent. kMemory: they were copied. kDisk: they are at
  // `place`. `distrust`: only bytes that the remote gave twice are good enough.
  Found Find(const BlobKey& blob, uint32_t extent, bool distrust, size_t from, std::span<char> out, Place* place);
  // The segment of a place, for reading. NotFound: it has been evicted since.
  Result<std::shared_ptr<const BlobReader>> OpenSegment(const Place& place);
  // What became of reading a place: false, and the extent is forgotten, unless these are its bytes.
  bool Check(const Place& place, const Status& read, std::string_view bytes);

  // Keeps an extent that the remote just gave or took, unless the disk lags behind. `wait`: until it has caught up.
  // Bytes that differ from those kept replace them.
  void Insert(const BlobKey& blob, uint32_t extent, std::string_view bytes, bool wait);
  // Forgets all extents of blobs of that name.
  void Drop(const std::string& name);

  bool off() const { return off_.load(std::memory_order_relaxed); }
  void AppendMeters(std::vector<Meter>* meters);
  std::unique_ptr<ReadQueue> NewDiskQueue();  // null when the disk has none
  bool DiskQueueMayMove() const;

 private:
  static constexpr size_t kMaxSealed = 4;  // segments that wait for the disk in memory
  // Of a segment that is evicted. kHot: as told above. kAll: it is written anew, in its own part.
  enum class Keep : uint8_t { kNothing, kHot, kAll };
  struct Counters {
    uint64_t evicted_bytes = 0, written_bytes = 0, damaged = 0, errors = 0, skipped = 0;
  };
  // An extent that is copied out of a segment.
  struct Survivor {
    Slot slot;
    Place place;
    uint8_t hits = 0;
  };

  DiskCache(std::shared_ptr<Backend> disk, const CacheOptions& options, std::unique_ptr<Lock> lock);

  // disk_cache_open.cc: from the disk and back to it.
  Status Load();
  Status LoadNames(std::vector<BlobInfo>* segments, std::vector<uint64_t>* indexes);
  std::map<uint64_t, IndexEntry> LoadIndex(const std::vector<uint64_t>& indexes);
  void LoadSegment(const BlobInfo& blob, const std::map<uint64_t, IndexEntry>& index);
  std::optional<std::vector<ContentsEntry>> ReadContents(const std::string& name, uint64_t number);
  Result<std::string> ReadBlob(const std::string& name, uint64_t limit);
  void Save();
  void SaveIndex();

  // disk_cache_write.cc: under write_mutex_.
  void WriteSealed() EXCLUDES(mutex_);
  bool StoreSegment(Segment* segment, const std::string& contents) REQUIRES(write_mutex_);
  bool MakeRoom(uint64_t bytes, Keep keep) REQUIRES(write_mutex_);
  std::optional<SegmentName> ChooseVictim() REQUIRES(mutex_);
  bool Evict(SegmentName name, Keep keep) REQUIRES(write_mutex_);
  std::vector<Survivor> Survivors(Segment* segment, Keep keep) REQUIRES(mutex_);
  void Copy(const std::vector<Survivor>& survivors, Keep keep) REQUIRES(write_mutex_);
  bool WriteBlob(const std::string& name, std::string_view head, std::string_view tail) REQUIRES(write_mutex_);
  bool DeleteBlob(const std::string& name, uint64_t bytes) REQUIRES(write_mutex_);
  void KeepStored(std::unique_ptr<Segment> segment) REQUIRES(mutex_);
  uint64_t MissingSpace(uint64_t bytes);

  // True: a segment was sealed, and wants to be written.
  bool Append(Part part, const BlobKey& blob, Entry entry, std::string_view bytes) REQUIRES(mutex_);
  void AwaitRoom() REQUIRES(mutex_);
  Segment* FindStored(SegmentName name) REQUIRES(mutex_);
  void Kick();
  void WatchSpace();
  void Note(const Status& status);  // of a call to the disk
  void ForgetReader(uint64_t number) REQUIRES(mutex_);

  const std::shared_ptr<Backend> disk_;
  const CacheOptions options_;
  std::unique_ptr<Lock> lock_;
  std::atomic<bool> off_{false};
  std::atomic<bool> shrink_{false};  // there may be more on the disk than there should
  std::atomic<uint32_t> finds_{0};

  Mutex write_mutex_;             // held by whoever writes, evicts or deletes
  Mutex mutex_;                   // guards everything below
  std::condition_variable room_;  // sealed_ has become shorter
  Index index_ GUARDED_BY(mutex_);
  std::array<std::unique_ptr<Segment>, kParts> filling_ GUARDED_BY(mutex_);
  std::deque<std::unique_ptr<Segment>> sealed_ GUARDED_BY(mutex_);  // the first is being written
  std::array<std::map<uint64_t, std::unique_ptr<Segment>>, kParts> stored_ GUARDED_BY(mutex_);  // by age
  std::array<uint64_t, kParts> part_bytes_ GUARDED_BY(mutex_){};
  std::deque<SegmentName> dead_ GUARDED_BY(mutex_);  // nothing in them is live
  std::map<uint64_t, std::shared_ptr<const BlobReader>> readers_ GUARDED_BY(mutex_);
  std::deque<uint64_t> opened_ GUARDED_BY(mutex_);  // the order of readers_
  uint64_t used_bytes_ GUARDED_BY(mutex_) = 0;
  uint64_t next_number_ GUARDED_BY(mutex_) = 1;
  uint64_t index_number_ GUARDED_BY(mutex_) = 0;  // of the index on the disk; 0: none
  uint64_t index_bytes_ GUARDED_BY(mutex_) = 0;
  uint64_t changes_ GUARDED_BY(mutex_) = 0;  // segments stored or evicted since that index
  uint64_t marks_ GUARDED_BY(mutex_) = 0;    // hits since that index
  int failures_ GUARDED_BY(mutex_) = 0;      // in a row
  Counters counters_ GUARDED_BY(mutex_);

  std::unique_ptr<ThreadPool>
      pool_;  // one thread; null: whoever seals a segment writes it. The first to be destroyed
};

}  // namespace tarn::cached
