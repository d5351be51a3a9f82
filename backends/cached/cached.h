// A cache on the local disk in front of a remote store. For backends/location, and for tests.
//
// OpenCached returns a backend that is `remote` in all but one thing: what is read of its tables is kept, in extents
// of 32 KiB, in blobs of another backend, `disk`, and served from there, also after a restart. Tables that are
// written through it are kept as well. Other blobs (manifest, log) pass through: they are read once, at opening.
//
// What holds:
//   1. A read is right or fails for the remote's reasons. Every extent is filed under name, identity
//      (BlobReader::identity) and place, and under a checksum that covers them; what does not verify, cannot be read
//      or cannot be written is a miss, counted in the meters. A blob whose identity is 0 is not cached.
//   2. A read costs at most one request, as without the cache: the extents that it lacks, from the first to the last,
//      are one range. Blocking reads of several threads that lack the same extents share it.
//   3. The blobs on the disk, with the one being written, never exceed `limit_bytes`; and as far as it is up to the
//   cache,
//      `reserve_bytes` stay free on the disk.
//   4. One large scan does not push out what is read again and again (disk_cache.h).
//   5. A disk that keeps failing is left alone, until the next opening.
//
// Memory: about 100 bytes for each extent that is cached (3 MiB for a GiB), four segments under way, and
// `write_through_bytes`.
//
// Bytes on the disk: docs/formats/cache.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "tarn/sdk/backend.h"

namespace tarn::cached {

// With less, segments would be too small for a disk, or too few to tell the hot from the cold.
inline constexpr uint64_t kMinLimitBytes = 16ull << 20;

struct CacheOptions {
  uint64_t limit_bytes = 10ull << 30;   // of all blobs on the disk; at least 16 segments
  uint64_t reserve_bytes = 1ull << 30;  // free space of the disk that the cache leaves, where the disk can tell
  uint32_t extent_bytes = 32 << 10;     // the unit that is cached: a power of two, 512 .. 1 MiB
  uint32_t segment_bytes = 0;           // of one blob on the disk; 0: 1/128 of the limit, 128 KiB to 8 MiB
  // Of tables that are being written, all together: the last extents of each are kept.
  uint64_t write_through_bytes = 64 << 20;
  // Names of blobs that are cached begin with this: what is read again and again, in pieces. The other blobs of a
  // store are read once, whole, when it is opened.
  std::string prefix = "table/";
  bool warm = false;       // what is read is hot at once, and waits for the disk: to fill the cache on purpose
  bool background = true;  // a thread of its own writes segments; else the read that filled one (for simulators)
  std::string holder;      // told to whoever finds the cache in use ("tarn warm /photos")
};

// `disk`: a store that belongs to the cache alone, or why there is none: then everything passes through, and
// BackendInfo::read_engine says so. The same if another process has the lock of the cache, or the disk cannot be
// read. Its meters, besides the remote's, are in docs/s3.md.
//
// Errors: Invalid (an option out of range; the disk holds blobs that are no cache's).
//
// Threads: any, as the contract says; the backend runs one thread of its own.
Result<std::shared_ptr<Backend>> OpenCached(std::shared_ptr<Backend> remote, Result<std::shared_ptr<Backend>> disk,
                                            const CacheOptions& options);

}  // namespace tarn::cached
