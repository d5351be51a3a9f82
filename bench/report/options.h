// What the user asked for: the command line, checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/run.h"

namespace tarn::bench {

struct Options {
  std::vector<EngineKind> engines;
  std::vector<WorkloadInfo> workloads;
  RunSpec run;  // what all runs have in common; engine, workload and config.dir are not set here
  unsigned rounds = 3;
  std::string dir = "tarn-bench.dir";
  std::string json;  // empty: none; "-": standard output
  std::string plot;
  bool keep = false;
};

// Answers --help, --list and mistakes itself, and then ends the process.
Options ParseOptions(int argc, char** argv);

const char* DurabilityName(Durability durability);

}  // namespace tarn::bench
