// Store: the state that reading, writing and background work share: what the store consists of right now
// (memtables and version), which sequence is visible, which snapshots must be kept, and the manifest.
//
// Invariants
//   1. A reader pins a view and a sequence under one lock; everything with a sequence up to the pinned one is
//      in the pinned view. (A memtable is in the view before the first change in it becomes visible.) Or it peeks at
//      them, the view first: it sees the commits up to that sequence as far as the view's newest memtable goes.
//   2. Views only move forward: a table or memtable leaves the view only in the step that brings what replaces it.
//      On a follower that is another writer's replacement: there a view is never seen with a sequence before its own.
//   3. After Fail() every change is refused with that first error; reads go on.
//
// Threads: any. Lock order (docs/architecture.md): manifest_mutex_ before view_mutex_; snapshots_mutex_ last.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "format/table_builder.h"
#include "kernel/block_cache.h"
#include "kernel/dead_ranges.h"
#include "kernel/manifest.h"
#include "kernel/mem_set.h"
#include "kernel/memory_budget.h"
#include "kernel/placement.h"
#include "kernel/read_engine.h"
#include "kernel/statistics.h"
#include "kernel/version.h"
#include "tarn/components.h"
#include "tarn/db.h"
#include "tarn/settings.h"

namespace tarn::kernel {

struct ReadView {
  std::vector<std::shared_ptr<MemSet>> mems;  // newest first; the first one takes the writes
  std::shared_ptr<const Version> version;
  uint64_t manifest = 0;  // the record that the version is of; on a follower only
};

class Store {
 public:
  Store(const Settings& settings, Components components);

  struct Pinned {
    std::shared_ptr<const ReadView> view;
    Sequence sequence = 0;
  };
  Pinned Pin() const EXCLUDES(view_mutex_);
  // The same without lock and count: the view stays until the guard ends. Load the view first, then visible(): what a
  // merge in it dropped is then hidden from that sequence too. REQUIRES: inside a guard of cache.reclaimer().
  const ReadView* Peek() const { return current_.load(); }
  Sequence visible() const { return visible_.load(std::memory_order_acquire); }
  void Show(Sequence last) {
    if (dead_ranges.announced() < last) dead_ranges.Announce(last);  // recovered: its writer was another process
    visible_.store(last, std::memory_order_release);
  }

  // Puts `fresh` in front of the memtables; an empty one that it replaces is dropped.
  void PushMemSet(std::shared_ptr<MemSet> fresh) EXCLUDES(view_mutex_);

  // One step of the manifest: `edit` fills the delta (its scalars are set) and may refuse; then the record is
  // published, and the view moves to the new version, leaving out `flushed` if it is given. An error that leaves
  // the store healthy (a refusal, a full device) means that nothing was published; when that is in doubt the store
  // has failed.
  using EditFn = std::function<Status(ManifestRecord* delta, const ManifestState& state)>;
  Status Edit(const EditFn& edit, const MemSet* flushed = nullptr) EXCLUDES(manifest_mutex_, view_mutex_);
  // For opening: the manifest before anyone else can use it.
  Manifest& manifest_for_open() NO_THREAD_SAFETY_ANALYSIS { return manifest_; }
  Status InstallManifest(std::shared_ptr<MemSet> mem) EXCLUDES(manifest_mutex_, view_mutex_);
  // For a follower: the manifest, the tables, the memtables and the last sequence of a later moment, all at once.
  void MoveTo(const ManifestState& state, std::shared_ptr<const Version> version, std::shared_ptr<MemSet> mem,
              Sequence last) EXCLUDES(manifest_mutex_, view_mutex_);
  // A full record of the current version, and a pin on it.
  ManifestRecord FullRecord(std::shared_ptr<const ReadView>* pinned) EXCLUDES(manifest_mutex_, view_mutex_);

  uint64_t NewTableNumber() { return next_table_.fetch_add(1, std::memory_order_relaxed); }
  void RaiseTableNumber(uint64_t at_least);

  // Snapshots of this process. The sequence is visible and kept until released.
  Sequence RegisterSnapshot() EXCLUDES(snapshots_mutex_);
  // The same, with the view of that moment: for one that later views may not see any more (held_snapshot.h).
  Pinned RegisterPinned() EXCLUDES(view_mutex_, snapshots_mutex_);
  // The same for the sequence of a named snapshot, which may be dropped afterwards. NotFound.
  Result<Pinned> RegisterNamedSnapshot(std::string_view name)
      EXCLUDES(manifest_mutex_, view_mutex_, snapshots_mutex_);
  void ReleaseSnapshot(Sequence sequence) EXCLUDES(snapshots_mutex_);
  // Every sequence that merges must keep the view of: these, and the named ones. One moment of both: a snapshot
  // that passes from one to the other meanwhile is not missed.
  std::vector<Sequence> Retained() EXCLUDES(manifest_mutex_, snapshots_mutex_);
  std::vector<NamedSnapshot> NamedSnapshots() EXCLUDES(manifest_mutex_);
  size_t snapshot_count() EXCLUDES(snapshots_mutex_);

  // A blob that is gone, as over a network one may be that was open, is no answer about a key: Corruption.
  static Status NoAnswer(const Status& failed) {
    return failed.code() == Code::kNotFound ? Status::Corruption(std::string(failed.message())) : failed;
  }
  // What a reader is told of a failed read. Where another process deleted what was read that is no damage:
  // Unavailable, with ESTALE, for a follower of it, and Fenced for a writer that lost the store to it. `view` is the
  // record of the view that was read (ReadView::manifest).
  Status ExplainRead(const Status& failed, uint64_t view) const {
    const Status said = NoAnswer(failed);
    return said.code() == Code::kCorruption && explain_damage ? explain_damage(said, view) : said;
  }
  static Status MovedOn(const Status& said);
  // Of stores that another process may change meanwhile; set before anybody reads.
  std::function<Status(const Status& said, uint64_t view)> explain_damage;

  Status error() const EXCLUDES(error_mutex_);
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  void Fail(const Status& why) EXCLUDES(error_mutex_);  // the first one stays

  TableOptions TableOptionsFor(bool last_level) const;
  uint64_t memtable_bytes() const;  // size at which memtables are switched
  // Deletes the blobs of tables nobody needs. Called by background work.
  void SweepGraveyard();
  // The family as people know it, for messages.
  Status UnknownFamily(uint32_t family) const;

  // Every commit up to here survives power loss: the log was synced. The next manifest record states it.
  void RaiseDurable(Sequence at_least);
  // The newest manifest record that this store has read or published; each log record states it.
  uint64_t manifest_number() const { return manifest_number_.load(std::memory_order_acquire); }
  // The manifest state of this moment.
  ManifestState Manifested() EXCLUDES(manifest_mutex_);

  // The 16-byte identity; set once, when the store is opened.
  const std::string& store_id() const { return store_id_; }

  const Settings settings;
  const Components parts;
  MemoryBudget budget;
  BlockCache cache;
  Statistics stats;
  DeadRanges dead_ranges{stats};
  Placer placer;
  const std::shared_ptr<Graveyard> graveyard = std::make_shared<Graveyard>();
  std::unique_ptr<ReadEngine> reader;

 private:
  void InstallVersion(std::shared_ptr<const Version> version, const MemSet* flushed) EXCLUDES(view_mutex_);
  // Makes `next` the current view; `change` derives it from the one before, which may be null.
  using ChangeView = std::function<void(const ReadView* before, ReadView* next)>;
  void ReplaceView(const ChangeView& change) EXCLUDES(view_mutex_);

  std::string store_id_;
  mutable Mutex manifest_mutex_;  // guards: the manifest, and the order in which versions are installed
  Manifest manifest_ GUARDED_BY(manifest_mutex_);
  mutable Mutex view_mutex_;  // guards: which view is current
  std::shared_ptr<const ReadView> view_ GUARDED_BY(view_mutex_);
  std::atomic<const ReadView*> current_{nullptr};  // view_, for those inside a guard
  std::atomic<Sequence> visible_{0};
  std::atomic<Sequence> durable_{0};
  std::atomic<uint64_t> next_table_{1};
  std::atomic<uint64_t> manifest_number_{0};
  Mutex snapshots_mutex_;  // guards: the sequences snapshots of this process hold
  std::multiset<Sequence> snapshots_ GUARDED_BY(snapshots_mutex_);
  mutable Mutex error_mutex_;  // guards: the first error
  Status error_ GUARDED_BY(error_mutex_);
  std::atomic<bool> failed_{false};
};

}  // namespace tarn::kernel
