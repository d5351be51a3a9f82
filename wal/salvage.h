// Salvage: the records of a damaged log that still verify, and where the others were. For repair; recovery uses
// wal/replay, which never passes anything over.
//
// A record verifies when its header does (its checksum covers segment and offset) and its payload continues the
// chain. Behind a damaged place the chain must be picked up again:
//   1. If the header there is whole, it states the chain behind its payload: that one payload is lost.
//   2. Else the next whole header is searched for, byte by byte. What lies between is taken for one record; its
//   payload
//      is tried with the chain before it, and if the record behind then verifies, only a header was damaged and
//      nothing is lost.
//   3. Else the chain value in the damaged header is tried, and believed if the next record verifies with it.
//   4. Else the next record cannot be verified either, and is lost too; its header states the chain behind it.
// So no payload is ever handed out that the 64-bit chain does not vouch for.
//
// Threads: no state.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "tarn/sdk/backend.h"
#include "tarn/sdk/wal.h"

namespace tarn::wal {

Status SalvageSegments(Backend& backend, std::string_view store_id, uint64_t first_segment,
                       const WalStrategy::Visitor& visit, const std::function<void(const WalLoss&)>& lost);

}  // namespace tarn::wal
