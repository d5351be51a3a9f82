#include "bench/report/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "bench/engine.h"
#include "bench/report/text.h"

namespace tarn::bench {
namespace {

volatile std::sig_atomic_t g_stop_signal = 0;

struct Pipe {
  Pipe() {
    if (pipe2(ends.data(), O_CLOEXEC) != 0) Die(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  }
  std::array<int, 2> ends{};
};

[[noreturn]] void BecomeChild(const std::vector<std::string>& command, int out, int err, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // it died before the line above
  signal(SIGINT, SIG_DFL);
  signal(SIGTERM, SIG_DFL);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const std::string why = fmt::format("cannot run {}: {}\n", command[0], std::strerror(errno));
  (void)!write(STDERR_FILENO, why.data(), why.size());
  _exit(127);
}

// Reads both streams until the child has closed them.
void Listen(pid_t child, int out_fd, int err_fd, const std::function<void()>& tick, std::string* out,
            std::string* err) {
  std::array<pollfd, 2> fds = {{{out_fd, POLLIN, 0}, {err_fd, POLLIN, 0}}};
  const std::array<std::string*, 2> texts = {out, err};
  constexpr int kTickMillis = 200;
  while (fds[0].fd >= 0 || fds[1].fd >= 0) {
    const int ready = poll(fds.data(), fds.size(), kTickMillis);
    if (StopSignal() != 0) kill(child, SIGKILL);  // closes its ends, and so ends this loop
    tick();
    if (ready <= 0) continue;
    for (size_t i = 0; i < fds.size(); ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      std::array<char, 65536> buffer;
      const ssize_t n = read(fds[i].fd, buffer.data(), buffer.size());
      if (n > 0) texts[i]->append(buffer.data(), static_cast<size_t>(n));
      if (n == 0 || (n < 0 && errno != EINTR)) fds[i].fd = -1;
    }
  }
}

// The last line that a program printed, without the "tarn-bench: " that every message of ours begins with.
std::string LastLine(const std::string& text) {
  const std::vector<std::string> lines = Split(text, '\n');
  std::string line = lines.empty() ? "" : lines.back();
  const std::string ours = "tarn-bench: ";
  return line.starts_with(ours) ? line.substr(ours.size()) : line;
}

std::string WhyFailed(int status, const std::string& err) {
  if (StopSignal() != 0) return "stopped";
  const std::string said = LastLine(err);
  if (WIFSIGNALED(status)) {
    const int number = WTERMSIG(status);
    return fmt::format("killed by signal {} ({}){}{}", number, strsignal(number), said.empty() ? "" : ": ", said);
  }
  if (WEXITSTATUS(status) == 0) return "";
  return said.empty() ? fmt::format("ended with status {} and said nothing", WEXITSTATUS(status)) : said;
}

}  // namespace

void CatchStopSignals() {
  struct sigaction action {};
  action.sa_handler = [](int number) { g_stop_signal = number; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

int StopSignal() { return g_stop_signal; }

ChildOutcome RunChild(const std::vector<std::string>& command, const std::function<void()>& tick) {
  Pipe out, err;
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) Die(fmt::format("cannot start a process: {}", std::strerror(errno)));
  if (child == 0) BecomeChild(command, out.ends[1], err.ends[1], parent);
  close(out.ends[1]);
  close(err.ends[1]);
  ChildOutcome outcome;
  std::string said;
  Listen(child, out.ends[0], err.ends[0], tick, &outcome.out, &said);
  close(out.ends[0]);
  close(err.ends[0]);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    if (StopSignal() != 0) kill(child, SIGKILL);
  }
  outcome.error = WhyFailed(status, said);
  return outcome;
}

}  // namespace tarn::bench
