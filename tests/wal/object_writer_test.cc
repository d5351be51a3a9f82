// The log on a backend without append files: what only objects can do wrong. Its contract:
// segmented_contract_test.cc.
#include "tests/support/fault_backend.h"
#include "tests/support/mem_backend.h"
#include "tests/wal/wal_fixture.h"
#include "wal/builtin.h"

namespace tarn::wal {
namespace {

class ObjectLog : public WalFixture {
 protected:
  ObjectLog() { disk_ = std::make_shared<test::MemBackend>(test::MemOptions{.append = false, .locks = false}); }
};

TEST_F(ObjectLog, OneCommitIsOneObject) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append("a", Durability::kNone).ok());
  EXPECT_EQ(disk_->List("wal/", "", 10)->blobs.size(), 1u);
  ASSERT_TRUE(writer->Append("b", Durability::kPower).ok());
  ASSERT_TRUE(writer->Append("c", Durability::kProcess).ok());
  ASSERT_TRUE(writer->Sync().ok());
  EXPECT_EQ(disk_->List("wal/", "", 10)->blobs.size(), 3u);
  EXPECT_EQ(Replay().payloads, (std::vector<std::string>{"a", "b", "c"}));
}

TEST_F(ObjectLog, AnOpeningShutsOutTheWriterBeforeIt) {
  const auto old_writer = OpenAt(1);
  ASSERT_TRUE(old_writer->Append("kept", Durability::kPower).ok());
  const uint64_t next = Replay().end.next_segment;
  ASSERT_TRUE(old_writer->Append("kept too", Durability::kPower).ok());  // between replay and opening
  const auto writer = OpenAt(next);
  EXPECT_GT(writer->segment(), next) << "so that it is replayed once more";
  EXPECT_EQ(old_writer->Append("lost", Durability::kPower).code(), Code::kFenced);
  EXPECT_EQ(old_writer->Append("lost", Durability::kNone).code(), Code::kFenced);
  EXPECT_EQ(old_writer->Close().code(), Code::kFenced);
  ASSERT_TRUE(writer->Append("new", Durability::kPower).ok());
  EXPECT_EQ(Replay().payloads, (std::vector<std::string>{"kept", "kept too", "new"}));
}

// The number that an opening wants may have been used and released since it looked: taking it shuts nobody out.
TEST_F(ObjectLog, ANumberThatWasReleasedIsNoFence) {
  const auto old_writer = OpenAt(1);
  ASSERT_TRUE(old_writer->Append("flushed", Durability::kPower).ok());
  const uint64_t next = Replay().end.next_segment;
  ASSERT_TRUE(old_writer->Append("flushed, too", Durability::kPower).ok());
  const uint64_t begun = old_writer->Rotate().value();
  ASSERT_TRUE(old_writer->Release(begun).ok());
  ASSERT_EQ(disk_->Open(SegmentName(next)).status().code(), Code::kNotFound);
  const auto writer = OpenAt(next);
  EXPECT_GT(writer->segment(), begun);
  EXPECT_EQ(old_writer->Append("lost", Durability::kPower).code(), Code::kFenced);
}

// A bulk delete that failed, or that a crash ended, leaves any of them: nobody misses the others.
TEST_F(ObjectLog, AFailedBulkReleaseLeavesGapsThatHarmNothing) {
  disk_ = std::make_shared<test::MemBackend>(test::MemOptions{.append = false, .locks = false, .bulk = true});
  test::FaultBackend faulty(disk_);
  const auto writer = strategy_->Open(faulty, kStore, 1).value();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(writer->Append("flushed", Durability::kPower).ok());
  const uint64_t begun = writer->Rotate().value();
  ASSERT_TRUE(writer->Append("kept", Durability::kPower).ok());
  faulty.Arm({.at_call = 1, .only = [](const test::Call& call) { return call.op == test::Op::kDeleteMany; }});
  EXPECT_EQ(writer->Release(begun).code(), Code::kIo);
  const size_t left = disk_->List("wal/", "", 50)->blobs.size();
  EXPECT_GT(left, 2u);
  EXPECT_LT(left, 22u);
  EXPECT_EQ(Replay(begun).payloads, std::vector<std::string>{"kept"});
  const auto next = strategy_->Open(*disk_, kStore, Replay(begun).end.next_segment);
  ASSERT_TRUE(next.ok()) << next.status().ToString();
  EXPECT_EQ(writer->Append("lost", Durability::kPower).code(), Code::kFenced);
  ASSERT_TRUE((*next)->Release((*next)->segment()).ok());
  EXPECT_EQ(disk_->List("wal/", "", 50)->blobs.size(), 1u);
}

// He may wake up after everything of his was flushed and released.
TEST_F(ObjectLog, AFenceOutlivesRelease) {
  const auto sleeper = OpenAt(1);
  ASSERT_TRUE(sleeper->Append("flushed", Durability::kPower).ok());
  for (int life = 0; life < 3; ++life) {
    const auto writer = OpenAt(Replay().end.next_segment);
    ASSERT_TRUE(writer->Append("more", Durability::kPower).ok());
    ASSERT_TRUE(writer->Release(writer->Rotate().value()).ok());
    if (life > 0) {
      ASSERT_TRUE(writer->Close().ok());
    }
  }
  EXPECT_EQ(sleeper->Append("lost", Durability::kPower).code(), Code::kFenced);
  // One fence for the sleeper, one for the first life, which was not closed; none for those that were.
  size_t fences = 0;
  const ListPage page = disk_->List("wal/", "", 100).value();
  for (const BlobInfo& object : page.blobs) fences += object.size == kFenceObjectBytes ? 1 : 0;
  EXPECT_EQ(fences, 2u);
}

TEST_F(ObjectLog, EachFlippedByteAndEachMissingObjectIsCorruption) {
  (void)OpenAt(1);  // not closed, so the next one begins with a fence
  const auto writer = OpenAt(2);
  for (const char* payload : {"one", "two", "three"}) ASSERT_TRUE(writer->Append(payload, Durability::kPower).ok());
  ASSERT_TRUE(writer->Close().ok());
  const std::vector<BlobInfo> objects = disk_->List("wal/", "", 10)->blobs;
  ASSERT_EQ(objects.size(), 6u);
  for (const BlobInfo& object : objects) {
    const uint64_t number = *SegmentNumber(object.name);
    const std::string whole = BytesOf(number);
    for (size_t i = 0; i < whole.size(); ++i) {
      std::string bad = whole;
      bad[i] = static_cast<char>(bad[i] ^ 0x40);
      SetBytes(number, bad);
      const Code code = Replay().status.code();
      EXPECT_TRUE(code == Code::kCorruption || code == Code::kUnsupported) << object.name << " byte " << i;
    }
    for (size_t bytes = 0; bytes < whole.size(); ++bytes) {
      SetBytes(number, whole.substr(0, bytes));
      // Cut behind its header it is an object without records, which only the one behind it knows better.
      if (bytes == kSegmentHeaderBytes && number == 6) continue;
      EXPECT_EQ(Replay().status.code(), Code::kCorruption) << object.name << " cut to " << bytes;
    }
    SetBytes(number, whole);
  }
  for (const uint64_t number : {3, 4, 5}) {
    const std::string whole = BytesOf(number);
    ASSERT_TRUE(disk_->Delete(SegmentName(number)).ok());
    ExpectCorruption(Replay().status, number, 0);
    ASSERT_TRUE(disk_->PutIfAbsent(SegmentName(number), whole).ok());
  }
  EXPECT_EQ(Replay().payloads.size(), 3u);
}

TEST_F(ObjectLog, AFailedPutIsTheLast) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(disk_->PutIfAbsent(SegmentName(2), "somebody else's").ok());
  EXPECT_EQ(writer->Append("x", Durability::kPower).code(), Code::kFenced);
  EXPECT_EQ(writer->Rotate().status().code(), Code::kFenced);
}

}  // namespace
}  // namespace tarn::wal
