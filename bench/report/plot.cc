// The picture: from top to bottom
//   1. a bar for each workload and peer, Tarn's ops/s divided by the peer's, on a logarithmic axis that begins at 1:
//      to the right Tarn is faster
//   2. latency curves, a panel for each workload: the axis counts nines, so the tail gets the room it needs
//   3. throughput over time, a panel for each workload that writes: where a stall would be a hole
//
// Panels share nothing but their colours. A workload without any figure has no bar and no panel; the table has its
// error.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "bench/report/rows.h"
#include "bench/report/svg.h"
#include "bench/report/text.h"

namespace tarn::bench {
namespace {

constexpr double kWidth = 1200, kMargin = 40;
constexpr const char* kBackground = "#ffffff";
constexpr const char* kInk = "#1f2328";
constexpr const char* kPale = "#57606a";
constexpr const char* kGrid = "#e3e6ea";

// Okabe and Ito's colours, which the colour-blind tell apart too; the order is that of the engines in --list.
std::string ColourOf(const std::string& engine) {
  if (engine == "tarn") return "#d55e00";
  if (engine == "rocksdb") return "#0072b2";
  if (engine == "leveldb") return "#56b4e9";
  if (engine == "lmdb") return "#009e73";
  if (engine == "wiredtiger") return "#cc79a7";
  return "#7f7f7f";
}

struct Box {
  double x, y, width, height;
};

// A scale from numbers to pixels.
struct Axis {
  double low, high, from, to;
  double At(double value) const {
    const double share = std::clamp((value - low) / (high - low), 0.0, 1.0);
    return from + share * (to - from);
  }
};

// "1,000" as "1k".
std::string Short(double number) {
  if (number >= 1e6) return fmt::format("{:g}M", number / 1e6);
  if (number >= 1e3) return fmt::format("{:g}k", number / 1e3);
  return fmt::format("{:g}", number);
}

void Legend(Svg* svg, double y, const std::vector<std::string>& engines) {
  double x = kMargin;
  for (const std::string& engine : engines) {
    svg->Rect(x, y - 10, 12, 12, ColourOf(engine));
    svg->Text(x + 18, y, engine, 13, kInk);
    x += 50 + 8.0 * static_cast<double>(engine.size());
  }
}

std::vector<std::string> EngineNames(const Report& report) {
  std::vector<std::string> names;
  for (const EngineKind& engine : report.options.engines) names.push_back(engine.name);
  return names;
}

// ------------------------------------------------------------------------------------------------ 1: ratios

// The lines of the axis that lie within low..high.
std::vector<double> RatioTicks(double low, double high) {
  std::vector<double> ticks;
  for (const double tick : {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0, 1e4}) {
    if (tick >= low * 0.999 && tick <= high * 1.001) ticks.push_back(tick);
  }
  return ticks;
}

struct RatioBlock {
  std::string workload;
  std::vector<PeerRatio> peers;
};

void RatioBars(Svg* svg, const RatioBlock& block, const Axis& axis, double y, double bar) {
  for (const PeerRatio& peer : block.peers) {
    const double one = axis.At(0), end = axis.At(std::log10(peer.ratio.median));
    svg->Rect(std::min(one, end), y, std::max(1.0, std::abs(end - one)), bar - 3, ColourOf(peer.peer));
    const bool right = peer.ratio.median >= 1;
    svg->Text(end + (right ? 6 : -6), y + bar - 5, fmt::format("{} {}", Ratio(peer.ratio.median), peer.peer), 11,
              kPale, right ? Anchor::kStart : Anchor::kEnd);
    y += bar;
  }
}

double Ratios(Svg* svg, const Report& report, double y) {
  std::vector<RatioBlock> blocks;
  // A bar beyond them ends at the edge, and its number tells: one row that differs by thousands must not hide the
  // rest.
  constexpr double kLeast = 0.05, kMost = 50;
  double low = 0.5, high = 2;
  for (const WorkloadInfo& workload : report.options.workloads) {
    RatioBlock block{workload.name, RatiosOf(report, workload.name)};
    if (block.peers.empty()) continue;
    for (const PeerRatio& peer : block.peers) {
      low = std::clamp(peer.ratio.median, kLeast, low);
      high = std::clamp(peer.ratio.median, high, kMost);
    }
    blocks.push_back(block);
  }
  if (blocks.empty()) return y;
  svg->Text(kMargin, y, "Tarn / peer, ops per second (right of the line: Tarn is faster)", 15, kInk, Anchor::kStart,
            true);
  constexpr double kNames = 170, kLabels = 110, kBar = 16, kGap = 12;
  const Axis axis{std::log10(low), std::log10(high), kMargin + kNames + kLabels, kWidth - kMargin - kLabels};
  const double top = y + 34;
  double bottom = top;
  for (const RatioBlock& block : blocks) bottom += kBar * static_cast<double>(block.peers.size()) + kGap;
  for (const double tick : RatioTicks(low, high)) {
    const double x = axis.At(std::log10(tick));
    svg->Line(x, top - 6, x, bottom, kGrid);
    svg->Text(x, top - 12, fmt::format("{:g}x", tick), 11, kPale, Anchor::kMiddle);
  }
  double at = top;
  for (const RatioBlock& block : blocks) {
    const double height = kBar * static_cast<double>(block.peers.size());
    svg->Text(kMargin + kNames - 10, at + height / 2 + 3, block.workload, 12, kInk, Anchor::kEnd);
    RatioBars(svg, block, axis, at, kBar);
    at += height + kGap;
  }
  svg->Line(axis.At(0), top - 6, axis.At(0), bottom, kInk, 1.5);
  return bottom + 40;
}

// ------------------------------------------------------------------------------------------------ panels

struct Series {
  std::string engine;
  std::vector<double> x, y, low, high;  // low and high: a band around y, or empty
};

struct Panel {
  std::string title;
  std::vector<Series> series;
};

constexpr int kColumns = 3;
constexpr double kPanelHeight = 230, kPanelGap = 30;

Box PanelBox(size_t index, double top) {
  const double width = (kWidth - 2 * kMargin - (kColumns - 1) * kPanelGap) / kColumns;
  const auto column = static_cast<double>(index % kColumns), row = static_cast<double>(index / kColumns);
  constexpr double kAxisLabels = 46, kTitle = 26, kTicks = 24;
  return {kMargin + column * (width + kPanelGap) + kAxisLabels, top + row * (kPanelHeight + kPanelGap) + kTitle,
          width - kAxisLabels, kPanelHeight - kTitle - kTicks};
}

double PanelsEnd(size_t panels, double top) {
  const size_t rows = (panels + kColumns - 1) / kColumns;
  return top + static_cast<double>(rows) * (kPanelHeight + kPanelGap) + 10;
}

void DrawSeries(Svg* svg, const Series& series, const Axis& across, const Axis& up) {
  Svg::Points points, band;
  for (size_t i = 0; i < series.x.size(); ++i) points.emplace_back(across.At(series.x[i]), up.At(series.y[i]));
  for (size_t i = 0; i < series.high.size(); ++i) band.emplace_back(across.At(series.x[i]), up.At(series.high[i]));
  for (size_t i = series.low.size(); i-- > 0;) band.emplace_back(across.At(series.x[i]), up.At(series.low[i]));
  if (!band.empty()) svg->Area(band, ColourOf(series.engine));
  svg->Curve(points, ColourOf(series.engine));
}

// The others first, so that Tarn is on top.
void DrawAll(Svg* svg, const Panel& panel, const Axis& across, const Axis& up) {
  for (const Series& series : panel.series) {
    if (series.engine != "tarn") DrawSeries(svg, series, across, up);
  }
  for (const Series& series : panel.series) {
    if (series.engine == "tarn") DrawSeries(svg, series, across, up);
  }
}

// ------------------------------------------------------------------------------------------------ 2: latencies

std::vector<Panel> LatencyPanels(const Report& report) {
  std::vector<Panel> panels;
  for (const WorkloadInfo& workload : report.options.workloads) {
    Panel panel{workload.name, {}};
    for (const Row& row : report.rows) {
      const std::optional<Figures> f = row.workload.name == workload.name ? FiguresOf(row) : std::nullopt;
      if (!f) continue;
      Series series{row.engine, {}, {}, {}, {}};
      for (const auto& [quantile, us] : f->typical.latency_curve) {
        if (quantile >= 1 || us <= 0) continue;
        series.x.push_back(-std::log10(1 - quantile));
        series.y.push_back(std::log10(us));
      }
      if (series.x.size() > 1) panel.series.push_back(series);
    }
    if (!panel.series.empty()) panels.push_back(panel);
  }
  return panels;
}

void LatencyPanel(Svg* svg, const Panel& panel, const Box& box) {
  double low = 1e9, high = -1e9, right = 0, left = 1e9;
  for (const Series& series : panel.series) {
    low = std::min(low, *std::min_element(series.y.begin(), series.y.end()));
    high = std::max(high, *std::max_element(series.y.begin(), series.y.end()));
    left = std::min(left, series.x.front());
    right = std::max(right, series.x.back());
  }
  low = std::floor(low);
  high = std::max(low + 1, std::ceil(high));
  const Axis across{left, std::max(right, left + 0.1), box.x, box.x + box.width};
  const Axis up{low, high, box.y + box.height, box.y};
  svg->Text(box.x, box.y - 10, panel.title, 13, kInk, Anchor::kStart, true);
  static constexpr std::array<const char*, 7> kUnits = {"1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms", "1 s"};
  for (double decade = low; decade <= high; ++decade) {
    svg->Line(box.x, up.At(decade), box.x + box.width, up.At(decade), kGrid);
    const bool named = decade >= 0 && decade < static_cast<double>(kUnits.size());
    svg->Text(box.x - 6, up.At(decade) + 4,
              named ? kUnits[static_cast<size_t>(decade)] : fmt::format("{:g} us", std::pow(10, decade)), 10, kPale,
              Anchor::kEnd);
  }
  static constexpr std::array<const char*, 7> kNines = {"", "p90", "p99", "p99.9", "99.99", "99.999", "99.9999"};
  for (size_t nines = 1; nines < kNines.size(); ++nines) {
    const auto x = static_cast<double>(nines);
    if (x < left || x > right + 1e-6) continue;
    svg->Line(across.At(x), box.y, across.At(x), box.y + box.height, kGrid);
    svg->Text(across.At(x), box.y + box.height + 14, kNines[nines], 10, kPale, Anchor::kMiddle);
  }
  DrawAll(svg, panel, across, up);
}

// ------------------------------------------------------------------------------------------------ 3: over time

// At most so many points to a curve; more are joined, and a band shows the lowest and highest of them.
constexpr size_t kPoints = 150;
constexpr double kSampleSeconds = 0.1;  // of RunResult::ops_over_time

Series OverTime(const std::string& engine, const std::vector<double>& samples) {
  Series series{engine, {}, {}, {}, {}};
  const size_t joined = std::max<size_t>(1, (samples.size() + kPoints - 1) / kPoints);
  for (size_t at = 0; at + joined <= samples.size(); at += joined) {
    const auto begin = samples.begin() + static_cast<std::ptrdiff_t>(at);
    const auto end = begin + static_cast<std::ptrdiff_t>(joined);
    double sum = 0;
    for (auto it = begin; it != end; ++it) sum += *it;
    series.x.push_back((static_cast<double>(at) + static_cast<double>(joined) / 2) * kSampleSeconds);
    series.y.push_back(sum / static_cast<double>(joined) / kSampleSeconds);
    if (joined == 1) continue;
    series.low.push_back(*std::min_element(begin, end) / kSampleSeconds);
    series.high.push_back(*std::max_element(begin, end) / kSampleSeconds);
  }
  return series;
}

std::vector<Panel> TimePanels(const Report& report) {
  std::vector<Panel> panels;
  for (const WorkloadInfo& workload : report.options.workloads) {
    Panel panel{workload.name, {}};
    for (const Row& row : report.rows) {
      const std::optional<Figures> f = row.workload.name == workload.name ? FiguresOf(row) : std::nullopt;
      // Runs that write nothing have no debt that could stall them.
      if (!f || f->write_amp < 0) continue;
      Series series = OverTime(row.engine, f->typical.ops_over_time);
      if (series.x.size() > 1) panel.series.push_back(series);
    }
    if (!panel.series.empty()) panels.push_back(panel);
  }
  return panels;
}

// A round number of which about `parts` fit into `range`.
double RoundStep(double range, double parts) {
  const double raw = range / parts, power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (power * factor >= raw) return power * factor;
  }
  return power * 10;
}

void TimePanel(Svg* svg, const Panel& panel, const Box& box) {
  double high = 1, right = kSampleSeconds;
  for (const Series& series : panel.series) {
    high = std::max(high, *std::max_element(series.y.begin(), series.y.end()));
    for (const double top : series.high) high = std::max(high, top);
    right = std::max(right, series.x.back());
  }
  const double step = RoundStep(high, 4), time_step = RoundStep(right, 6);
  const Axis across{0, right, box.x, box.x + box.width};
  const Axis up{0, std::ceil(high / step) * step, box.y + box.height, box.y};
  svg->Text(box.x, box.y - 10, panel.title, 13, kInk, Anchor::kStart, true);
  for (double value = 0; value <= up.high * 1.001; value += step) {
    svg->Line(box.x, up.At(value), box.x + box.width, up.At(value), kGrid);
    svg->Text(box.x - 6, up.At(value) + 4, Short(value), 10, kPale, Anchor::kEnd);
  }
  for (double t = 0; t <= right * 1.001; t += time_step) {
    svg->Text(across.At(t), box.y + box.height + 14, fmt::format("{:g} s", t), 10, kPale, Anchor::kMiddle);
  }
  DrawAll(svg, panel, across, up);
}

double Panels(Svg* svg, const std::vector<Panel>& panels, const std::string& title, double y,
              void (*draw)(Svg*, const Panel&, const Box&)) {
  if (panels.empty()) return y;
  svg->Text(kMargin, y, title, 15, kInk, Anchor::kStart, true);
  const double top = y + 16;
  for (size_t i = 0; i < panels.size(); ++i) draw(svg, panels[i], PanelBox(i, top));
  return PanelsEnd(panels.size(), top);
}

}  // namespace

std::string PlotText(const Report& report) {
  Svg svg(kWidth);
  const Machine& m = report.machine;
  const RunSpec& run = report.options.run;
  svg.Text(kMargin, 44, "tarn-bench", 22, kInk, Anchor::kStart, true);
  svg.Text(kMargin, 66,
           fmt::format("{}, {} cores, {}; {}; {}; load {:.2f}; commit {}", m.cpu, m.cores, HumanBytes(m.memory_bytes),
                       m.kernel, m.filesystem, m.load, m.commit),
           12, kPale);
  svg.Text(
      kMargin, 84,
      fmt::format("{} keys, {}-byte keys, {}-byte values, {} thread{}, memory budget {}, durability {}, "
                  "medians of {} rounds",
                  Count(run.keys), run.key_bytes, run.value_bytes, run.threads, run.threads == 1 ? "" : "s",
                  HumanBytes(run.config.memory_budget), DurabilityName(run.config.durability), report.options.rounds),
      12, kPale);
  Legend(&svg, 112, EngineNames(report));
  double y = Ratios(&svg, report, 150);
  y = Panels(&svg, LatencyPanels(report), "Latency: one operation, by quantile", y, LatencyPanel);
  y = Panels(&svg, TimePanels(report),
             "Operations per second over time (band: lowest and highest tenth of a second of the joined ones)", y,
             TimePanel);
  return svg.Finish(y, kBackground);
}

}  // namespace tarn::bench
