// One run: one workload, once, on one engine, in a process of its own. The parent (bench/report/) plans runs, starts
// them one after another, and folds their results into rows; the child (bench/workloads/) measures one and prints it.
// Both sides meet in this header and nowhere else. On the wire the two structs are JSON objects of the same field
// names.
//
// A process of its own, because then peak memory, processor time and device bytes are those of the run: the kernel
// counts them for a process. It also lets `perf record tarn-bench run '{...}'` look at a single row.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "bench/engine.h"

namespace tarn::bench {

struct RunSpec {
  std::string engine;
  std::string workload;
  EngineConfig config;
  uint64_t keys = 1000000;       // distinct keys of the data set
  uint32_t key_bytes = 16;       // 8 .. 1024
  uint32_t value_bytes = 100;    // 0 .. 64 MiB
  double compressibility = 0.5;  // size of the data after compression / before; 1: random bytes
  uint32_t threads = 1;
  double seconds = 5;  // a run ends then at the latest; fills end when all keys are written
  bool cold = false;   // the store's files are dropped from the page cache before the clock starts
  uint64_t seed = 1;
};

// What the workload needs on disk before it starts, said by bench/workloads/workload.h. The parent provides it.
enum class Data : uint8_t {
  kEmpty,   // an empty directory
  kLoaded,  // all keys, written in random order, settled, closed; the run does not change it
  kCopy,    // the same, but the run changes it, so it gets a copy of its own
};

struct Latency {  // microseconds
  double p50 = 0, p99 = 0, p999 = 0, max = 0;
};

struct RunResult {
  uint64_t operations = 0;
  double seconds = 0;
  double ops_per_second = 0;
  Latency latency_us;
  // Latency at 50 % .. 99.9999 % by steps of a tenth of what remains (bench/workloads/histogram.h): the curve of the
  // plot.
  std::vector<std::array<double, 2>> latency_curve;  // {quantile, microseconds}
  std::vector<double> ops_over_time;                 // operations in each tenth of a second: where stalls would show
  double cpu_s_per_million = 0;  // user and system seconds of the process per million operations, draining included
  // All of these after Settle(). write_amp: bytes that the process had written at the device since the store was
  // open, per byte of keys and values written by the user; -1 for runs that write nothing. read_amp: bytes read at
  // the device since the clock started, per byte that the user read or wrote; -1 when that is none. space_amp: bytes
  // on disk per byte of live keys and values; space_amp_max: the most on disk while the run went on (sampled), per
  // byte that was live when most were, before or after the run; -1 for runs that write nothing, and where live bytes
  // are not known.
  double write_amp = -1, read_amp = -1, space_amp = -1, space_amp_max = -1;
  double settle_seconds = -1;
  uint64_t peak_rss_bytes = 0;
  uint64_t missing = 0;  // lookups that found nothing
  // readwhilewriting: puts of the writer beside the readers. They are not in `operations`, but in everything that is
  // counted for the process (cpu_s_per_million, write_amp, ...).
  uint64_t background_writes = 0;
  std::string engine_config;  // Engine::Describe()
};

std::string ToJson(const RunSpec& spec);
RunSpec SpecFromJson(const std::string& text);  // Die when it is not one
std::string ToJson(const RunResult& result);
RunResult ResultFromJson(const std::string& text);

// `spec` as its workload changes it: fillsync is always power-safe, read-4k has values of 4 KiB and fewer keys,
// readcold drops caches, and so on. Load and RunOne do this themselves. The parent asks for two reasons: two rows may
// share a loaded data set when keys, key_bytes, value_bytes, compressibility and seed are equal *here*; and this is
// what ran. What such a name means stands in its WorkloadInfo::help. bench/workloads/catalog.cc.
RunSpec Effective(RunSpec spec);

// The child's side: opens the engine, runs the workload, settles, measures. bench/workloads/run_one.cc.
RunResult RunOne(const RunSpec& spec);
// Writes the data set of `spec` (kLoaded) into its empty directory, settles and closes it. Never synced write by
// write.
void Load(const RunSpec& spec);

struct WorkloadInfo {
  std::string name;
  Data data = Data::kLoaded;
  std::string help;  // one line
  std::string unit;  // what one operation is: "put", "get", "seek + 10 nexts", ...
};
const std::vector<WorkloadInfo>& Workloads();  // in the order of the table. bench/workloads/catalog.cc

}  // namespace tarn::bench
