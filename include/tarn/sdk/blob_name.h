// The name rule of the backend contract (backend.h), as a check. For authors of backends.
#pragma once

#include <string>
#include <string_view>

#include "tarn/status.h"

namespace tarn {

inline constexpr size_t kMaxBlobNameBytes = 255;
inline constexpr size_t kMaxBlobNameSegments = 8;

// 1..255 bytes of [a-z0-9._-] in up to 8 segments joined by '/'. "." and ".." are no segments: they would leave a
// directory.
inline bool IsBlobName(std::string_view name) {
  if (name.empty() || name.size() > kMaxBlobNameBytes) return false;
  for (size_t segments = 1;; ++segments) {
    const std::string_view segment = name.substr(0, name.find('/'));
    if (segments > kMaxBlobNameSegments || segment.empty() || segment == "." || segment == "..") return false;
    if (segment.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789._-") != std::string_view::npos) return false;
    if (segment.size() == name.size()) return true;
    name.remove_prefix(segment.size() + 1);
  }
}

// Invalid, with the name as far as it can be shown in one line.
inline Status CheckBlobName(std::string_view name) {
  if (IsBlobName(name)) return Status::Ok();
  std::string shown;
  for (const char c : name.substr(0, 64)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return Status::Invalid("blob name \"" + shown +
                         "\" is not allowed: use 1..255 bytes of [a-z0-9._-] in up to 8 segments joined by '/'");
}

}  // namespace tarn
