// Names, links, attributes and extended attributes through the mount.

#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <atomic>
#include <cstdio>
#include <utility>

#include "tests/fuse/mount_fixture.h"

namespace tarn::fuse {
namespace {

using NamesTest = MountFixture;

TEST_F(NamesTest, TheRootIsInodeOne) {
  struct stat st;
  ASSERT_SYS(stat(root_.c_str(), &st));
  EXPECT_EQ(1u, st.st_ino);
  EXPECT_TRUE(S_ISDIR(st.st_mode));
  EXPECT_EQ(2u, st.st_nlink);
}

TEST_F(NamesTest, MakesEveryKindOfFile) {
  const mode_t old = umask(027);
  WriteFile("file", "x");
  EXPECT_SYS(mkdir(Path("dir").c_str(), 0777));
  umask(old);
  EXPECT_SYS(symlink("some/target", Path("link").c_str()));
  EXPECT_SYS(mkfifo(Path("fifo").c_str(), 0600));
  EXPECT_EQ(S_IFREG | 0640u, Stat("file").st_mode);
  EXPECT_EQ(S_IFDIR | 0750u, Stat("dir").st_mode);
  EXPECT_EQ(S_IFLNK | 0777u, Stat("link").st_mode);
  EXPECT_EQ(S_IFIFO | 0600u, Stat("fifo").st_mode);
  EXPECT_EQ(geteuid(), Stat("file").st_uid);
  EXPECT_EQ(getegid(), Stat("dir").st_gid);
  EXPECT_EQ(3u, [this] {
    struct stat st;
    stat(root_.c_str(), &st);
    return st.st_nlink;
  }());
  char target[64];
  ASSERT_EQ(11, readlink(Path("link").c_str(), target, sizeof target));
  EXPECT_EQ("some/target", std::string(target, 11));
  if (geteuid() == 0) {
    EXPECT_SYS(mknod(Path("null").c_str(), S_IFCHR | 0666, makedev(1, 300)));
    EXPECT_EQ(makedev(1, 300), Stat("null").st_rdev);
    EXPECT_FAILS(EACCES, open(Path("null").c_str(), O_RDONLY));  // nodev
  }
}

TEST_F(NamesTest, ErrorsAreThoseOfAFileSystem) {
  WriteFile("file", "x");
  ASSERT_SYS(mkdir(Path("dir").c_str(), 0755));
  WriteFile("dir/inside", "y");
  EXPECT_FAILS(EEXIST, mkdir(Path("dir").c_str(), 0755));
  EXPECT_FAILS(EEXIST, open(Path("file").c_str(), O_CREAT | O_EXCL | O_WRONLY, 0644));
  EXPECT_FAILS(ENOENT, open(Path("absent").c_str(), O_RDONLY));
  EXPECT_FAILS(ENOENT, mkdir(Path("absent/x").c_str(), 0755));
  EXPECT_FAILS(ENOTDIR, mkdir(Path("file/x").c_str(), 0755));
  EXPECT_FAILS(ENOTEMPTY, rmdir(Path("dir").c_str()));
  EXPECT_FAILS(EISDIR, unlink(Path("dir").c_str()));
  EXPECT_FAILS(ENOTDIR, rmdir(Path("file").c_str()));
  EXPECT_FAILS(EISDIR, open(Path("dir").c_str(), O_WRONLY));
  EXPECT_FAILS(EINVAL, rename(Path("dir").c_str(), Path("dir/below").c_str()));
  EXPECT_FAILS(ENAMETOOLONG, mkdir(Path(std::string(256, 'n')).c_str(), 0755));
  EXPECT_SYS(mkdir(Path(std::string(255, 'n')).c_str(), 0755));
}

TEST_F(NamesTest, RenamesInAllModes) {
  WriteFile("a", "aa");
  WriteFile("b", "bb");
  EXPECT_FAILS(EEXIST, renameat2(AT_FDCWD, Path("a").c_str(), AT_FDCWD, Path("b").c_str(), RENAME_NOREPLACE));
  EXPECT_SYS(renameat2(AT_FDCWD, Path("a").c_str(), AT_FDCWD, Path("b").c_str(), RENAME_EXCHANGE));
  EXPECT_EQ("bb", ReadFile("a"));
  EXPECT_EQ("aa", ReadFile("b"));
  EXPECT_SYS(renameat2(AT_FDCWD, Path("a").c_str(), AT_FDCWD, Path("c").c_str(), RENAME_NOREPLACE));
  EXPECT_FALSE(Exists("a"));
  const Fd replaced(Path("b"), O_RDONLY);
  ASSERT_SYS(replaced);
  EXPECT_SYS(rename(Path("c").c_str(), Path("b").c_str()));
  EXPECT_EQ("bb", ReadFile("b"));
  char bytes[8];
  EXPECT_EQ(2, pread(replaced, bytes, sizeof bytes, 0));  // whoever had it open still reads it
  EXPECT_EQ("aa", std::string(bytes, 2));
  struct stat st;
  ASSERT_SYS(fstat(replaced, &st));
  EXPECT_EQ(0u, st.st_nlink);
}

TEST_F(NamesTest, DirectoriesMoveWithTheirTree) {
  ASSERT_SYS(mkdir(Path("a").c_str(), 0755));
  ASSERT_SYS(mkdir(Path("a/deep").c_str(), 0755));
  ASSERT_SYS(mkdir(Path("b").c_str(), 0755));
  WriteFile("a/deep/file", "content");
  ASSERT_SYS(rename(Path("a/deep").c_str(), Path("b/moved").c_str()));
  EXPECT_EQ("content", ReadFile("b/moved/file"));
  EXPECT_EQ(2u, Stat("a").st_nlink);
  EXPECT_EQ(3u, Stat("b").st_nlink);
  EXPECT_EQ(Stat("b").st_ino, Stat("b/moved/..").st_ino);
}

TEST_F(NamesTest, HardLinksShareOneFile) {
  WriteFile("one", "first");
  ASSERT_SYS(link(Path("one").c_str(), Path("two").c_str()));
  EXPECT_EQ(Stat("one").st_ino, Stat("two").st_ino);
  EXPECT_EQ(2u, Stat("one").st_nlink);
  WriteFile("two", "second");
  EXPECT_EQ("second", ReadFile("one"));
  ASSERT_SYS(unlink(Path("one").c_str()));
  EXPECT_EQ(1u, Stat("two").st_nlink);
  EXPECT_EQ("second", ReadFile("two"));
}

TEST_F(NamesTest, ModesOwnersAndSetuidBits) {
  WriteFile("f", "x");
  ASSERT_SYS(chmod(Path("f").c_str(), 0604));
  EXPECT_EQ(0604u, Stat("f").st_mode & 07777);
  if (geteuid() != 0) return;  // only root gives files away
  ASSERT_SYS(chown(Path("f").c_str(), 1234, 5678));
  EXPECT_EQ(1234u, Stat("f").st_uid);
  EXPECT_EQ(5678u, Stat("f").st_gid);
  ASSERT_SYS(chmod(Path("f").c_str(), 06755));
  ASSERT_SYS(chown(Path("f").c_str(), 1, 1));  // loses the bits
  EXPECT_EQ(0755u, Stat("f").st_mode & 07777);
  ASSERT_SYS(mkdir(Path("shared").c_str(), 0755));
  ASSERT_SYS(chown(Path("shared").c_str(), 0, 77));
  ASSERT_SYS(chmod(Path("shared").c_str(), 02775));
  WriteFile("shared/f", "x");
  ASSERT_SYS(mkdir(Path("shared/d").c_str(), 0755));
  EXPECT_EQ(77u, Stat("shared/f").st_gid);
  EXPECT_EQ(77u, Stat("shared/d").st_gid);
  EXPECT_EQ(02755u, Stat("shared/d").st_mode & 07777);
}

TEST_F(NamesTest, TimesHaveNanoseconds) {
  WriteFile("f", "x");
  const struct timespec times[2] = {{.tv_sec = 1'000'000'000, .tv_nsec = 123'456'789},
                                    {.tv_sec = -5, .tv_nsec = 999'999'999}};
  ASSERT_SYS(utimensat(AT_FDCWD, Path("f").c_str(), times, 0));
  const struct stat st = Stat("f");
  EXPECT_EQ(1'000'000'000, st.st_atim.tv_sec);
  EXPECT_EQ(123'456'789, st.st_atim.tv_nsec);
  EXPECT_EQ(-5, st.st_mtim.tv_sec);
  EXPECT_EQ(999'999'999, st.st_mtim.tv_nsec);
  WriteFile("older", "x");
  ASSERT_SYS(utimensat(AT_FDCWD, Path("f").c_str(), nullptr, 0));
  const struct timespec now = Stat("f").st_mtim, older = Stat("older").st_mtim;
  EXPECT_GE(std::pair(now.tv_sec, now.tv_nsec), std::pair(older.tv_sec, older.tv_nsec));
}

TEST_F(NamesTest, ADirectoryChangesWithItsEntries) {
  ASSERT_SYS(mkdir(Path("d").c_str(), 0755));
  const struct timespec past[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
  ASSERT_SYS(utimensat(AT_FDCWD, Path("d").c_str(), past, 0));
  EXPECT_EQ(1, Stat("d").st_mtim.tv_sec);
  WriteFile("d/f", "x");
  EXPECT_NE(1, Stat("d").st_mtim.tv_sec);
  EXPECT_EQ(1, Stat("d").st_size);
  ASSERT_SYS(utimensat(AT_FDCWD, Path("d").c_str(), past, 0));
  ASSERT_SYS(unlink(Path("d/f").c_str()));
  EXPECT_NE(1, Stat("d").st_mtim.tv_sec);
}

TEST_F(NamesTest, ExtendedAttributes) {
  WriteFile("f", "x");
  const std::string path = Path("f");
  const std::string value = Pattern(10000);
  ASSERT_SYS(setxattr(path.c_str(), "user.large", value.data(), value.size(), XATTR_CREATE));
  EXPECT_FAILS(EEXIST, setxattr(path.c_str(), "user.large", "", 0, XATTR_CREATE));
  EXPECT_FAILS(ENODATA, setxattr(path.c_str(), "user.none", "", 0, XATTR_REPLACE));
  ASSERT_SYS(setxattr(path.c_str(), "user.empty", "", 0, 0));
  EXPECT_EQ(10000, getxattr(path.c_str(), "user.large", nullptr, 0));
  std::string got(10000, '\0');
  EXPECT_FAILS(ERANGE, getxattr(path.c_str(), "user.large", got.data(), 9999));
  EXPECT_EQ(10000, getxattr(path.c_str(), "user.large", got.data(), got.size()));
  EXPECT_EQ(value, got);
  EXPECT_EQ(0, getxattr(path.c_str(), "user.empty", got.data(), got.size()));
  EXPECT_FAILS(ENODATA, getxattr(path.c_str(), "user.none", got.data(), got.size()));
  const ssize_t needed = listxattr(path.c_str(), nullptr, 0);
  ASSERT_EQ(22, needed);
  EXPECT_FAILS(ERANGE, listxattr(path.c_str(), got.data(), 21));
  ASSERT_EQ(22, listxattr(path.c_str(), got.data(), got.size()));
  EXPECT_EQ(std::string("user.empty\0user.large\0", 22), got.substr(0, 22));
  ASSERT_SYS(removexattr(path.c_str(), "user.large"));
  EXPECT_FAILS(ENODATA, removexattr(path.c_str(), "user.large"));
  // Version 2; the owner, the group and others may read. A well-formed ACL, or the kernel itself refuses it.
  const std::string acl(
      "\2\0\0\0"
      "\1\0\4\0\377\377\377\377"
      "\4\0\4\0\377\377\377\377"
      "\40\0\4\0\377\377\377\377",
      28);
  EXPECT_FAILS(EOPNOTSUPP, setxattr(path.c_str(), "system.posix_acl_access", acl.data(), acl.size(), 0));
  EXPECT_FAILS(EOPNOTSUPP, getxattr(path.c_str(), "system.posix_acl_access", got.data(), got.size()));
}

TEST_F(NamesTest, StatfsTellsTheRoomOfTheDevice) {
  struct statvfs mounted, below;
  ASSERT_SYS(statvfs(root_.c_str(), &mounted));
  ASSERT_SYS(statvfs((base_ + "/lake").c_str(), &below));
  EXPECT_EQ(255u, mounted.f_namemax);
  EXPECT_GT(mounted.f_files, 0u);
  const double total = double(below.f_blocks) * double(below.f_frsize);
  EXPECT_NEAR(total, double(mounted.f_blocks) * double(mounted.f_frsize), total / 1000);
  EXPECT_LE(mounted.f_bavail, mounted.f_blocks);
  EXPECT_GT(mounted.f_bavail, 0u);
}

// Between the lookup of a name and the open of what it named, the name may be replaced. It always exists, so no
// open may say that it does not.
TEST_F(NamesTest, ANameThatIsReplacedIsNeverAbsent) {
  WriteFile("config", "0");
  std::atomic<bool> stop{false};
  std::thread replacer([&] {
    for (int i = 0; i < 500; ++i) {
      WriteFile("config.new", std::to_string(i));
      EXPECT_SYS(rename(Path("config.new").c_str(), Path("config").c_str()));
    }
    stop = true;
  });
  int opened = 0;
  while (!stop) {
    const Fd fd(Path("config"), O_RDONLY);
    EXPECT_SYS(fd);
    opened += fd >= 0 ? 1 : 0;
  }
  replacer.join();
  EXPECT_GT(opened, 0);
}

// A program that stands in a directory, or has looked up a file, keeps it when others remove it.
TEST_F(NamesTest, WhatIsLookedUpOutlivesItsName) {
  ASSERT_SYS(mkdir(Path("d").c_str(), 0755));
  WriteFile("f", "content");
  const Fd directory(Path("d"), O_PATH | O_DIRECTORY), file(Path("f"), O_PATH);
  struct stat before, after;
  ASSERT_SYS(fstat(file, &before));
  ASSERT_SYS(rmdir(Path("d").c_str()));
  ASSERT_SYS(unlink(Path("f").c_str()));
  ASSERT_SYS(fstat(directory, &after));
  EXPECT_EQ(0u, after.st_nlink);
  ASSERT_SYS(fstat(file, &after));
  EXPECT_EQ(before.st_ino, after.st_ino);
  EXPECT_EQ(0u, after.st_nlink);
  const Fd reopened("/proc/self/fd/" + std::to_string(file), O_RDONLY);
  ASSERT_SYS(reopened);
  char got[16];
  EXPECT_EQ(7, read(reopened, got, sizeof got));
}

TEST_F(NamesTest, NothingIsHeldAfterTheKernelForgot) {
  std::vector<lake::Ino> gone;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "f" + std::to_string(i);
    WriteFile(name, "x");
    gone.push_back(Stat(name).st_ino);
    if (i % 2 == 0) {
      ASSERT_SYS(unlink(Path(name).c_str()));
    } else {
      WriteFile("g", "y");
      ASSERT_SYS(rename(Path("g").c_str(), Path(name).c_str()));
    }
  }
  // What is forgotten is told in order, but not awaited by anyone; the inodes go one after the other.
  for (const lake::Ino ino : gone) {
    while (lake_->Head().GetAttr(ino).ok()) std::this_thread::yield();
    EXPECT_EQ(Code::kNotFound, lake_->Head().GetAttr(ino).status().code());
  }
  ExpectClean();
}

}  // namespace
}  // namespace tarn::fuse
