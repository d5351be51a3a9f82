#include "tests/kill/child.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace tarn::test {
namespace {

constexpr int kHangsMillis = 120'000;  // a hang must fail the test; no healthy machine is that slow

[[noreturn]] void Die(const char* what) {
  std::perror(what);
  std::exit(1);
}

bool Readable(int fd, int millis) {
  pollfd wait{fd, POLLIN, 0};
  return poll(&wait, 1, millis) == 1;
}

}  // namespace

Child::Child(const std::function<int(int word)>& body) {
  int ends[2];
  if (pipe(ends) != 0) Die("pipe");
  const pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) Die("fork");
  if (pid_ == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    close(ends[0]);
    _exit(body(ends[1]));
  }
  close(ends[1]);
  word_ = ends[0];
}

Child::~Child() {
  if (pid_ > 0) {
    Kill();
    Wait();
  }
  close(word_);
}

bool Child::AwaitWord() {
  char byte;
  return Readable(word_, kHangsMillis) && read(word_, &byte, 1) == 1;
}

void Child::Kill() { kill(pid_, SIGKILL); }

int Child::Wait() {
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (process >= 0) {
    if (!Readable(process, kHangsMillis)) Kill();
    close(process);
  }
  int status = 0;
  if (waitpid(pid_, &status, 0) != pid_) Die("waitpid");
  pid_ = -1;
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace tarn::test
