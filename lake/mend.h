// Mend: makes a lake consistent whose rows are not all there any more. For repair (tarn/repair.h), on the fresh
// store: the damaged one is never touched.
//
// It restores the invariants of docs/formats/lake.md, so that a check finds nothing and the lake mounts:
//   - an inode that is lost is made again when names in it, or content of it, are there; else its name goes
//   - an inode without a name is found again in /lost+found as #<number>
//   - content whose rows are lost reads as zeros, like a hole; what lies behind a file's end goes
//   - references, links, counters and log numbers are made again from what is there
// Whatever a user would miss is told, one line for each path.
//
// Rows are merged in order of key, or taken in windows of inodes against one scan of the entries, like the check does
// it; memory is one window and does not grow with the lake.
//
// Threads: one at a time, and nobody else writes to the store.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tarn/db.h"

namespace tarn::lake {

// Whether these families are, or were, a lake's.
bool HoldsLake(DB& db);

struct MendHooks {
  std::function<void(const std::string& line)> tell;
  std::function<Status()> check;  // asked now and then; an error ends the mending
};

// How many rows were changed; 0: the lake was whole.
Result<uint64_t> Mend(DB& db, const MendHooks& hooks);

}  // namespace tarn::lake
