// The storage backend contract. For authors of backends: this header is all a backend may include.
//
// A backend is a flat space of named, immutable *blobs*. The contract is shaped on the weakest store we
// support, an object store: a blob is written once, appears atomically and whole, is read by range, listed
// by page and deleted. What only some stores can do (append with sync, exclusive lock, deep read queues) is
// handed out as a separate object, or not at all: never a method that fails at run time.
//
// Names are 1..255 bytes of [a-z0-9._-] in up to 8 segments joined by '/' (blob_name.h has the rule as a check); a
// name is never also a prefix directory of another name. Backends report other names as Invalid.
//
// Durability: when Finish() or PutIfAbsent() returns OK the blob, its bytes *and its name*, survive power
// loss. When Delete() returns OK the name may still come back after power loss; the host copes.
//
// Threads: Backend and BlobReader: any number of threads at once. BlobWriter, AppendFile, ReadQueue: one
// thread at a time. Everything a backend hands out must be destroyed before the backend.
//
// Errors: a missing blob is NotFound; a full device NoSpace; a failed device Io with os_error set; a
// passing network failure Unavailable. An error is never an empty or short result.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/status.h"

namespace tarn {

enum class LatencyClass : uint8_t { kMemory, kDisk, kNetwork };

// Facts and cost hints, asked once when a store is opened.
struct BackendInfo {
  std::string name;         // "local", "mem", ...: for people
  std::string read_engine;  // how reads are done and why, e.g. "io_uring" or "pread (io_uring: EPERM)"
  LatencyClass latency = LatencyClass::kDisk;
  uint64_t best_write_bytes = 1 << 20;  // preferred size of one Append() to a BlobWriter
  uint32_t parallel_reads = 32;         // reads in flight beyond which nothing is gained
  // Append files and locks are this machine's alone, and the blobs are not: the store may be opened where its log is
  // not.
  bool log_is_near = false;
};

// One immutable blob open for reading. Stays readable after the blob was deleted.
class BlobReader {
 public:
  virtual ~BlobReader() = default;
  // Bytes in the blob; fixed when it was opened.
  virtual uint64_t size() const = 0;
  // Tells this blob from others that bear its name at another time (a store that was deleted and made again): what
  // a cache that outlives the process files its blocks under. 0: the backend cannot tell.
  virtual uint64_t identity() const { return 0; }
  // Fills all of `out` from `offset` or fails: a range past the end is Corruption (the host never asks for
  // bytes that it did not see written), naming the blob and the offset.
  virtual Status Read(uint64_t offset, std::span<char> out) const = 0;
};

// One blob being written. Destroyed before Finish(): the blob never existed and its space is freed.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Status Append(std::string_view bytes) = 0;
  // Makes the bytes durable, then publishes the name, then makes the name durable. Replaces nothing: a
  // name that exists is Busy. After an error nothing was published or the outcome is unknown (Io).
  virtual Status Finish() = 0;
};

enum class PutOutcome : uint8_t { kCreated, kExists };

struct BlobInfo {
  std::string name;
  uint64_t size = 0;
};
struct ListPage {
  std::vector<BlobInfo> blobs;  // in bytewise order of name
  bool more = false;            // ask again with `after` = the last name
};

// One read in a batch. Owned by the caller, at a fixed address until it came back from Wait().
struct ReadRequest {
  const BlobReader* blob = nullptr;
  uint64_t offset = 0;
  std::span<char> out;
  Status status;            // set when done; as BlobReader::Read()
  void* context = nullptr;  // the caller's, untouched
};

// Many reads in flight from one thread. One owner at a time, and one thread while anything is in flight, unless the
// source says that it may move; destroyed only when nothing is in flight.
class ReadQueue {
 public:
  virtual ~ReadQueue() = default;
  // Starts a read, at the latest when Wait is called. Never blocks for the device; a queue that is full holds
  // the request back itself.
  virtual void Submit(ReadRequest* request) = 0;
  // Returns at least one finished request while any is in flight, in any order; empty when none is.
  virtual std::vector<ReadRequest*> Wait() = 0;
};

// A growing file for write-ahead logs. Unlike a blob it is visible from its creation. Whoever reads it while it is
// open, or after its writer died, may find zeros behind what was appended: space that was taken ahead.
class AppendFile {
 public:
  virtual ~AppendFile() = default;
  // When it returns OK the bytes survive the death of this process (not of the machine). After any error the
  // file is poisoned: every later call fails, and the bytes since the last good Sync() are in doubt.
  virtual Status Append(std::string_view bytes) = 0;
  // When it returns OK all bytes appended before survive power loss. A failed Sync() is final: see above.
  virtual Status Sync() = 0;
};
class AppendStore {
 public:
  virtual ~AppendStore() = default;
  // Creates an empty file and makes its name durable. An existing name is Busy. Readable through
  // Backend::Open (size as of that moment), listed and deleted like a blob. A store may take names below "wal/" only.
  virtual Result<std::unique_ptr<AppendFile>> CreateAppend(std::string_view name) = 0;
};

// Held until destroyed or until the process dies, whichever is first.
class Lock {
 public:
  virtual ~Lock() = default;
};
class LockStore {
 public:
  virtual ~LockStore() = default;
  // Takes the exclusive lock `name` and records `holder` (one line for people, e.g. "pid 71 (tarn mount)").
  // Busy, with the holder's line in the message, when another open of the store has it.
  virtual Result<std::unique_ptr<Lock>> TryLock(std::string_view name, std::string_view holder) = 0;
};

struct SpaceInfo {
  uint64_t total_bytes = 0;
  uint64_t free_bytes = 0;  // what this user may still write
};

class ReadQueueSource {
 public:
  virtual ~ReadQueueSource() = default;
  // A queue for one thread, or null when the running kernel forbids it: the host then uses its own pool of
  // threads over BlobReader::Read, with the same results.
  virtual std::unique_ptr<ReadQueue> NewReadQueue() = 0;
  // Whether another thread may go on with a queue that has reads in flight. io_uring binds them to theirs.
  virtual bool MayMove() const = 0;
};
class SpaceSource {
 public:
  virtual ~SpaceSource() = default;
  virtual Result<SpaceInfo> Space() = 0;
};

// Many deletions in few requests.
class BulkDelete {
 public:
  virtual ~BulkDelete() = default;
  // Like Delete of each of them, in any order, but a name that is missing is fine. Invalid, and nothing is deleted,
  // when one of them is no name. After another error any of them may be gone, and the call may be repeated.
  virtual Status DeleteAll(std::span<const std::string> names) = 0;
};

// For stores that keep bytes of calls which never ended (uploads in parts, what a deleted blob's readers still need)
// when the process that made them has died.
class Collector {
 public:
  virtual ~Collector() = default;
  // The caller is the store's writer number `epoch`; larger numbers come later. All before it have lost the store,
  // whether they know it or not. Deletes what they left: unfinished writes of the names that `theirs` accepts, and
  // what they kept for readers of their own (who may fail then, as where another process deletes a blob). What this
  // backend keeps for readers from now on is told apart from theirs. What it cannot tell apart it leaves alone. After
  // an error something may be left: it costs space, and no more.
  virtual Status Collect(uint64_t epoch, const std::function<bool(std::string_view name)>& theirs) = 0;
};

// For stores that keep some blobs near (on this machine) and all of them far. Advice: no answer of the store depends
// on it, and the store may be unable to follow it.
enum class Place : uint8_t { kNear, kFar };
class Placement {
 public:
  virtual ~Placement() = default;
  // Where a blob's reads should be served from: said before Create, or later of a blob that is there.
  virtual void Prefer(std::string_view name, Place place) = 0;
};

// Counters and gauges of the backend for people and scripts, cumulative since it was opened.
struct Meter {
  std::string name;  // "s3.requests.get": lower case, parts joined by dots, the backend's own first
  uint64_t value = 0;
};
class MeterSource {
 public:
  virtual ~MeterSource() = default;
  virtual std::vector<Meter> Meters() = 0;
};

// What this store can do beyond blobs. Null = it cannot. The pointers live as long as the backend. A store
// that hands out `append` must hand out `locks`, because an append file cannot fence a second writer.
struct BackendFeatures {
  AppendStore* append = nullptr;
  LockStore* locks = nullptr;
  ReadQueueSource* queues = nullptr;
  SpaceSource* space = nullptr;
  BulkDelete* bulk = nullptr;
  Collector* collector = nullptr;
  Placement* placement = nullptr;
  MeterSource* meters = nullptr;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual const BackendInfo& info() const = 0;
  virtual BackendFeatures features() = 0;
  virtual Result<std::unique_ptr<BlobReader>> Open(std::string_view name) = 0;
  virtual Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) = 0;
  // Publishes a whole small blob if and only if the name is free. The outcome is decided by the store, so two
  // racing callers never both see kCreated: this is the commit rule of the manifest. A backend that repeats requests
  // tells its own from others': kExists is never what this very call has put, and where nobody can tell it is Io.
  virtual Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) = 0;
  // Deleting a missing blob is NotFound.
  virtual Status Delete(std::string_view name) = 0;
  // Blobs whose name starts with `prefix` and is greater than `after`, at most `limit` of them.
  virtual Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) = 0;
};

}  // namespace tarn
