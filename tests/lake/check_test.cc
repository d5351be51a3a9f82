// A check must find each kind of damage. Every case breaks one rule by writing rows behind the lake's back.

#include "lake/layout.h"
#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

class CheckTest : public LakeFixture {
 protected:
  void SetUp() override {
    Init();
    dir_ = Dir(kRootIno, "d");
    small_ = File(dir_, "small", "tiny");
    large_ = File(dir_, "large", Pattern(300000, 1));
    ASSERT_OK(lake_->SetXattr(small_, "user.a", "b", false, false));
    ASSERT_TRUE(lake_->AppendLog({.command = "one"}).ok());
    ASSERT_TRUE(lake_->AppendLog({.command = "two"}).ok());
    ExpectClean();
  }
  ColumnFamily Family(const char* name) { return *lake_->db().FindFamily(name); }
  void Put(const char* family, std::string_view key, std::string_view value) {
    WriteBatch batch;
    batch.Put(Family(family), key, value);
    ASSERT_OK(lake_->db().Write(batch));
  }
  void Delete(const char* family, std::string_view key) {
    WriteBatch batch;
    batch.Delete(Family(family), key);
    ASSERT_OK(lake_->db().Write(batch));
  }
  void Edit(Ino ino, const std::function<void(Inode*)>& change) {
    std::string value;
    ASSERT_OK(lake_->db().Get(Family("meta"), MetaKey(kInodeRow, ino), &value));
    Inode inode;
    ASSERT_OK(Decode("", value, &inode));
    change(&inode);
    Put("meta", MetaKey(kInodeRow, ino), Encode(inode));
  }
  // The report names `what`; only a deep check sees what `deep_only` says.
  void ExpectProblem(const std::string& what, bool deep_only = false) {
    for (const bool deep : {false, true}) {
      const auto report = lake_->Check(deep, {});
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      bool found = false;
      std::string all;
      for (const std::string& problem : report->problems) {
        found = found || problem.find(what) != problem.npos;
        all += problem + "\n";
      }
      EXPECT_EQ(found, deep || !deep_only) << (deep ? "deep: " : "") << "wanted: " << what << "\ngot:\n" << all;
    }
  }
  Digest FirstChunk() {
    const auto walk = lake_->db().NewIterator(Family("chunks"));
    walk->SeekToFirst();
    Digest digest;
    std::copy_n(walk->key().data(), 32, digest.bytes.begin());
    return digest;
  }

  Ino dir_ = 0, small_ = 0, large_ = 0;
};

TEST_F(CheckTest, CountsAndReportsProgress) {
  uint64_t calls = 0, last_done = 0, last_total = 0;
  const auto report = lake_->Check(true, [&](uint64_t done, uint64_t total) {
    ++calls;
    EXPECT_LE(done, total);
    last_done = done;
    last_total = total;
  });
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->inodes, 4u);
  EXPECT_EQ(report->entries, 3u);
  EXPECT_EQ(report->blocks, 3u);
  EXPECT_EQ(report->bytes, 300004u);
  EXPECT_GT(calls, 0u);
  EXPECT_EQ(last_done, last_total);
}

TEST_F(CheckTest, DanglingEntry) {
  Put("meta", NameKey(kEntryRow, dir_, "ghost"), Encode(Entry{777, 0100000}));
  ExpectProblem("entry 'ghost' of directory inode 2 names inode 777, which does not exist");
  EXPECT_EQ(lake_->Head().Lookup(dir_, "ghost").status().code(), Code::kCorruption);
}

TEST_F(CheckTest, EntryOfNoDirectory) {
  Put("meta", NameKey(kEntryRow, 888, "lost"), Encode(Entry{small_, 0100000}));
  ExpectProblem("entry 'lost' of directory inode 888: there is no such directory");
}

TEST_F(CheckTest, WrongTypeOfEntry) {
  Put("meta", NameKey(kEntryRow, dir_, "small"), Encode(Entry{small_, 0120000}));
  ExpectProblem("disagrees with the type of inode 3");
}

TEST_F(CheckTest, ImpossibleName) {
  Put("meta", NameKey(kEntryRow, dir_, "a/b"), Encode(Entry{small_, 0100000}));
  ExpectProblem("impossible name");
}

TEST_F(CheckTest, WrongLinkCounts) {
  Edit(small_, [](Inode* inode) { inode->nlink = 2; });
  ExpectProblem("inode 3: its row says 2 links, 1 entries name it");
  Edit(kRootIno, [](Inode* inode) { inode->nlink = 7; });
  ExpectProblem("directory inode 1: its row says 7 links");
}

TEST_F(CheckTest, UnreachableInode) {
  Delete("meta", NameKey(kEntryRow, dir_, "small"));
  ExpectProblem("inode 3: its row says 1 links, 0 entries name it");
  Edit(small_, [](Inode* inode) { inode->nlink = 0; });
  ExpectProblem("inode 3 has no name and nothing will reclaim it");
}

TEST_F(CheckTest, DirectoriesInACircle) {
  const Ino a = Dir(kRootIno, "a"), b = Dir(a, "b");
  Delete("meta", NameKey(kEntryRow, kRootIno, "a"));
  Put("meta", NameKey(kEntryRow, b, "a"), Encode(Entry{a, 0040000}));
  Edit(a, [b](Inode* inode) { inode->parent = b; });
  Edit(b, [](Inode* inode) {
    inode->nlink = 3;
    inode->size = 1;
  });
  Edit(kRootIno, [](Inode* inode) {
    inode->nlink = 3;
    inode->size = 1;
  });
  ExpectProblem("following its parents never ends at a root");
}

TEST_F(CheckTest, WrongParent) {
  Edit(dir_, [](Inode* inode) { inode->parent = 3; });
  ExpectProblem("its row says parent 3, its entry is in 1");
}

TEST_F(CheckTest, WrongEntryCount) {
  Edit(dir_, [](Inode* inode) { inode->size = 5; });
  ExpectProblem("inode 2: its row says 5 entries, there are 2");
}

TEST_F(CheckTest, StrayMarksAndAttributes) {
  Put("meta", MetaKey(kOrphanRow, 999), "");
  ExpectProblem("marks no inode");
  Put("meta", MetaKey(kTrashRow, small_), "");
  ExpectProblem("inode 3 is marked as trash but has links");
  Put("meta", MetaKey(kOrphanRow, small_), "");
  ExpectProblem("inode 3 is marked as an orphan but has links");
  Put("meta", NameKey(kXattrRow, small_, "user.more"), "x");
  ExpectProblem("inode 3: its row says 1 extended attributes, there are 2");
  Put("meta", NameKey(kXattrRow, 999, "user.more"), "x");
  ExpectProblem("is malformed or of no inode");
  Put("meta", "Q", "x");
  ExpectProblem("is of no known kind");
}

TEST_F(CheckTest, InlineRows) {
  Put("inline", InoKey(small_), "longer than the file");
  ExpectProblem("inode 3: inline content of 20 bytes in a file of 4");
  Delete("inline", InoKey(small_));
  ExpectProblem("inode 3: its row says 4 stored bytes, there are 0");
  Put("inline", InoKey(large_), "x");
  ExpectProblem("belongs to no file of at most 65536 bytes");
}

TEST_F(CheckTest, Extents) {
  Edit(large_, [](Inode* inode) { inode->size = 270000; });
  ExpectProblem("inode 4 block 2: an extent of 37856 bytes does not fit a file of 270000");
  Put("extents", ExtentKey(999, 0), Encode(Extent{1, Sha256("x")}));
  ExpectProblem("belongs to no file");
  Put("extents", ExtentKey(large_, 0), "rubbish");
  ExpectProblem("is not a valid extent");
  std::string out(100, '?');
  EXPECT_EQ(lake_->Head().Read(large_, 0, out).status().code(), Code::kCorruption);
}

TEST_F(CheckTest, BackrefsMissing) {
  const auto walk = lake_->db().NewIterator(Family("backrefs"));
  walk->SeekToFirst();
  Delete("backrefs", walk->key());
  ExpectProblem("has no backref to this extent");
}

TEST_F(CheckTest, BackrefsTooMany) {
  Put("backrefs", BackrefKey(FirstChunk(), large_, 77), "");
  ExpectProblem("belongs to no extent");
}

TEST_F(CheckTest, ChunkMissing) {
  const Digest digest = FirstChunk();
  Delete("chunks", digest.view());
  ExpectProblem("chunk " + digest.hex() + " is missing", true);
  std::string out(300000, '?');
  EXPECT_EQ(lake_->Head().Read(large_, 0, out).status().code(), Code::kCorruption);
}

TEST_F(CheckTest, ChunkWithOtherBytes) {
  const Digest digest = FirstChunk();
  std::string bytes;
  ASSERT_OK(lake_->db().Get(Family("chunks"), digest.view(), &bytes));
  bytes[bytes.size() / 2] ^= 1;
  Put("chunks", digest.view(), bytes);
  ExpectProblem("bytes do not hash to its name", true);
  Put("chunks", digest.view(), "short");
  ExpectProblem("has 5 bytes, the extent says", true);
}

TEST_F(CheckTest, ChunkNobodyNames) {
  const std::string bytes = "nobody wants me";
  Put("chunks", Sha256(bytes).view(), bytes);
  ExpectProblem("is named by no file", true);
}

TEST_F(CheckTest, LogGap) {
  Delete("meta", MetaKey(kLogRow, 1));
  ExpectProblem("log record 1 is missing");
}

TEST_F(CheckTest, Superblock) {
  Put("meta", std::string(1, kSuperblockRow), Encode(Superblock{2, false, 0, 0}));
  ExpectProblem("would hand out inode 2, but inode 4 is in use");
  Delete("meta", std::string(1, kSuperblockRow));
  ExpectProblem("the superblock is missing");
}

TEST_F(CheckTest, Counters) {
  Delete("meta", NameKey(kEntryRow, dir_, "small"));
  Delete("meta", MetaKey(kInodeRow, small_));
  ExpectProblem("the counters say 4 inodes and 300004 bytes, there are 3 and 300000");
}

TEST_F(CheckTest, TailsOfTruncatedFiles) {
  // The tail that is still to be reclaimed is no damage: its extents may lie behind the end.
  Edit(large_, [](Inode* inode) {
    inode->size = kBlockBytes;
    inode->tail = 2;
  });
  Put("meta", MetaKey(kTrashRow, large_), "");
  for (const bool deep : {false, true}) {
    const auto report = lake_->Check(deep, {});
    ASSERT_TRUE(report.ok());
    for (const std::string& problem : report->problems) EXPECT_NE(problem.find("counters"), problem.npos) << problem;
  }
  Delete("meta", MetaKey(kTrashRow, large_));
  ExpectProblem("inode 4: a truncated tail is not marked for reclaim");
  Edit(dir_, [](Inode* inode) { inode->tail = 1; });
  ExpectProblem("inode 2: only files have truncated tails");
}

TEST_F(CheckTest, StagingAreas) {
  Put("meta", MetaKey(kStageRow, small_), "");
  ExpectProblem("inode 3: a staging area has a name");
  Put("meta", MetaKey(kStageRow, dir_), "");
  ExpectProblem("inode 2: a staging area has a name");
  ExpectProblem("directory inode 2: 1 entries name it, not 0");
  Put("meta", NameKey(kEntryRow, dir_, "top"), Encode(Entry{kRootIno, 0040000}));
  ExpectProblem("directory inode 1: 1 entries name it, not 0");
}

TEST_F(CheckTest, KeysOfNoShape) {
  Put("meta", "I\x01", "x");
  ExpectProblem("inode key 'I\\x01' is malformed");
  Put("meta", MetaKey(kInodeRow, 9) + "more", "x");
  ExpectProblem("more' is malformed");
  Put("meta", "Dshort", "x");
  ExpectProblem("entry key 'Dshort' is malformed");
  Put("meta", "Ashort", "x");
  ExpectProblem("attribute row 'Ashort' is malformed or of no inode");
  Put("meta", MetaKey(kXattrRow, small_), "x");
  ExpectProblem("attribute row 'A\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x03' is malformed");
  Put("meta", NameKey(kXattrRow, small_, std::string(kMaxName + 1, 'n')), "x");
  ExpectProblem("nnn...' is malformed or of no inode");
  Put("meta", NameKey(kXattrRow, small_, "user.big"), std::string(kMaxXattrValue + 1, 'v'));
  ExpectProblem("user.big' is malformed or of no inode");
  Put("meta", "Tshort", "");
  ExpectProblem("row 'Tshort' marks no inode");
  Put("meta", MetaKey(kOrphanRow, small_) + "more", "");
  ExpectProblem("more' marks no inode");
  Put("meta", MetaKey(kStageRow, dir_), "a value");
  ExpectProblem("\\x02' marks no inode");
  Put("meta", "Zmore", "x");
  ExpectProblem("row 'Zmore' is of no known kind");
  Put("inline", "short", "x");
  ExpectProblem("inline row 'short' belongs to no file");
  Put("inline", InoKey(small_), "");
  ExpectProblem("inode 3: inline content of 0 bytes");
  Put("extents", "short", "x");
  ExpectProblem("extent row 'short' belongs to no file");
  Put("backrefs", "short", "");
  ExpectProblem("backref row 'short' is malformed");
}

TEST_F(CheckTest, ExtentsThatDoNotFitTheirFile) {
  Put("extents", ExtentKey(small_, 0), Encode(Extent{1, Sha256("x")}));
  ExpectProblem("inode 3 block 0: an extent of 1 bytes does not fit a file of 4");
  Put("extents", ExtentKey(dir_, 0), Encode(Extent{1, Sha256("x")}));
  ExpectProblem("belongs to no file");
  Put("extents", ExtentKey(large_, UINT64_MAX / 2), Encode(Extent{1, Sha256("x")}));
  ExpectProblem("does not fit a file of 300000");
}

TEST_F(CheckTest, AnUnreadableSuperblockIsAProblemAndNotTheEnd) {
  Put("meta", std::string(1, kSuperblockRow), "rubbish");
  const auto report = lake_->Check(false, {});
  EXPECT_EQ(report.status().code(), Code::kUnsupported) << "its first number is the format";
  Put("meta", std::string(1, kSuperblockRow), std::string("\x01\x80", 2));
  ExpectProblem("is not a valid superblock");
  ExpectProblem("lake row 'Z'");
}

TEST_F(CheckTest, InodeRowThatDoesNotDecode) {
  Put("meta", MetaKey(kInodeRow, small_), "rubbish");
  ExpectProblem("is not a valid inode");
  EXPECT_EQ(lake_->Head().GetAttr(small_).status().code(), Code::kCorruption);
  Crash();  // and the lake can still be opened and checked
  ExpectProblem("is not a valid inode");
}

}  // namespace
}  // namespace tarn::lake
