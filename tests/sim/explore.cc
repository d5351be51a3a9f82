#include "tests/sim/explore.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/sim/isolate.h"

namespace tarn::test {
namespace {

using nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

// Seeds of one child: a second or so, so that a fork costs nothing and a ^C is heard soon.
constexpr uint64_t kSeedsPerChild = 8;

volatile sig_atomic_t interrupted = 0;
void OnInterrupt(int) { interrupted = 1; }

class Explorer {
 public:
  Explorer(const ExploreOptions& options, ExploreReport* report)
      : options_(options), report_(report), next_(report->next_seed), seconds_before_(report->seconds) {}

  void Run() {
    signal(SIGINT, OnInterrupt);
    while (report_->failed == nullptr && (!Over() || !workers_.empty())) {
      while (!Over() && workers_.size() < options_.jobs) Start();
      Wait();
      report_->seconds = seconds_before_ + Seconds();
      if (options_.progress) Progress(false);
    }
    workers_.clear();
    // Seeds that were not finished are to be run again.
    report_->next_seed = unfinished_.empty() ? next_ : *unfinished_.begin();
    if (options_.progress) Progress(true);
    signal(SIGINT, SIG_DFL);
  }

 private:
  struct Worker {
    uint64_t first = 0;
    std::unique_ptr<Child> child;
  };

  double Seconds() const { return std::chrono::duration<double>(SteadyClock::now() - began_).count(); }
  bool Over() const {
    if (interrupted != 0) return true;
    if (options_.minutes > 0 && Seconds() >= options_.minutes * 60) return true;
    return options_.operations > 0 && report_->tally.operations >= options_.operations;
  }

  void Start() {
    Worker worker{.first = next_};
    next_ += kSeedsPerChild;
    unfinished_.insert(worker.first);
    worker.child = std::make_unique<Child>([&](Place* place, const Child::Send& send) {
      for (uint64_t seed = worker.first; seed < worker.first + kSeedsPerChild; ++seed) {
        for (size_t world = 0; world < options_.worlds.size(); ++world) {
          *place = {world, seed, 0};
          LimitLife();
          const Outcome outcome = RunWorld(*options_.worlds[world], seed, WholeSchedule(options_.steps));
          send(std::to_string(world) + " " + std::to_string(seed) + " " + OutcomeToLine(outcome));
        }
      }
    });
    workers_.push_back(std::move(worker));
  }

  void Wait() {
    std::vector<pollfd> fds;
    for (const Worker& worker : workers_) fds.push_back({worker.child->fd(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), 500) <= 0) return;
    for (size_t i = workers_.size(); i-- > 0;) {
      if (fds[i].revents == 0) continue;
      Child& child = *workers_[i].child;
      for (const std::string& line : child.Take()) Learn(line);
      if (!child.ended()) continue;
      if (!child.death().empty()) Fail(child.place().world, child.place().seed, child.death());
      if (report_->failed == nullptr) unfinished_.erase(workers_[i].first);
      workers_.erase(workers_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  void Learn(const std::string& line) {
    std::istringstream in(line);
    size_t world = 0;
    uint64_t seed = 0;
    std::string rest;
    in >> world >> seed;
    std::getline(in, rest);
    const Outcome outcome = OutcomeFromLine(rest);
    ++report_->lives;
    report_->tally.Add(outcome.tally);
    report_->by_world[options_.worlds[world]->name].Add(outcome.tally);
    if (!outcome.failure.empty()) Fail(world, seed, outcome.failure);
  }

  void Fail(size_t world, uint64_t seed, const std::string& failure) {
    if (report_->failed != nullptr) return;
    report_->failed = options_.worlds[world];
    report_->failed_seed = seed;
    report_->failure = failure;
  }

  // Rewritten on a terminal; in a file a line now and then.
  void Progress(bool last) {
    const bool terminal = isatty(STDERR_FILENO) != 0;
    const double now = Seconds();
    if (!last && now - shown_ < (terminal ? 0.5 : 10.0)) return;
    const uint64_t operations = report_->tally.operations - shown_operations_;
    const double rate = now > shown_ ? static_cast<double>(operations) / (now - shown_) : 0;
    shown_ = now;
    shown_operations_ = report_->tally.operations;
    uint64_t faults = 0;
    for (const auto& [kind, count] : report_->tally.faults) faults += count;
    std::fprintf(stderr,
                 "%s%.0f s: seeds to %llu, %llu lives, %.1f M operations (%.0f k/s), %llu crashes, %llu recoveries, "
                 "%llu faults%s",
                 terminal ? "\r\033[K" : "", report_->seconds, static_cast<unsigned long long>(next_ - 1),
                 static_cast<unsigned long long>(report_->lives),
                 static_cast<double>(report_->tally.operations) / 1e6, rate / 1e3,
                 static_cast<unsigned long long>(report_->tally.crashes),
                 static_cast<unsigned long long>(report_->tally.recoveries), static_cast<unsigned long long>(faults),
                 terminal && !last ? "" : "\n");
  }

  const ExploreOptions& options_;
  ExploreReport* const report_;
  const SteadyClock::time_point began_ = SteadyClock::now();
  std::vector<Worker> workers_;
  std::set<uint64_t> unfinished_;  // the first seed of each worker that runs
  uint64_t next_;
  const double seconds_before_;
  double shown_ = 0;
  uint64_t shown_operations_ = 0;
};

json ToJson(const Tally& tally) {
  return {{"operations", tally.operations},
          {"crashes", tally.crashes},
          {"recoveries", tally.recoveries},
          {"faults", tally.faults}};
}

Tally FromJson(const json& from) {
  Tally tally{
      .operations = from.at("operations"), .crashes = from.at("crashes"), .recoveries = from.at("recoveries")};
  tally.faults = from.at("faults").get<std::map<std::string, uint64_t>>();
  return tally;
}

}  // namespace

void Explore(const ExploreOptions& options, ExploreReport* report) { Explorer(options, report).Run(); }

std::string ReportToJson(const ExploreReport& report) {
  json out = ToJson(report.tally);
  out["next_seed"] = report.next_seed;
  out["lives"] = report.lives;
  out["seconds"] = report.seconds;
  out["worlds"] = json::object();
  for (const auto& [name, tally] : report.by_world) out["worlds"][name] = ToJson(tally);
  if (report.failed != nullptr) {
    out["failed"] = {{"world", report.failed->name}, {"seed", report.failed_seed}, {"failure", report.failure}};
  }
  return out.dump(2, ' ', true, json::error_handler_t::replace) + "\n";
}

bool LoadState(const std::string& path, ExploreReport* report) {
  std::ifstream in(path);
  if (!in) return access(path.c_str(), F_OK) != 0;
  const json state = json::parse(in, nullptr, false);
  if (state.is_discarded()) return false;
  try {
    report->tally = FromJson(state);
    report->next_seed = state.at("next_seed");
    report->lives = state.at("lives");
    report->seconds = state.at("seconds");
    for (const auto& [name, tally] : state.at("worlds").items()) report->by_world[name] = FromJson(tally);
  } catch (const json::exception&) {
    return false;
  }
  return true;
}

bool SaveState(const std::string& path, const ExploreReport& report) {
  const std::string fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    out << ReportToJson(report);
    if (!out.flush()) return false;
  }
  return std::rename(fresh.c_str(), path.c_str()) == 0;
}

}  // namespace tarn::test
