// The rows as JSON: a list, so that lists of several invocations can be joined. Each row says on which machine and
// with which parameters it was measured. What is not known, or does not exist for a workload, is null.
#include <nlohmann/json.hpp>

#include "bench/report/rows.h"

namespace tarn::bench {
namespace {

using Json = nlohmann::ordered_json;

Json OrNull(double value) { return value < 0 ? Json(nullptr) : Json(value); }
Json ToObject(const Spread& s) { return {{"min", s.min}, {"median", s.median}, {"max", s.max}}; }

Json FiguresJson(const std::optional<Figures>& f) {
  if (!f) {
    Json out;
    for (const char* key : {"ops_per_second", "latency_us", "cpu_s_per_million", "write_amp", "read_amp", "space_amp",
                            "space_amp_max", "settle_seconds", "peak_rss_bytes", "missing", "background_writes",
                            "latency_curve", "ops_over_time", "engine_config"}) {
      out[key] = nullptr;
    }
    return out;
  }
  const Latency& l = f->latency_us;
  return {{"ops_per_second", ToObject(f->ops_per_second)},
          {"latency_us", {{"p50", l.p50}, {"p99", l.p99}, {"p999", l.p999}, {"max", l.max}}},
          {"cpu_s_per_million", f->cpu_s_per_million},
          {"write_amp", OrNull(f->write_amp)},
          {"read_amp", OrNull(f->read_amp)},
          {"space_amp", OrNull(f->space_amp)},
          {"space_amp_max", OrNull(f->space_amp_max)},
          {"settle_seconds", OrNull(f->settle_seconds)},
          {"peak_rss_bytes", f->peak_rss_bytes},
          {"missing", f->typical.missing},
          {"background_writes", f->typical.background_writes},
          {"latency_curve", f->typical.latency_curve},
          {"ops_over_time", f->typical.ops_over_time},
          {"engine_config", f->typical.engine_config}};
}

Json ParametersJson(const Row& row, const Options& options) {
  const RunSpec& run = row.run;
  return {{"keys", run.keys},
          {"key_bytes", run.key_bytes},
          {"value_bytes", run.value_bytes},
          {"compressibility", run.compressibility},
          {"threads", run.threads},
          {"seconds", run.seconds},
          {"memory_budget_bytes", run.config.memory_budget},
          {"durability", DurabilityName(run.config.durability)},
          {"direct", run.config.direct_reads},
          {"cold", run.cold},
          {"rounds", options.rounds}};
}

Json MachineJson(const Machine& m) {
  return {{"cpu", m.cpu},
          {"cores", m.cores},
          {"memory_bytes", m.memory_bytes},
          {"kernel", m.kernel},
          {"filesystem", m.filesystem},
          {"load_at_start", m.load},
          {"commit", m.commit},
          {"build", m.build}};
}

}  // namespace

std::string JsonText(const Report& report) {
  Json list = Json::array();
  for (const Row& row : report.rows) {
    Json out = {{"workload", row.workload.name},
                {"engine", row.engine},
                {"error", row.error.empty() ? Json(nullptr) : Json(row.error)}};
    out.update(FiguresJson(FiguresOf(row)));
    out["rounds"] = Json::array();
    for (const RunResult& round : row.rounds) {
      out["rounds"].push_back(
          {{"operations", round.operations}, {"seconds", round.seconds}, {"ops_per_second", round.ops_per_second}});
    }
    if (row.engine == "tarn") {
      Json ratio = Json::object(), range = Json::object();
      for (const PeerRatio& peer : RatiosOf(report, row.workload.name)) {
        ratio[peer.peer] = peer.ratio.median;
        range[peer.peer] = {{"min", peer.ratio.min}, {"max", peer.ratio.max}};
      }
      out["ratio"] = ratio;
      out["ratio_of_rounds"] = range;
    }
    out["unit"] = row.workload.unit;
    out["engine_version"] = row.engine_version;
    out["parameters"] = ParametersJson(row, report.options);
    out["machine"] = MachineJson(report.machine);
    list.push_back(out);
  }
  std::string text = "[";
  for (size_t i = 0; i < list.size(); ++i) text += (i == 0 ? "\n" : ",\n") + list[i].dump();
  return text + "\n]\n";
}

}  // namespace tarn::bench
