// Beginning and end of a mount, what it refuses, and the read-only kinds.

#include <sys/statvfs.h>

#include <atomic>
#include <fstream>
#include <sstream>

#include "tests/fuse/mount_fixture.h"

namespace tarn::fuse {
namespace {

class SessionTest : public MountFixture {
 protected:
  // "type source options" of the mountpoint, or empty.
  std::string MountInfo() {
    std::ifstream in("/proc/self/mountinfo");
    for (std::string line; std::getline(in, line);) {
      std::istringstream fields(line);
      std::string word, at;
      for (int i = 0; i < 5; ++i) fields >> at;
      std::string options, type, source, super;
      fields >> options;
      while (fields >> word && word != "-") {
      }
      fields >> type >> source >> super;
      if (at == root_) return type + " " + source + " " + options + "," + super;
    }
    return {};
  }
};

TEST_F(SessionTest, IsAvailableHere) {
  const auto available = FuseAvailable();
  ASSERT_OK(available.status());
  EXPECT_NE(std::string::npos, available->find("/dev/fuse"));
}

TEST_F(SessionTest, ShowsWhatItIs) {
  Remount({.fsname = "a,b\\c lake"});
  const std::string info = MountInfo();
  EXPECT_TRUE(info.starts_with("fuse.tarn a,b\\134c\\040lake ")) << info;
  EXPECT_NE(std::string::npos, info.find("nosuid,nodev,noatime")) << info;
  EXPECT_NE(std::string::npos, info.find("default_permissions")) << info;
  EXPECT_EQ(std::string::npos, info.find("allow_other")) << info;
  if (geteuid() != 0) return;  // others need /etc/fuse.conf for this
  Remount({.allow_other = true});
  EXPECT_NE(std::string::npos, MountInfo().find("allow_other"));
}

TEST_F(SessionTest, StopEndsRunAndUnmounts) {
  WriteFile("f", "kept");
  Unmount();
  EXPECT_EQ("", MountInfo());
  EXPECT_FALSE(Exists("f"));
  Mount({});
  EXPECT_EQ("kept", ReadFile("f"));
}

TEST_F(SessionTest, StopBeforeRun) {
  Unmount();
  auto mount = Mount::Start(*lake_, {.mountpoint = root_});
  ASSERT_OK(mount.status());
  (*mount)->Stop();
  (*mount)->Stop();
  EXPECT_OK((*mount)->Run());
  EXPECT_EQ("", MountInfo());
}

TEST_F(SessionTest, DestructionUnmounts) {
  Unmount();
  {
    const auto mount = Mount::Start(*lake_, {.mountpoint = root_});
    ASSERT_OK(mount.status());
    EXPECT_NE("", MountInfo());
  }
  EXPECT_EQ("", MountInfo());
}

TEST_F(SessionTest, AnUnmountByOthersEndsRun) {
  if (geteuid() == 0) {
    ASSERT_SYS(umount2(root_.c_str(), 0));
  } else {
    ASSERT_EQ(0, std::system(("fusermount3 -u " + root_).c_str()));
  }
  server_.join();
  EXPECT_OK(ended_);
  mount_->Settle();  // nothing to wait for
  EXPECT_OK(lake_->MakeDir(lake::kRootIno, "after", 0755, {}).status());
}

TEST_F(SessionTest, StopAnswersCallsInProgress) {
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      const Fd fd(Path("f" + std::to_string(i)), O_WRONLY | O_CREAT);
      if (fd < 0) break;
      if (write(fd, "x", 1) != 1) break;
    }
  });
  while (!Exists("f50")) {
  }
  Unmount();
  stop = true;
  writer.join();
  ExpectClean();
}

TEST_F(SessionTest, RefusesWhatIsNoMountpoint) {
  const auto missing = Mount::Start(*lake_, {.mountpoint = base_ + "/absent"});
  EXPECT_EQ(Code::kNotFound, missing.status().code()) << missing.status().ToString();
  EXPECT_NE(std::string_view::npos, missing.status().message().find("/absent"));
  std::ofstream(base_ + "/file").put('x');
  const auto file = Mount::Start(*lake_, {.mountpoint = base_ + "/file"});
  EXPECT_EQ(Code::kInvalid, file.status().code()) << file.status().ToString();
  const auto snapshot = Mount::Start(*lake_, {.mountpoint = root_, .at_snapshot = "absent"});
  EXPECT_EQ(Code::kNotFound, snapshot.status().code()) << snapshot.status().ToString();
}

TEST_F(SessionTest, ReadOnlyRefusesEveryChange) {
  WriteFile("f", "content");
  ASSERT_SYS(mkdir(Path("d").c_str(), 0755));
  Remount({.read_only = true});
  EXPECT_EQ("content", ReadFile("f"));
  EXPECT_FAILS(EROFS, open(Path("f").c_str(), O_RDWR));
  EXPECT_FAILS(EROFS, open(Path("new").c_str(), O_WRONLY | O_CREAT, 0644));
  EXPECT_FAILS(EROFS, mkdir(Path("new").c_str(), 0755));
  EXPECT_FAILS(EROFS, unlink(Path("f").c_str()));
  EXPECT_FAILS(EROFS, rename(Path("f").c_str(), Path("g").c_str()));
  EXPECT_FAILS(EROFS, chmod(Path("f").c_str(), 0600));
  EXPECT_FAILS(EROFS, truncate(Path("f").c_str(), 0));
  struct statvfs st;
  ASSERT_SYS(statvfs(root_.c_str(), &st));
  EXPECT_TRUE((st.f_flag & ST_RDONLY) != 0);
  if (geteuid() == 0) {
    // Even when somebody talks the kernel into writing, the mount does not.
    ASSERT_SYS(mount(nullptr, root_.c_str(), nullptr, MS_REMOUNT, nullptr));
    EXPECT_FAILS(EROFS, mkdir(Path("new").c_str(), 0755));
    EXPECT_FAILS(EROFS, open(Path("f").c_str(), O_WRONLY | O_TRUNC));
  }
  // Changes of the lake by others show all the same.
  ASSERT_OK(lake_->Unlink(lake::kRootIno, "f"));
  mount_->Settle();
  EXPECT_FALSE(Exists("f"));
}

TEST_F(SessionTest, ASnapshotStaysAsItWas) {
  WriteFile("f", Pattern(200000, 1));
  WriteFile("gone", "still here");
  ASSERT_OK(lake_->CreateSnapshot("monday").status());
  WriteFile("f", "changed");
  ASSERT_SYS(unlink(Path("gone").c_str()));
  Remount({.at_snapshot = "monday"});
  EXPECT_TRUE(Pattern(200000, 1) == ReadFile("f"));
  EXPECT_EQ("still here", ReadFile("gone"));
  EXPECT_FAILS(EROFS, open(Path("f").c_str(), O_RDWR));
  const Fd fd(Path("f"), O_RDONLY);
  EXPECT_EQ(0, lseek(fd, 0, SEEK_DATA));
  ASSERT_OK(lake_->MakeDir(lake::kRootIno, "later", 0755, {}).status());
  mount_->Settle();
  EXPECT_FALSE(Exists("later"));
}

}  // namespace
}  // namespace tarn::fuse
