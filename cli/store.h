// Store: from what the user calls a lake (a path, a file:// or an s3:// URL) to an open store. The one file of the
// CLI that names a backend.
#pragma once

#include <memory>
#include <string>

#include "lake/lake.h"

namespace tarn::cli {

// An s3:// URL (docs/s3.md): no directory, and nothing of this machine.
bool IsBucket(const std::string& location);
// The directory a URL means. Unsupported for schemes other than file://.
Result<std::string> DirectoryOf(const std::string& location);

// What is at a directory. Nothing is changed by asking.
enum class Found : uint8_t { kMissing, kEmpty, kStore, kSomethingElse };
Result<Found> LookAt(const std::string& directory);

// Reading opens a fixed view beside a live writer, writes nothing and needs no space; writing takes the lock.
enum class Access : uint8_t { kRead, kWrite, kCreate };

// `holder` is told to others who find the lake in use ("tarn mount /mnt").
Result<std::unique_ptr<lake::Lake>> OpenLake(const std::string& location, Access access, const std::string& holder);
Result<std::unique_ptr<lake::Lake>> InitLake(const std::string& location, const std::string& holder);

// A lake to be read into the cache of its location (`tarn warm`): what is read counts as hot. Invalid: the location
// has no cache; Busy: another process has it.
struct WarmLake {
  std::shared_ptr<Backend> backend;
  std::unique_ptr<lake::Lake> lake;
};
Result<WarmLake> OpenLakeToWarm(const std::string& location, const std::string& holder);
struct CacheFacts {
  bool off = true;
  uint64_t hits = 0, misses = 0;  // reads
  uint64_t limit_bytes = 0;
};
CacheFacts FactsOfCache(Backend& backend);

// A plain key-value store.
Result<std::unique_ptr<DB>> OpenStore(const std::string& location, Access access, const std::string& holder);

// The bare backend, nothing locked and nothing written.
Result<std::shared_ptr<Backend>> OpenBackend(const std::string& directory);

// A backend to write into; the directory is made when it is missing.
Result<std::shared_ptr<Backend>> MakeBackend(const std::string& directory);

// A place for backups or for a store that is brought back: a directory or a bucket, as it is.
Result<std::shared_ptr<Backend>> OpenPlace(const std::string& location, Access access);

Status NoLocation();
Status NoLakeAt(const std::string& location);

}  // namespace tarn::cli
