// A device that really fills up: a small ext4 image on a loop device. Needs root and loop devices.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "backends/local/local.h"
#include "tests/local/temp_directory.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

bool Shell(const std::string& command) {
  const int status = std::system((command + " >/dev/null 2>&1").c_str());
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

class SmallDevice : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounting an image needs root";
    if (!fs::exists("/dev/loop-control")) GTEST_SKIP() << "this machine has no loop devices";
    image_ = temp_.path() + "/image";
    root_ = temp_.path() + "/mnt";
    fs::create_directory(root_);
    ASSERT_TRUE(Shell("truncate -s 16M " + image_));
    ASSERT_TRUE(Shell("mkfs.ext4 -q -m 0 " + image_));
    mounted_ = Shell("mount -o loop " + image_ + " " + root_);
    if (!mounted_) GTEST_SKIP() << "this container may not mount loop devices";
    auto opened = local::OpenLocal(root_);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    backend_ = *opened;
  }
  void TearDown() override {
    backend_.reset();
    EXPECT_TRUE(!mounted_ || Shell("umount " + root_));
  }

  TempDirectory temp_;
  std::string image_, root_;
  bool mounted_ = false;
  std::shared_ptr<Backend> backend_;
};

TEST_F(SmallDevice, FullIsNoSpaceAndFreesWhatWasNotFinished) {
  const auto before = backend_->features().space->Space();
  ASSERT_TRUE(before.ok());
  EXPECT_LT(before->total_bytes, 16u << 20);
  ASSERT_TRUE(backend_->PutIfAbsent("keep", "safe").ok());
  {
    auto writer = backend_->Create("big");
    ASSERT_TRUE(writer.ok());
    Status status;
    for (int i = 0; i < 64 && status.ok(); ++i) status = (*writer)->Append(std::string(1 << 20, 'x'));
    EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
    EXPECT_EQ(status.os_error(), ENOSPC);
    EXPECT_NE(status.message().find("free space"), std::string_view::npos) << status.ToString();
    EXPECT_EQ((*writer)->Finish().code(), Code::kNoSpace);
  }
  EXPECT_EQ(backend_->Open("big").status().code(), Code::kNotFound);
  const auto after = backend_->features().space->Space();
  ASSERT_TRUE(after.ok());
  EXPECT_GT(after->free_bytes + (1 << 20), before->free_bytes) << "the unfinished blob's space came back";
  EXPECT_TRUE(backend_->PutIfAbsent("next", std::string(1 << 20, 'y')).ok());
  char out[4];
  auto keep = backend_->Open("keep");
  ASSERT_TRUE(keep.ok());
  ASSERT_TRUE((*keep)->Read(0, out).ok());
  EXPECT_EQ(std::string(out, 4), "safe");
}

TEST_F(SmallDevice, FullLogIsPoisonedAndKeepsWhatWasSynced) {
  auto log = backend_->features().append->CreateAppend("wal/1");
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE((*log)->Append("synced").ok());
  ASSERT_TRUE((*log)->Sync().ok());
  Status status;
  for (int i = 0; i < 64 && status.ok(); ++i) {
    status = (*log)->Append(std::string(1 << 20, 'x'));
    if (status.ok()) status = (*log)->Sync();
  }
  EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  EXPECT_EQ((*log)->Append("more").code(), Code::kNoSpace);
  EXPECT_EQ((*log)->Sync().code(), Code::kNoSpace);
  EXPECT_EQ(backend_->PutIfAbsent("blob", std::string(1 << 20, 'x')).status().code(), Code::kNoSpace);
  auto reader = backend_->Open("wal/1");
  ASSERT_TRUE(reader.ok());
  char out[6];
  ASSERT_TRUE((*reader)->Read(0, out).ok());
  EXPECT_EQ(std::string(out, 6), "synced");
  log->reset();
  reader->reset();
  ASSERT_TRUE(backend_->Delete("wal/1").ok());
  EXPECT_TRUE(backend_->PutIfAbsent("blob", std::string(1 << 20, 'x')).ok()) << "space that was freed is usable";
}

TEST_F(SmallDevice, ReadOnlyDeviceIsRefusedForWritingOnly) {
  ASSERT_TRUE(backend_->PutIfAbsent("x", "1").ok());
  ASSERT_TRUE(Shell("mount -o remount,ro " + root_));
  const Status status = local::OpenLocal(root_).status();
  EXPECT_EQ(status.code(), Code::kInvalid) << status.ToString();
  EXPECT_NE(status.message().find("read-only"), std::string_view::npos) << status.ToString();
  auto reader = local::OpenLocal(root_, {.read_only = true});
  ASSERT_TRUE(reader.ok());
  EXPECT_TRUE((*reader)->Open("x").ok());
}

}  // namespace
}  // namespace tarn::test
