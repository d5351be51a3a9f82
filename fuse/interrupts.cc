#include "fuse/interrupts.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace tarn::fuse {
namespace {

thread_local const Interruptible* registering = nullptr;

constexpr uint64_t Bit(int signal) { return uint64_t{1} << (signal - 1); }
constexpr uint64_t kLeave = Bit(SIGKILL) | Bit(SIGINT) | Bit(SIGTERM) | Bit(SIGQUIT) | Bit(SIGHUP);

// A mask of /proc/TID/status.
uint64_t MaskOf(std::string_view status, std::string_view name) {
  const size_t at = status.find(name);
  return at == std::string_view::npos ? 0 : std::strtoull(status.data() + at + name.size(), nullptr, 16);
}

}  // namespace

bool WantsToLeave(pid_t tid) {
  if (tid <= 0) return false;
  const std::string path = "/proc/" + std::to_string(tid) + "/status";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[8192];  // the kernel writes about 1,500
  const ssize_t n = read(fd, text, sizeof text - 1);
  close(fd);
  if (n <= 0) return false;
  text[n] = '\0';
  const std::string_view status(text, static_cast<size_t>(n));
  return ((MaskOf(status, "\nSigPnd:") | MaskOf(status, "\nShdPnd:")) & ~MaskOf(status, "\nSigBlk:") & kLeave) != 0;
}

Interruptible::Interruptible(fuse_req_t req) : req_(req) {
  registering = this;
  fuse_req_interrupt_func(req, &Interruptible::OnInterrupt, this);
  registering = nullptr;
  // libfuse calls it from within, too, but there an answer would free the request, whose lock it is about to release.
  if (too_early_ && !answered_.exchange(true)) fuse_reply_err(req, EINTR);
}

void Interruptible::OnInterrupt(fuse_req_t req, void* self) {
  auto* const waiting = static_cast<Interruptible*>(self);
  if (!WantsToLeave(fuse_req_ctx(req)->pid)) return;
  if (registering == waiting) {
    waiting->too_early_ = true;
    return;
  }
  if (!waiting->answered_.exchange(true)) fuse_reply_err(req, EINTR);  // `waiting` may be gone from here on
}

bool Interruptible::GivenUp() {
  if (answered_.exchange(true)) return true;
  fuse_req_interrupt_func(req_, nullptr, nullptr);  // waits for a call that came too late
  return false;
}

}  // namespace tarn::fuse
