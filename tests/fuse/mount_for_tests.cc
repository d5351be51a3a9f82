// mount_for_tests LAKE MOUNTPOINT: mounts the lake in that directory, which is made when there is none, until it is
// unmounted or SIGTERM comes. Prints "ready" when programs may begin. For programs_test.sh.

#include <csignal>
#include <cstdio>
#include <thread>

#include "backends/local/local.h"
#include "fuse/mount.h"

namespace tarn::fuse {
namespace {

Status Serve(const std::string& directory, const std::string& mountpoint, const sigset_t& signals) {
  TARN_ASSIGN(const auto backend, local::OpenLocal(directory));
  Components components;
  components.backend = backend;
  auto opened = lake::Lake::Open(components, {});
  if (!opened.ok()) opened = lake::Lake::Init(components, {});
  TARN_ASSIGN(const auto lake, std::move(opened));
  TARN_ASSIGN(const auto mount, Mount::Start(*lake, {.mountpoint = mountpoint}));
  std::puts("ready");
  std::fflush(stdout);
  std::thread watcher([&] {
    int signal;
    sigwait(&signals, &signal);
    mount->Stop();
  });
  const Status ended = mount->Run();
  pthread_kill(watcher.native_handle(), SIGTERM);  // if it was an unmount
  watcher.join();
  TARN_TRY(ended);
  TARN_ASSIGN(const auto report, lake->Check(true, {}));
  for (const std::string& problem : report.problems) std::fprintf(stderr, "check: %s\n", problem.c_str());
  if (!report.problems.empty()) return Status::Corruption("the lake is not whole");
  return lake->Close();
}

}  // namespace
}  // namespace tarn::fuse

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s LAKE MOUNTPOINT\n", argv[0]);
    return 2;
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  const tarn::Status status = tarn::fuse::Serve(argv[1], argv[2], signals);
  if (!status.ok()) std::fprintf(stderr, "%s: %s\n", argv[0], status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
