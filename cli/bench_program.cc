#include "cli/bench_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>

#include "cli/local_fs.h"
#include "cli/text.h"

extern char** environ;

namespace tarn::cli {
namespace {

constexpr int kPollMillis = 200;        // a signal wakes the wait at once; this is for one that came just before
constexpr size_t kMaxOutput = 8 << 20;  // fio's JSON is a few KiB for each job
constexpr mode_t kPrivate = 0600;

std::vector<std::string> Environment() {
  std::vector<std::string> out = {"LC_ALL=C", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
                                  "GIT_TERMINAL_PROMPT=0"};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    // GIT_DIR and its like, which a hook has set, would lead git to another repository.
    if (!text.starts_with("GIT_") && !text.starts_with("LC_ALL=") && !text.starts_with("TAR_OPTIONS=")) {
      out.emplace_back(text);
    }
  }
  return out;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

Result<std::string> ReadFile(const std::string& path) {
  const UniqueFd file = OpenAt(AT_FDCWD, path, O_RDONLY);
  if (!file.ok()) return LocalError(errno, path, "it was just written");
  std::string text(kMaxOutput, '\0');
  TARN_ASSIGN(const size_t n, ReadStream(file.get(), text, path));
  text.resize(n);
  return text;
}

std::string LastLine(const std::string& text) {
  std::istringstream in(text);
  std::string last;
  for (std::string line; std::getline(in, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

Result<pid_t> Spawn(std::vector<std::string> argv, const std::string& directory, const std::string& out,
                    const std::string& err) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_TRUNC;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), kFlags, kPrivate);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), kFlags, kPrivate);
  posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t defaults;  // we ignore it; programs in a pipe must not
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> environment = Environment();
  pid_t pid;
  const int error =
      posix_spawnp(&pid, argv[0].c_str(), &actions, &attributes, Pointers(argv).data(), Pointers(environment).data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return LocalError(error, argv[0], "cannot start it");
  return pid;
}

// The wait status. A user who gives up ends the whole group, and its end is awaited.
Result<int> Await(const Context& context, pid_t pid) {
  const UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  bool asked = false;
  while (true) {
    struct pollfd waiting = {process.get(), POLLIN, 0};
    if (!process.ok() || poll(&waiting, 1, kPollMillis) > 0) break;
    if (!asked && !context.Check().ok()) {
      kill(-pid, SIGTERM);
      asked = true;
    }
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return LocalError(errno, "waitpid", "the program is lost");
  }
  if (!asked) return status;
  return context.Check();
}

}  // namespace

bool HaveProgram(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::istringstream directories(path != nullptr ? path : "/usr/bin:/bin");
  for (std::string directory; std::getline(directories, directory, ':');) {
    if (access((directory + "/" + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

Result<std::string> RunProgram(const Context& context, const std::vector<std::string>& argv,
                               const std::string& directory, const std::string& scratch) {
  const std::string out = scratch + "/program.out", err = scratch + "/program.err";
  TARN_ASSIGN(const pid_t pid, Spawn(argv, directory, out, err));
  TARN_ASSIGN(const int status, Await(context, pid));
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return ReadFile(out);
  TARN_TRY(context.Check());
  TARN_ASSIGN(const std::string words, ReadFile(err));
  const std::string how = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                            : fmt::format("signal {}", WTERMSIG(status));
  return Status::Io(
      fmt::format("{} in {}: {}: {}", argv[0], Escape(directory), how, EscapeControls(LastLine(words))));
}

}  // namespace tarn::cli
