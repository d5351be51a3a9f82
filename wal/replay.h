// Replay: from the segments of a log back to the payloads, and to the verdict whether anything is missing.
//
// The rules are those of docs/formats/wal.md ("replay"). In short, the first place of a segment that holds no
// valid record is
//   - Corruption, when something that can only be written later vouches for it: a later record of the segment
//     that states a durable offset beyond it, or a next segment that continues this one;
//   - the torn tail of a writer that died otherwise. What was never acknowledged as durable may end so.
// A device error is neither; it is returned as it is. A segment that is an object is there whole or not at all, so
// nothing about it is ever torn.
//
// Threads: no state; may run beside a live writer, whose unfinished last record looks like a torn tail.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tarn/sdk/backend.h"
#include "tarn/sdk/wal.h"

namespace tarn::wal {

struct ListedSegment {
  uint64_t number = 0;
  uint64_t bytes = 0;
};
// Every segment of the backend, in the order of numbers. A blob that is no segment but is named like part of a
// log is Corruption: it may belong to another WAL strategy, whose records must not be passed over in silence.
// `behind`: only those with a larger number.
Result<std::vector<ListedSegment>> ListSegments(Backend& backend, uint64_t behind = 0);

// From `place` on, where an earlier replay ended; by default from the beginning.
Result<WalReplayEnd> ReplaySegments(Backend& backend, std::string_view store_id, uint64_t first_segment,
                                    const WalStrategy::Visitor& visit, const WalPlace& place = {});

}  // namespace tarn::wal
