#include "cli/progress.h"

#include <algorithm>

#include "cli/text.h"

namespace tarn::cli {
namespace {

constexpr uint64_t kDrawEveryNs = 100'000'000;      // ten times a second is smooth and costs nothing
constexpr uint64_t kPrintEveryNs = 10'000'000'000;  // a log file needs no more
constexpr double kRateFromSeconds = 0.5;            // before that a rate is noise
constexpr unsigned kBarColumns = 20;

std::string ClockText(double seconds) {
  const auto s = static_cast<uint64_t>(std::min(seconds, 359999.0));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

Progress::Progress(Context& context, std::string verb, uint64_t total_bytes, uint64_t total_items)
    : context_(context),
      verb_(std::move(verb)),
      total_bytes_(total_bytes),
      total_items_(total_items),
      started_ns_(context.clock->MonotonicNanos()),
      next_ns_(started_ns_ + (context.err.terminal() ? kDrawEveryNs : kPrintEveryNs)) {}

Progress::~Progress() {
  if (!drawn_) return;
  context_.err.Write("\r\x1b[K");
  static_cast<void>(context_.err.Flush());  // a broken error stream is no reason to fail the work
}

void Progress::Add(uint64_t bytes, uint64_t items) { Set(bytes_ + bytes, items_ + items); }

void Progress::Name(std::string verb) {
  verb_ = std::move(verb);
  if (!context_.quiet) Show();
}

void Progress::Set(uint64_t bytes, uint64_t items) {
  bytes_ = bytes;
  items_ = items;
  if (!context_.quiet) Show();
}

double Progress::Seconds() const { return static_cast<double>(context_.clock->MonotonicNanos() - started_ns_) / 1e9; }

void Progress::Show() {
  const uint64_t now = context_.clock->MonotonicNanos();
  if (now < next_ns_) return;
  next_ns_ = now + (context_.err.terminal() ? kDrawEveryNs : kPrintEveryNs);
  std::string line = Line(Seconds());
  if (context_.err.terminal()) {
    if (context_.caller.width > 1 && line.size() >= context_.caller.width) line.resize(context_.caller.width - 1);
    context_.err.Print("\r{}\x1b[K", line);
    drawn_ = true;
  } else {
    context_.err.Print("{}\n", line);
  }
  static_cast<void>(context_.err.Flush());
}

std::string Progress::Line(double seconds) const {
  const bool by_bytes = total_bytes_ > 0 || bytes_ > 0;
  const uint64_t total = by_bytes ? total_bytes_ : total_items_, done = by_bytes ? bytes_ : items_;
  std::string line = verb_ + " ";
  if (total > 0) {
    const double part = std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
    const auto filled = static_cast<size_t>(part * kBarColumns);
    if (context_.err.terminal()) {
      line += fmt::format("[{}{}] ", std::string(filled, '#'), std::string(kBarColumns - filled, '.'));
    }
    line += fmt::format("{:3.0f}% ", part * 100);
  }
  if (by_bytes) line += HumanBytes(bytes_) + " ";
  if (items_ > 0) line += fmt::format("{} items ", Grouped(items_));
  if (seconds >= kRateFromSeconds) {
    if (by_bytes) {
      line += fmt::format("{}/s ", HumanBytes(static_cast<uint64_t>(static_cast<double>(done) / seconds)));
    } else {
      line += fmt::format("{:.0f}/s ", static_cast<double>(done) / seconds);
    }
    if (total > done && done > 0) {
      const double left = seconds * static_cast<double>(total - done) / static_cast<double>(done);
      line += fmt::format("ETA {}", ClockText(left));
    }
  }
  return line;
}

std::string RateText(uint64_t bytes, double seconds) {
  if (seconds < 0.01) return fmt::format("in {:.3f} s", seconds);
  return fmt::format("in {:.2f} s, {}/s", seconds,
                     HumanBytes(static_cast<uint64_t>(static_cast<double>(bytes) / seconds)));
}

}  // namespace tarn::cli
