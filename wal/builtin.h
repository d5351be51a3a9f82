// The write-ahead logs that ship with Tarn.
#pragma once

#include <memory>

#include "tarn/sdk/wal.h"

namespace tarn {

// Segments as append files, or as objects on a backend that hands out no AppendStore (docs/formats/wal.md).
std::shared_ptr<WalStrategy> NewSegmentedWal();

}  // namespace tarn
