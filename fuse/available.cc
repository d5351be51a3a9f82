// FuseAvailable: can this process mount? Asked without mounting anything.

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

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

}  // namespace

Result<std::string> FuseAvailable() {
  const int fd = open(kDevice, O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    const char* const advice =
        error == ENOENT || error == ENODEV || error == ENXIO
            ? "load the kernel's module (modprobe fuse), or start the container with --device /dev/fuse"
            : "ask the administrator for access; a container needs --device /dev/fuse --cap-add SYS_ADMIN";
    return Status(Code::kUnsupported, std::string(kDevice) + ": " + std::strerror(error) + "; " + advice, error);
  }
  close(fd);
  const std::string base = std::string(kDevice) + ", libfuse " + fuse_pkgversion();
  if (MayMount()) return base;
  const std::string helper = FindHelper();
  if (!helper.empty() && geteuid() != 0) return base + ", " + helper;
  if (geteuid() == 0) {
    return Status(Code::kUnsupported,
                  "root lacks the capability to mount; start the container with --cap-add SYS_ADMIN", EPERM);
  }
  return Status(Code::kUnsupported, std::string(kHelper) + " is not in PATH; install the package fuse3, or be root",
                ENOENT);
}

}  // namespace tarn::fuse
