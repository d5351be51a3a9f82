// The arguments that the supervisors of tests/kill and tests/power have in common, and their defaults from the
// environment: TARN_SEED, and a variable of each test for how often.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace tarn::test {

struct Arguments {
  uint64_t count;         // --<what> N
  uint64_t seed;          // --seed S; default: any
  std::string directory;  // --dir DIRECTORY: one of its own below it; default: below the system's for such things.
};

struct Counted {
  const char* option;    // "--kills"
  const char* variable;  // "TARN_KILLS"
  uint64_t otherwise;
  bool has_directory = true;  // false: there is no --dir
};

// Prints what it settled on, so that a run can be repeated. None: it has said how it is used.
std::optional<Arguments> ParseArguments(int argc, char** argv, const Counted& counted);

}  // namespace tarn::test
