// What the micro-benchmarks share: keys, values, and what to do when the ground under a benchmark gives way.
//
// Keys and values are made before the clock starts. They are the same in every run, so two builds see the same work.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "tarn/status.h"

namespace tarn::micro {

constexpr std::string_view kStoreId = "0123456789abcdef";
// A prime: i * kStride % n visits all n places in scattered order, for every n that it does not divide.
constexpr uint64_t kStride = 7919;

// For what is not measured: its failure ends the program. What is measured reports with SkipWithError.
[[noreturn]] inline void Die(const Status& status) {
  std::fprintf(stderr, "micro-benchmark: %s\n", status.ToString().c_str());
  std::exit(1);
}
inline void Must(const Status& status) {
  if (!status.ok()) Die(status);
}
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) Die(result.status());
  return std::move(result).value();
}

// 16 bytes; ascending with n.
inline std::string KeyOf(uint64_t n) {
  char key[24];
  std::snprintf(key, sizeof(key), "%016llu", static_cast<unsigned long long>(n));
  return key;
}

// KeyOf(first), KeyOf(first + step), ...
inline std::vector<std::string> AscendingKeys(uint64_t count, uint64_t first = 0, uint64_t step = 1) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (uint64_t i = 0; i < count; ++i) keys.push_back(KeyOf(first + i * step));
  return keys;
}

// The same keys in scattered order. REQUIRES: kStride does not divide count
inline std::vector<std::string> ScatteredKeys(uint64_t count, uint64_t first = 0, uint64_t step = 1) {
  std::vector<std::string> keys;
  keys.reserve(count);
  for (uint64_t i = 0; i < count; ++i) keys.push_back(KeyOf(first + i * kStride % count * step));
  return keys;
}

// Half of it is noise, so that it shrinks to about half; another seed gives another value.
inline std::string ValueOf(uint64_t seed, size_t bytes) {
  std::string value(bytes, 'v');
  for (size_t at = 0; at + 16 <= bytes; at += 16) {
    const uint64_t noise = Hash64(std::string_view(reinterpret_cast<const char*>(&at), sizeof(at)), seed + 1);
    std::memcpy(&value[at], &noise, sizeof(noise));
  }
  return value;
}

}  // namespace tarn::micro
