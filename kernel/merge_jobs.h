// How the kernel starts merges: what every MergeJob of a store is given, in one place. Flush, compaction and
// recovery differ only in their inputs.
#pragma once

#include <memory>

#include "compaction/job.h"
#include "kernel/store.h"

namespace tarn::kernel {

// Where the result of a merge will stand.
struct MergePlace {
  bool bottom = false;      // nothing older lies below
  bool last_level = false;  // it rests at the last level, so it is compressed as such
  uint32_t level = 0;
  Sequence newest = 0;  // of its entries, or above
};

// A spec without inputs. The store outlives the job.
MergeSpec NewMergeSpec(Store& store, uint32_t family, const MergePlace& place);

// The job that writes one family's memtable into tables of level 0. `mem` outlives it.
std::unique_ptr<MergeJob> NewFlushJob(Store& store, uint32_t family, const FamilyMem& mem, bool bottom);

}  // namespace tarn::kernel
