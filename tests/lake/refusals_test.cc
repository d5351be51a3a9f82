// What the lake refuses and with which errno; and what it makes of rows that are not as it left them, or that a crash
// left half done.
#include <sys/stat.h>

#include <cerrno>

#include "lake/layout.h"
#include "tests/kernel/sim_store.h"
#include "tests/lake/lake_fixture.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::lake {
namespace {

class RefusalsTest : public LakeFixture {
 protected:
  void SetUp() override { Init(); }

  ColumnFamily Family(const char* name) { return *lake_->db().FindFamily(name); }
  void Put(const char* family, std::string_view key, std::string_view value) {
    WriteBatch batch;
    batch.Put(Family(family), key, value);
    ASSERT_OK(lake_->db().Write(batch));
  }
  Inode Load(Ino ino) {
    std::string value;
    Inode inode;
    EXPECT_OK(lake_->db().Get(Family("meta"), MetaKey(kInodeRow, ino), &value));
    EXPECT_OK(Decode("", value, &inode));
    return inode;
  }
  void Edit(Ino ino, const std::function<void(Inode*)>& change) {
    Inode inode = Load(ino);
    change(&inode);
    Put("meta", MetaKey(kInodeRow, ino), Encode(inode));
  }
};

TEST_F(RefusalsTest, EveryTypeOfNode) {
  for (const uint32_t type : {S_IFREG, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK}) {
    const auto made = lake_->Create(kRootIno, "n" + std::to_string(type), type | 0600, 0, {});
    ASSERT_OK(made.status());
    EXPECT_EQ(made->mode, type | 0600);
  }
  for (const uint32_t type : {S_IFDIR, S_IFLNK, S_IFIFO | S_IFREG | S_IFLNK}) {
    EXPECT_ERRNO(EINVAL, lake_->Create(kRootIno, "no", type | 0600, 0, {}).status());
  }
  EXPECT_EQ(Names(kRootIno).size(), 5u);
  ExpectClean();
}

TEST_F(RefusalsTest, NamesTargetsAndLinks) {
  const Ino file = File(kRootIno, "file", "x"), dir = Dir(kRootIno, "dir");
  EXPECT_ERRNO(ENOENT, lake_->Symlink(kRootIno, "link", "", {}).status());
  EXPECT_ERRNO(ENAMETOOLONG, lake_->Symlink(kRootIno, "link", std::string(kMaxSymlink + 1, 't'), {}).status());
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("."), std::string("a\0b", 3)}) {
    EXPECT_ERRNO(EINVAL, lake_->Link(file, kRootIno, name).status());
    EXPECT_ERRNO(EINVAL, lake_->Unlink(kRootIno, name));
    EXPECT_ERRNO(EINVAL, lake_->RemoveTree(kRootIno, name));
    EXPECT_ERRNO(EINVAL, lake_->Rename(kRootIno, "file", dir, name, RenameMode::kReplace));
    EXPECT_ERRNO(EINVAL, lake_->Rename(kRootIno, name, dir, "new", RenameMode::kReplace));
    EXPECT_ERRNO(EINVAL, lake_->MakeDir(kRootIno, name, 0755, {}).status());
    EXPECT_ERRNO(EINVAL, lake_->Head().Lookup(kRootIno, name).status());
  }
  for (const std::string& name : {std::string(), std::string("a\0b", 3), std::string(kMaxName + 1, 'n')}) {
    EXPECT_ERRNO(ERANGE, lake_->SetXattr(file, name, "v", false, false));
  }
  EXPECT_ERRNO(E2BIG, lake_->SetXattr(file, "user.a", std::string(kMaxXattrValue + 1, 'v'), false, false));
  Edit(file, [](Inode* inode) { inode->nlink = UINT32_MAX; });
  EXPECT_ERRNO(EMLINK, lake_->Link(file, kRootIno, "more").status());
  Edit(file, [](Inode* inode) { inode->nlink = 1; });
  ExpectClean();
}

TEST_F(RefusalsTest, SizesNoFileCanHave) {
  const Ino file = File(kRootIno, "file", "x");
  EXPECT_ERRNO(EFBIG, lake_->Write(file, INT64_MAX, "x"));
  EXPECT_ERRNO(EFBIG, lake_->Write(file, INT64_MAX - kBlockBytes - 3, "four"));
  EXPECT_ERRNO(EFBIG, lake_->SetAttr(file, {.size = uint64_t{INT64_MAX}}).status());
  EXPECT_EQ(Content(file), "x");
}

TEST_F(RefusalsTest, WhatIsNoDirectoryOrNoFile) {
  const Ino file = File(kRootIno, "file", "x"), dir = Dir(kRootIno, "dir");
  View& view = lake_->Head();
  EXPECT_ERRNO(ENOTDIR, view.ReadDir(file, {}, 10).status());
  EXPECT_ERRNO(ENOTDIR, view.ParentOf(file).status());
  EXPECT_ERRNO(ENOTDIR, view.Lookup(file, "x").status());
  EXPECT_ERRNO(EINVAL, view.ReadLink(file).status());
  std::string bytes(3, '?');
  EXPECT_ERRNO(EISDIR, view.Read(dir, 0, bytes).status());
  EXPECT_ERRNO(EISDIR, lake_->Write(dir, 0, "x"));
  EXPECT_ERRNO(ENOENT, view.GetXattr(999, "user.a").status());
  EXPECT_ERRNO(ENOENT, lake_->Publish(dir, "x", kRootIno, "y", RenameMode::kReplace, {}));
  EXPECT_OK(lake_->DropStage(dir));  // published, or dropped before
}

// Rows of an inode that is on its way out: nobody may use it any more.
TEST_F(RefusalsTest, AnInodeThatWasRemoved) {
  const Ino file = File(kRootIno, "file", "x"), dir = Dir(kRootIno, "dir");
  ASSERT_OK(lake_->Flush(file));
  Edit(file, [](Inode* inode) { inode->nlink = 0; });
  Edit(dir, [](Inode* inode) {
    inode->nlink = 0;
    inode->parent = 0;
  });
  EXPECT_ERRNO(ENOENT, lake_->Open(file));
  EXPECT_ERRNO(ENOENT, lake_->Write(file, 0, "y"));
  EXPECT_ERRNO(ENOENT, lake_->SetXattr(file, "user.a", "b", false, false));
  EXPECT_ERRNO(ENOENT, lake_->RemoveXattr(file, "user.a"));
  EXPECT_ERRNO(ENOENT, lake_->SetAttr(file, {.mode = 0600}).status());
  EXPECT_ERRNO(ENOENT, lake_->Link(file, kRootIno, "again").status());
  EXPECT_ERRNO(ENOENT, lake_->MakeDir(dir, "below", 0755, {}).status());
  EXPECT_ERRNO(ENOENT, lake_->Head().ParentOf(dir).status());
}

// Bytes that were not flushed when the file went are of no use to anybody.
TEST_F(RefusalsTest, DirtyBytesOfAFileThatIsGone) {
  const Ino file = File(kRootIno, "file", "never flushed");
  ASSERT_OK(lake_->Unlink(kRootIno, "file"));
  EXPECT_OK(lake_->Flush(file));
  EXPECT_OK(lake_->SyncAll());
  ExpectClean();
}

TEST_F(RefusalsTest, ReadOnlyLakesSyncNothingAndCloseWell) {
  const Ino file = File(kRootIno, "file", "x");
  ASSERT_OK(lake_->Close());
  lake_.reset();
  options_.settings.read_only = true;
  Open();
  EXPECT_OK(lake_->Sync(file));
  EXPECT_OK(lake_->SyncAll());
  EXPECT_ERRNO(EROFS, lake_->Write(file, 0, "y"));
  EXPECT_ERRNO(EROFS, lake_->MakeDir(kRootIno, "d", 0755, {}).status());
  ASSERT_OK(lake_->Open(file));
  lake_->Release(file);
  EXPECT_EQ(Content(file), "x");
  EXPECT_OK(lake_->Close());
  EXPECT_OK(lake_->Close());
}

TEST_F(RefusalsTest, ADirectoryThatRunsInACircleIsNamedAndNotFollowedForEver) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(a, "b"), other = Dir(kRootIno, "other");
  Edit(a, [b](Inode* inode) { inode->parent = b; });
  const Status status = lake_->Rename(kRootIno, "other", b, "moved", RenameMode::kReplace);
  EXPECT_EQ(status.code(), Code::kCorruption) << status.ToString();
  EXPECT_EQ(lake_->Head().Lookup(kRootIno, "other")->ino, other);
}

// A tail that a truncation left for later goes before the file grows over it again, or when it is removed.
TEST_F(RefusalsTest, ATailThatAwaitsReclaim) {
  for (const bool grows : {true, false}) {
    const Ino file = File(kRootIno, "file", Pattern(kBlockBytes * 4, 3));
    ASSERT_OK(lake_->Flush(file));
    Edit(file, [](Inode* inode) {
      inode->size = kBlockBytes;
      inode->tail = 2;
    });
    Put("meta", MetaKey(kTrashRow, file), "");
    EXPECT_ERRNO(ENXIO, lake_->Head().SeekData(file, kBlockBytes).status());
    EXPECT_EQ(*lake_->Head().SeekHole(file, 0), kBlockBytes);
    if (grows) {
      ASSERT_OK(lake_->Write(file, 3 * kBlockBytes, "end"));
      ASSERT_OK(lake_->Flush(file));
      std::string wanted = Pattern(kBlockBytes * 4, 3).substr(0, kBlockBytes);
      wanted.resize(3 * kBlockBytes);
      EXPECT_TRUE(Content(file) == wanted + "end");
    }
    ASSERT_OK(lake_->Unlink(kRootIno, "file"));
  }
  EXPECT_EQ(CountRows(*lake_, "extents"), 0u);
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
  Crash();  // counts anew
  ExpectClean();
}

TEST_F(RefusalsTest, ManyLeftoversAreTakenApartAtOpen) {
  for (uint64_t i = 0; i < 600; ++i) ASSERT_OK(lake_->Stage({}).status());
  ASSERT_OK(lake_->SyncAll());
  Put("meta", "Sshort", "");
  Put("meta", MetaKey(kOrphanRow, 5) + "more", "");
  Put("meta", MetaKey(kOrphanRow, 99999), "");  // of an inode that is not there
  Put("meta", MetaKey(kTrashRow, 99998), "");
  Crash();
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 1u);
  const auto report = lake_->Check(true, {});
  ASSERT_OK(report.status());
  ASSERT_EQ(report->problems.size(), 2u) << "what has no shape stays, and is named";
}

TEST_F(RefusalsTest, BigDirectoriesGoInSteps) {
  const Ino dir = Dir(kRootIno, "dir");
  for (uint64_t i = 0; i < 600; ++i)
    File(dir, std::to_string(i) + std::string(200, 'n'), i % 3 == 0 ? "content" : "");
  for (uint64_t i = 0; i < 3; ++i) Dir(Dir(dir, "sub" + std::to_string(i)), "deeper");
  const Ino twice = File(kRootIno, "twice", "kept");
  ASSERT_OK(lake_->Link(twice, dir, "twice").status());
  Put("meta", NameKey(kEntryRow, dir, "dangling"), Encode(Entry{424242, S_IFREG}));
  ASSERT_OK(lake_->RemoveTree(kRootIno, "dir"));
  EXPECT_EQ(Content(twice), "kept");
  EXPECT_EQ(Stat(twice).nlink, 1u);
  Crash();
  ExpectClean();
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 2u);
}

TEST_F(RefusalsTest, ContentThatIsNotAsItWasLeft) {
  const Ino small = File(kRootIno, "small", "x"), large = File(kRootIno, "large", Pattern(kBlockBytes * 40, 5));
  ASSERT_OK(lake_->SyncAll());
  EXPECT_TRUE(Content(large) == Pattern(kBlockBytes * 40, 5)) << "more blocks than are fetched at once";
  std::string byte(1, '?');
  Put("inline", InoKey(small), std::string(kInlineBytes + 1, 'x'));
  EXPECT_EQ(lake_->Head().Read(small, 0, byte).status().code(), Code::kCorruption);
  Put("extents", ExtentKey(large, 0) + "more", Encode(Extent{1, Sha256("x")}));
  EXPECT_EQ(lake_->Head().Read(large, 0, byte).status().code(), Code::kCorruption);
  EXPECT_EQ(lake_->Unlink(kRootIno, "large").code(), Code::kCorruption) << "a row it does not know is not removed";
}

// A store that does not know how much room there is.
class Spaceless final : public test::WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  BackendFeatures features() override {
    BackendFeatures features = WrappingBackend::features();
    features.space = nullptr;
    return features;
  }

 private:
  Status Around(const test::Call&, const Effect& effect) override { return effect(); }
};

TEST(Spaceless, UsageTellsWhatItKnows) {
  Components parts;
  parts.backend = std::make_shared<Spaceless>(std::make_shared<test::MemBackend>());
  const auto lake = Lake::Init(parts, {}).value();
  const auto usage = lake->Head().GetUsage();
  ASSERT_OK(usage.status());
  EXPECT_EQ(usage->inodes, 1u);
  EXPECT_EQ(usage->total_bytes, 0u);
  EXPECT_OK(lake->Close());
}

}  // namespace
}  // namespace tarn::lake
