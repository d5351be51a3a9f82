// Progress on standard error: on a terminal one line that rewrites itself, elsewhere a line for each finished row.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "bench/report/rows.h"

namespace tarn::bench {

class Progress {
 public:
  Progress(size_t rows, size_t runs);
  ~Progress();  // takes the line off the terminal
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void RunStarts(const Row& row, unsigned round, unsigned rounds);
  void Phase(const std::string& what);  // of the current run: "load", "copy", "run"
  void Tick();
  void RunEnds();
  void RowEnds(const Row& row);

 private:
  double Seconds() const;

  const size_t rows_, runs_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  size_t rows_done_ = 0, runs_done_ = 0;
  double run_start_ = 0, shown_ = -1;
  std::string what_, phase_;
  // Seconds of the runs that ended, for the time that is left. Most of the spread is between workloads and runs come
  // workload by workload, so the mean of all is only a rough guess; it says "about".
  double run_seconds_ = 0;
};

}  // namespace tarn::bench
