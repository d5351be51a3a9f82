// Rows: what the table, the JSON and the plot are made of, and how the rounds of a row become its figures.
//
//   ops/s                      min, median and max over the rounds
//   p50, p99, p99.9            the median of the rounds' quantiles; max: the largest of all rounds
//   bytes and seconds          the median; peaks (memory, space): the largest
//   curves, ops over time      of the round whose ops/s is nearest to the median
//   Tarn / peer                the median ops/s of Tarn divided by that of the peer. A reader can do the same
//   division
//                              with the table; the lowest and highest ratio of a single round stand beside it.
//
// A row in which a run failed has an error and no figures: the rounds before it are not evidence of anything.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/report/machine.h"
#include "bench/report/options.h"
#include "bench/run.h"

namespace tarn::bench {

struct Row {
  WorkloadInfo workload;
  std::string engine, engine_version;
  RunSpec run;                    // as the workload's name makes it (Effective); without the directory
  std::vector<RunResult> rounds;  // in order
  std::string error;              // of the run that failed, or why none was made
};

struct Spread {
  double min = 0, median = 0, max = 0;
};
Spread SpreadOf(std::vector<double> values);  // not empty

struct Figures {
  Spread ops_per_second;
  Latency latency_us;
  double cpu_s_per_million = 0;
  double write_amp = -1, read_amp = -1, space_amp = -1, space_amp_max = -1, settle_seconds = -1;  // -1: not known
  uint64_t peak_rss_bytes = 0;
  RunResult typical;  // the round nearest to the median
};

struct Report {
  Machine machine;
  Options options;
  std::vector<Row> rows;  // by workload, then by engine, both in the order of the options
};

// Nothing for a row with an error.
std::optional<Figures> FiguresOf(const Row& row);

struct PeerRatio {
  std::string peer;
  Spread ratio;  // min and max: of single rounds
};
// Tarn against each peer that has figures in this workload; empty when Tarn has none.
std::vector<PeerRatio> RatiosOf(const Report& report, const std::string& workload);

std::string TableText(const Report& report);
std::string JsonText(const Report& report);
std::string PlotText(const Report& report);  // SVG

}  // namespace tarn::bench
