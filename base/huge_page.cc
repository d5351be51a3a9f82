#include "base/huge_page.h"

#include <sys/mman.h>

#include <cstdint>

namespace tarn {

namespace {

char* Map(size_t bytes) {
  void* const map = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return map == MAP_FAILED ? nullptr : static_cast<char*>(map);
}

}  // namespace

char* MapHugePages(size_t bytes, bool huge) {
  // A page more holds an aligned piece somewhere; the rest is given back.
  char* const begin = Map(bytes + kHugePageBytes);
  if (begin == nullptr) return nullptr;
  const size_t before = -reinterpret_cast<uintptr_t>(begin) % kHugePageBytes;
  if (before > 0) munmap(begin, before);
  munmap(begin + before + bytes, kHugePageBytes - before);
  if (huge) madvise(begin + before, bytes, MADV_HUGEPAGE);
  return begin + before;
}

char* MapPages(size_t bytes, size_t used) {
  char* const pages = Map(bytes);
  if (pages == nullptr) return nullptr;
#ifdef MADV_POPULATE_WRITE  // Linux 5.14; what it cannot do is done by faults
  madvise(pages, used, MADV_POPULATE_WRITE);
#endif
  return pages;
}

void UnmapPages(char* pages, size_t bytes) { munmap(pages, bytes); }

}  // namespace tarn
