// Locations: from what a user calls a store to the backend that holds it. For the kernel and the command line; the
// one place that knows which backends there are and how they stand on each other.
//
//   PATH, file:///PATH          a directory (backends/local)
//   s3://BUCKET[/PREFIX][?...]  a bucket (backends/s3, which also says what its parameters mean); on top of it, if
//                               its parameters ask for them, the layers of this machine:
//     cache=DIR                   blocks that were read are kept in DIR, an absolute path (backends/cached)
//     cache_size=10GiB            the most that DIR may hold
//     cache_reserve=1GiB          the cache shrinks rather than leave less than this free on its disk
//     log=DIR                     log, lock and copies of hot tables are in DIR, an absolute path (backends/tiered)
//     near_size=8GiB              the most that these copies may take
//     near_levels=2               tables of so many levels are hot
//     near_family=NAME:LEVELS     another number for this family; again for others
//     near_changes=N              and no table after which so many changes were made
//     log_lost=accept             with or without log=: the log is lost, go back to the last durable point
//
// A place that holds a clone (backends/overlay) says where the rest of its tables is, and that is opened with it.
//
// A value is percent-encoded where it holds '&', '%' or '#'; no error repeats one, since URLs may hold what is not
// for logs. Sizes are bytes, or a number and KiB, MiB, GiB or TiB.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "tarn/sdk/backend.h"
#include "tarn/sdk/effects.h"
#include "tarn/settings.h"

namespace tarn::s3 {
class S3Backend;
}

namespace tarn::location {

// What a location says. Either a directory or a bucket.
struct Location {
  std::string directory;  // empty: a bucket
  std::string bucket;     // the s3:// URL without the parameters below
  // Layers above the bucket.
  std::string cache;  // the directory; empty: none
  uint64_t cache_bytes = 10ull << 30;
  uint64_t cache_reserve_bytes = 1ull << 30;
  std::string log;  // the directory; empty: the log is objects
  uint64_t near_bytes = 8ull << 30;
  // What it says about settings; the rest is as it was.
  std::optional<uint32_t> near_levels;
  std::map<std::string, uint32_t> family_near_levels;
  std::optional<uint64_t> near_changes;
  bool accept_lost_log = false;
};

// Pure. Invalid: what is wrong and how to write it; Unsupported: a scheme that there is no backend for.
Result<Location> ParseLocation(const std::string& text);

// Puts what the location says about settings into `settings`. Errors: as ParseLocation.
Status ApplyLocation(const std::string& text, Settings* settings);

struct LocationOptions {
  bool create = true;         // make the directory when it is missing
  bool read_only = false;     // no blob is changed; layers of this machine may still be
  bool direct_reads = false;  // of a directory: past the page cache
  bool bare = false;          // without layers of this machine: for a look at what is there
  bool warm = false;          // what is read now is worth keeping in the cache: `tarn warm`
  std::string holder;         // told to whoever finds the cache in use
  // Sees each bucket that is opened, and returns what stands for it: for whoever counts requests. Empty: nobody does.
  std::function<std::shared_ptr<Backend>(std::shared_ptr<s3::S3Backend>)> on_bucket;
};

// Opens the backend with its layers. A cache that is in use by another process, or whose disk fails, is left out and
// says so in BackendInfo::read_engine; only a directory that cannot be one is an error.
// Errors: as ParseLocation, OpenLocal and OpenS3Backend.
Result<std::shared_ptr<Backend>> OpenLocation(const std::string& text, const LocationOptions& options,
                                              std::shared_ptr<Clock> clock, std::shared_ptr<Entropy> entropy);

}  // namespace tarn::location
