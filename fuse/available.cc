// FuseAvailable: can this process mount? Asked without mounting anything.

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "fuse/libfuse.h"
#include "fuse/mount.h"

namespace tarn::fuse {
namespace {

constexpr const char* kDevice = "/dev/fuse";
constexpr const char* kHelper = "fusermount3";

bool MayMount() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return false;
  return (data[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN)) != 0;
}

// Where PATH has the helper, or empty.
std::string FindHelper() {
  const char* const path = std::getenv("PATH");
  std::string rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    const std::string candidate = rest.substr(0, end) + "/" + kHelper;
    if (access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.erase(0, end + 1);
  }
  return {};
}

Status NoDevice(int error) {
  const char* const advice =
      error == ENOENT || error == ENODEV || error == ENXIO
          ? "load the kernel's module (modprobe fuse), or start the container with --device /dev/fuse"
          : "ask the administrator for access; a container needs --device /dev/fuse --cap-add SYS_ADMIN";
  return Status(Code::kUnsupported, std::string(kDevice) + ": " + std::strerror(error) + "; " + advice, error);
}

}  // namespace

Result<std::string> FuseAvailable() {
  const int fd = open(kDevice, O_RDWR | O_CLOEXEC);  // by this process itself, also when the helper mounts
  if (fd < 0) return NoDevice(errno);
  close(fd);
  const std::string base = std::string(kDevice) + ", libfuse " + fuse_pkgversion();
  if (MayMount()) return base;
  if (geteuid() == 0) {
    return Status(Code::kUnsupported,
                  "root lacks the capability to mount; start the container with --cap-add SYS_ADMIN", EPERM);
  }
  const std::string helper = FindHelper();
  if (!helper.empty()) return base + ", " + helper;
  return Status(Code::kUnsupported, std::string(kHelper) + " is not in PATH; install the package fuse3, or be root",
                ENOENT);
}

}  // namespace tarn::fuse
