// A lake on a local directory, mounted by this very process: a thread serves, the test uses system calls.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "backends/local/local.h"
#include "fuse/mount.h"

namespace tarn::fuse {

#define ASSERT_OK(expr)                                            \
  do {                                                             \
    const ::tarn::Status assert_status_ = (expr);                  \
    ASSERT_TRUE(assert_status_.ok()) << assert_status_.ToString(); \
  } while (0)
#define EXPECT_OK(expr)                                            \
  do {                                                             \
    const ::tarn::Status expect_status_ = (expr);                  \
    EXPECT_TRUE(expect_status_.ok()) << expect_status_.ToString(); \
  } while (0)
// A system call that must succeed, or fail with this errno.
#define EXPECT_SYS(expr) EXPECT_NE(-1, static_cast<int64_t>(expr)) << std::strerror(errno)
#define ASSERT_SYS(expr) ASSERT_NE(-1, static_cast<int64_t>(expr)) << std::strerror(errno)
#define EXPECT_FAILS(number, expr)                    \
  do {                                                \
    errno = 0;                                        \
    EXPECT_EQ(-1, static_cast<int64_t>(expr));        \
    EXPECT_EQ(number, errno) << std::strerror(errno); \
  } while (0)

class Fd {
 public:
  Fd(const std::string& path, int flags, mode_t mode = 0644) : fd_(open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { Close(); }
  operator int() const { return fd_; }  // NOLINT: it stands for the descriptor
  int Close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 ? 0 : close(fd);
  }

 private:
  int fd_;
};

// Bytes in which no block of a file equals another.
inline std::string Pattern(size_t size, uint64_t seed = 1) {
  std::string bytes(size, '\0');
  uint64_t word = seed * 0x9e3779b97f4a7c15ull + 1;
  for (char& c : bytes) {
    word ^= word << 13;
    word ^= word >> 7;
    word ^= word << 17;
    c = static_cast<char>(word >> 32);
  }
  return bytes;
}

class MountFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    if (access("/dev/fuse", F_OK) != 0) GTEST_SKIP() << "/dev/fuse is absent, so nothing can be mounted here";
    std::string base = ::testing::TempDir() + "tarn-fuse-XXXXXX";
    ASSERT_NE(nullptr, mkdtemp(base.data()));
    base_ = base;
    root_ = base + "/mnt";
    ASSERT_SYS(mkdir(root_.c_str(), 0755));
    OpenLake(true);
    Mount({});
  }

  void TearDown() override {
    Unmount();
    if (lake_ != nullptr) EXPECT_OK(lake_->Close());
    lake_.reset();
    if (!base_.empty()) {
      umount2(root_.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);  // whatever a failed test left
      std::filesystem::remove_all(base_);
    }
  }

  void OpenLake(bool create) {
    auto backend = local::OpenLocal(base_ + "/lake");
    ASSERT_OK(backend.status());
    Components components;
    components.backend = *backend;
    lake::LakeOptions options;
    options.settings.memory_bytes = 32 << 20;
    auto lake = create ? lake::Lake::Init(components, options) : lake::Lake::Open(components, options);
    ASSERT_OK(lake.status());
    lake_ = std::move(*lake);
    lake::AttrChange owner;  // of a new lake's root: root, whoever runs the test
    owner.uid = geteuid();
    owner.gid = getegid();
    ASSERT_OK(lake_->SetAttr(lake::kRootIno, owner).status());
  }

  void Mount(MountOptions options) {
    if (options.mountpoint.empty()) options.mountpoint = root_;
    auto mount = Mount::Start(*lake_, options);
    ASSERT_OK(mount.status());
    mount_ = std::move(*mount);
    server_ = std::thread([this] { ended_ = mount_->Run(); });
  }

  void Unmount() {
    if (mount_ == nullptr) return;
    mount_->Stop();
    if (server_.joinable()) server_.join();
    EXPECT_OK(ended_);
    mount_.reset();
  }

  void Remount(const MountOptions& options) {
    Unmount();
    Mount(options);
  }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }

  void WriteFile(const std::string& name, const std::string& bytes) {
    const Fd fd(Path(name), O_WRONLY | O_CREAT | O_TRUNC);
    ASSERT_SYS(fd);
    ASSERT_EQ(static_cast<ssize_t>(bytes.size()), write(fd, bytes.data(), bytes.size()));
  }

  std::string ReadFile(const std::string& name) {
    const Fd fd(Path(name), O_RDONLY);
    EXPECT_SYS(fd);
    std::string bytes;
    char buffer[65536];
    for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) != 0;) {
      if (n < 0) {
        ADD_FAILURE() << name << ": " << std::strerror(errno);
        break;
      }
      bytes.append(buffer, static_cast<size_t>(n));
    }
    return bytes;
  }

  struct stat Stat(const std::string& name) {
    struct stat st = {};
    EXPECT_SYS(lstat(Path(name).c_str(), &st)) << name;
    return st;
  }

  bool Exists(const std::string& name) {
    struct stat st;
    return lstat(Path(name).c_str(), &st) == 0;
  }

  void ExpectClean() {
    const auto report = lake_->Check(true, {});
    ASSERT_OK(report.status());
    EXPECT_EQ(report->problems, std::vector<std::string>());
  }

  std::string base_, root_;
  std::unique_ptr<lake::Lake> lake_;
  std::unique_ptr<tarn::fuse::Mount> mount_;
  std::thread server_;
  Status ended_;
};

}  // namespace tarn::fuse
