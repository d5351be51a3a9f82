// Directory listings: complete, stable while entries come and go, and resumable.

#include <dirent.h>

#include <algorithm>
#include <set>

#include "tests/fuse/mount_fixture.h"

namespace tarn::fuse {
namespace {

class ListingTest : public MountFixture {
 protected:
  // More entries than one reply, and than one page of the handle, holds.
  static constexpr int kEntries = 5000;

  void Fill(const std::string& dir, int count = kEntries) {
    ASSERT_SYS(mkdir(Path(dir).c_str(), 0755));
    for (int i = 0; i < count; ++i) {
      const Fd fd(Path(dir + "/" + Name(i)), O_WRONLY | O_CREAT | O_EXCL);
      ASSERT_SYS(fd);
    }
  }
  static std::string Name(int i) { return "entry-" + std::to_string(100000 + i); }
  static std::vector<std::string> Rest(DIR* dir) {
    std::vector<std::string> names;
    while (const dirent* entry = readdir(dir)) names.push_back(entry->d_name);
    return names;
  }
};

using Dir = std::unique_ptr<DIR, int (*)(DIR*)>;

TEST_F(ListingTest, ListsAllOnceWithTypesAndInodes) {
  Fill("d");
  ASSERT_SYS(mkdir(Path("d/sub").c_str(), 0755));
  const Dir dir(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, dir);
  std::set<std::string> names;
  while (const dirent* entry = readdir(dir.get())) {
    const std::string name = entry->d_name;
    EXPECT_TRUE(names.insert(name).second) << name;
    const bool directory = name == "." || name == ".." || name == "sub";
    EXPECT_EQ(directory ? DT_DIR : DT_REG, entry->d_type) << name;
    const std::string path = name == ".." ? root_ : Path("d/" + name);
    struct stat st;
    ASSERT_SYS(lstat(path.c_str(), &st));
    EXPECT_EQ(st.st_ino, entry->d_ino) << name;
  }
  EXPECT_EQ(size_t{kEntries + 3}, names.size());
}

TEST_F(ListingTest, DeletingWhileListingSkipsNothing) {
  Fill("d");
  const Dir dir(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, dir);
  int removed = 0;
  while (const dirent* entry = readdir(dir.get())) {
    if (entry->d_name[0] == '.') continue;
    ASSERT_SYS(unlinkat(dirfd(dir.get()), entry->d_name, 0)) << entry->d_name;
    ++removed;
  }
  EXPECT_EQ(kEntries, removed);
  EXPECT_SYS(rmdir(Path("d").c_str()));
}

TEST_F(ListingTest, WholeTreesAreRemoved) {
  ASSERT_SYS(mkdir(Path("tree").c_str(), 0755));
  for (int i = 0; i < 20; ++i) Fill("tree/" + std::to_string(i), 50);
  std::error_code error;
  EXPECT_EQ(uintmax_t{1 + 20 * 51}, std::filesystem::remove_all(Path("tree"), error)) << error.message();
  EXPECT_FALSE(Exists("tree"));
}

TEST_F(ListingTest, SeeksBackToWhereItWas) {
  Fill("d", 3000);
  const Dir dir(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, dir);
  for (int i = 0; i < 1500; ++i) ASSERT_NE(nullptr, readdir(dir.get()));
  const long place = telldir(dir.get());
  const std::vector<std::string> rest = Rest(dir.get());
  EXPECT_EQ(size_t{3000 + 2 - 1500}, rest.size());
  ASSERT_SYS(unlink(Path("d/" + Name(0)).c_str()));  // before that place: shifts nothing
  seekdir(dir.get(), place);
  EXPECT_EQ(rest, Rest(dir.get()));
}

TEST_F(ListingTest, RewindingSeesWhatIsNew) {
  Fill("d", 10);
  const Dir dir(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, dir);
  EXPECT_EQ(12u, Rest(dir.get()).size());
  WriteFile("d/new", "x");
  ASSERT_SYS(unlink(Path("d/" + Name(3)).c_str()));
  rewinddir(dir.get());
  const std::vector<std::string> names = Rest(dir.get());
  EXPECT_EQ(12u, names.size());
  EXPECT_TRUE(std::ranges::find(names, "new") != names.end());
  EXPECT_TRUE(std::ranges::find(names, Name(3)) == names.end());
}

TEST_F(ListingTest, AReplacedNameIsNotBroughtBackByAnOldListing) {
  Fill("d", 2000);
  const Dir dir(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, dir);
  ASSERT_NE(nullptr, readdir(dir.get()));  // the handle has its first page now
  WriteFile("other", "new content");
  const std::string victim = "d/" + Name(900);
  ASSERT_SYS(rename(Path("other").c_str(), Path(victim).c_str()));
  Rest(dir.get());
  EXPECT_EQ("new content", ReadFile(victim));
  EXPECT_EQ(11, Stat(victim).st_size);
}

// Ordinals of one open directory mean other names in another's listing: the kernel must not go on in that one.
TEST_F(ListingTest, OneListingGoesOnWhateverOthersList) {
  Fill("d", 3000);
  const Dir first(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, first);
  for (int i = 0; i < 1000; ++i) ASSERT_NE(nullptr, readdir(first.get()));
  for (int i = 0; i < 500; ++i) ASSERT_SYS(unlink(Path("d/" + Name(i)).c_str()));
  for (int i = 0; i < 2; ++i) {
    const Dir second(opendir(Path("d").c_str()), closedir);
    ASSERT_NE(nullptr, second);
    EXPECT_EQ(size_t{3000 + 2 - 500}, Rest(second.get()).size());
  }
  EXPECT_EQ(size_t{3000 + 2 - 1000}, Rest(first.get()).size());
}

TEST_F(ListingTest, ASnapshotListsTheSameEachTime) {
  Fill("d", 3000);
  ASSERT_OK(lake_->CreateSnapshot("s").status());
  for (int i = 0; i < 500; ++i) ASSERT_SYS(unlink(Path("d/" + Name(i)).c_str()));
  Remount({.at_snapshot = "s"});
  const Dir first(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, first);
  const std::vector<std::string> names = Rest(first.get());  // the kernel remembers them from here on
  EXPECT_EQ(size_t{3000 + 2}, names.size());
  const Dir second(opendir(Path("d").c_str()), closedir);
  ASSERT_NE(nullptr, second);
  for (int i = 0; i < 1500; ++i) ASSERT_NE(nullptr, readdir(second.get()));
  const long place = telldir(second.get());
  const std::vector<std::string> rest = Rest(second.get());
  EXPECT_EQ(std::vector<std::string>(names.begin() + 1500, names.end()), rest);
  seekdir(second.get(), place);
  EXPECT_EQ(rest, Rest(second.get()));
  rewinddir(second.get());
  EXPECT_EQ(names, Rest(second.get()));
}

TEST_F(ListingTest, ARemovedDirectoryListsAsEmptyWhileOpen) {
  ASSERT_SYS(mkdir(Path("d").c_str(), 0755));
  const Fd fd(Path("d"), O_RDONLY | O_DIRECTORY);
  ASSERT_SYS(fd);
  ASSERT_SYS(rmdir(Path("d").c_str()));
  struct stat st;
  ASSERT_SYS(fstat(fd, &st));
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_FAILS(ENOENT, openat(fd, "x", O_CREAT | O_WRONLY, 0644));
  const Dir dir(fdopendir(dup(fd)), closedir);
  ASSERT_NE(nullptr, dir);
  errno = 0;
  EXPECT_EQ(0, std::ranges::count_if(Rest(dir.get()), [](const std::string& name) { return name[0] != '.'; }));
  EXPECT_EQ(0, errno);
}

}  // namespace
}  // namespace tarn::fuse
