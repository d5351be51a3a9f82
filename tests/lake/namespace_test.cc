#include <cerrno>

#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

class NamespaceTest : public LakeFixture {
 protected:
  void SetUp() override { Init(); }
  void TearDown() override { ExpectClean(); }
};

TEST_F(NamespaceTest, InitAndOpenRefuseWhatIsNotThere) {
  EXPECT_FALSE(Lake::Init(Parts(), options_).ok());
  Components empty = Parts();
  empty.backend = std::make_shared<test::MemBackend>();
  EXPECT_FALSE(Lake::Open(empty, options_).ok());
  { ASSERT_TRUE(DB::Open({}, empty).ok()); }
  const auto no_lake = Lake::Open(empty, options_);
  EXPECT_EQ(no_lake.status().code(), Code::kInvalid) << no_lake.status().ToString();
}

TEST_F(NamespaceTest, CreateFillsAttributes) {
  clock_->nanos = 5000;
  const auto made = lake_->Create(kRootIno, "f", 0640, 0, {7, 8});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->mode, 0100640u);
  EXPECT_EQ(made->nlink, 1u);
  EXPECT_EQ(made->uid, 7u);
  EXPECT_EQ(made->gid, 8u);
  EXPECT_EQ(made->btime_ns, 5000);
  EXPECT_EQ(Stat(kRootIno).mtime_ns, 5000);
  EXPECT_EQ(Stat(kRootIno).size, 1u);
  EXPECT_EQ(Stat(kRootIno).nlink, 2u);
  const auto device = lake_->Create(kRootIno, "null", 0020666, 0x103, {});
  EXPECT_EQ(device->rdev, 0x103u);
  EXPECT_ERRNO(EEXIST, lake_->Create(kRootIno, "f", 0644, 0, {}).status());
  EXPECT_ERRNO(EINVAL, lake_->Create(kRootIno, "d", 0040755, 0, {}).status());
  EXPECT_ERRNO(ENOTDIR, lake_->Create(made->ino, "g", 0644, 0, {}).status());
  EXPECT_ERRNO(ENOENT, lake_->Create(999, "g", 0644, 0, {}).status());
  EXPECT_ERRNO(ENOENT, lake_->Head().Lookup(kRootIno, "nothing").status());
  EXPECT_ERRNO(ENOTDIR, lake_->Head().Lookup(made->ino, "x").status());
  EXPECT_ERRNO(ENOENT, lake_->Head().Lookup(999, "x").status());
}

TEST_F(NamespaceTest, SetGidDirectoriesPassTheirGroupOn) {
  const auto dir = lake_->MakeDir(kRootIno, "d", 02775, {1, 50});
  ASSERT_TRUE(dir.ok());
  EXPECT_EQ(lake_->Create(dir->ino, "f", 0644, 0, {1, 1})->gid, 50u);
  const auto sub = lake_->MakeDir(dir->ino, "s", 0755, {1, 1});
  EXPECT_EQ(sub->gid, 50u);
  EXPECT_EQ(sub->mode, 0042755u);
}

TEST_F(NamespaceTest, DirectoriesCountSubdirectories) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(a, "b");
  EXPECT_EQ(Stat(a).nlink, 3u);
  EXPECT_EQ(*lake_->Head().ParentOf(b), a);
  EXPECT_EQ(*lake_->Head().ParentOf(kRootIno), kRootIno);
  EXPECT_ERRNO(ENOTEMPTY, lake_->RemoveDir(kRootIno, "a"));
  EXPECT_ERRNO(EISDIR, lake_->Unlink(kRootIno, "a"));
  EXPECT_OK(lake_->RemoveDir(a, "b"));
  EXPECT_EQ(Stat(a).nlink, 2u);
  File(a, "f");
  EXPECT_ERRNO(ENOTDIR, lake_->RemoveDir(a, "f"));
  EXPECT_OK(lake_->Unlink(a, "f"));
  EXPECT_ERRNO(ENOENT, lake_->Unlink(a, "f"));
  EXPECT_OK(lake_->RemoveDir(kRootIno, "a"));
  EXPECT_ERRNO(ENOENT, lake_->Create(a, "x", 0644, 0, {}).status());
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 1u);
}

TEST_F(NamespaceTest, ReadDirPagesInByteOrder) {
  const Ino d = Dir(kRootIno, "d");
  for (int i = 0; i < 25; ++i) File(d, "n" + std::to_string(i));
  std::vector<std::string> seen;
  std::string after;
  for (;;) {
    const auto page = lake_->Head().ReadDir(d, after, 10);
    ASSERT_TRUE(page.ok());
    if (page->empty()) break;
    for (const DirEntry& entry : *page) seen.push_back(entry.name);
    after = page->back().name;
  }
  EXPECT_EQ(seen.size(), 25u);
  EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
  EXPECT_ERRNO(ENOTDIR, lake_->Head().ReadDir(lake_->Head().Lookup(d, "n1")->ino, {}, 1).status());
}

TEST_F(NamespaceTest, HardLinks) {
  const Ino f = File(kRootIno, "f", "data");
  const Ino d = Dir(kRootIno, "d");
  ASSERT_TRUE(lake_->Link(f, d, "g").ok());
  EXPECT_EQ(Stat(f).nlink, 2u);
  EXPECT_ERRNO(EPERM, lake_->Link(d, kRootIno, "e").status());
  EXPECT_ERRNO(EEXIST, lake_->Link(f, d, "g").status());
  EXPECT_OK(lake_->Rename(kRootIno, "f", d, "g", RenameMode::kReplace));  // two names of one file: nothing happens
  EXPECT_EQ(Stat(f).nlink, 2u);
  EXPECT_OK(lake_->Unlink(kRootIno, "f"));
  EXPECT_EQ(Content(f), "data");
  EXPECT_OK(lake_->Unlink(d, "g"));
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(f).status());
}

TEST_F(NamespaceTest, Symlinks) {
  const auto link = lake_->Symlink(kRootIno, "l", "../target", {});
  ASSERT_TRUE(link.ok());
  EXPECT_EQ(link->size, 9u);
  EXPECT_EQ(*lake_->Head().ReadLink(link->ino), "../target");
  EXPECT_ERRNO(EINVAL, lake_->Head().ReadLink(kRootIno).status());
  EXPECT_ERRNO(ENAMETOOLONG, lake_->Symlink(kRootIno, "m", std::string(4096, 'x'), {}).status());
  EXPECT_TRUE(lake_->Symlink(kRootIno, "m", std::string(4095, 'x'), {}).ok());
  EXPECT_ERRNO(EINVAL, lake_->Write(link->ino, 0, "x"));
}

TEST_F(NamespaceTest, RenameReplaces) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(kRootIno, "b");
  const Ino f = File(a, "f", "new"), g = File(b, "g", "old");
  clock_->nanos = 9000;
  EXPECT_OK(lake_->Rename(a, "f", b, "g", RenameMode::kReplace));
  EXPECT_EQ(lake_->Head().Lookup(b, "g")->ino, f);
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(g).status());
  EXPECT_EQ(Stat(a).size, 0u);
  EXPECT_EQ(Stat(b).size, 1u);
  EXPECT_EQ(Stat(a).mtime_ns, 9000);
  EXPECT_EQ(Stat(f).ctime_ns, 9000);
  EXPECT_ERRNO(EEXIST, lake_->Rename(kRootIno, "a", kRootIno, "b", RenameMode::kNoReplace));
  EXPECT_ERRNO(ENOTEMPTY, lake_->Rename(kRootIno, "a", kRootIno, "b", RenameMode::kReplace));
  EXPECT_ERRNO(ENOTDIR, lake_->Rename(kRootIno, "a", b, "g", RenameMode::kReplace));
  EXPECT_ERRNO(EISDIR, lake_->Rename(b, "g", kRootIno, "a", RenameMode::kReplace));
  EXPECT_ERRNO(ENOENT, lake_->Rename(b, "none", kRootIno, "x", RenameMode::kReplace));
  EXPECT_OK(lake_->Rename(kRootIno, "b", kRootIno, "a", RenameMode::kReplace));  // over an empty directory
  EXPECT_EQ(Names(kRootIno), std::vector<std::string>{"a"});
  EXPECT_EQ(Stat(kRootIno).nlink, 3u);
}

TEST_F(NamespaceTest, RenameMovesDirectoriesBetweenParents) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(kRootIno, "b"), c = Dir(a, "c");
  EXPECT_OK(lake_->Rename(a, "c", b, "d", RenameMode::kReplace));
  EXPECT_EQ(Stat(a).nlink, 2u);
  EXPECT_EQ(Stat(b).nlink, 3u);
  EXPECT_EQ(*lake_->Head().ParentOf(c), b);
  EXPECT_ERRNO(EINVAL, lake_->Rename(kRootIno, "b", c, "x", RenameMode::kReplace));
  EXPECT_ERRNO(EINVAL, lake_->Rename(kRootIno, "b", b, "x", RenameMode::kReplace));
  EXPECT_ERRNO(EINVAL, lake_->Rename(b, "d", kRootIno, "b", RenameMode::kExchange));
  EXPECT_ERRNO(ENOTEMPTY, lake_->Rename(b, "d", kRootIno, "b", RenameMode::kReplace));
}

TEST_F(NamespaceTest, RenameExchanges) {
  const Ino a = Dir(kRootIno, "a"), d = Dir(a, "d"), b = Dir(kRootIno, "b"), f = File(b, "f");
  EXPECT_ERRNO(ENOENT, lake_->Rename(a, "d", b, "none", RenameMode::kExchange));
  EXPECT_OK(lake_->Rename(a, "d", b, "f", RenameMode::kExchange));
  EXPECT_EQ(lake_->Head().Lookup(a, "d")->ino, f);
  EXPECT_EQ(lake_->Head().Lookup(b, "f")->ino, d);
  EXPECT_EQ(*lake_->Head().ParentOf(d), b);
  EXPECT_EQ(Stat(a).nlink, 2u);
  EXPECT_EQ(Stat(b).nlink, 3u);
}

TEST_F(NamespaceTest, UnlinkedButOpen) {
  const std::string data = Pattern(300000, 1);
  const Ino f = File(kRootIno, "f", data);
  ASSERT_OK(lake_->Open(f));
  ASSERT_OK(lake_->Open(f));
  ASSERT_OK(lake_->Unlink(kRootIno, "f"));
  EXPECT_EQ(Content(f), data);
  EXPECT_EQ(Stat(f).nlink, 0u);
  ASSERT_OK(lake_->Write(f, 10, "still"));
  EXPECT_ERRNO(ENOENT, lake_->Link(f, kRootIno, "again").status());
  ExpectClean();
  lake_->Release(f);
  EXPECT_EQ(Content(f).substr(10, 5), "still");
  lake_->Release(f);
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(f).status());
  EXPECT_ERRNO(ENOENT, lake_->Open(f));
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
}

TEST_F(NamespaceTest, OrphansAreReclaimedAtOpen) {
  const Ino f = File(kRootIno, "f", Pattern(300000, 1));
  const Ino d = Dir(kRootIno, "d");
  ASSERT_OK(lake_->Open(f));
  ASSERT_OK(lake_->Open(d));
  ASSERT_OK(lake_->Unlink(kRootIno, "f"));
  ASSERT_OK(lake_->RemoveDir(kRootIno, "d"));
  EXPECT_EQ(Stat(d).nlink, 0u);
  EXPECT_ERRNO(ENOENT, lake_->Create(d, "x", 0644, 0, {}).status());
  ASSERT_OK(lake_->Flush(f));
  Crash();
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(f).status());
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(d).status());
  EXPECT_EQ(CountRows(*lake_, "extents"), 0u);
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 1u);
}

TEST_F(NamespaceTest, RemoveTreeTakesEverything) {
  const Ino top = Dir(kRootIno, "top");
  const std::string shared = Pattern(200000, 9);
  File(kRootIno, "kept", shared);
  Ino at = top;
  for (int depth = 0; depth < 6; ++depth) {
    for (int i = 0; i < 100; ++i) File(at, "f" + std::to_string(i), i % 10 == 0 ? shared : "small");
    Dir(at, "empty");
    ASSERT_OK(lake_->Link(lake_->Head().Lookup(at, "f1")->ino, at, "link").status());
    at = Dir(at, "sub");
  }
  const Ino outside = lake_->Head().Lookup(top, "f2")->ino;
  ASSERT_TRUE(lake_->Link(outside, kRootIno, "outside").ok());
  ASSERT_OK(lake_->SetXattr(outside, "user.x", "1", false, false));
  ASSERT_OK(lake_->SyncAll());
  ASSERT_OK(lake_->RemoveTree(kRootIno, "top"));
  EXPECT_EQ(Names(kRootIno), (std::vector<std::string>{"kept", "outside"}));
  EXPECT_EQ(Stat(outside).nlink, 1u);
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 3u);
  EXPECT_EQ(CountRows(*lake_, "chunks"), 2u);
  EXPECT_EQ(Stat(kRootIno).nlink, 2u);
  ASSERT_OK(lake_->RemoveTree(kRootIno, "outside"));
  EXPECT_ERRNO(ENOENT, lake_->RemoveTree(kRootIno, "outside"));
}

TEST_F(NamespaceTest, Xattrs) {
  const Ino f = File(kRootIno, "f");
  EXPECT_OK(lake_->SetXattr(f, "user.a", "1", false, false));
  EXPECT_OK(lake_->SetXattr(f, "user.b", "", true, false));
  EXPECT_ERRNO(EEXIST, lake_->SetXattr(f, "user.a", "2", true, false));
  EXPECT_ERRNO(ENODATA, lake_->SetXattr(f, "user.c", "2", false, true));
  EXPECT_OK(lake_->SetXattr(f, "user.a", "2", false, true));
  EXPECT_EQ(*lake_->Head().GetXattr(f, "user.a"), "2");
  EXPECT_ERRNO(ENODATA, lake_->Head().GetXattr(f, "user.c").status());
  EXPECT_ERRNO(ENOENT, lake_->Head().GetXattr(99, "user.c").status());
  EXPECT_EQ(*lake_->Head().ListXattr(f), (std::vector<std::string>{"user.a", "user.b"}));
  EXPECT_ERRNO(E2BIG, lake_->SetXattr(f, "user.big", std::string(65537, 'x'), false, false));
  EXPECT_ERRNO(ERANGE, lake_->SetXattr(f, std::string(256, 'x'), "", false, false));
  EXPECT_OK(lake_->RemoveXattr(f, "user.b"));
  EXPECT_ERRNO(ENODATA, lake_->RemoveXattr(f, "user.b"));
  for (int i = 0; i < 1200; ++i) EXPECT_OK(lake_->SetXattr(f, "user." + std::to_string(i), "v", false, false));
  ExpectClean();
  EXPECT_OK(lake_->Unlink(kRootIno, "f"));  // in more than one step
  EXPECT_ERRNO(ENOENT, lake_->Head().GetXattr(f, "user.1").status());
}

TEST_F(NamespaceTest, Paths) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(a, "b"), f = File(b, "f");
  View& head = lake_->Head();
  EXPECT_EQ(Resolve(head, "/")->ino, kRootIno);
  EXPECT_EQ(Resolve(head, "/a/b/f")->ino, f);
  EXPECT_EQ(Resolve(head, "//a///b/")->ino, b);
  EXPECT_ERRNO(ENOTDIR, Resolve(head, "/a/b/f/").status());
  EXPECT_ERRNO(ENOTDIR, Resolve(head, "/a/b/f/g").status());
  EXPECT_ERRNO(ENOENT, Resolve(head, "/a/x/f").status());
  for (const char* bad : {"", "a", "/a/../a", "/./a"}) EXPECT_ERRNO(EINVAL, Resolve(head, bad).status());
  EXPECT_EQ(ResolveParent(head, "/a/b/new")->parent, b);
  EXPECT_EQ(ResolveParent(head, "/new/")->name, "new");
  EXPECT_ERRNO(EINVAL, ResolveParent(head, "/").status());
  EXPECT_ERRNO(ENOTDIR, ResolveParent(head, "/a/b/f/g").status());
  EXPECT_NE(Resolve(head, "/a/x/f").status().message().find("/a/x/f"), std::string_view::npos);
}

TEST_F(NamespaceTest, InodeNumbersAreNeverReused) {
  Ino last = 0;
  for (int i = 0; i < 5; ++i) {
    const Ino f = File(kRootIno, "f");
    EXPECT_GT(f, last);
    last = f;
    ASSERT_OK(lake_->Unlink(kRootIno, "f"));
    if (i % 2 == 0) {
      Reopen();
    } else {
      Crash();
    }
  }
}

TEST_F(NamespaceTest, ReadOnlyRefusesChanges) {
  const Ino f = File(kRootIno, "f", "text");
  EXPECT_OK(lake_->Close());
  options_.settings.read_only = true;
  Open();
  EXPECT_EQ(Content(f), "text");
  EXPECT_ERRNO(EROFS, lake_->Write(f, 0, "x"));
  EXPECT_ERRNO(EROFS, lake_->Create(kRootIno, "g", 0644, 0, {}).status());
  EXPECT_ERRNO(EROFS, lake_->Unlink(kRootIno, "f"));
  EXPECT_ERRNO(EROFS, lake_->SetAttr(f, {.size = 0}).status());
  EXPECT_ERRNO(EROFS, lake_->CreateSnapshot("s").status());
  EXPECT_EQ(lake_->Head().GetUsage()->logical_bytes, 4u);
}

TEST_F(NamespaceTest, SubscribersHearOfChanges) {
  std::vector<std::string> heard;
  lake_->Subscribe([&](const Change& change) {
    heard.push_back((change.what == Change::What::kEntry ? "entry " : "inode ") + std::to_string(change.ino) +
                    (change.name.empty() ? "" : " " + change.name));
    EXPECT_TRUE(lake_->Head().GetAttr(kRootIno).ok());  // no lock is held
  });
  const Ino f = File(kRootIno, "f");
  ASSERT_OK(lake_->Write(f, 0, "x"));
  ASSERT_OK(lake_->Rename(kRootIno, "f", kRootIno, "g", RenameMode::kReplace));
  lake_->Subscribe(nullptr);
  ASSERT_OK(lake_->Unlink(kRootIno, "g"));
  EXPECT_EQ(heard, (std::vector<std::string>{"entry 1 f", "inode 2", "entry 1 f", "entry 1 g", "inode 2"}));
}

}  // namespace
}  // namespace tarn::lake
