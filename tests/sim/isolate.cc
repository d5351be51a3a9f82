#include "tests/sim/isolate.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <new>
#include <nlohmann/json.hpp>
#include <string_view>

namespace tarn::test {
namespace {

using nlohmann::json;

// A life takes a fraction of a second. After so long it hangs, also under a sanitizer on a busy machine.
constexpr unsigned kHungSeconds = 240;

void WriteAll(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n <= 0) _exit(3);  // nobody listens any more
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

std::string LastLine(int fd) {
  std::string text(4096, '\0');
  const off_t end = lseek(fd, 0, SEEK_END);
  const ssize_t n = pread(fd, text.data(), text.size(), std::max<off_t>(0, end - static_cast<off_t>(text.size())));
  text.resize(n < 0 ? 0 : static_cast<size_t>(n));
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t newline = text.rfind('\n');
  return newline == std::string::npos ? text : text.substr(newline + 1);
}

std::string HowItDied(int status, int stderr_fd) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
    return "hangs: no end after " + std::to_string(kHungSeconds) + " seconds";
  }
  const std::string how = WIFSIGNALED(status) ? "died of signal " + std::to_string(WTERMSIG(status))
                                              : "ended with status " + std::to_string(WEXITSTATUS(status));
  const std::string said = LastLine(stderr_fd);
  return said.empty() ? how : how + ": " + said;
}

}  // namespace

Child::Child(const Body& body) {
  void* const memory = mmap(nullptr, sizeof(Place), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  stderr_ = memfd_create("stderr", MFD_CLOEXEC);
  int ends[2];
  if (memory != MAP_FAILED) place_ = new (memory) Place();
  std::fflush(nullptr);
  if (place_ == nullptr || stderr_ < 0 || pipe(ends) != 0 || (pid_ = fork()) < 0) {
    std::perror("tarn-sim: a process could not be started, free some and try again");
    std::exit(2);
  }
  fd_ = ends[0];
  if (pid_ > 0) {
    close(ends[1]);
    return;
  }
  signal(SIGINT, SIG_IGN);  // a ^C is for the parent, which lets us finish
  dup2(stderr_, STDERR_FILENO);
  body(place_, [&](const std::string& line) { WriteAll(ends[1], line + "\n"); });
  _exit(0);
}

Child::~Child() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  close(fd_);
  close(stderr_);
  munmap(place_, sizeof(Place));
}

std::vector<std::string> Child::Take() {
  std::vector<std::string> lines;
  char buffer[1 << 16];
  const ssize_t n = read(fd_, buffer, sizeof(buffer));
  if (n > 0) pending_.append(buffer, static_cast<size_t>(n));
  for (size_t newline; (newline = pending_.find('\n')) != std::string::npos; pending_.erase(0, newline + 1)) {
    lines.push_back(pending_.substr(0, newline));
  }
  if (n > 0 || (n < 0 && errno == EINTR)) return lines;
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  if (status != 0) death_ = HowItDied(status, stderr_);
  return lines;
}

std::string OutcomeToLine(const Outcome& outcome) {
  return json{{"failure", outcome.failure},
              {"steps", outcome.steps},
              {"operations", outcome.tally.operations},
              {"crashes", outcome.tally.crashes},
              {"recoveries", outcome.tally.recoveries},
              {"digest", outcome.tally.digest},
              {"faults", outcome.tally.faults}}
      .dump(-1, ' ', true, json::error_handler_t::replace);
}

Outcome OutcomeFromLine(const std::string& text) {
  const json line = json::parse(text);
  Outcome outcome{.failure = line["failure"], .steps = line["steps"]};
  outcome.tally.operations = line["operations"];
  outcome.tally.crashes = line["crashes"];
  outcome.tally.recoveries = line["recoveries"];
  outcome.tally.digest = line["digest"];
  outcome.tally.faults = line["faults"].get<std::map<std::string, uint64_t>>();
  return outcome;
}

void LimitLife() { alarm(kHungSeconds); }

Outcome RunIsolated(const WorldKind& kind, uint64_t seed, const Schedule& schedule) {
  Child child([&](Place* place, const Child::Send& send) {
    LimitLife();
    send(OutcomeToLine(RunWorld(kind, seed, schedule, nullptr, &place->steps)));
  });
  Outcome outcome;
  while (!child.ended()) {
    for (const std::string& line : child.Take()) outcome = OutcomeFromLine(line);
  }
  if (child.death().empty()) return outcome;
  return {.failure = child.death(), .steps = child.place().steps};
}

}  // namespace tarn::test
