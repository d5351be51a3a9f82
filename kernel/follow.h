// Follower: how a store that was opened read-only catches up with its writer.
//
// One step: apply the manifest records that are new; if they changed nothing that matters to the log, replay it from
// where it was left, into the same memtables; else (a flush, another writer's recovery, another set of families)
// replay it anew, from the record's first_wal into fresh ones; then make version, memtables and sequence the current
// ones, all at once (Store::MoveTo). The manifest is read before the log, so the log reaches at least as far. What is
// missing then was deleted because the writer has published meanwhile: the step is repeated.
//
// Invariants
//   1. What is shown is a state that the writer has passed through, and each is at or behind the one before.
//   2. A snapshot or iterator stays with the view it was made from (held_snapshot.h). The blobs of that view are the
//      writer's to delete. Where a reader that is open survives that (local disks), all tables of a view are opened
//      before it is shown; over a network they are opened when they are read, and what is gone then is told apart
//      from damage by MovedOn().
//   3. An error leaves the view as it is; what was read into its memtables behind its last sequence nobody sees.
//
// Cost when nothing changed: a list of the manifest and a list of the log, and where the log is a file one read.
//
// Threads: any; steps wait for each other. Lock order: mutex_ first of all, then those of Store.
#pragma once

#include <memory>

#include "base/mutex.h"
#include "kernel/log_replay.h"
#include "kernel/manifest.h"
#include "kernel/store.h"

namespace tarn::kernel {

class Follower {
 public:
  // The store shows `mem`, into which `log` was replayed, and what `manifest` says.
  Follower(Store& store, const Manifest& manifest, std::shared_ptr<MemSet> mem, const ReplayedLog& log)
      : store_(store), manifest_(manifest), mem_(std::move(mem)), log_(log) {}

  Status CatchUp() EXCLUDES(mutex_);
  // Whether the writer has published since record `view`. False when nobody can tell.
  bool MovedOn(uint64_t view) EXCLUDES(mutex_);

  // Opens every table of the version, where that keeps them readable (invariant 2).
  static Status OpenTables(const Store& store, const Version& version);

 private:
  Status Step() REQUIRES(mutex_);
  Status ReplayNew(std::shared_ptr<MemSet>* mem, ReplayedLog* log) REQUIRES(mutex_);

  Store& store_;
  Mutex mutex_;  // guards: how far the writer has been followed
  Manifest manifest_ GUARDED_BY(mutex_);
  std::shared_ptr<MemSet> mem_ GUARDED_BY(mutex_);
  ReplayedLog log_ GUARDED_BY(mutex_);
};

// The memtables for the families of a manifest.
std::shared_ptr<MemSet> NewMemSetFor(Store& store, const ManifestState& manifest, uint64_t first_wal);

}  // namespace tarn::kernel
