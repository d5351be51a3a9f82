// How the kernel starts merges: what every MergeJob of a store is given, in one place. Flush, compaction and
// recovery differ only in their inputs.
#pragma once

#include <memory>

#include "compaction/job.h"
#include "kernel/store.h"

namespace tarn::kernel {

// A spec without inputs. `bottom`: nothing older lies below; `last_level`: the tables rest at the last level, so they
// are compressed as such. The store outlives the job.
MergeSpec NewMergeSpec(Store& store, uint32_t family, bool bottom, bool last_level);

// The job that writes one family's memtable into tables of level 0. `mem` outlives it.
std::unique_ptr<MergeJob> NewFlushJob(Store& store, uint32_t family, const FamilyMem& mem, bool bottom);

}  // namespace tarn::kernel
