// The name rule of the backend contract, as a check. For backends/local and for the memory backend of the tests.
#pragma once

#include <string>
#include <string_view>

#include "tarn/status.h"

namespace tarn {

inline constexpr size_t kMaxBlobNameBytes = 255;
inline constexpr size_t kMaxBlobNameSegments = 8;

// OK for 1..255 bytes of [a-z0-9._-] in up to 8 segments joined by '/'. "." and ".." are no segments: they
// would leave the directory. Everything else is Invalid.
inline Status CheckBlobName(std::string_view name) {
  bool good = !name.empty() && name.size() <= kMaxBlobNameBytes;
  size_t segments = 1;
  size_t start = 0;
  for (size_t i = 0; good && i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '/') {
      const char c = name[i];
      good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
      continue;
    }
    const std::string_view segment = name.substr(start, i - start);
    good = !segment.empty() && segment != "." && segment != "..";
    if (i < name.size() && ++segments > kMaxBlobNameSegments) good = false;
    start = i + 1;
  }
  if (good) return Status::Ok();
  std::string shown;
  for (const char c : name.substr(0, 64)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return Status::Invalid("blob name \"" + shown +
                         "\" is not allowed: use 1..255 bytes of [a-z0-9._-] in up to 8 segments joined by '/'");
}

}  // namespace tarn
