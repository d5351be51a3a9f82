// The memtables that ship with Tarn.
#pragma once

#include <memory>

#include "tarn/sdk/memtable.h"

namespace tarn {

// A concurrent skip list in an arena: the reference strategy. `seed` fixes the tower heights.
std::shared_ptr<MemtableStrategy> NewSkipListStrategy(uint64_t seed);

}  // namespace tarn
