// FromEnvironment: sizes and seeds of a test that may be asked for by a variable of the environment.
//
// Threads: any, as long as nobody changes the environment.
#pragma once

#include <cstdint>
#include <cstdlib>

namespace tarn::test {

// The decimal number in the variable, or `otherwise` when it is not set.
inline uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

}  // namespace tarn::test
