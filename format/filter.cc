// Bytes: docs/formats/table.md, "Filter". The filter is an array of 64-byte lines and one byte, the number of
// bits set for a key. A key's hash chooses one line with its low half and the bits in it with its high half,
// which is multiplied by an odd constant between bits (its top nine bits are the bit's place in the line).
#include "format/filter.h"

#include <algorithm>

#include "base/hash.h"

namespace tarn {
namespace {

constexpr uint32_t kLineBytes = 64;
constexpr uint32_t kLineBits = kLineBytes * 8;
constexpr uint64_t kMaxLines = 1 << 24;  // 1 GiB, which a block can hold; more keys only make it less exact
constexpr uint32_t kMaxProbes = 30;
constexpr uint32_t kGolden = 0x9e3779b9;  // 2^32 / golden ratio: spreads the high bits

// The best number of bits a key is bits_per_key * ln 2 = 0.69 in an unblocked filter; lines of 512 bits fill
// unevenly, which moves the optimum down to about 0.62 (filter_test measures the rates).
uint32_t ProbesFor(uint32_t bits_per_key) {
  return std::clamp<uint32_t>((bits_per_key * 62 + 50) / 100, 1, kMaxProbes);
}

uint64_t LineOf(uint64_t hash, uint64_t lines) { return ((hash & 0xffffffff) * lines) >> 32; }

}  // namespace

uint64_t FilterHash(std::string_view user_key) { return Hash64(user_key); }

void FilterBuilder::Add(std::string_view user_key) {
  if (bits_per_key_ == 0) return;
  const uint64_t hash = FilterHash(user_key);
  if (hashes_.empty() || hashes_.back() != hash) hashes_.push_back(hash);
}

std::string FilterBuilder::Finish() {
  if (bits_per_key_ == 0 || hashes_.empty()) return {};
  const uint64_t wanted = (hashes_.size() * bits_per_key_ + kLineBits - 1) / kLineBits;
  const uint64_t lines = std::min<uint64_t>(wanted, kMaxLines);
  const uint32_t probes = ProbesFor(bits_per_key_);
  std::string filter(lines * kLineBytes + 1, '\0');
  for (const uint64_t hash : hashes_) {
    char* const line = filter.data() + LineOf(hash, lines) * kLineBytes;
    uint32_t bits = static_cast<uint32_t>(hash >> 32);
    for (uint32_t i = 0; i < probes; ++i, bits *= kGolden) {
      const uint32_t bit = bits >> 23;
      line[bit >> 3] = static_cast<char>(line[bit >> 3] | 1 << (bit & 7));
    }
  }
  filter.back() = static_cast<char>(probes);
  hashes_.clear();
  return filter;
}

void PrefetchFilter(std::string_view filter, uint64_t hash) {
  __builtin_prefetch(filter.data() + LineOf(hash, filter.size() / kLineBytes) * kLineBytes);
}

bool FilterMayContain(std::string_view filter, uint64_t hash) {
  if (filter.size() < kLineBytes + 1 || filter.size() % kLineBytes != 1) return true;
  const uint32_t probes = static_cast<unsigned char>(filter.back());
  if (probes == 0 || probes > kMaxProbes) return true;
  const char* const line = filter.data() + LineOf(hash, filter.size() / kLineBytes) * kLineBytes;
  uint32_t bits = static_cast<uint32_t>(hash >> 32);
  for (uint32_t i = 0; i < probes; ++i, bits *= kGolden) {
    const uint32_t bit = bits >> 23;
    if ((line[bit >> 3] >> (bit & 7) & 1) == 0) return false;
  }
  return true;
}

}  // namespace tarn
