// Components: the objects a store is made of. For embedders who swap an organ, and for simulators.
//
// Null members are filled with the defaults by DB::Open (kernel/assemble.cc is the one place that names them):
// system clock, entropy and thread scheduler, skip-list memtable, segmented WAL, lazy-leveled compaction.
// Only `backend` has no default. Shared ownership: the store keeps a reference while it is open.
#pragma once

#include <memory>

#include "tarn/sdk/backend.h"
#include "tarn/sdk/compaction.h"
#include "tarn/sdk/effects.h"
#include "tarn/sdk/memtable.h"
#include "tarn/sdk/wal.h"

namespace tarn {

struct Components {
  std::shared_ptr<Backend> backend;
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Entropy> entropy;
  std::shared_ptr<Scheduler> scheduler;
  std::shared_ptr<MemtableStrategy> memtable;
  std::shared_ptr<WalStrategy> wal;
  std::shared_ptr<CompactionPolicy> compaction;
  // One line for people who find the store locked: "tarn mount /mnt/x". The pid is added by the kernel.
  std::string holder;
};

}  // namespace tarn
