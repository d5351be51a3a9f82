// A blocked Bloom filter over user keys: a question touches 64 adjacent bytes. Bytes: docs/formats/table.md.
// Source: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters" (2007).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace tarn {

class FilterBuilder {
 public:
  explicit FilterBuilder(uint32_t bits_per_key) : bits_per_key_(bits_per_key) {}
  void Add(std::string_view user_key);  // the same key again costs nothing when adjacent
  std::string Finish();                 // empty when bits_per_key is 0 or no key was added
  size_t keys() const { return hashes_.size(); }

 private:
  uint32_t bits_per_key_;
  std::vector<uint64_t> hashes_;
};

// What a filter knows of a key.
uint64_t FilterHash(std::string_view user_key);
// Fetches what FilterMayContain looks at into the processor's cache.
void PrefetchFilter(std::string_view filter, uint64_t hash);
// False only if the key was surely not added. Malformed filter bytes answer true (harmless).
bool FilterMayContain(std::string_view filter, uint64_t hash);
inline bool FilterMayContain(std::string_view filter, std::string_view user_key) {
  return FilterMayContain(filter, FilterHash(user_key));
}

}  // namespace tarn
