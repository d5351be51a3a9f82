// Counts what each thread takes from the allocator, for tests that claim that something allocates nothing.
#pragma once

#include <cstdint>

namespace tarn::test {
uint64_t AllocationsOfThisThread();
}
