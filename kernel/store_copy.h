// Copying a store: its tables first, several at once and no faster than is allowed, its manifest last. What a
// checkpoint, a backup and a restore share.
//
// Tables are immutable and a blob appears whole, so a copy that was cut short is gone on with by leaving out what is
// there. Who copies checks with CheckTablesThere before it publishes what names them.
//
// Threads: a call belongs to its thread; CopyBlobs runs its copies on others and calls back on the caller's.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "format/manifest_record.h"
#include "tarn/backup.h"

namespace tarn::kernel {

// A token bucket, as a theoretical arrival time (the generic cell rate algorithm of ITU-T I.371): no refilling, no
// timer. A burst of a tenth of a second may go at once.
class RateLimit {
 public:
  explicit RateLimit(uint64_t bytes_per_second) : rate_(bytes_per_second) {}  // 0: none
  // For how long `bytes` that are ready at `now_nanos` have to wait. Counts them.
  uint64_t WaitNanos(uint64_t now_nanos, uint64_t bytes) EXCLUDES(mutex_);

 private:
  const uint64_t rate_;
  Mutex mutex_;  // guards: when the next byte is due
  double next_nanos_ GUARDED_BY(mutex_) = 0;
};

Status CheckParallel(uint32_t parallel);  // Invalid: not 1 .. 64

// Copies whole blobs. One that is there already is left as it is (another copy was faster). Invalid: `options`.
// REQUIRES: options.clock is set.
Status CopyBlobs(Backend& from, Backend& to, const std::vector<BlobInfo>& blobs, const TransferOptions& options);

// Names and sizes of the tables of a full record, in the order of their numbers.
std::vector<BlobInfo> TablesOf(const ManifestRecord& record);
// Bytes by name of the blobs below table/.
Result<std::map<std::string, uint64_t>> ListTables(Backend& backend);
// Every one of `tables` is there with its size, by name. Corruption names the first that is not.
Status CheckTablesThere(const std::map<std::string, uint64_t>& there, const std::vector<BlobInfo>& tables);

// Publishes the first record of a store of its own, in `target`, where its tables are. It gives out table numbers
// that no sibling gives out, so that siblings may be backed up into one repository. Busy when a store is there.
Status FoundStore(Backend& target, ManifestRecord record, Entropy& entropy);

}  // namespace tarn::kernel
