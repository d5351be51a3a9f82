// TieredStorage: a bucket and the disk of one machine, under the tiered backend (docs/rfcs/0003). Both have the
// faults of their kind (blob_storage.h). A crash takes the machine: the disk keeps what it had synced, the bucket
// all. When the machine stops at some effect, on either side, nothing reaches the bucket any more.
//
// Rot in a copy on the disk is reported under a name that no manifest needs.
#pragma once

#include <memory>

#include "tests/sim/storage.h"

namespace tarn::test {

std::unique_ptr<SimStorage> MakeTieredStorage(uint64_t seed);

}  // namespace tarn::test
