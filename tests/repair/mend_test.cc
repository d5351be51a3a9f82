// lake/mend on its own: each row of a lake is lost, moved and changed, one at a time and many at once. Afterwards the
// check finds nothing, and what a user would miss was told with its path.
#include "lake/mend.h"

#include <set>

#include "lake/layout.h"
#include "lake/rows.h"
#include "tests/kernel/sim_store.h"
#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

struct Row {
  std::string family, key, value;
};

class MendTest : public LakeFixture {
 protected:
  void SetUp() override {
    MakeTree();
    ASSERT_OK(lake_->Close());
    lake_.reset();
    image_ = backend_->CrashClone(1, test::CrashMode::kProcessKill);
    CollectRows();
  }

  void MakeTree() {
    Init();
    dir_ = Dir(kRootIno, "dir");
    inner_ = Dir(dir_, "inner");
    small_ = File(dir_, "small", "tiny");
    large_ = File(inner_, "large", Pattern(kBlockBytes * 2 + 500, 1));
    File(dir_, "twin", Pattern(kBlockBytes * 2 + 500, 1));
    Dir(dir_, "empty");
    const Ino sparse = File(dir_, "sparse", "start");
    ASSERT_OK(lake_->Write(sparse, kBlockBytes * 5ull, "end"));
    ASSERT_OK(lake_->Link(small_, inner_, "again").status());
    ASSERT_OK(lake_->Symlink(dir_, "link", "../somewhere", {}).status());
    ASSERT_OK(lake_->SetXattr(small_, "user.a", "b", false, false));
    ASSERT_OK(lake_->AppendLog({.command = "one"}).status());
    ASSERT_OK(lake_->AppendLog({.command = "two"}).status());
  }
  void CollectRows() {
    const auto db = test::OpenSim(image_->CrashClone(1, test::CrashMode::kProcessKill)).value();
    for (const std::string& family : db->ListFamilies()) {
      const auto walk = db->NewIterator(*db->FindFamily(family));
      for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
        rows_.push_back({family, std::string(walk->key()), std::string(walk->value())});
      }
    }
    ASSERT_GT(rows_.size(), 30u);
  }

  // For each of so many seeds: other rows, few or nearly all of them.
  void MendWithoutMany(uint64_t seeds) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
      test::SeededRandom random(seed);
      std::vector<const Row*> lost;
      for (const Row& row : rows_) {
        if (random.OneIn(1 + seed % 6)) lost.push_back(&row);
      }
      MendWithout(lost, "seed " + std::to_string(seed));
      if (HasFailure()) return;
    }
  }
  // Takes these rows away, mends, and opens the lake. What was told is in told_.
  void MendWithout(const std::vector<const Row*>& rows, const std::string& what) {
    MendAfter(
        [&](DB& db, WriteBatch* batch) {
          for (const Row* row : rows) batch->Delete(*db.FindFamily(row->family), row->key);
        },
        what);
  }
  void MendWith(const Row& row, const Row& instead, const std::string& what) {
    MendAfter(
        [&](DB& db, WriteBatch* batch) {
          batch->Delete(*db.FindFamily(row.family), row.key);
          batch->Put(*db.FindFamily(instead.family), instead.key, instead.value);
        },
        what);
  }
  void MendAfter(const std::function<void(DB&, WriteBatch*)>& damage, const std::string& what) {
    if (lake_ != nullptr) ASSERT_OK(lake_->Close());
    lake_.reset();
    told_.clear();
    backend_ = image_->CrashClone(1, test::CrashMode::kProcessKill);
    {
      const auto db = test::OpenSim(backend_).value();
      WriteBatch batch;
      damage(*db, &batch);
      ASSERT_OK(db->Write(batch));
      const auto mended = Mend(*db, {.tell = [&](const std::string& line) { told_.push_back(line); }});
      ASSERT_TRUE(mended.ok()) << what << ": " << mended.status().ToString();
      changes_ = *mended;
      // It is whole now, so there is nothing left to mend.
      EXPECT_EQ(*Mend(*db, {}), 0u) << what;
      ASSERT_OK(db->Close());
    }
    Open();
    const auto check = lake_->Check(true, nullptr);
    ASSERT_TRUE(check.ok()) << what << ": " << check.status().ToString();
    EXPECT_EQ(check->problems, std::vector<std::string>()) << what;
  }
  const Row& RowOf(const std::string& family, const std::string& key) const {
    for (const Row& row : rows_) {
      if (row.family == family && row.key == key) return row;
    }
    ADD_FAILURE() << "no such row in " << family;
    return rows_.front();
  }
  bool Told(const std::string& part) const {
    for (const std::string& line : told_) {
      if (line.find(part) != std::string::npos) return true;
    }
    return false;
  }
  std::string Everything() const {
    std::string text;
    for (const std::string& line : told_) text += "  " + line + "\n";
    return text;
  }

  Ino dir_ = 0, inner_ = 0, small_ = 0, large_ = 0;
  std::shared_ptr<test::MemBackend> image_;
  std::vector<Row> rows_;
  std::vector<std::string> told_;
  uint64_t changes_ = 0;
};

TEST_F(MendTest, AWholeLakeIsLeftAlone) {
  MendWithout({}, "nothing");
  EXPECT_EQ(changes_, 0u);
  EXPECT_EQ(Everything(), "");
}

TEST_F(MendTest, AnySingleRow) {
  for (const Row& row : rows_) {
    const std::string what = row.family + " " + Printable(row.key);
    MendWithout({&row}, what);
    // References are made again, the log and the superblock are the lake's own affair.
    const bool silent = row.family == "backrefs" || row.key[0] == kLogRow || row.key[0] == kSuperblockRow;
    EXPECT_TRUE(silent || !told_.empty()) << what << " was lost without a word";
    if (HasFailure()) return;
  }
}

TEST_F(MendTest, ManyRowsAtOnce) { MendWithoutMany(60); }

TEST_F(MendTest, LostContentReadsAsZerosAndIsToldWithItsRange) {
  const Row& extent = RowOf("extents", ExtentKey(large_, 1));
  MendWithout({&RowOf("chunks", extent.value.substr(extent.value.size() - 32))}, "a chunk of two files");
  for (const char* path : {"/dir/inner/large", "/dir/twin"}) {
    EXPECT_TRUE(
        Told(std::string(path) + ": 131072 of 262644 bytes are lost and read as zeros: bytes 131072 to 262144"))
        << Everything();
    const Attr attr = *Resolve(lake_->Head(), path);
    std::string expected = Pattern(kBlockBytes * 2 + 500, 1);
    std::fill_n(expected.begin() + kBlockBytes, kBlockBytes, '\0');
    EXPECT_EQ(Content(lake_->Head(), attr.ino), expected) << path;
  }
}

TEST_F(MendTest, ALostInodeKeepsItsNameAndContent) {
  MendWithout({&RowOf("meta", MetaKey(kInodeRow, large_)), &RowOf("meta", MetaKey(kInodeRow, inner_))}, "two inodes");
  const Attr attr = *Resolve(lake_->Head(), "/dir/inner/large");
  EXPECT_EQ(Content(lake_->Head(), attr.ino), Pattern(kBlockBytes * 2 + 500, 1));
  EXPECT_EQ(attr.mode, 0100600u);
  EXPECT_TRUE(Told("/dir/inner: the directory's attributes are lost")) << Everything();
  EXPECT_TRUE(Told("/dir/inner/large: the file's attributes are lost")) << Everything();
}

TEST_F(MendTest, ALostNameIsFoundInLostAndFound) {
  MendWithout({&RowOf("meta", NameKey(kEntryRow, dir_, "inner"))}, "a name");
  const std::string found = "/lost+found/#" + std::to_string(inner_);
  EXPECT_TRUE(Told(found + ": its name is lost")) << Everything();
  EXPECT_EQ(Content(lake_->Head(), Resolve(lake_->Head(), found + "/large")->ino), Pattern(kBlockBytes * 2 + 500, 1));
  EXPECT_TRUE(Told("/dir: 1 name in this directory is lost")) << Everything();
}

TEST_F(MendTest, ALostEmptyDirectoryLosesItsName) {
  const Ino empty = [&] {
    for (const Row& row : rows_) {
      Entry entry;
      if (row.key == NameKey(kEntryRow, dir_, "empty") && Decode(row.key, row.value, &entry).ok()) return entry.ino;
    }
    return Ino{0};
  }();
  MendWithout({&RowOf("meta", MetaKey(kInodeRow, empty))}, "an empty directory");
  EXPECT_TRUE(Told("/dir/empty: what this name stood for is lost")) << Everything();
  EXPECT_FALSE(Resolve(lake_->Head(), "/dir/empty").ok());
}

TEST_F(MendTest, ACircleOfDirectoriesIsCut) {
  // dir and inner hang below each other, and below nothing else.
  const auto break_it = [&](DB& db) {
    WriteBatch batch;
    const ColumnFamily meta = *db.FindFamily("meta");
    Inode dir;
    ASSERT_OK(Decode({}, RowOf("meta", MetaKey(kInodeRow, dir_)).value, &dir));
    dir.parent = inner_;
    batch.Put(meta, MetaKey(kInodeRow, dir_), Encode(dir));
    batch.Delete(meta, NameKey(kEntryRow, kRootIno, "dir"));
    batch.Put(meta, NameKey(kEntryRow, inner_, "dir"), Encode(Entry{dir_, 0040000}));
    ASSERT_OK(db.Write(batch));
  };
  backend_ = image_->CrashClone(1, test::CrashMode::kProcessKill);
  {
    const auto db = test::OpenSim(backend_).value();
    break_it(*db);
    ASSERT_TRUE(Mend(*db, {.tell = [&](const std::string& line) { told_.push_back(line); }}).ok());
    ASSERT_OK(db->Close());
  }
  Open();
  EXPECT_EQ(lake_->Check(true, nullptr)->problems, std::vector<std::string>());
  EXPECT_TRUE(Told("/lost+found/#")) << Everything();
}

// A name that somebody else has, a directory that lies elsewhere, one that is lost itself: none of them is taken.
TEST_F(MendTest, WhatIsOnlyCalledLostAndFoundIsNotUsed) {
  MendAfter(
      [&](DB& db, WriteBatch* batch) {
        const ColumnFamily meta = *db.FindFamily("meta");
        batch->Put(meta, NameKey(kEntryRow, kRootIno, "lost+found"), Encode(Entry{small_, 0100000}));
        batch->Put(meta, NameKey(kEntryRow, kRootIno, "lost+found+"), Encode(Entry{inner_, 0040000}));
        batch->Put(meta, NameKey(kEntryRow, kRootIno, "lost+found++"), Encode(Entry{4242, 0040000}));
        batch->Delete(meta, NameKey(kEntryRow, kRootIno, "dir"));
      },
      "three that are not it");
  const std::string found = "/lost+found+++/#" + std::to_string(dir_);
  EXPECT_TRUE(Told(found + ": its name is lost")) << Everything();
  EXPECT_EQ(Content(lake_->Head(), Resolve(lake_->Head(), "/lost+found")->ino), "tiny");
  EXPECT_EQ(Content(lake_->Head(), Resolve(lake_->Head(), found + "/small")->ino), "tiny");
  EXPECT_FALSE(Resolve(lake_->Head(), "/lost+found++").ok());
}

TEST_F(MendTest, AStoreThatHoldsNoLakeIsNone) {
  const auto db = test::OpenSim(std::make_shared<test::MemBackend>()).value();
  EXPECT_FALSE(HoldsLake(*db));
  ASSERT_OK(db->CreateFamily("meta").status());
  EXPECT_FALSE(HoldsLake(*db)) << "somebody else may call a family so";
  ASSERT_OK(db->CreateFamily("chunks").status());
  EXPECT_TRUE(HoldsLake(*db));
}

TEST_F(MendTest, LostFamiliesAreMadeAgain) {
  MendAfter(
      [](DB& db, WriteBatch*) {
        for (const char* name : {"inline", "extents", "chunks", "backrefs"}) {
          ASSERT_OK(db.DropFamily(*db.FindFamily(name)));
        }
      },
      "four families");
  EXPECT_TRUE(Told("/dir/small: 4 of 4 bytes are lost and read as zeros: bytes 0 to 4")) << Everything();
  EXPECT_EQ(Content(lake_->Head(), small_), std::string(4, '\0'));
}

TEST_F(MendTest, AFileWithManyHolesIsToldInOneLine) {
  Ino holed = 0;
  {
    backend_ = image_->CrashClone(1, test::CrashMode::kProcessKill);
    Open();
    holed = File(kRootIno, "holed");
    for (uint64_t block = 0; block < 24; ++block) {
      ASSERT_OK(lake_->Write(holed, block * kBlockBytes, "x" + std::to_string(block)));
    }
    ASSERT_OK(lake_->Close());
    lake_.reset();
    image_ = backend_->CrashClone(1, test::CrashMode::kProcessKill);
  }
  MendAfter(
      [&](DB& db, WriteBatch* batch) {
        for (uint64_t block = 0; block < 24; block += 2)
          batch->Delete(*db.FindFamily("extents"), ExtentKey(holed, block));
      },
      "every other block");
  EXPECT_TRUE(Told("/holed: ")) << Everything();
  EXPECT_TRUE(Told("bytes 0 to 131072, 262144 to 393216, ")) << Everything();
  EXPECT_TRUE(Told(" and 4 ranges more")) << Everything();
}

// The lake as a kill leaves it: an open file without a name, an import half done, a file cut short whose tail is
// still there.
class MendCrashedTest : public MendTest {
 protected:
  void SetUp() override {
    MakeTree();
    const Ino orphan = File(dir_, "orphan", "still open");
    ASSERT_OK(lake_->Open(orphan));
    ASSERT_OK(lake_->Unlink(dir_, "orphan"));
    const Ino stage = lake_->Stage({}).value();
    File(stage, "half", "an import that never ended");
    const Ino cut = File(dir_, "cut", Pattern(kBlockBytes * 3, 9));
    ASSERT_OK(lake_->SyncAll());
    image_ = backend_->CrashClone(1, test::CrashMode::kProcessKill);
    lake_->Release(orphan);
    lake_.reset();
    const auto db = test::OpenSim(image_).value();
    std::string value;
    ASSERT_OK(db->Get(*db->FindFamily("meta"), MetaKey(kInodeRow, cut), &value));
    Inode inode;
    ASSERT_OK(Decode({}, value, &inode));
    inode.size = kBlockBytes;
    inode.tail = 2;
    WriteBatch batch;
    batch.Put(*db->FindFamily("meta"), MetaKey(kInodeRow, cut), Encode(inode));
    batch.Put(*db->FindFamily("meta"), MetaKey(kTrashRow, cut), "");
    ASSERT_OK(db->Write(batch));
    ASSERT_OK(db->Close());
    CollectRows();
  }
};

TEST_F(MendCrashedTest, WhatTheKillLeftIsNoDamage) {
  MendWithout({}, "nothing");
  EXPECT_EQ(changes_, 0u);
  EXPECT_EQ(Everything(), "");
}

TEST_F(MendCrashedTest, AnySingleRow) {
  for (const Row& row : rows_) {
    MendWithout({&row}, row.family + " " + Printable(row.key));
    if (HasFailure()) return;
  }
}

TEST_F(MendCrashedTest, ManyRowsAtOnce) { MendWithoutMany(40); }

// The first byte of a row in meta says what it is; a kind that we do not know may be a newer tarn's, and stays.
TEST_F(MendCrashedTest, AnyRowOutOfPlace) {
  for (const Row& row : rows_) {
    for (size_t at = row.family == "meta" ? 1 : 0; at < row.key.size(); at += 4) {
      for (const char flip : {'\x01', '\x80'}) {
        Row moved = row;
        moved.key[at] = static_cast<char>(moved.key[at] ^ flip);
        MendWith(row, moved, row.family + " " + Printable(row.key) + " as " + Printable(moved.key));
        if (HasFailure()) return;
      }
    }
    for (const Row& odd : {Row{row.family, row.key.substr(0, row.key.size() - 1), row.value},
                           Row{row.family, row.key + "more", row.value}}) {
      if (odd.key.empty() || row.key[0] == kSuperblockRow) continue;
      MendWith(row, odd, row.family + " " + Printable(row.key) + " as " + Printable(odd.key));
      if (HasFailure()) return;
    }
  }
}

TEST_F(MendCrashedTest, ALakeOfALaterFormatIsNotTouched) {
  const auto db = test::OpenSim(image_->CrashClone(1, test::CrashMode::kProcessKill)).value();
  const ColumnFamily meta = *db->FindFamily("meta");
  WriteBatch batch;
  batch.Put(meta, std::string(1, kSuperblockRow), std::string(1, '\x02') + "unknown");
  batch.Delete(meta, NameKey(kEntryRow, dir_, "inner"));
  ASSERT_OK(db->Write(batch));
  EXPECT_EQ(Mend(*db, {}).status().code(), Code::kUnsupported);
  std::string value;
  ASSERT_OK(db->Get(meta, std::string(1, kSuperblockRow), &value));
  EXPECT_EQ(value, "\x02unknown");
  ASSERT_OK(db->Close());
}

// The bytes of chunks are vouched for by the check alone, so they are left out here.
TEST_F(MendCrashedTest, AnyRowWithAnotherValue) {
  for (const Row& row : rows_) {
    if (row.family == "chunks") continue;
    const size_t stride = std::max<size_t>(1, row.value.size() / 12);
    std::vector<std::string> values = {row.value + "more"};
    for (size_t at = 0; at < row.value.size(); at += stride) {
      values.push_back(row.value.substr(0, at));
      for (const char flip : {'\x01', '\x40', '\xff'}) {
        values.push_back(row.value);
        values.back()[at] = static_cast<char>(values.back()[at] ^ flip);
      }
    }
    for (size_t i = 0; i < values.size(); ++i) {
      // Another format is another matter.
      if (row.key[0] == kSuperblockRow && !values[i].empty() && values[i][0] != row.value[0]) continue;
      MendWith(row, {row.family, row.key, values[i]},
               row.family + " " + Printable(row.key) + " value " + std::to_string(i) + " " + Printable(values[i]));
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace tarn::lake
