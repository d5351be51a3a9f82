#include "base/huge_page.h"

#include <sys/mman.h>

#include <cstdint>

namespace tarn {

char* MapHugePage(bool huge) {
  // Twice as much holds an aligned piece somewhere; the rest is given back.
  void* const map = mmap(nullptr, 2 * kHugePageBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return nullptr;
  char* const begin = static_cast<char*>(map);
  const size_t before = -reinterpret_cast<uintptr_t>(begin) % kHugePageBytes;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + kHugePageBytes, kHugePageBytes - before);
  if (huge) madvise(begin + before, kHugePageBytes, MADV_HUGEPAGE);
  return begin + before;
}

void UnmapHugePage(char* page) { munmap(page, kHugePageBytes); }

char* MapPages(size_t bytes, size_t used) {
  void* const map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (map == MAP_FAILED) return nullptr;
#ifdef MADV_POPULATE_WRITE  // Linux 5.14; what it cannot do is done by faults
  madvise(map, used, MADV_POPULATE_WRITE);
#endif
  return static_cast<char*>(map);
}

void UnmapPages(char* pages, size_t bytes) { munmap(pages, bytes); }

}  // namespace tarn
