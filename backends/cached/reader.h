// Reading a blob through the cache. For cached_backend.cc.
//
// A read is a plan: which of its extents are in memory, which on the disk, and which are missing. The missing ones,
// from the first to the last, are one read of the remote. A blocking Read carries its plan out by itself; a
// CachedQueue has those of many reads under way on the queues of the disk and of the remote.
//
// A read waits for another one's request only if that ends without its help: for one of the same queue, or for a
// blocking Read of another thread. So nobody waits for a queue whose owner is busy elsewhere, perhaps waiting for
// him.
//
// A thread that reads the same range of a blob twice in a row did not like the first answer (the kernel does so when
// a checksum does not match): then only bytes that the remote gave twice are served. Or damage that happened on the
// way here would be kept.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backends/cached/disk_cache.h"
#include "tarn/sdk/backend.h"

namespace tarn::cached {

// A request to the remote that several reads wait for.
struct Flight {
  Flight(BlobKey key, uint64_t offset, size_t size) : blob(std::move(key)), begin(offset), bytes(size, '\0') {}
  const BlobKey blob;
  const uint64_t begin;
  std::string bytes;  // nobody's but the starter's until it is done
  bool done = false;
  Status status;
};

// Threads: any.
class Flights {
 public:
  // A flight under way that brings all that `mine` would; or `mine`, which others may join from now on.
  std::shared_ptr<Flight> JoinOrStart(const std::shared_ptr<Flight>& mine);
  void Await(const Flight& flight);
  void End(Flight* flight, const Status& status);

 private:
  std::mutex mutex_;  // guards the flights' ends and the list
  std::condition_variable ended_;
  std::vector<std::shared_ptr<Flight>> flights_;
};

// What the readers, queues and writers of one backend share. Threads: any.
struct Core {
  // Whether a read goes through the cache. One that is larger gains nothing by it.
  bool Serves(uint64_t blob_bytes, uint64_t offset, size_t n) const;
  // Keeps what the remote gave or took at `begin`, which is an extent's.
  void Keep(const BlobKey& blob, uint64_t begin, std::string_view bytes, bool wait) const;

  std::unique_ptr<DiskCache> cache;  // null: there is none
  uint64_t extent_bytes = 0;
  uint64_t write_through_bytes = 0;
  bool warm = false;  // reads wait until the disk has caught up
  Flights flights;
  std::atomic<uint64_t> hits{0}, misses{0};        // reads
  std::atomic<uint64_t> written_through_bytes{0};  // held by writers just now
};

// Threads: any.
class CachedReader final : public BlobReader {
 public:
  CachedReader(Core* core, BlobKey key, std::unique_ptr<BlobReader> remote)
      : core_(core), key_(std::move(key)), remote_(std::move(remote)), size_(remote_->size()) {}
  uint64_t size() const override { return size_; }
  uint64_t identity() const override { return key_.identity; }
  Status Read(uint64_t offset, std::span<char> out) const override;

  const BlobKey& key() const { return key_; }
  const BlobReader& remote() const { return *remote_; }
  // Whether this thread read the very same range before, and nothing of the blob was read since.
  bool Again(uint64_t offset, size_t n) const;

 private:
  Status Fetch(class ReadPlan* plan, bool alone) const;

  Core* const core_;
  const BlobKey key_;
  const std::unique_ptr<BlobReader> remote_;
  const uint64_t size_;
  mutable std::atomic<uint64_t> last_{0};  // a hash of the last read
};

// One read, from looking its extents up to having them all. One thread at a time.
class ReadPlan {
 public:
  // An extent, or a part of one, that is to be read from the disk.
  struct DiskRead {
    Place place;
    std::span<char> wanted;  // of the read's `out`
    size_t from = 0;         // where in the extent that begins
    std::shared_ptr<const BlobReader> segment;
    std::unique_ptr<char[]> bytes;  // when not all of the extent is wanted
    ReadRequest request;            // ready to be submitted; its context is left to the driver
  };

  // REQUIRES: core->Serves(...)
  ReadPlan(Core* core, const CachedReader& reader, uint64_t offset, std::span<char> out, bool distrust);
  std::vector<DiskRead>& disk_reads() { return disk_reads_; }
  // After the request of `read` was done.
  void Took(const DiskRead& read);

  // When all disk reads are taken: whether that was all; else what to ask the remote for, in whole extents, and then
  // its answer, or more than that.
  bool complete() const { return missing_.empty(); }
  uint64_t missing_begin() const { return missing_.front() * core_->extent_bytes; }
  size_t missing_bytes() const;
  void Fill(uint64_t begin, std::string_view bytes);

  const CachedReader& reader() const { return reader_; }
  bool distrust() const { return distrust_; }

 private:
  // The part of `out` that lies in an extent, and where in the extent it begins.
  std::pair<std::span<char>, size_t> WantedOf(uint64_t extent) const;
  void LookUp(uint64_t extent);
  void Miss(uint64_t extent);

  Core* const core_;
  const CachedReader& reader_;
  const uint64_t offset_;
  const std::span<char> out_;
  const bool distrust_;
  std::vector<DiskRead> disk_reads_;
  std::vector<uint64_t> missing_;  // extents, in order
};

// Reads through the cache in flight together, over a queue of the remote and, if there is one, a queue of the disk.
std::unique_ptr<ReadQueue> NewCachedQueue(Core* core, std::unique_ptr<ReadQueue> remote);

}  // namespace tarn::cached
