// Placement: which tables are worth keeping near, where the backend has a near side (tarn/sdk/backend.h, RFC 0003).
//
// The decision is a pure function of what a table is: the level it stands on, the family it belongs to, and how many
// changes are newer than its newest one. It is made before a table is written, by whoever merges, and made again for
// all tables after each flush and compaction, and at open: levels do not change, but tables grow old, and copies are
// lost with disks. What is said is advice; no answer of the store depends on it.
//
// Threads: any.
#pragma once

#include <map>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "kernel/version.h"
#include "tarn/sdk/backend.h"
#include "tarn/settings.h"

namespace tarn::kernel {

// `newest`: the table's newest sequence; `now`: the store's.
Place PlaceOf(const Settings& settings, std::string_view family, uint32_t level, Sequence newest, Sequence now);

// Remembers what was said, so that each thing is said once.
class Placer {
 public:
  // `placement` is null where all blobs are equally far: nothing is ever said then.
  Placer(const Settings& settings, Placement* placement) : settings_(settings), placement_(placement) {}

  bool active() const { return placement_ != nullptr; }
  // Before the blob of a table is created.
  void BeforeCreate(uint64_t table, std::string_view family, uint32_t level, Sequence newest, Sequence now)
      EXCLUDES(mutex_);

  struct Advice {
    uint64_t table = 0;
    Place place = Place::kFar;
  };
  // What is to be said of the tables of `version`, and has not been: the far ones first, for they make room; then the
  // near ones, the newest first. Forgets tables that are not in it and older than all that are.
  std::vector<Advice> Review(const Version& version, Sequence now) EXCLUDES(mutex_);
  // May read and write a whole table.
  void Say(const Advice& advice) EXCLUDES(mutex_);

  // While it lives, reads of the table go past its copy: for whoever wants to know what the truth is. Then the copy
  // is made anew.
  class PastCopy {
   public:
    PastCopy(Placer& placer, uint64_t table);
    ~PastCopy();

   private:
    Placer& placer_;
    const uint64_t table_;
    bool near_ = false;
  };

 private:
  const Settings& settings_;
  Placement* const placement_;
  Mutex mutex_;  // guards: what was said; a leaf
  std::map<uint64_t, Place> said_ GUARDED_BY(mutex_);
};

}  // namespace tarn::kernel
