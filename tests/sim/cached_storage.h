// CachedStorage: the bucket of blob_storage.h behind a cache (backends/cached) on a disk in memory. The disk has
// errors, is full at times, is cut by crashes and rots; none of that is told to the world, which therefore excuses
// nothing for it.
//
// The bucket itself does not rot here: with right bytes in the cache its damage need not be found.
#pragma once

#include <memory>

#include "tests/sim/storage.h"

namespace tarn::test {

std::unique_ptr<SimStorage> MakeCachedStorage(uint64_t seed);

}  // namespace tarn::test
