#include <cerrno>

#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

class ContentTest : public LakeFixture {
 protected:
  void SetUp() override { Init(); }
  void TearDown() override { ExpectClean(); }
};

TEST_F(ContentTest, WritesAreSeenBeforeAndAfterTheFlush) {
  for (const size_t size : {1u, 1000u, 65536u, 65537u, 131072u, 131073u, 1000000u}) {
    const std::string data = Pattern(size, size);
    const Ino f = File(kRootIno, "f" + std::to_string(size), data);
    EXPECT_EQ(Content(f), data);
    ASSERT_OK(lake_->Flush(f));
    EXPECT_EQ(Content(f), data);
    EXPECT_EQ(Stat(f).blocks, (size + 511) / 512);
    Reopen();
    EXPECT_EQ(Content(f), data);
  }
}

TEST_F(ContentTest, ReadsEndAtTheEnd) {
  const Ino f = File(kRootIno, "f", "0123456789");
  std::string out(20, '?');
  EXPECT_EQ(*lake_->Head().Read(f, 4, out), 6u);
  EXPECT_EQ(out.substr(0, 6), "456789");
  EXPECT_EQ(*lake_->Head().Read(f, 10, out), 0u);
  EXPECT_EQ(*lake_->Head().Read(f, UINT64_MAX, out), 0u);
  EXPECT_ERRNO(EISDIR, lake_->Head().Read(kRootIno, 0, out).status());
  EXPECT_ERRNO(ENOENT, lake_->Head().Read(77, 0, out).status());
  EXPECT_ERRNO(ENOENT, lake_->Write(77, 0, "x"));
  EXPECT_ERRNO(EISDIR, lake_->Write(kRootIno, 0, "x"));
  EXPECT_ERRNO(EFBIG, lake_->Write(f, INT64_MAX, "x"));
}

TEST_F(ContentTest, OverwritesInTheMiddle) {
  std::string model = Pattern(500000, 3);
  const Ino f = File(kRootIno, "f", model);
  for (const size_t at : {0u, 5u, 131070u, 262144u, 499990u}) {
    ASSERT_OK(lake_->Flush(f));
    const std::string piece = Pattern(40, at);
    ASSERT_OK(lake_->Write(f, at, piece));
    model.replace(at, piece.size(), piece);
    model.resize(std::max(model.size(), at + piece.size()));
    EXPECT_EQ(Content(f), model);
  }
  ASSERT_OK(lake_->Flush(f));
  EXPECT_EQ(Content(f), model);
}

TEST_F(ContentTest, BlocksAreStoredOnce) {
  const std::string data = Pattern(4 * kBlockBytes, 1);
  const Ino f = File(kRootIno, "f", data), g = File(kRootIno, "g", data + data);
  ASSERT_OK(lake_->SyncAll());
  EXPECT_EQ(CountRows(*lake_, "chunks"), 4u);
  EXPECT_EQ(CountRows(*lake_, "backrefs"), 12u);
  EXPECT_EQ(Content(g), data + data);
  ASSERT_OK(lake_->Unlink(kRootIno, "f"));
  EXPECT_EQ(CountRows(*lake_, "chunks"), 4u);
  ASSERT_OK(lake_->Write(g, 0, "X"));
  ASSERT_OK(lake_->Flush(g));
  EXPECT_EQ(CountRows(*lake_, "chunks"), 5u);
  ASSERT_OK(lake_->Unlink(kRootIno, "g"));
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
  EXPECT_EQ(CountRows(*lake_, "backrefs"), 0u);
  EXPECT_ERRNO(ENOENT, lake_->Head().GetAttr(f).status());
}

TEST_F(ContentTest, BlocksThatAreNewTwiceInOneFlush) {
  const std::string block = Pattern(kBlockBytes, 1);
  const Ino f = File(kRootIno, "f", block + block + Pattern(10, 2) + block);
  ASSERT_OK(lake_->Flush(f));
  EXPECT_EQ(CountRows(*lake_, "chunks"), 4u - 1);
  EXPECT_EQ(CountRows(*lake_, "backrefs"), 4u);
  EXPECT_EQ(Content(f), block + block + Pattern(10, 2) + block);
  ExpectClean();
  // One batch in which one place gains the block and another loses its last other reference.
  ASSERT_OK(lake_->Write(f, 0, Pattern(kBlockBytes, 3)));
  ASSERT_OK(lake_->Write(f, kBlockBytes, Pattern(kBlockBytes, 4)));
  ASSERT_OK(lake_->Write(f, 2 * kBlockBytes, block));
  ASSERT_OK(lake_->Flush(f));
  EXPECT_TRUE(Content(f).substr(2 * kBlockBytes, kBlockBytes) == block);
}

TEST_F(ContentTest, TruncateByALittle) {
  const std::string data = Pattern(200000, 1);
  for (const size_t cut : {1u, 100u, 999u}) {
    const Ino f = File(kRootIno, "f", data);
    ASSERT_OK(lake_->Flush(f));
    ASSERT_OK(lake_->SetAttr(f, {.size = data.size() - cut}).status());
    ExpectClean();
    ASSERT_OK(lake_->SetAttr(f, {.size = data.size()}).status());
    EXPECT_TRUE(Content(f) == data.substr(0, data.size() - cut) + std::string(cut, '\0'));
    ASSERT_OK(lake_->Unlink(kRootIno, "f"));
  }
}

TEST_F(ContentTest, SparseFiles) {
  const Ino f = File(kRootIno, "f");
  ASSERT_OK(lake_->Write(f, 10 * kBlockBytes + 7, "data"));
  ASSERT_OK(lake_->Flush(f));
  EXPECT_EQ(CountRows(*lake_, "extents"), 1u);
  EXPECT_EQ(Content(f), std::string(10 * kBlockBytes + 7, '\0') + "data");
  View& head = lake_->Head();
  EXPECT_EQ(*head.SeekData(f, 0), 10u * kBlockBytes);
  EXPECT_EQ(*head.SeekHole(f, 0), 0u);
  EXPECT_EQ(*head.SeekHole(f, 10 * kBlockBytes + 3), 10u * kBlockBytes + 11);
  EXPECT_ERRNO(ENXIO, head.SeekData(f, 10 * kBlockBytes + 11).status());
  EXPECT_ERRNO(ENXIO, head.SeekHole(f, 10 * kBlockBytes + 11).status());
  const Ino z = File(kRootIno, "z", std::string(5 * kBlockBytes, '\0'));
  ASSERT_OK(lake_->Flush(z));
  EXPECT_EQ(Stat(z).blocks, 0u);
  EXPECT_ERRNO(ENXIO, head.SeekData(z, 0).status());
  const Ino s = File(kRootIno, "s", "abc");
  ASSERT_TRUE(lake_->SetAttr(s, {.size = 100}).ok());
  EXPECT_EQ(*head.SeekData(s, 1), 1u);
  EXPECT_EQ(*head.SeekHole(s, 1), 3u);
  EXPECT_ERRNO(ENXIO, head.SeekData(s, 3).status());
}

TEST_F(ContentTest, TruncateAcrossEveryForm) {
  const std::string data = Pattern(700000, 4);
  for (const size_t from : {0u, 100u, 65536u, 65537u, 200000u, 262144u, 700000u}) {
    for (const size_t to : {0u, 50u, 65536u, 65537u, 131072u, 150000u, 262144u, 700000u}) {
      const Ino f = File(kRootIno, "f", data.substr(0, from));
      if (to % 2 == 0) ASSERT_OK(lake_->Flush(f));
      ASSERT_TRUE(lake_->SetAttr(f, {.size = to}).ok());
      ASSERT_TRUE(lake_->SetAttr(f, {.size = 800000}).ok());
      std::string model = data.substr(0, std::min(from, to));
      model.resize(800000);
      EXPECT_TRUE(Content(f) == model) << from << " -> " << to;
      ExpectClean();
      ASSERT_OK(lake_->Unlink(kRootIno, "f"));
    }
  }
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
}

TEST_F(ContentTest, BigTruncatesAndUnlinksGoInSteps) {
  options_.dirty_bytes = 4 << 20;
  Reopen();
  const Ino f = File(kRootIno, "f");
  for (uint64_t block = 0; block < 1500; ++block) {
    ASSERT_OK(lake_->Write(f, block * kBlockBytes, std::to_string(block)));
  }
  ASSERT_OK(lake_->Flush(f));
  EXPECT_EQ(CountRows(*lake_, "extents"), 1500u);
  ASSERT_TRUE(lake_->SetAttr(f, {.size = kBlockBytes + 1}).ok());
  EXPECT_EQ(CountRows(*lake_, "extents"), 2u);
  EXPECT_EQ(Stat(f).size, kBlockBytes + 1u);
  ExpectClean();
  for (uint64_t block = 0; block < 1500; ++block) {
    ASSERT_OK(lake_->Write(f, block * kBlockBytes, std::to_string(block)));
  }
  ASSERT_OK(lake_->Unlink(kRootIno, "f"));
  EXPECT_EQ(CountRows(*lake_, "extents"), 0u);
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
}

TEST_F(ContentTest, PunchHoles) {
  std::string model = Pattern(600000, 5);
  const Ino f = File(kRootIno, "f", model);
  const auto punch = [&](uint64_t offset, uint64_t length) {
    ASSERT_OK(lake_->PunchHole(f, offset, length));
    for (uint64_t i = offset; i < std::min<uint64_t>(offset + length, model.size()); ++i) model[i] = '\0';
    EXPECT_TRUE(Content(f) == model) << offset << " + " << length;
    ExpectClean();
  };
  punch(10, 20);
  punch(100000, 100000);
  punch(262144, 131072);
  EXPECT_EQ(*lake_->Head().SeekHole(f, 210000), 262144u);
  EXPECT_EQ(*lake_->Head().SeekData(f, 262144), 393216u);
  punch(590000, 1 << 20);
  EXPECT_EQ(Stat(f).size, 600000u);
  punch(0, 600000);
  EXPECT_EQ(Stat(f).blocks, 0u);
  const Ino s = File(kRootIno, "s", "0123456789");
  ASSERT_OK(lake_->PunchHole(s, 2, 3));
  EXPECT_EQ(Content(s), std::string("01\0\0\0"
                                    "56789",
                                    10));
  EXPECT_ERRNO(EISDIR, lake_->PunchHole(kRootIno, 0, 1));
}

TEST_F(ContentTest, TimesOfWritesAndSetAttr) {
  const Ino f = File(kRootIno, "f");
  clock_->nanos = 2000;
  ASSERT_OK(lake_->Write(f, 0, "x"));
  EXPECT_EQ(Stat(f).mtime_ns, 2000);
  EXPECT_EQ(Stat(f).btime_ns, 1000);
  clock_->nanos = 3000;
  // cp -p: write, then set the times, then close. The flush must not put the write's time back.
  ASSERT_TRUE(lake_->SetAttr(f, {.atime_ns = 5, .mtime_ns = 6}).ok());
  clock_->nanos = 4000;
  ASSERT_OK(lake_->Flush(f));
  EXPECT_EQ(Stat(f).mtime_ns, 6);
  EXPECT_EQ(Stat(f).atime_ns, 5);
  EXPECT_EQ(Stat(f).ctime_ns, 3000);
  const auto attr = lake_->SetAttr(f, {.mode = 04755, .uid = 3, .gid = 4});
  EXPECT_EQ(attr->mode, 0104755u);
  EXPECT_EQ(attr->uid, 3u);
  EXPECT_EQ(attr->gid, 4u);
  EXPECT_EQ(attr->ctime_ns, 4000);
  EXPECT_EQ(attr->mtime_ns, 6);
  ASSERT_TRUE(lake_->SetAttr(f, {.size = 0}).ok());
  EXPECT_EQ(Stat(f).mtime_ns, 4000);
  EXPECT_ERRNO(EISDIR, lake_->SetAttr(kRootIno, {.size = 0}).status());
  EXPECT_ERRNO(EFBIG, lake_->SetAttr(f, {.size = UINT64_MAX}).status());
}

TEST_F(ContentTest, FlushedSurvivesAKillUnflushedDoesNot) {
  const Ino f = File(kRootIno, "f", "flushed"), g = File(kRootIno, "g", "lost");
  ASSERT_OK(lake_->Flush(f));
  Crash();
  EXPECT_EQ(Content(f), "flushed");
  EXPECT_EQ(Content(g), "");
}

TEST_F(ContentTest, ManyDirtyFilesStayWithinTheBudget) {
  options_.dirty_bytes = 1 << 20;
  Reopen();
  std::vector<Ino> files;
  for (int i = 0; i < 60; ++i) files.push_back(File(kRootIno, "f" + std::to_string(i), Pattern(100000, i)));
  // Bytes in memory are not in the store: what is there now was flushed to stay within the budget.
  EXPECT_GE(CountRows(*lake_, "extents"), 60u - (1 << 20) / 100000);
  for (int i = 0; i < 60; ++i) EXPECT_TRUE(Content(files[i]) == Pattern(100000, i)) << i;
}

TEST_F(ContentTest, UsageCountsBytesAndInodes) {
  const Ino f = File(kRootIno, "f", Pattern(1000, 1));
  ASSERT_OK(lake_->Flush(f));
  EXPECT_EQ(lake_->Head().GetUsage()->logical_bytes, 1000u);
  ASSERT_TRUE(lake_->SetAttr(f, {.size = 1ull << 40}).ok());
  EXPECT_EQ(lake_->Head().GetUsage()->logical_bytes, 1ull << 40);
  Crash();
  EXPECT_EQ(lake_->Head().GetUsage()->logical_bytes, 1ull << 40);
  EXPECT_EQ(lake_->Head().GetUsage()->inodes, 2u);
  EXPECT_GT(lake_->Head().GetUsage()->total_bytes, 0u);
}

}  // namespace
}  // namespace tarn::lake
