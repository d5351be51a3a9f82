// What the overlay keeps in its top, below a prefix that nobody sees through it.
#pragma once

#include <string_view>

namespace tarn::overlay {

inline constexpr std::string_view kOurs = "overlay/";
inline constexpr std::string_view kBaseBlob = "overlay/base";
inline constexpr std::string_view kGone = "overlay/gone/";  // and the name

// Without kGone before it.
inline std::string_view Bare(std::string_view name) {
  if (name.starts_with(kGone)) name.remove_prefix(kGone.size());
  return name;
}

}  // namespace tarn::overlay
