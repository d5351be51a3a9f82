// What others change in the same Lake object is seen through the mount as soon as Settle has returned, although the
// kernel remembers everything for an hour.

#include <atomic>

#include "tests/fuse/mount_fixture.h"

namespace tarn::fuse {
namespace {

class InvalidationTest : public MountFixture {
 protected:
  lake::Ino Make(lake::Ino parent, const std::string& name, const std::string& bytes) {
    const auto attr = lake_->Create(parent, name, 0644, 0, {geteuid(), getegid()});
    EXPECT_OK(attr.status());
    if (!attr.ok()) return 0;
    EXPECT_OK(lake_->Write(attr->ino, 0, bytes));
    return attr->ino;
  }
};

TEST_F(InvalidationTest, ANameThatDidNotExist) {
  EXPECT_FALSE(Exists("f"));  // remembered as absent
  EXPECT_FALSE(Exists("f"));
  Make(lake::kRootIno, "f", "hello");
  mount_->Settle();
  EXPECT_EQ("hello", ReadFile("f"));
  struct stat st;
  ASSERT_SYS(stat(root_.c_str(), &st));
  EXPECT_EQ(1, st.st_size);
}

TEST_F(InvalidationTest, TheAttributesOfTheDirectory) {
  struct stat before, after;
  ASSERT_SYS(stat(root_.c_str(), &before));
  ASSERT_OK(lake_->MakeDir(lake::kRootIno, "d", 0755, {}).status());
  mount_->Settle();
  ASSERT_SYS(stat(root_.c_str(), &after));
  EXPECT_EQ(before.st_nlink + 1, after.st_nlink);
  EXPECT_TRUE(before.st_mtim.tv_sec != after.st_mtim.tv_sec || before.st_mtim.tv_nsec != after.st_mtim.tv_nsec);
}

TEST_F(InvalidationTest, ContentAndSize) {
  const std::string old = Pattern(300000, 1), fresh = Pattern(400000, 2);
  WriteFile("f", old);
  const Fd fd(Path("f"), O_RDONLY);
  EXPECT_TRUE(old == ReadFile("f"));
  const lake::Ino ino = Stat("f").st_ino;
  ASSERT_OK(lake_->Write(ino, 0, fresh));
  mount_->Settle();
  EXPECT_EQ(400000, Stat("f").st_size);
  EXPECT_TRUE(fresh == ReadFile("f"));
  std::string got(10, '\0');
  EXPECT_EQ(10, pread(fd, got.data(), 10, 399990));  // through a descriptor from before, too
  EXPECT_EQ(fresh.substr(399990), got);
  lake::AttrChange change;
  change.size = 5;
  change.mode = 0600;
  ASSERT_OK(lake_->SetAttr(ino, change).status());
  mount_->Settle();
  EXPECT_EQ(fresh.substr(0, 5), ReadFile("f"));
  EXPECT_EQ(0600u, Stat("f").st_mode & 07777);
}

TEST_F(InvalidationTest, RemovalAndRename) {
  WriteFile("a", "aa");
  WriteFile("b", "bb");
  EXPECT_TRUE(Exists("a"));
  ASSERT_OK(lake_->Unlink(lake::kRootIno, "a"));
  mount_->Settle();
  EXPECT_FALSE(Exists("a"));
  ASSERT_OK(lake_->Rename(lake::kRootIno, "b", lake::kRootIno, "a", lake::RenameMode::kReplace));
  mount_->Settle();
  EXPECT_FALSE(Exists("b"));
  EXPECT_EQ("bb", ReadFile("a"));
}

TEST_F(InvalidationTest, APublishedTreeReplacesTheOldOne) {
  ASSERT_SYS(mkdir(Path("data").c_str(), 0755));
  WriteFile("data/f", "old");
  EXPECT_EQ("old", ReadFile("data/f"));
  const auto stage = lake_->Stage({});
  ASSERT_OK(stage.status());
  const auto tree = lake_->MakeDir(*stage, "tree", 0755, {});
  ASSERT_OK(tree.status());
  Make(tree->ino, "f", "new!");
  ASSERT_OK(lake_->Publish(*stage, "tree", lake::kRootIno, "data", lake::RenameMode::kReplace, {}));
  mount_->Settle();
  EXPECT_EQ("new!", ReadFile("data/f"));
  ASSERT_OK(lake_->RemoveTree(lake::kRootIno, "data"));
  mount_->Settle();
  EXPECT_FALSE(Exists("data"));
  EXPECT_FALSE(Exists("data/f"));
}

TEST_F(InvalidationTest, ACreateThatMeetsAFileOfOthersOpensIt) {
  EXPECT_FALSE(Exists("f"));
  Make(lake::kRootIno, "f", "theirs");  // not settled on purpose: the kernel may still believe that there is none
  const Fd fd(Path("f"), O_RDWR | O_CREAT);
  ASSERT_SYS(fd);
  char got[16];
  EXPECT_EQ(6, read(fd, got, sizeof got));
  EXPECT_EQ("theirs", std::string(got, 6));
}

// Many changes from outside while programs hold the very locks that telling the kernel needs.
TEST_F(InvalidationTest, ChangesFromBothSidesDoNotBlockEachOther) {
  ASSERT_SYS(mkdir(Path("d").c_str(), 0755));
  const lake::Ino dir = Stat("d").st_ino;
  std::atomic<bool> failed{false};
  std::thread outside([&] {
    for (int i = 0; i < 1000; ++i) {
      const std::string name = "o" + std::to_string(i % 10);
      (void)lake_->Create(dir, name, 0644, 0, {});
      if (i % 3 == 0 && !lake_->Unlink(dir, name).ok()) failed = true;
      if (i % 100 == 0) mount_->Settle();
    }
    mount_->Settle();
  });
  for (int i = 0; i < 1000; ++i) {
    const std::string name = "d/m" + std::to_string(i % 10);
    WriteFile(name, "x");
    if (i % 3 == 0) {
      EXPECT_SYS(unlink(Path(name).c_str()));
    }
  }
  outside.join();
  EXPECT_FALSE(failed);
  // Both sides agree at the end.
  const auto entries = lake_->Head().ReadDir(dir, {}, 1000);
  ASSERT_OK(entries.status());
  for (const auto& entry : *entries) EXPECT_TRUE(Exists("d/" + entry.name)) << entry.name;
  EXPECT_EQ(static_cast<off_t>(entries->size()), Stat("d").st_size);
}

// What makes the tests above mean something: when nobody tells it, the kernel serves what it remembers, and writing
// through the mount has not made it forget.
TEST_F(InvalidationTest, UntoldTheKernelServesWhatItRemembers) {
  WriteFile("f", Pattern(100000));
  EXPECT_EQ(100000u, ReadFile("f").size());
  const lake::Ino ino = Stat("f").st_ino;
  std::atomic<int> told{0};
  lake_->Subscribe([&](const lake::Change& change) { told += change.ino == ino ? 1 : 0; });  // instead of the mount
  ASSERT_OK(lake_->Write(ino, 0, "changed behind the mount's back"));
  mount_->Settle();
  EXPECT_EQ(1, told);
  EXPECT_TRUE(Pattern(100000) == ReadFile("f"));
  lake_->Subscribe(nullptr);
}

}  // namespace
}  // namespace tarn::fuse
