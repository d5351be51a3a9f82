// The machine that a number was measured on, as far as it explains the number.
#pragma once

#include <cstdint>
#include <string>

namespace tarn::bench {

struct Machine {
  std::string cpu;
  unsigned cores = 0;
  uint64_t memory_bytes = 0;
  std::string kernel;
  std::string filesystem;  // of the directory of the stores: "ext4 on /dev/vda"
  double load = 0;         // average of the last minute when the bench began
  std::string commit;      // of this program, as git described it when the build was configured
  std::string build;       // the compiler and the build type

  // Above it the others' share of the processor decides about ratios, not the engines.
  bool busy() const { return load > 0.5 * cores; }
};

Machine ReadMachine(const std::string& dir);

}  // namespace tarn::bench
