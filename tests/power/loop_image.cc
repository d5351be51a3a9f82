#include "tests/power/loop_image.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

extern char** environ;

namespace tarn::test {
namespace {

constexpr int kSkipped = 77;
constexpr unsigned kLoopMajor = 7;
// FS_IOC_SHUTDOWN of ext4 and xfs, which no header of userspace names; the flag keeps the journal's buffers
// unwritten.
constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);  // NOLINT: the type of ioctl's request
constexpr uint32_t kShutdownNoLogFlush = 2;

Status Failed(const std::string& what) { return Status::FromErrno(errno, what + ": " + std::strerror(errno)); }

Status RunProgram(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  int status = posix_spawnp(&pid, argv[0], nullptr, nullptr, argv.data(), environ);
  if (status != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
    return Status::Io(words[0] + " failed with " + std::to_string(status));
  }
  return {};
}

}  // namespace

void Skip(const std::string& why) {
  std::printf("skipped: %s\n", why.c_str());
  std::exit(kSkipped);
}

bool HasProgram(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return true;
  }
  return false;
}

void NeedLoopDevices() {
  if (geteuid() != 0) Skip("loop devices take root");
  if (!HasProgram("mkfs.ext4")) Skip("mkfs.ext4 is missing (Debian: e2fsprogs)");
  const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) Skip(std::string("/dev/loop-control: ") + std::strerror(errno));
  close(control);
  if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    Skip(std::string("no mount namespace of its own: ") + std::strerror(errno));
  }
}

void NeedFuse() {
  if (access("/dev/fuse", R_OK | W_OK) != 0) Skip("there is no /dev/fuse here");
}

int FileInMemory(uint64_t bytes) {
  const int fd = memfd_create("tarn-image", MFD_CLOEXEC);
  if (fd >= 0 && ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

LoopImage::LoopImage(int fd, std::string directory) : backing_(fd), directory_(std::move(directory)) {
  std::filesystem::create_directories(directory_);
}

LoopImage::~LoopImage() {
  if (mounted_) umount2(directory_.c_str(), MNT_DETACH);
  Detach();
}

Status LoopImage::Attach() {
  const int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
  if (control < 0) return Failed("/dev/loop-control");
  for (int attempt = 0; loop_ < 0 && attempt < 100; ++attempt) {  // others look for one at the same time
    const int number = ioctl(control, LOOP_CTL_GET_FREE);
    if (number < 0) break;
    device_ = "/dev/loop" + std::to_string(number);
    if (access(device_.c_str(), F_OK) != 0) mknod(device_.c_str(), S_IFBLK | 0600, makedev(kLoopMajor, number));
    const int loop = open(device_.c_str(), O_RDWR | O_CLOEXEC);
    if (loop < 0) break;
    loop_config config{};
    config.fd = static_cast<uint32_t>(backing_);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
      loop_ = loop;
    } else {
      const int error = errno;
      close(loop);
      errno = error;
      if (error != EBUSY) break;
    }
  }
  const Status status = loop_ >= 0 ? Status() : Failed("attaching " + device_);
  close(control);
  return status;
}

void LoopImage::Detach() {
  if (loop_ >= 0) close(loop_);
  loop_ = -1;
}

Status LoopImage::MakeFilesystem(const std::string& type) {
  TARN_TRY(Attach());
  // Not discarded, so that a logged device sees writes and flushes only.
  const Status made = type == "ext4" ? RunProgram({"mkfs.ext4", "-q", "-F", "-E", "nodiscard", device_})
                                     : RunProgram({"mkfs." + type, "-q", "-f", "-K", device_});
  Detach();
  return made;
}

Status LoopImage::Mount(const std::string& type) {
  TARN_TRY(Attach());
  // The kernel's helps for programs that forget to sync are off, and it commits only when it is asked to.
  const char* options = type == "ext4" ? "noauto_da_alloc,commit=300" : "";
  if (mount(device_.c_str(), directory_.c_str(), type.c_str(), MS_NOATIME, options) != 0) {
    const Status failed = Failed("mounting " + type + " at " + directory_);
    Detach();
    return failed;
  }
  mounted_ = true;
  return {};
}

Status LoopImage::Unmount() {
  // A ring of io_uring gives its files back a moment after its process ended, and nothing tells when.
  constexpr int kAttempts = 20'000;
  for (int attempt = 0; umount2(directory_.c_str(), 0) != 0; ++attempt) {
    if (errno != EBUSY || attempt == kAttempts) return Failed("unmounting " + directory_);
    poll(nullptr, 0, 1);
  }
  mounted_ = false;
  Detach();
  return {};
}

Status LoopImage::CutPower() {
  const int top = open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (top < 0) return Failed(directory_);
  uint32_t flag = kShutdownNoLogFlush;
  const Status status = ioctl(top, kShutdown, &flag) == 0 ? Status() : Failed("FS_IOC_SHUTDOWN on " + directory_);
  close(top);
  return status;
}

}  // namespace tarn::test
