// The steps of `tarn bench mount`. Each is one function that runs in an empty directory, on the native file system or
// on the mount without knowing which: it prepares, takes the time of the work alone, and verifies what the work did
// (counts, sizes, bytes), so that a step that did nothing fails instead of being fast.
//
//   bench_names.cc    create stat readdir rename unlink mkdir rmdir sync-write
//   bench_trees.cc    untar clone rm-rf
//   bench_stream.cc   write read rand-read rand-write
//
// Threads: steps of names and random I/O use plan.threads; all have ended when the step returns.
#pragma once

#include <functional>
#include <string>

#include "cli/context.h"

namespace tarn::cli {

struct BenchPlan {
  uint64_t files = 2000;
  uint64_t file_bytes = 64 << 20;
  uint64_t threads = 1;
  uint64_t rounds = 3;
  std::string source;  // a tree for untar and rm-rf; absolute; empty: one is made
};

struct StepRun {
  const Context& context;
  const BenchPlan& plan;
  std::string directory;  // exists and is empty; removed by the caller afterwards
  std::string scratch;    // for what is not measured; kept between steps and rounds
  uint64_t seed = 0;      // of this round's content, the same on both sides
  bool direct = false;    // whether both sides do direct I/O
  // What is read of `file` next comes from the device, as far as that can be had. REQUIRES: nothing is open.
  std::function<Status(const std::string& file)> chill;
};

struct BenchStep {
  const char* name;
  const char* unit;
  const char* needs;  // a program; "" for none
  const char* about;
  Result<double> (*run)(StepRun& run);  // units a second
};

// Seconds from its making.
class Stopwatch {
 public:
  explicit Stopwatch(const Context& context) : clock_(*context.clock), started_(clock_.MonotonicNanos()) {}
  double Seconds() const { return static_cast<double>(clock_.MonotonicNanos() - started_) / 1e9; }

 private:
  Clock& clock_;
  uint64_t started_;
};

// A rate; a clock that did not move counts as one nanosecond.
double PerSecond(double amount, double seconds);

// bench_names.cc
Result<double> BenchCreate(StepRun& run);
Result<double> BenchStat(StepRun& run);
Result<double> BenchReadDir(StepRun& run);
Result<double> BenchRename(StepRun& run);
Result<double> BenchUnlink(StepRun& run);
Result<double> BenchMkdir(StepRun& run);
Result<double> BenchRmdir(StepRun& run);
Result<double> BenchSyncWrite(StepRun& run);

// bench_trees.cc
Result<double> BenchUntar(StepRun& run);
Result<double> BenchClone(StepRun& run);
Result<double> BenchRemoveTree(StepRun& run);

// bench_stream.cc
Result<double> BenchWrite(StepRun& run);
Result<double> BenchRead(StepRun& run);
Result<double> BenchRandomRead(StepRun& run);
Result<double> BenchRandomWrite(StepRun& run);

}  // namespace tarn::cli
