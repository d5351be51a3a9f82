#include "bench/report/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "bench/report/text.h"

namespace tarn::bench {

Progress::Progress(size_t rows, size_t runs)
    : rows_(rows), runs_(runs), terminal_(isatty(STDERR_FILENO) == 1), start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (terminal_) fmt::print(stderr, "\r\x1b[K");
}

double Progress::Seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::RunStarts(const Row& row, unsigned round, unsigned rounds) {
  what_ = fmt::format("{} on {}, round {} of {}", row.workload.name, row.engine, round + 1, rounds);
  run_start_ = Seconds();
}

void Progress::Phase(const std::string& what) {
  phase_ = what;
  shown_ = -1;
  Tick();
}

void Progress::Tick() {
  const double now = Seconds();
  constexpr double kBetween = 0.5;  // seconds; faster is unrest
  if (!terminal_ || (shown_ >= 0 && now - shown_ < kBetween)) return;
  shown_ = now;
  std::string left;
  if (runs_done_ > 0) {
    const double mean = run_seconds_ / static_cast<double>(runs_done_);
    const double rest = mean * static_cast<double>(runs_ - runs_done_) - (now - run_start_);
    left = fmt::format(", about {} left", HumanSeconds(std::max(1.0, rest)));
  }
  fmt::print(stderr, "\r{}/{} rows: {}, {} {}{}\x1b[K", rows_done_, rows_, what_, phase_,
             HumanSeconds(now - run_start_), left);
  std::fflush(stderr);
}

void Progress::RunEnds() {
  ++runs_done_;
  run_seconds_ += Seconds() - run_start_;
}

void Progress::RowEnds(const Row& row) {
  ++rows_done_;
  if (terminal_) return;
  const std::optional<Figures> f = FiguresOf(row);
  const std::string result = f ? Grouped(f->ops_per_second.median) + " ops/s" : row.error;
  fmt::print(stderr, "{}/{} {} {}: {}\n", rows_done_, rows_, row.workload.name, row.engine, result);
}

}  // namespace tarn::bench
