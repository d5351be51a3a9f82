#include "bench/report/rows.h"

#include <algorithm>
#include <cmath>

namespace tarn::bench {
namespace {

template <typename Field>
std::vector<double> Collect(const std::vector<RunResult>& rounds, Field field) {
  std::vector<double> values;
  for (const RunResult& round : rounds) values.push_back(static_cast<double>(field(round)));
  return values;
}

// For figures of which -1 means that a run does not have them.
template <typename Field>
double MedianIfKnown(const std::vector<RunResult>& rounds, Field field) {
  const Spread spread = SpreadOf(Collect(rounds, field));
  return spread.min < 0 ? -1 : spread.median;
}

const Row* RowOf(const Report& report, const std::string& workload, const std::string& engine) {
  for (const Row& row : report.rows) {
    if (row.workload.name == workload && row.engine == engine) return &row;
  }
  return nullptr;
}

}  // namespace

Spread SpreadOf(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const bool odd = values.size() % 2 == 1;
  return {values.front(), odd ? values[middle] : (values[middle - 1] + values[middle]) / 2, values.back()};
}

std::optional<Figures> FiguresOf(const Row& row) {
  if (!row.error.empty() || row.rounds.empty()) return std::nullopt;
  const auto& rounds = row.rounds;
  const auto median = [&](auto field) { return SpreadOf(Collect(rounds, field)).median; };
  Figures f;
  f.ops_per_second = SpreadOf(Collect(rounds, [](const RunResult& r) { return r.ops_per_second; }));
  f.latency_us = {median([](const RunResult& r) { return r.latency_us.p50; }),
                  median([](const RunResult& r) { return r.latency_us.p99; }),
                  median([](const RunResult& r) { return r.latency_us.p999; }),
                  SpreadOf(Collect(rounds, [](const RunResult& r) { return r.latency_us.max; })).max};
  f.cpu_s_per_million = median([](const RunResult& r) { return r.cpu_s_per_million; });
  f.write_amp = MedianIfKnown(rounds, [](const RunResult& r) { return r.write_amp; });
  f.read_amp = MedianIfKnown(rounds, [](const RunResult& r) { return r.read_amp; });
  f.space_amp = MedianIfKnown(rounds, [](const RunResult& r) { return r.space_amp; });
  f.settle_seconds = MedianIfKnown(rounds, [](const RunResult& r) { return r.settle_seconds; });
  f.space_amp_max = SpreadOf(Collect(rounds, [](const RunResult& r) { return r.space_amp_max; })).max;
  for (const RunResult& r : rounds) f.peak_rss_bytes = std::max(f.peak_rss_bytes, r.peak_rss_bytes);
  const auto distance = [&](const RunResult& r) { return std::abs(r.ops_per_second - f.ops_per_second.median); };
  f.typical = *std::min_element(rounds.begin(), rounds.end(),
                                [&](const RunResult& a, const RunResult& b) { return distance(a) < distance(b); });
  return f;
}

std::vector<PeerRatio> RatiosOf(const Report& report, const std::string& workload) {
  std::vector<PeerRatio> out;
  const Row* tarn = RowOf(report, workload, "tarn");
  const std::optional<Figures> ours = tarn == nullptr ? std::nullopt : FiguresOf(*tarn);
  if (!ours) return out;
  for (const EngineKind& engine : report.options.engines) {
    const Row* peer = RowOf(report, workload, engine.name);
    if (engine.name == "tarn" || peer == nullptr) continue;
    const std::optional<Figures> theirs = FiguresOf(*peer);
    if (!theirs || theirs->ops_per_second.min <= 0) continue;
    std::vector<double> by_round;
    for (size_t i = 0; i < std::min(tarn->rounds.size(), peer->rounds.size()); ++i) {
      by_round.push_back(tarn->rounds[i].ops_per_second / peer->rounds[i].ops_per_second);
    }
    Spread ratio = SpreadOf(by_round);
    ratio.median = ours->ops_per_second.median / theirs->ops_per_second.median;
    out.push_back({engine.name, ratio});
  }
  return out;
}

}  // namespace tarn::bench
