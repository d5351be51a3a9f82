// Stages, the log and named snapshots.

#include <cerrno>

#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

class HistoryTest : public LakeFixture {
 protected:
  void SetUp() override { Init(); }
  void TearDown() override { ExpectClean(); }
  Ino Build(std::string_view content) {
    const auto stage = lake_->Stage({});
    EXPECT_TRUE(stage.ok()) << stage.status().ToString();
    const Ino top = Dir(*stage, "top");
    File(top, "f", content);
    File(Dir(top, "sub"), "g", content);
    return *stage;
  }
};

TEST_F(HistoryTest, PublishIsOneStepAndPowerSafe) {
  const std::string data = Pattern(200000, 1);
  const Ino stage = Build(data);
  EXPECT_EQ(Names(kRootIno), std::vector<std::string>());
  EXPECT_EQ(*lake_->Head().ParentOf(stage), stage);
  ExpectClean();
  ASSERT_OK(lake_->Publish(stage, "top", kRootIno, "data", RenameMode::kNoReplace,
                           {.who = "me@here", .command = "import", .files = 2, .bytes = 400000}));
  backend_ = backend_->CrashClone(1, test::CrashMode::kDropUnsynced);
  lake_.reset();
  Open();
  EXPECT_EQ(Content(Resolve(lake_->Head(), "/data/sub/g")->ino), data);
  const auto log = lake_->ReadLog(0, 10);
  ASSERT_EQ(log->size(), 1u);
  EXPECT_EQ((*log)[0].id, 1u);
  EXPECT_EQ((*log)[0].command, "import");
  EXPECT_EQ((*log)[0].files, 2u);
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(stage).status());
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 5u);
}

TEST_F(HistoryTest, PublishReplacesATree) {
  ASSERT_OK(lake_->Publish(Build("old"), "top", kRootIno, "data", RenameMode::kNoReplace, {}));
  const Ino second = Build("new");
  EXPECT_ERRNO(EEXIST, lake_->Publish(second, "top", kRootIno, "data", RenameMode::kNoReplace, {}));
  EXPECT_EQ(Content(Resolve(lake_->Head(), "/data/f")->ino), "old");
  ASSERT_OK(lake_->Publish(second, "top", kRootIno, "data", RenameMode::kReplace, {}));
  EXPECT_EQ(Content(Resolve(lake_->Head(), "/data/f")->ino), "new");
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 5u);
  EXPECT_EQ(lake_->ReadLog(0, 10)->size(), 2u);
  EXPECT_ERRNO(ENOENT, lake_->Publish(second, "top", kRootIno, "x", RenameMode::kReplace, {}));
  EXPECT_OK(lake_->DropStage(second));
}

TEST_F(HistoryTest, DroppedAndForgottenStagesLeaveNothing) {
  const Ino dropped = Build(Pattern(300000, 2));
  ASSERT_OK(lake_->DropStage(dropped));
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 1u);
  Build(Pattern(300000, 3));
  ASSERT_OK(lake_->SyncAll());
  EXPECT_GT(CountRows(*lake_, "chunks"), 0u);
  Crash();
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 1u);
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
}

TEST_F(HistoryTest, LogIsNewestFirstAndPaged) {
  for (int i = 1; i <= 5; ++i) {
    clock_->nanos = 1000 * i;
    const auto record = lake_->AppendLog({.who = "w", .command = "c" + std::to_string(i)});
    ASSERT_TRUE(record.ok());
    EXPECT_EQ(record->id, static_cast<uint64_t>(i));
    EXPECT_EQ(record->wall_nanos, 1000u * i);
  }
  Reopen();
  EXPECT_EQ(lake_->AppendLog({.command = "c6"})->id, 6u);
  const auto newest = lake_->ReadLog(0, 2);
  ASSERT_EQ(newest->size(), 2u);
  EXPECT_EQ((*newest)[0].command, "c6");
  EXPECT_EQ((*newest)[1].command, "c5");
  EXPECT_GT((*newest)[0].sequence, (*newest)[1].sequence);
  const auto older = lake_->ReadLog(5, 10);
  ASSERT_EQ(older->size(), 4u);
  EXPECT_EQ((*older)[0].command, "c4");
  EXPECT_EQ((*older)[3].command, "c1");
  EXPECT_TRUE(lake_->ReadLog(1, 10)->empty());
}

TEST_F(HistoryTest, SnapshotsKeepWhatWas) {
  const std::string data = Pattern(300000, 4);
  const Ino d = Dir(kRootIno, "d"), f = File(d, "f", data);
  ASSERT_OK(lake_->SetXattr(f, "user.x", "then", false, false));
  const auto made = lake_->CreateSnapshot("monday");  // dirty bytes are part of it
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_ERRNO(EEXIST, lake_->CreateSnapshot("monday").status());
  EXPECT_ERRNO(EINVAL, lake_->CreateSnapshot("a/b").status());
  ASSERT_OK(lake_->Write(f, 0, "changed"));
  ASSERT_OK(lake_->SetXattr(f, "user.x", "now", false, false));
  ASSERT_OK(lake_->Rename(kRootIno, "d", kRootIno, "e", RenameMode::kReplace));
  ASSERT_OK(lake_->RemoveTree(kRootIno, "e"));
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
  Reopen();
  ASSERT_OK(lake_->db().Compact());
  ASSERT_EQ(lake_->ListSnapshots().size(), 1u);
  EXPECT_EQ(lake_->ListSnapshots()[0].name, "monday");
  {
    const auto view = lake_->At("monday");
    ASSERT_TRUE(view.ok()) << view.status().ToString();
    const auto attr = Resolve(**view, "/d/f");
    ASSERT_TRUE(attr.ok()) << attr.status().ToString();
    EXPECT_TRUE(Content(**view, attr->ino) == data);
    EXPECT_EQ(*(*view)->GetXattr(f, "user.x"), "then");
    EXPECT_EQ((*view)->GetUsage()->inodes, 3u);
    EXPECT_EQ((*view)->GetUsage()->logical_bytes, data.size());
    EXPECT_EQ(*(*view)->SeekHole(f, 0), data.size());
    EXPECT_EQ((*view)->ReadDir(d, {}, 10)->size(), 1u);
  }
  EXPECT_ERRNO(ENOENT, Resolve(lake_->Head(), "/d/f").status());
  EXPECT_ERRNO(ENOENT, lake_->At("tuesday").status());
  EXPECT_ERRNO(ENOENT, lake_->DropSnapshot("tuesday"));
  ASSERT_OK(lake_->DropSnapshot("monday"));
  EXPECT_ERRNO(ENOENT, lake_->At("monday").status());
}

}  // namespace
}  // namespace tarn::lake
