#include "base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace tarn {
namespace {

uint64_t PlaceSeed(uint64_t blob_identity, uint64_t offset) {
  const uint64_t place[2] = {blob_identity, offset};
  return XXH3_64bits(place, sizeof(place));
}

}  // namespace

uint64_t Hash64(std::string_view bytes, uint64_t seed) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t PlacedChecksum(std::string_view bytes, uint64_t blob_identity, uint64_t offset) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), PlaceSeed(blob_identity, offset));
}

struct PlacedHasher::State {
  XXH3_state_t xxh;
};

PlacedHasher::PlacedHasher(uint64_t blob_identity, uint64_t offset) : state_(std::make_unique<State>()) {
  XXH3_64bits_reset_withSeed(&state_->xxh, PlaceSeed(blob_identity, offset));
}
PlacedHasher::~PlacedHasher() = default;

void PlacedHasher::Add(std::string_view bytes) { XXH3_64bits_update(&state_->xxh, bytes.data(), bytes.size()); }

uint64_t PlacedHasher::value() const { return XXH3_64bits_digest(&state_->xxh); }

}  // namespace tarn
