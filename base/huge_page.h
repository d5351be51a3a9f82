// Huge pages: memory in units of 2 MiB, aligned to them, straight from the system, so that it goes back there when it
// is given back. What is looked up at random lives on them, because each jump between small pages misses the TLB as
// well; and what is filled at once, because each small page costs a fault.
//
// Threads: any.
#pragma once

#include <cstddef>

namespace tarn {

inline constexpr size_t kHugePageBytes = 2 << 20;  // of x86 and of most ARM
inline constexpr size_t kMapUnitBytes = 64 << 10;  // whole pages on every machine

// Zeros; null when there is no memory. They take memory when they are touched. `huge` asks for huge pages; without
// it, or when the system refuses, they are small ones, as is what is no whole one at the end. REQUIRES: a multiple of
// kMapUnitBytes
char* MapHugePages(size_t bytes, bool huge);

// Any size, in small pages, the first `used` of its bytes at once, which costs a fifth of a fault for each. Null as
// above.
char* MapPages(size_t bytes, size_t used);
void UnmapPages(char* pages, size_t bytes);  // of either kind

}  // namespace tarn
