// The table for people: what was run, where and on what, then a block for each workload with a line for each engine.
#include <fmt/format.h>

#include <algorithm>

#include "bench/report/rows.h"
#include "bench/report/text.h"

namespace tarn::bench {
namespace {

// A figure that a workload may not have.
std::string Amp(double value) { return value < 0 ? "-" : fmt::format("{:.2f}", value); }

std::string EngineConfigOf(const Report& report, const std::string& engine) {
  for (const Row& row : report.rows) {
    if (row.engine == engine && !row.rounds.empty()) return row.rounds[0].engine_config;
  }
  return "no run of it succeeded";
}

std::string Header(const Report& report) {
  const Machine& m = report.machine;
  const RunSpec& run = report.options.run;
  std::string out = fmt::format("machine     {}, {} cores, {}; {}; {}\n", m.cpu, m.cores, HumanBytes(m.memory_bytes),
                                m.kernel, m.filesystem);
  out += fmt::format("load        {:.2f} at the start\n", m.load);
  if (m.busy()) {
    out += fmt::format("warning     the machine was not idle: a load of {:.2f} on {} cores; the ratios may be off\n",
                       m.load, m.cores);
  }
  out += fmt::format("commit      {}, {}\n", m.commit, m.build);
  out += fmt::format("data        {} keys of {} bytes, values of {} bytes that compress to {:.0f} %\n",
                     Count(run.keys), run.key_bytes, run.value_bytes, run.compressibility * 100);
  out += fmt::format("runs        {} rounds, {} s at most, {} thread{}, memory budget {}, durability {}{}{}\n",
                     report.options.rounds, run.seconds, run.threads, run.threads == 1 ? "" : "s",
                     HumanBytes(run.config.memory_budget), DurabilityName(run.config.durability),
                     run.config.direct_reads ? ", direct reads" : "", run.cold ? ", cold" : "");
  for (const EngineKind& engine : report.options.engines) {
    out += fmt::format("{:<11} {}: {}\n", engine.name, engine.version, EngineConfigOf(report, engine.name));
  }
  return out;
}

std::string Line(const Row& row, const std::vector<PeerRatio>& ratios) {
  const std::optional<Figures> f = FiguresOf(row);
  if (!f) return fmt::format("  {:<11} failed: {}\n", row.engine, row.error);
  std::string ratio = "-";
  for (const PeerRatio& peer : ratios) {
    if (peer.peer == row.engine) ratio = Ratio(peer.ratio.median);
  }
  const Latency& l = f->latency_us;
  const std::string spread = fmt::format("{}..{}", Grouped(f->ops_per_second.min), Grouped(f->ops_per_second.max));
  // A workload whose operations are not timed one by one has no latencies.
  const auto latency = [&](double us) { return l.max > 0 ? Micros(us) : std::string("-"); };
  const std::string space = f->space_amp < 0       ? "-"
                            : f->space_amp_max < 0 ? Amp(f->space_amp)
                                                   : fmt::format("{} ({})", Amp(f->space_amp), Amp(f->space_amp_max));
  return fmt::format("  {:<11}{:>11} {:>22}{:>9}{:>9}{:>9}{:>11}{:>9}{:>7}{:>7}{:>17}{:>9}{:>9}\n", row.engine,
                     Grouped(f->ops_per_second.median), spread, latency(l.p50), latency(l.p99), latency(l.p999),
                     latency(l.max), fmt::format("{:.2f}", f->cpu_s_per_million), Amp(f->write_amp), Amp(f->read_amp),
                     space, Count(f->peak_rss_bytes >> 20), ratio);
}

// The name and what it counts, and what of the parameters the name changes.
std::string RowTitle(const Report& report, const WorkloadInfo& workload) {
  const RunSpec& asked = report.options.run;
  RunSpec run = asked;
  run.workload = workload.name;
  run = Effective(run);
  std::string out = fmt::format("\n{} ({})", workload.name, workload.unit);
  if (run.value_bytes != asked.value_bytes || run.keys != asked.keys) {
    out += fmt::format(", {} keys with values of {}", Count(run.keys), HumanBytes(run.value_bytes));
  }
  if (run.threads != asked.threads) out += fmt::format(", {} thread{}", run.threads, run.threads == 1 ? "" : "s");
  if (run.config.durability != asked.config.durability) {
    out += fmt::format(", durability {}", DurabilityName(run.config.durability));
  }
  if (run.config.memory_budget != asked.config.memory_budget) {
    out += fmt::format(", memory budget {}", HumanBytes(run.config.memory_budget));
  }
  if (run.config.direct_reads != asked.config.direct_reads) out += ", direct reads";
  if (run.cold != asked.cold) out += ", cold";
  return out + "\n";
}

}  // namespace

std::string TableText(const Report& report) {
  std::string out = Header(report);
  out += fmt::format("\n  {:<11}{:>11} {:>22}{:>9}{:>9}{:>9}{:>11}{:>9}{:>7}{:>7}{:>17}{:>9}{:>9}\n", "", "ops/s",
                     "lowest..highest", "p50 us", "p99 us", "p99.9", "max us", "CPU-s/M", "write", "read",
                     "space (peak)", "RSS MiB", "Tarn/it");
  for (const WorkloadInfo& workload : report.options.workloads) {
    out += RowTitle(report, workload);
    const std::vector<PeerRatio> ratios = RatiosOf(report, workload.name);
    for (const Row& row : report.rows) {
      if (row.workload.name == workload.name) out += Line(row, ratios);
    }
  }
  out +=
      "\nops/s: median of the rounds. write, read: bytes at the device per byte of user data, debt drained; space: "
      "bytes on disk\nper byte of live data. Tarn/it: median ops/s of Tarn / median ops/s of that engine; above 1 "
      "Tarn is faster.\n";
  return out;
}

}  // namespace tarn::bench
