// The write-ahead logs that ship with Tarn.
#pragma once

#include <memory>

#include "tarn/sdk/wal.h"

namespace tarn {

// Segments as append files (docs/formats/wal.md). Needs a backend that hands out AppendStore.
std::shared_ptr<WalStrategy> NewSegmentedWal();

}  // namespace tarn
