#include "tests/support/mem_backend.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace tarn::test {
namespace {

std::string Bytes(size_t n, char c = 'x') { return std::string(n, c); }

void Put(Backend& backend, std::string_view name, std::string_view bytes) {
  const auto outcome = backend.PutIfAbsent(name, bytes);
  ASSERT_TRUE(outcome.ok()) << outcome.status().ToString();
  ASSERT_EQ(*outcome, PutOutcome::kCreated);
}

TEST(MemBackend, UnfinishedBlobsAndLocksVanishInACrash) {
  MemBackend mem;
  Put(mem, "done", "1");
  auto writer = mem.Create("half");
  ASSERT_TRUE((*writer)->Append("1234").ok());
  auto lock = mem.TryLock("lock", "me");
  ASSERT_TRUE(lock.ok());
  for (const auto mode : {CrashMode::kProcessKill, CrashMode::kDropUnsynced, CrashMode::kTornSubset}) {
    const auto after = mem.CrashClone(1, mode);
    EXPECT_EQ(*after->Contents("done"), "1");
    EXPECT_EQ(after->Contents("half").status().code(), Code::kNotFound);
    EXPECT_TRUE(after->TryLock("lock", "next").ok());
    EXPECT_EQ(after->used_bytes(), 1u);
  }
  EXPECT_EQ(mem.TryLock("lock", "next").status().code(), Code::kBusy) << "the original is not changed";
}

TEST(MemBackend, AppendedBytesSurviveByMode) {
  MemBackend mem;
  auto file = mem.CreateAppend("wal/1");
  ASSERT_TRUE((*file)->Append(Bytes(1000, 's')).ok());
  ASSERT_TRUE((*file)->Sync().ok());
  ASSERT_TRUE((*file)->Append(Bytes(3000, 'u')).ok());
  const std::string all = Bytes(1000, 's') + Bytes(3000, 'u');
  EXPECT_EQ(*mem.CrashClone(1, CrashMode::kProcessKill)->Contents("wal/1"), all);
  EXPECT_EQ(*mem.CrashClone(1, CrashMode::kDropUnsynced)->Contents("wal/1"), Bytes(1000, 's'));

  std::set<size_t> sizes;
  bool hole = false, complete = false;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const std::string torn = *mem.CrashClone(seed, CrashMode::kTornSubset)->Contents("wal/1");
    EXPECT_EQ(torn, *mem.CrashClone(seed, CrashMode::kTornSubset)->Contents("wal/1")) << "the seed decides";
    ASSERT_GE(torn.size(), 1000u);
    ASSERT_LE(torn.size(), all.size());
    EXPECT_EQ(torn.substr(0, 1000), Bytes(1000, 's')) << "synced bytes never change";
    // Sectors are all there or all zero; the one that holds synced bytes counts from where they end.
    for (size_t at = 1000; at < torn.size();) {
      const size_t end = std::min(torn.size(), (at / 512 + 1) * 512);
      const std::string sector = torn.substr(at, end - at);
      ASSERT_TRUE(sector == Bytes(end - at, 'u') || sector == Bytes(end - at, '\0')) << "seed " << seed;
      at = end;
    }
    sizes.insert(torn.size());
    const size_t zero = torn.find('\0');
    hole |= zero != std::string::npos && torn.find('u', zero) != std::string::npos;
    complete |= torn == all;
  }
  EXPECT_GT(sizes.size(), 20u);
  EXPECT_TRUE(hole && complete) << "both a hole and the whole must be among the outcomes";
}

TEST(MemBackend, SecondCrashMayLoseWhatTheFirstKilledProcessHadNotSynced) {
  MemBackend mem;
  auto file = mem.CreateAppend("wal/1");
  ASSERT_TRUE((*file)->Append("unsynced").ok());
  const auto killed = mem.CrashClone(1, CrashMode::kProcessKill);
  EXPECT_EQ(*killed->Contents("wal/1"), "unsynced");
  EXPECT_EQ(*killed->CrashClone(1, CrashMode::kDropUnsynced)->Contents("wal/1"), "");
  const auto lost = mem.CrashClone(1, CrashMode::kDropUnsynced);
  EXPECT_EQ(*lost->CrashClone(1, CrashMode::kDropUnsynced)->Contents("wal/1"), "");
}

TEST(MemBackend, DeletedBlobMayComeBackUntilItsDirectoryIsSynced) {
  MemBackend mem;
  Put(mem, "d/old", "1");
  Put(mem, "e/other", "2");
  ASSERT_TRUE(mem.Delete("d/old").ok());
  ASSERT_TRUE(mem.Delete("e/other").ok());
  auto come_back = [&](const char* name) {
    int n = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) n += mem.CrashClone(seed, CrashMode::kTornSubset)->Contents(name).ok();
    return n;
  };
  EXPECT_GT(come_back("d/old"), 0);
  EXPECT_LT(come_back("d/old"), 40);
  EXPECT_FALSE(mem.CrashClone(1, CrashMode::kDropUnsynced)->Contents("d/old").ok());
  Put(mem, "d/new", "3");
  EXPECT_EQ(come_back("d/old"), 0) << "publishing in the directory made the deletion durable";
  EXPECT_GT(come_back("e/other"), 0);
}

TEST(MemBackend, CapacityIsABound) {
  MemBackend mem;
  mem.SetCapacity(100);
  Put(mem, "a", Bytes(60));
  EXPECT_EQ(mem.PutIfAbsent("b", Bytes(41)).status().code(), Code::kNoSpace);
  EXPECT_EQ(mem.Contents("b").status().code(), Code::kNotFound);
  {
    auto writer = mem.Create("c");
    ASSERT_TRUE((*writer)->Append(Bytes(30)).ok());
    EXPECT_EQ((*writer)->Append(Bytes(11)).code(), Code::kNoSpace);
    EXPECT_EQ((*writer)->Finish().code(), Code::kNoSpace) << "an error of a writer is final";
    EXPECT_EQ(mem.Space()->free_bytes, 10u);
  }
  EXPECT_EQ(mem.Space()->free_bytes, 40u) << "the space of a blob that was never finished is freed";
  auto file = mem.CreateAppend("log");
  ASSERT_TRUE((*file)->Append(Bytes(40)).ok());
  EXPECT_EQ((*file)->Append("1").code(), Code::kNoSpace);
  ASSERT_TRUE(mem.Delete("a").ok());
  EXPECT_EQ((*file)->Append("1").code(), Code::kNoSpace) << "the file is poisoned";
  EXPECT_EQ((*file)->Sync().code(), Code::kNoSpace);
  ASSERT_TRUE(mem.Delete("log").ok());
  EXPECT_EQ(mem.used_bytes(), 0u);
}

TEST(MemBackend, NamesArePrefixesOfNoOtherName) {
  MemBackend mem;
  Put(mem, "a/b", "1");
  EXPECT_EQ(mem.PutIfAbsent("a", "1").status().code(), Code::kInvalid);
  EXPECT_EQ(mem.PutIfAbsent("a/b/c", "1").status().code(), Code::kInvalid);
  EXPECT_EQ(mem.CreateAppend("a").status().code(), Code::kInvalid);
  Put(mem, "a-b", "1");
  Put(mem, "ab", "1");
}

TEST(MemBackend, CorruptChangesWhatReadersSee) {
  MemBackend mem;
  Put(mem, "x", "12345");
  auto reader = mem.Open("x");
  ASSERT_TRUE(mem.Corrupt("x", "1x3").ok());
  char out[3];
  ASSERT_TRUE((*reader)->Read(0, out).ok());
  EXPECT_EQ(std::string(out, 3), "1x3");
  char more[5];
  EXPECT_EQ((*reader)->Read(0, more).code(), Code::kCorruption) << "it was truncated below its opened size";
  EXPECT_EQ(mem.Corrupt("y", "").code(), Code::kNotFound);
  EXPECT_EQ(mem.used_bytes(), 3u);
}

}  // namespace
}  // namespace tarn::test
