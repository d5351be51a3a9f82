#include "format/lookup_hints.h"

#include <algorithm>
#include <bit>
#include <new>

namespace tarn {
namespace {

// A slot: 16 bits of tag, 10 of restart point + 1 (so that no hint is 0), 38 of offset.
constexpr int kOffsetBits = 38, kRestartBits = 10, kTagShift = kOffsetBits + kRestartBits;

// Of the bits of the hash that did not choose the slot, and of the table.
uint64_t TagOf(uint64_t key_hash, uint64_t table) { return (key_hash ^ table * 0x9e3779b97f4a7c15ull) >> kTagShift; }

}  // namespace

LookupHints::LookupHints(size_t bytes) {
  const size_t count = std::bit_floor(std::min(bytes, kHugePageBytes) / sizeof(Slot));
  char* const page = count > 0 ? MapHugePages(kHugePageBytes, count * sizeof(Slot) == kHugePageBytes) : nullptr;
  if (page == nullptr) return;
  slots_ = new (page) Slot[count];
  count_ = count;
}

LookupHints::~LookupHints() {
  if (slots_ != nullptr) UnmapPages(reinterpret_cast<char*>(slots_), kHugePageBytes);
}

bool LookupHints::Get(uint64_t key_hash, uint64_t table, Hint* hint) const {
  if (count_ == 0) return false;
  const uint64_t slot = slots_[key_hash & (count_ - 1)].load(std::memory_order_relaxed);
  const uint32_t restart = static_cast<uint32_t>(slot >> kOffsetBits) & ((1u << kRestartBits) - 1);
  if (restart == 0 || slot >> kTagShift != TagOf(key_hash, table)) return false;
  *hint = {slot & ((uint64_t{1} << kOffsetBits) - 1), restart - 1};
  return true;
}

void LookupHints::Put(uint64_t key_hash, uint64_t table, Hint hint) {
  if (count_ == 0 || hint.offset >> kOffsetBits != 0 || (hint.restart + 1) >> kRestartBits != 0) return;
  const uint64_t slot =
      TagOf(key_hash, table) << kTagShift | static_cast<uint64_t>(hint.restart + 1) << kOffsetBits | hint.offset;
  Slot& place = slots_[key_hash & (count_ - 1)];
  // Not written anew when it is the same: threads that read the same hot keys share its cache line.
  if (place.load(std::memory_order_relaxed) != slot) place.store(slot, std::memory_order_relaxed);
}

}  // namespace tarn
