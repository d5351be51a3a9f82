#include "bench/report/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/edit_distance.h"

namespace tarn::bench {
std::string Count(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
  return digits;
}

std::string Grouped(double number) {
  return number < 99.95 ? fmt::format("{:.1f}", number) : Count(static_cast<uint64_t>(std::llround(number)));
}

std::string Micros(double us) {
  if (us < 9.995) return fmt::format("{:.2f}", us);
  return Grouped(us);
}

std::string Ratio(double ratio) {
  if (ratio < 0.1) return fmt::format("{:.2g}x", ratio);
  return ratio < 100 ? fmt::format("{:.2f}x", ratio) : fmt::format("{:.0f}x", ratio);
}

std::string HumanBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  size_t unit = 0;
  auto number = static_cast<double>(bytes);
  while (number >= 1024 && unit + 1 < kUnits.size()) {
    number /= 1024;
    ++unit;
  }
  const bool whole = std::floor(number) == number;
  return whole ? fmt::format("{:.0f} {}", number, kUnits[unit]) : fmt::format("{:.1f} {}", number, kUnits[unit]);
}

std::string HumanSeconds(double s) {
  if (s < 90) return fmt::format("{:.0f} s", s);
  const auto minutes = static_cast<uint64_t>(s / 60 + 0.5);
  if (minutes < 120) return fmt::format("{} min", minutes);
  return fmt::format("{} h {} min", minutes / 60, minutes % 60);
}

std::string Join(const std::vector<std::string>& words, const std::string& between) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

std::vector<std::string> Split(const std::string& text, char at) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(at, begin), text.size());
    if (end > begin) out.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

std::string DidYouMean(const std::string& word, const std::vector<std::string>& names) {
  const size_t most = std::max<size_t>(2, std::min<size_t>(4, word.size() / 2));
  std::vector<std::pair<size_t, std::string>> near;
  for (const std::string& name : names) {
    // A name that was cut short, or that contains the word ("random"), is as good as one wrong letter.
    const bool part = word.size() >= 3 && name.find(word) != std::string::npos;
    const size_t distance = std::min(EditDistance(word, name), part ? size_t{1} : SIZE_MAX);
    if (distance <= most) near.emplace_back(distance, name);
  }
  std::stable_sort(near.begin(), near.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  constexpr size_t kShown = 3;
  std::vector<std::string> shown;
  for (size_t i = 0; i < std::min(near.size(), kShown); ++i) shown.push_back("'" + near[i].second + "'");
  return shown.empty() ? "" : "; did you mean " + Join(shown, " or ") + "?";
}

}  // namespace tarn::bench
