// CHECK and DCHECK: for mistakes of our own code, never for bytes from disk or from users (those are Status).
// CHECK is always on; DCHECK is on in builds without NDEBUG (debug and sanitizer presets).
#pragma once

#include <cstdio>
#include <cstdlib>

namespace tarn {
[[noreturn]] inline void CheckFailed(const char* file, int line, const char* what) {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, what);
  std::abort();
}
}  // namespace tarn

#define CHECK(condition) ((condition) ? static_cast<void>(0) : ::tarn::CheckFailed(__FILE__, __LINE__, #condition))
#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(!(condition)))
#else
#define DCHECK(condition) CHECK(condition)
#endif
