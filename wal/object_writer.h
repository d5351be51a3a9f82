// The log on a store without append files: each segment is one object, put when it is complete. RFC 0002; bytes:
// docs/formats/wal.md, "Segments that are objects".
//
// Threads: one at a time.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tarn/sdk/wal.h"
#include "wal/replay.h"

namespace tarn::wal {

// Puts the first object, without records, at `first_segment`, or at the first number behind it that is free where
// another writer went on meanwhile. From then on that one cannot go on, whatever is released later. `older` are
// the segments that are there.
Result<std::unique_ptr<WalWriter>> OpenObjectWriter(Backend& backend, std::string_view store_id,
                                                    uint64_t first_segment, const std::vector<ListedSegment>& older);

}  // namespace tarn::wal
