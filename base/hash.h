// XXH3-64: the one checksum and hash of Tarn. base/hash.cc is the only file that includes xxhash.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

namespace tarn {

uint64_t Hash64(std::string_view bytes, uint64_t seed = 0);

// The checksum of bytes that are at home at one place: blob identity and offset go into the seed, so that a
// block which was misdirected, or is stale from another blob, does not verify.
uint64_t PlacedChecksum(std::string_view bytes, uint64_t blob_identity, uint64_t offset);

// The same, piece by piece: value() is the checksum of all bytes added so far, and may be asked as they grow. For
// whoever does not know where the bytes end.
class PlacedHasher {
 public:
  PlacedHasher(uint64_t blob_identity, uint64_t offset);
  ~PlacedHasher();
  PlacedHasher(const PlacedHasher&) = delete;
  PlacedHasher& operator=(const PlacedHasher&) = delete;
  void Add(std::string_view bytes);
  uint64_t value() const;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace tarn
