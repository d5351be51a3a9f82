// ReplayLog: the log of a store back into memtables, held against the manifest. For recovery and for Verify.
//
// The log and the manifest vouch for each other:
//   1. The segment that the manifest names as first_wal was there before the record was; so it must be there.
//   2. Sequences go on where the tables end, and have no gap.
//   3. They reach what the manifest says was durable when its newest record was published.
//   4. Each log record states a manifest record that was durable before it; so the manifest reaches that far.
// What fails is Corruption: something that was durable is lost. Replay itself finds damage within segments.
//
// A log of which nothing is here may be on another disk: that is Unavailable, and may be accepted as lost (RFC 0003).
// The store is then as of its last durable point, and goes on with sequences that the lost log cannot have given out
// durably.
#pragma once

#include "kernel/manifest_state.h"
#include "kernel/mem_set.h"
#include "tarn/sdk/wal.h"

namespace tarn::kernel {

struct ReplayedLog {
  uint64_t next_segment = 1;  // where a writer may start
  Sequence last_sequence = 0;
  bool lost = false;      // nothing of it is here, which was accepted
  uint64_t manifest = 0;  // the newest manifest record that the log states
  WalPlace place;         // for ReplayMore
};

// Rules 1 to 3. Without `mem` the log is only checked.
Result<ReplayedLog> ReplayLog(WalStrategy& wal, Backend& backend, const ManifestState& manifest, MemSet* mem,
                              bool accept_lost = false);

// Goes on where `log` ended: into the same `mem`, by the same rules, with the same first_wal. After an error `mem`
// may hold more than `log` says; the next call passes over it.
Status ReplayMore(WalStrategy& wal, Backend& backend, const ManifestState& manifest, MemSet* mem, ReplayedLog* log);

// Rule 4. `manifest` is read after the log where a writer may be at work.
Status CheckManifestIsNewest(const ManifestState& manifest, const ReplayedLog& log);

}  // namespace tarn::kernel
