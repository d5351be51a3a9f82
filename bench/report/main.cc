// tarn-bench. As a child it is one run or one load of a data set (bench/run.h); else it is the parent that plans
// them.
#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "bench/report/child.h"
#include "bench/report/machine.h"
#include "bench/report/options.h"
#include "bench/report/rows.h"
#include "bench/report/runner.h"

namespace tarn::bench {
namespace {

// Checked before the hours of measuring, so that their result has somewhere to go.
void MustBeWritable(const std::string& path) {
  if (path.empty() || path == "-") return;
  if (!std::ofstream(path, std::ios::app)) Die(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) Die(fmt::format("cannot write {}: {}", path, std::strerror(errno)));
}

int RunParent(int argc, char** argv) {
  Report report;
  report.options = ParseOptions(argc, argv);
  const Options& options = report.options;
  MustBeWritable(options.json);
  MustBeWritable(options.plot);
  CatchStopSignals();
  report.machine = ReadMachine(options.dir);
  report.rows = RunAll(options);
  if (options.json != "-") fmt::print("{}", TableText(report));
  if (options.json == "-") fmt::print("{}", JsonText(report));
  if (!options.json.empty() && options.json != "-") WriteFile(options.json, JsonText(report));
  if (!options.plot.empty()) WriteFile(options.plot, PlotText(report));
  constexpr int kBySignal = 128;  // as shells count
  if (StopSignal() != 0) return kBySignal + StopSignal();
  for (const Row& row : report.rows) {
    if (!row.error.empty()) return 1;
  }
  return 0;
}

int Main(int argc, char** argv) {
  const std::string role = argc == 3 ? argv[1] : "";
  if (role == "load") {
    Load(SpecFromJson(argv[2]));
    return 0;
  }
  if (role == "run") {
    fmt::print("{}\n", ToJson(RunOne(SpecFromJson(argv[2]))));
    return 0;
  }
  return RunParent(argc, argv);
}

}  // namespace
}  // namespace tarn::bench

int main(int argc, char** argv) { return tarn::bench::Main(argc, argv); }
