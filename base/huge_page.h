// A huge page: 2 MiB of memory aligned to its size, straight from the system, so that it goes back there when it is
// given back. What is looked up at random lives on them, because each jump between small pages misses the TLB as
// well.
//
// Threads: any.
#pragma once

#include <cstddef>

namespace tarn {

inline constexpr size_t kHugePageBytes = 2 << 20;  // of x86 and of most ARM

// Zeros; null when there is no memory. `huge` asks for one page; without it, or when the system refuses, they are
// many small ones, which take memory only when they are touched.
char* MapHugePage(bool huge);
void UnmapHugePage(char* page);

// Any size, in small pages, the first `used` of its bytes at once, which costs a fifth of a fault for each. Null as
// above.
char* MapPages(size_t bytes, size_t used);
void UnmapPages(char* pages, size_t bytes);

}  // namespace tarn
