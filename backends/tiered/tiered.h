// The tiered backend: a store whose truth is far (a bucket) and whose log is near (a local disk). RFC 0003.
//
//   near   the log ("wal/" and what is below it, append files), the lock, and copies of the tables that the host
//          prefers near (as "near/table/...")
//   far    every blob: manifest, tables, copies or not
//
// So what a manifest record names is never lost with this machine, a commit is an fsync and no request, and reads of
// hot tables stay on this machine. A copy is advice made real: where it cannot be written, is lost or does not read,
// far serves instead, and nobody but the meters hears of it.
//
// Costs beyond those of far: TryLock lists "table/" once. Each copy is written once, with one sync.
//
// Meters: tiered.copies, tiered.copy_bytes (gauges), tiered.near_reads, tiered.far_reads, tiered.copies_dropped (did
// not write or read), tiered.copies_evicted (for room), tiered.copies_fetched (made of a blob that was there
// already).
#pragma once

#include <cstdint>
#include <memory>

#include "tarn/sdk/backend.h"

namespace tarn::tiered {

struct TieredOptions {
  // What all copies together may take on the near side, those being written included. The oldest names make room.
  uint64_t near_bytes = 8ull << 30;
  // No copy is written while the near side has less room than this (where it can tell): the log needs it.
  uint64_t keep_free_bytes = 512ull << 20;
  // Write and delete nothing near; existing copies are read.
  bool read_only = false;
};

// Invalid: `near` holds a store of its own, or can do no append files (unless read_only) or no locks.
Result<std::shared_ptr<Backend>> OpenTiered(std::shared_ptr<Backend> far, std::shared_ptr<Backend> near,
                                            const TieredOptions& options = {});

}  // namespace tarn::tiered
