// Runs a command in a process where seccomp denies io_uring:  without_io_uring PROGRAM [ARGUMENT...]
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "tests/local/deny_io_uring.h"

int main(int argc, char** argv) {
  if (argc < 2 || !tarn::test::DenyIoUring(EPERM)) {
    std::fprintf(stderr, "usage: without_io_uring PROGRAM [ARGUMENT...] (needs seccomp filters)\n");
    return 2;
  }
  execv(argv[1], argv + 1);
  std::perror(argv[1]);
  return 2;
}
