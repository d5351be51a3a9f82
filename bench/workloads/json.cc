// RunSpec and RunResult as JSON objects of the same field names. Reading is strict where a mistyped hand-written spec
// would otherwise run with a default: a field that does not exist, of another type, or out of range is an error. What
// is left out has its default.
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "bench/workloads/workload.h"

namespace tarn::bench {

using Json = nlohmann::json;

constexpr std::array<std::pair<Durability, const char*>, 3> kDurabilities = {
    {{Durability::kNone, "none"}, {Durability::kProcess, "process"}, {Durability::kPower, "power"}}};

void to_json(Json& json, Durability durability) {
  for (const auto& [value, name] : kDurabilities) {
    if (value == durability) json = name;
  }
}

void from_json(const Json& json, Durability& durability) {
  for (const auto& [value, name] : kDurabilities) {
    if (json == name) {
      durability = value;
      return;
    }
  }
  Die("durability is " + json.dump() + "; it has to be \"none\", \"process\" or \"power\"");
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(EngineConfig, dir, memory_budget, durability, compression,
                                                filter_bits_per_key, direct_reads, background_threads)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RunSpec, engine, workload, config, keys, key_bytes, value_bytes,
                                                compressibility, threads, seconds, cold, seed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Latency, p50, p99, p999, max)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RunResult, operations, seconds, ops_per_second, latency_us,
                                                latency_curve, ops_over_time, cpu_s_per_million, write_amp, read_amp,
                                                space_amp, space_amp_max, settle_seconds, peak_rss_bytes, missing,
                                                background_writes, engine_config)

namespace {

// Each field of `given` is one of `sample` and of its type; a number without a fraction may stand for one with.
void CheckShape(const Json& given, const Json& sample, const std::string& where) {
  const bool number = sample.is_number_float() && given.is_number();
  if (given.type() != sample.type() && !number) {
    Die(where + " is " + given.dump().substr(0, 60) + "; it has to be like " + sample.dump().substr(0, 60));
  }
  if (!sample.is_object()) return;
  for (const auto& [name, value] : given.items()) {
    if (!sample.contains(name)) Die(where + " has no field \"" + name + "\"; bench/run.h has the list");
    CheckShape(value, sample.at(name), where + "." + name);
  }
}

template <typename T>
T Parse(const std::string& text, const std::string& what) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) {
    Die(what + " is not JSON: " + text.substr(0, 60) + (text.size() > 60 ? "..." : "") + "; it has to be one object");
  }
  CheckShape(json, Json(T{}), what);
  try {
    T parsed = json.get<T>();
    Json kept(parsed);
    kept.merge_patch(json);
    if (const Json lost = Json::diff(Json(parsed), kept); !lost.empty()) {
      Die(what + ": " + lost[0].at("path").get<std::string>() + " is " + lost[0].at("value").dump() +
          "; that is too large for this field");
    }
    return parsed;
  } catch (const Json::exception& e) {  // the elements of a list, which CheckShape does not look at
    Die(what + ": " + e.what());
  }
}

void CheckRange(const std::string& field, double value, double low, double high) {
  if (value >= low && value <= high) return;
  Die("spec." + field + " is " + Json(value).dump() + "; it has to be in " + Json(low).dump() + " .. " +
      Json(high).dump());
}

}  // namespace

std::string ToJson(const RunSpec& spec) { return Json(spec).dump(); }
std::string ToJson(const RunResult& result) { return Json(result).dump(); }

RunSpec SpecFromJson(const std::string& text) {
  auto spec = Parse<RunSpec>(text, "spec");
  WorkloadOf(spec.workload);  // there is one
  if (spec.config.dir.empty()) Die("spec.config.dir is empty; it has to be the directory of the store");
  CheckRange("keys", static_cast<double>(spec.keys), 1, 1e12);
  CheckRange("key_bytes", spec.key_bytes, 8, 1024);
  CheckRange("value_bytes", spec.value_bytes, 0, 64 << 20);
  CheckRange("compressibility", spec.compressibility, 0.01, 1);
  CheckRange("threads", spec.threads, 1, 1024);
  CheckRange("seconds", spec.seconds, 0.001, 1e6);
  return spec;
}

RunResult ResultFromJson(const std::string& text) { return Parse<RunResult>(text, "result"); }

}  // namespace tarn::bench
