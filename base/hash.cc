#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tarn {

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t PlacedChecksum(std::string_view bytes, uint64_t blob_identity, uint64_t offset) {
  const uint64_t place[2] = {blob_identity, offset};
  const uint64_t seed = XXH3_64bits(place, sizeof(place));
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

}  // namespace tarn
