#include "tests/kill/arguments.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace tarn::test {
namespace {

// None: no number.
std::optional<uint64_t> NumberOf(const char* text) {
  char* end = nullptr;
  const uint64_t number = std::strtoull(text, &end, 10);
  return *text < '0' || *text > '9' || *end != 0 ? std::nullopt : std::optional(number);
}

uint64_t FromEnvironment(const char* variable, uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr ? otherwise : NumberOf(text).value_or(otherwise);
}

uint64_t AnySeed() {
  uint64_t bytes = 0;
  return getentropy(&bytes, sizeof bytes) == 0 ? bytes % 1'000'000'000 : 1;
}

}  // namespace

std::optional<Arguments> ParseArguments(int argc, char** argv, const Counted& counted) {
  Arguments arguments{FromEnvironment(counted.variable, counted.otherwise), FromEnvironment("TARN_SEED", AnySeed()),
                      std::filesystem::temp_directory_path().string()};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    const std::optional<uint64_t> number = NumberOf(value);
    if (name == counted.option && number.has_value()) {
      arguments.count = *number;
    } else if (name == "--seed" && number.has_value()) {
      arguments.seed = *number;
    } else if (counted.has_directory && name == "--dir" && *value != 0) {
      arguments.directory = value;
    } else {
      std::fprintf(stderr, "usage: %s [%s N] [--seed S]%s\n", argv[0], counted.option,
                   counted.has_directory ? " [--dir DIRECTORY]" : "");
      return std::nullopt;
    }
  }
  arguments.directory += "/" + std::filesystem::path(argv[0]).filename().string() + "." + std::to_string(getpid());
  std::printf("%s %" PRIu64 " --seed %" PRIu64 "\n", counted.option, arguments.count, arguments.seed);
  std::fflush(stdout);
  return arguments;
}

}  // namespace tarn::test
