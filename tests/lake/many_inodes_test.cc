// Check and mend of a lake with more inodes than either looks at at once (a window of 262144): what lies at both
// sides of the border is found, counted and reported once. The rows are written behind the lake's back, as its calls
// would.
#include <algorithm>

#include "lake/layout.h"
#include "lake/mend.h"
#include "tests/kernel/sim_store.h"
#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

constexpr Ino kFirst = 2;
constexpr Ino kInodes = 262144 + 9000;
constexpr Ino kSpan = 3000;  // a directory, then as many files of it as fit before the next one
constexpr Ino kBorder = 262144;

bool IsDir(Ino ino) { return (ino - kFirst) % kSpan == 0; }
Ino DirOf(Ino file) { return file - (file - kFirst) % kSpan; }
std::string NameOf(Ino ino) { return (IsDir(ino) ? "d" : "f") + std::to_string(ino); }

class ManyInodesTest : public LakeFixture {
 protected:
  void SetUp() override {
    options_.settings.memory_bytes = 256 << 20;
    Init();
    ASSERT_OK(lake_->Close());
    lake_.reset();
    Rewrite([](WriteBatch* batch, ColumnFamily meta) {
      const Ino last = kFirst + kInodes;
      Ino dirs = 0;
      for (Ino ino = kFirst; ino < last; ++ino) {
        Inode inode{.mode = 0100644, .nlink = 1};
        if (IsDir(ino)) {
          inode = {.mode = 0040755, .nlink = 2, .size = std::min(kSpan, last - ino) - 1, .parent = kRootIno};
          ++dirs;
        }
        const Ino parent = IsDir(ino) ? kRootIno : DirOf(ino);
        batch->Put(meta, MetaKey(kInodeRow, ino), Encode(inode));
        batch->Put(meta, NameKey(kEntryRow, parent, NameOf(ino)), Encode(Entry{ino, inode.type()}));
      }
      const Inode root{.mode = 0040755, .nlink = static_cast<uint32_t>(2 + dirs), .size = dirs, .parent = kRootIno};
      batch->Put(meta, MetaKey(kInodeRow, kRootIno), Encode(root));
      batch->Put(meta, std::string(1, kSuperblockRow), Encode(Superblock{last, true, kInodes + 1, 0}));
    });
  }

  // Changes rows of the closed lake.
  void Rewrite(const std::function<void(WriteBatch*, ColumnFamily meta)>& change) {
    const auto db = test::OpenSim(backend_, options_.settings).value();
    WriteBatch batch;
    change(&batch, *db->FindFamily("meta"));
    ASSERT_OK(db->Write(batch));
    ASSERT_OK(db->Close());
  }
  std::vector<std::string> Problems() {
    Open();
    const auto report = lake_->Check(true, {});
    EXPECT_OK(report.status());
    inodes_ = report->inodes;
    entries_ = report->entries;
    EXPECT_OK(lake_->Close());
    lake_.reset();
    return report->problems;
  }
  static void Set(WriteBatch* batch, ColumnFamily meta, Ino ino, const Inode& inode) {
    batch->Put(meta, MetaKey(kInodeRow, ino), Encode(inode));
  }

  uint64_t inodes_ = 0, entries_ = 0;
};

TEST_F(ManyInodesTest, ACheckCountsThemAllAndTellsItsProgress) {
  Open();
  uint64_t calls = 0, before = 0;
  const auto report = lake_->Check(false, [&](uint64_t done, uint64_t total) {
    ++calls;
    EXPECT_LE(done, total);
    EXPECT_GE(done, before);
    before = done;
  });
  ASSERT_OK(report.status());
  EXPECT_EQ(report->problems, std::vector<std::string>());
  EXPECT_EQ(report->inodes, kInodes + 1);
  EXPECT_EQ(report->entries, kInodes);
  EXPECT_GT(calls, 1000u);
}

TEST_F(ManyInodesTest, DamageInEitherWindowIsReportedOnce) {
  Rewrite([](WriteBatch* batch, ColumnFamily meta) {
    for (const Ino ino : {Ino{70}, kBorder + 100}) {
      batch->Delete(meta, MetaKey(kInodeRow, ino));
      batch->Put(meta, NameKey(kXattrRow, ino, "user.a"), "b");
      batch->Put(meta, MetaKey(kTrashRow, ino + 1), "");
      Set(batch, meta, ino + 2, {.mode = 0100644, .nlink = 2});
    }
    batch->Put(meta, NameKey(kEntryRow, 3, "of no directory"), Encode(Entry{5, 0100000}));
    batch->Put(meta, NameKey(kEntryRow, kRootIno, "undecodable"), "rubbish");
    batch->Put(meta, NameKey(kEntryRow, kRootIno, "a/b"), Encode(Entry{kBorder + 7, 0100000}));
    batch->Put(meta, "Dshort", "x");
  });
  const std::vector<std::string> problems = Problems();
  for (const std::string& wanted :
       {std::string("names inode 70, which"), "names inode " + std::to_string(kBorder + 100) + ", which",
        std::string("inode 72: its row says 2 links, 1 entries"),
        "inode " + std::to_string(kBorder + 102) + ": its row says 2 links, 1 entries",
        std::string("entry 'of no directory' of directory inode 3"), std::string("impossible name"),
        std::string("entry key 'Dshort' is malformed"), std::string("is not a valid")}) {
    EXPECT_EQ(1, std::count_if(problems.begin(), problems.end(),
                               [&](const std::string& line) { return line.find(wanted) != line.npos; }))
        << wanted;
  }
  EXPECT_EQ(inodes_, kInodes + 1 - 2);
}

TEST_F(ManyInodesTest, AReportHasAnEnd) {
  Rewrite([](WriteBatch* batch, ColumnFamily meta) {
    for (Ino ino = 10; ino < 1210; ++ino) Set(batch, meta, ino, {.mode = 0100644, .nlink = 2});
  });
  const std::vector<std::string> problems = Problems();
  ASSERT_EQ(problems.size(), 1001u);
  EXPECT_EQ(problems.back(), "more than 1000 problems; repair these and check again");
}

TEST_F(ManyInodesTest, AMendedLakeIsWhole) {
  Rewrite([](WriteBatch* batch, ColumnFamily meta) {
    const Ino dir = DirOf(kBorder);
    batch->Delete(meta, MetaKey(kInodeRow, dir));
    batch->Delete(meta, NameKey(kEntryRow, kRootIno, NameOf(DirOf(kBorder + 6000))));
    batch->Delete(meta, NameKey(kEntryRow, DirOf(100), NameOf(100)));
    // All files of some directories say that they have attributes, so that many rows are written again.
    for (Ino ino = kFirst; ino < kInodes; ++ino) {
      if (!IsDir(ino) && ino % 7 == 0) Set(batch, meta, ino, {.mode = 0100644, .nlink = 3, .xattrs = 1});
    }
    batch->Delete(meta, std::string(1, kSuperblockRow));
  });
  std::vector<std::string> told;
  uint64_t checks = 0;
  {
    const auto db = test::OpenSim(backend_, options_.settings).value();
    const MendHooks patient{.tell = [&](const std::string& line) { told.push_back(line); },
                            .check =
                                [&] {
                                  ++checks;
                                  return Status::Ok();
                                }};
    const auto mended = Mend(*db, patient);
    ASSERT_OK(mended.status());
    EXPECT_GT(*mended, kInodes / 8);
    EXPECT_EQ(*Mend(*db, {}), 0u);
    ASSERT_OK(db->Close());
  }
  EXPECT_GT(checks, 1000u);
  EXPECT_NE(std::find(told.begin(), told.end(),
                      "/" + NameOf(DirOf(kBorder)) +
                          ": the directory's attributes are lost; it belongs to root now, with mode 0700"),
            told.end());
  EXPECT_NE(std::find(told.begin(), told.end(), "/lost+found/#100: its name is lost; it was found again here"),
            told.end());
  EXPECT_EQ(Problems(), std::vector<std::string>());
  EXPECT_EQ(inodes_, kInodes + 2);  // and /lost+found
}

// Whoever waits may end it; then nothing of it counts.
TEST_F(ManyInodesTest, MendingCanBeInterrupted) {
  const auto db = test::OpenSim(backend_, options_.settings).value();
  uint64_t left = 100;
  const MendHooks hurried{.check = [&] { return --left > 0 ? Status() : Status::Busy("interrupted; run it again"); }};
  const auto mended = Mend(*db, hurried);
  EXPECT_EQ(mended.status().ToString(), Status::Busy("interrupted; run it again").ToString());
  EXPECT_EQ(left, 0u);
  ASSERT_OK(db->Close());
}

}  // namespace
}  // namespace tarn::lake
