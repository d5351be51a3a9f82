// ReplayLog: the log of a store back into memtables, held against the manifest. For recovery and for Verify.
//
// The log and the manifest vouch for each other:
//   1. The segment that the manifest names as first_wal was there before the record was; so it must be there.
//   2. Sequences go on where the tables end, and have no gap.
//   3. They reach what the manifest says was durable when its newest record was published.
//   4. Each log record states a manifest record that was durable before it; so the manifest reaches that far.
// What fails is Corruption: something that was durable is lost. Replay itself finds damage within segments.
#pragma once

#include "kernel/manifest_state.h"
#include "kernel/mem_set.h"
#include "tarn/sdk/wal.h"

namespace tarn::kernel {

struct ReplayedLog {
  uint64_t next_segment = 1;  // where a writer may start
  Sequence last_sequence = 0;
  uint64_t manifest = 0;  // the newest manifest record that the log states
};

// Rules 1 to 3. Without `mem` the log is only checked.
Result<ReplayedLog> ReplayLog(WalStrategy& wal, Backend& backend, const ManifestState& manifest, MemSet* mem);

// Rule 4. `manifest` is read after the log where a writer may be at work.
Status CheckManifestIsNewest(const ManifestState& manifest, const ReplayedLog& log);

}  // namespace tarn::kernel
