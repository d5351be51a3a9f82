// Replaces the global operator new of the test program it is linked into.
#include "tests/kernel_read/allocations.h"

#include <cstdlib>
#include <new>

namespace {
thread_local uint64_t allocations = 0;
}

namespace tarn::test {
uint64_t AllocationsOfThisThread() { return allocations; }
}  // namespace tarn::test

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size > 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
