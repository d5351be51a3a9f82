// Damaged logs. The rules are those of docs/formats/wal.md ("replay"); each test knows from them what exactly
// must come out, and the random one at the end that nothing else ever does.
#include <algorithm>
#include <random>

#include "base/coding.h"
#include "base/hash.h"
#include "tests/wal/wal_fixture.h"

namespace tarn::wal {
namespace {

constexpr char kPatterns[] = {'\x01', '\x80', '\xff'};

class WalDamageTest : public WalFixture {
 protected:
  // A log without an end: A process, B power, C process, D power, E process. So C and D state the end of B, and E
  // states the end of D.
  void WriteUnsealed() {
    const auto writer = OpenAt(1);
    const Durability levels[] = {Durability::kProcess, Durability::kPower, Durability::kProcess, Durability::kPower,
                                 Durability::kProcess};
    uint64_t end = kSegmentHeaderBytes;
    for (const Durability level : levels) {
      starts_.push_back(end);
      payloads_.push_back(std::string(1 + 7 * payloads_.size(), static_cast<char>('A' + payloads_.size())));
      ASSERT_TRUE(writer->Append(payloads_.back(), level).ok());
      end += kRecordHeaderBytes + payloads_.back().size();
    }
    ASSERT_EQ(BytesOf(1).size(), end);
  }
  // Two linked segments, sealed: three payloads and two.
  void WriteSealed() {
    const auto writer = OpenAt(1);
    for (int i = 0; i < 5; ++i) {
      payloads_.push_back(std::string(3 + 11 * static_cast<size_t>(i), static_cast<char>('a' + i)));
      ASSERT_TRUE(writer->Append(payloads_.back(), Durability::kNone).ok());
      if (i == 2) {
        ASSERT_TRUE(writer->Rotate().ok());
      }
    }
    ASSERT_TRUE(writer->Close().ok());
    ExpectPayloads(Replay(), 5, false);
  }
  void ExpectPayloads(const Replayed& replayed, size_t count, bool torn_tail) {
    ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
    ASSERT_EQ(replayed.payloads, std::vector(payloads_.begin(), payloads_.begin() + static_cast<ptrdiff_t>(count)));
    ASSERT_EQ(replayed.end.torn_tail, torn_tail);
  }
  // Payloads and offset of the record that byte `at` belongs to; the header counts as offset 0.
  size_t RecordAt(uint64_t at) const {
    return static_cast<size_t>(std::upper_bound(starts_.begin(), starts_.end(), at) - starts_.begin());
  }

  std::vector<std::string> payloads_;
  std::vector<uint64_t> starts_;
};

TEST_F(WalDamageTest, EveryFlippedByteOfASealedLogIsCorruptionOrHarmless) {
  WriteSealed();
  for (const uint64_t segment : {1, 2}) {
    const std::string good = BytesOf(segment);
    const uint64_t seal = good.size() - kRecordHeaderBytes;
    for (size_t at = 0; at < good.size(); ++at) {
      for (const char pattern : kPatterns) {
        SCOPED_TRACE(SegmentName(segment) + " byte " + std::to_string(at));
        std::string bad = good;
        bad[at] ^= pattern;
        SetBytes(segment, bad);
        if (segment == 2 && at >= seal) {
          ExpectPayloads(Replay(), 5, true);  // the last seal is the only thing nothing vouches for
        } else {
          ASSERT_EQ(Replay().status.code(), Code::kCorruption);
        }
      }
    }
    SetBytes(segment, good);
  }
}

TEST_F(WalDamageTest, EveryFlippedByteOfAnUnsealedLogIsCorruptionUpToWhatWasStatedDurable) {
  WriteUnsealed();
  const std::string good = BytesOf(1);
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char pattern : kPatterns) {
      SCOPED_TRACE(at);
      std::string bad = good;
      bad[at] ^= pattern;
      SetBytes(1, bad);
      if (at >= starts_[4]) {
        ExpectPayloads(Replay(), 4, true);
      } else {
        const size_t record = RecordAt(at);
        ASSERT_NO_FATAL_FAILURE(ExpectCorruption(Replay().status, 1, record == 0 ? 0 : starts_[record - 1]));
      }
    }
  }
}

TEST_F(WalDamageTest, TruncationKeepsExactlyTheWholeRecords) {
  WriteUnsealed();
  const std::string good = BytesOf(1);
  for (size_t length = 0; length < good.size(); ++length) {
    SCOPED_TRACE(length);
    SetBytes(1, good.substr(0, length));
    size_t whole = 0;
    uint64_t end = kSegmentHeaderBytes;
    while (whole < starts_.size() && end + kRecordHeaderBytes + payloads_[whole].size() <= length) {
      end += kRecordHeaderBytes + payloads_[whole++].size();
    }
    ExpectPayloads(Replay(), whole, length != 0 && length != end);
  }
}

TEST_F(WalDamageTest, TruncationOfASealedSegmentWithASuccessorIsCorruption) {
  WriteSealed();
  const std::string first = BytesOf(1), second = BytesOf(2);
  for (size_t length = 0; length < first.size(); ++length) {
    SCOPED_TRACE(length);
    SetBytes(1, first.substr(0, length));
    ASSERT_EQ(Replay().status.code(), Code::kCorruption);
  }
  SetBytes(1, first);
  // The last segment without its seal is the log of a writer that died.
  for (size_t length = 0; length < second.size(); ++length) {
    SetBytes(2, second.substr(0, length));
    const Replayed replayed = Replay();
    ASSERT_TRUE(replayed.status.ok());
    ASSERT_GE(replayed.payloads.size(), 3u);
    ASSERT_TRUE(std::equal(replayed.payloads.begin(), replayed.payloads.end(), payloads_.begin()));
    ASSERT_EQ(replayed.payloads.size() == 5, length + kRecordHeaderBytes >= second.size());
  }
}

TEST_F(WalDamageTest, BytesBehindTheEnd) {
  WriteSealed();
  const std::string good = BytesOf(2);
  SetBytes(2, good + std::string(5000, '\0') + 'x');
  ExpectCorruption(Replay().status, 2, good.size());
  SetBytes(2, good + std::string(5000, '\0'));  // space that was taken ahead
  ASSERT_TRUE(Replay().status.ok());
  disk_ = std::make_shared<test::MemBackend>();
  payloads_.clear();
  WriteUnsealed();
  const std::string unsealed = BytesOf(1);
  SetBytes(1, unsealed + std::string(5000, '\0'));
  ExpectPayloads(Replay(), 5, false);
  SetBytes(1, unsealed + std::string(5000, '\0') + 'x');
  ExpectPayloads(Replay(), 5, true);
}

TEST_F(WalDamageTest, MissingSegments) {
  const auto writer = OpenAt(1);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(writer->Append("x", Durability::kPower).ok());
    ASSERT_TRUE(writer->Rotate().ok());
  }
  ASSERT_TRUE(writer->Append("x", Durability::kPower).ok());
  for (const uint64_t missing : {1, 2, 3, 4}) {
    const auto copy = disk_->CrashClone(0, test::CrashMode::kProcessKill);
    ASSERT_TRUE(copy->Delete(SegmentName(missing)).ok());
    ASSERT_NO_FATAL_FAILURE(ExpectCorruption(ReplayOf(*copy).status, missing, 0));
    // Who needs only what follows is not troubled.
    ASSERT_TRUE(ReplayOf(*copy, missing + 1).status.ok());
  }
}

// A seal promises the next segment, whose name was durable before it; a close promises none.
TEST_F(WalDamageTest, WhatASealGoesOnInMustBeThere) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append("x", Durability::kPower).ok());
  ASSERT_TRUE(writer->Rotate().ok());
  ASSERT_TRUE(Replay().status.ok()) << "the next one may be empty";
  ASSERT_TRUE(disk_->Delete(SegmentName(2)).ok());
  ExpectCorruption(Replay().status, 2, 0);
  // A segment further on, whose writer died at once, does not stand in for it.
  ASSERT_TRUE(disk_->PutIfAbsent(SegmentName(3), "").ok());
  ExpectCorruption(Replay().status, 2, 0);
  const auto closed = OpenAt(4);
  ASSERT_TRUE(closed->Append("y", Durability::kNone).ok());
  ASSERT_TRUE(closed->Close().ok());
  EXPECT_EQ(Replay(4).payloads, std::vector<std::string>{"y"});
}

TEST_F(WalDamageTest, ACrashBetweenTheNextSegmentAndTheSealIsNoLoss) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append("x", Durability::kPower).ok());
  ASSERT_TRUE(disk_->PutIfAbsent(SegmentName(2), "").ok());  // Rotate came so far
  const Replayed replayed = Replay();
  ASSERT_TRUE(replayed.status.ok());
  EXPECT_EQ(replayed.payloads, std::vector<std::string>{"x"});
  EXPECT_EQ(replayed.end.next_segment, 3u);
}

TEST_F(WalDamageTest, ATornTailIsAcceptedOnlyBeforeAnotherWritersSegment) {
  WriteUnsealed();
  SetBytes(1, BytesOf(1).substr(0, starts_[4] + 3));
  payloads_.resize(4);
  const auto next = OpenAt(2);
  payloads_.push_back("next");
  ASSERT_TRUE(next->Append("next", Durability::kPower).ok());
  ExpectPayloads(Replay(), 5, false);
  // The same end under a segment that claims to continue it.
  SegmentHeader header{std::string(kStore), 2, {1, BytesOf(1).size(), 99}, false, 0};
  SetBytes(2, EncodeSegmentHeader(&header));
  ExpectCorruption(Replay().status, 1, starts_[4]);
}

TEST_F(WalDamageTest, ATornHeaderIsAnEmptySegmentUnlessItsRecordsSayOtherwise) {
  ASSERT_TRUE(OpenAt(1)->Append("x", Durability::kProcess).ok());
  const std::string unsynced = BytesOf(1);
  for (const size_t length : {0, 1, 71}) {
    SetBytes(1, unsynced.substr(0, length));
    ExpectPayloads(Replay(), 0, length != 0);
    EXPECT_EQ(Replay().end.next_segment, 2u);
  }
  std::string zeroed = unsynced;
  std::fill_n(zeroed.begin(), 50, '\0');
  SetBytes(1, zeroed);
  ExpectPayloads(Replay(), 0, true);
  const auto writer = OpenAt(2);
  ASSERT_TRUE(writer->Append("y", Durability::kPower).ok());
  ASSERT_TRUE(writer->Append("z", Durability::kProcess).ok());
  std::string witnessed = BytesOf(2);
  std::fill_n(witnessed.begin(), 50, '\0');
  SetBytes(2, witnessed);
  ExpectCorruption(Replay(2).status, 2, 0);
}

TEST_F(WalDamageTest, SegmentsInTheWrongPlace) {
  WriteSealed();
  const std::string first = BytesOf(1), second = BytesOf(2);
  SetBytes(2, first);  // a copy under another name
  ExpectCorruption(Replay().status, 2, 32);
  SetBytes(1, second);
  ExpectCorruption(Replay().status, 1, 32);

  SegmentHeader foreign{"another-store-02", 1, {}, 0};
  SetBytes(1, EncodeSegmentHeader(&foreign));
  ExpectCorruption(Replay().status, 1, 16);
}

// The file holds stale bytes behind its own: the tail of another segment, or of this number in another life.
TEST_F(WalDamageTest, StaleRecordsOfAnotherSegmentAreNoRecords) {
  WriteSealed();
  const std::string first = BytesOf(1);
  disk_ = std::make_shared<test::MemBackend>();
  const auto writer = OpenAt(2);
  ASSERT_TRUE(writer->Append(payloads_[0], Durability::kProcess).ok());
  const std::string mine = BytesOf(2);
  payloads_.resize(1);
  SetBytes(2, mine + first.substr(mine.size()));
  ExpectPayloads(Replay(), 1, true);
}

// Equal store, segment and offset, yet another history: only the chain can tell.
TEST_F(WalDamageTest, ARecordOfAnotherHistoryBreaksTheChain) {
  auto history = [&](std::string_view first) {
    disk_ = std::make_shared<test::MemBackend>();
    const auto writer = OpenAt(1);
    EXPECT_TRUE(writer->Append(first, Durability::kProcess).ok());
    EXPECT_TRUE(writer->Append("same", Durability::kProcess).ok());
    return BytesOf(1);
  };
  const std::string other = history("1111");
  const std::string mine = history("2222");
  const size_t second = kSegmentHeaderBytes + kRecordHeaderBytes + 4;
  payloads_ = {"2222"};
  SetBytes(1, mine.substr(0, second) + other.substr(second));
  ExpectPayloads(Replay(), 1, true);
}

TEST_F(WalDamageTest, ALaterVersionIsUnsupportedAndADamagedVersionIsDamage) {
  WriteSealed();
  std::string newer = BytesOf(1);
  newer[8] = 2;
  SetBytes(1, newer);
  ExpectCorruption(Replay().status, 1, 0);
  const uint64_t sum = PlacedChecksum(std::string_view(newer).substr(0, 64), SegmentIdentity(kStore, 1), 0);
  std::string bytes;
  PutFixed64(&bytes, sum);
  SetBytes(1, newer.replace(64, 8, bytes));
  const Status status = Replay().status;
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find(SegmentName(1) + ", offset 8: log format 2"), std::string_view::npos);
}

TEST_F(WalDamageTest, ABlobThatIsNoSegmentIsNotPassedOver) {
  for (const char* name : {"wal/object-1", "wal/0000000000000000", "wal/ffffffffffffffff", "wal/00000000000000g1"}) {
    disk_ = std::make_shared<test::MemBackend>();
    ASSERT_TRUE(disk_->PutIfAbsent(name, "x").ok());
    const Replayed replayed = Replay();
    EXPECT_EQ(replayed.status.code(), Code::kCorruption) << name;
    EXPECT_NE(replayed.status.message().find(name), std::string_view::npos);
    EXPECT_EQ(strategy_->Open(*disk_, kStore, 1).status().code(), Code::kCorruption);
  }
}

// Anything may be done to the bytes: what comes out is a prefix of what was written, or Corruption.
TEST_F(WalDamageTest, RandomDamageNeverYieldsAWrongPayload) {
  WriteSealed();
  const std::string good[] = {BytesOf(1), BytesOf(2)};
  std::mt19937_64 random(7);
  size_t corruptions = 0, prefixes = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string bytes[] = {good[0], good[1]};
    for (uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
      std::string& target = bytes[random() % 2];
      const size_t at = random() % (target.size() + 1);
      const size_t count = std::min<size_t>(random() % 64, target.size() - at);
      switch (random() % 5) {
        case 0: target.resize(at); break;
        case 1: std::fill_n(target.begin() + static_cast<ptrdiff_t>(at), count, '\0'); break;
        case 2: target.erase(at, count); break;
        case 3: target.insert(at, good[random() % 2].substr(0, random() % 100)); break;
        default:
          std::generate_n(target.begin() + static_cast<ptrdiff_t>(at), count,
                          [&] { return static_cast<char>(random()); });
      }
    }
    SetBytes(1, bytes[0]);
    SetBytes(2, bytes[1]);
    const Replayed replayed = Replay();
    ASSERT_TRUE(replayed.status.ok() || replayed.status.code() == Code::kCorruption) << replayed.status.ToString();
    ASSERT_LE(replayed.payloads.size(), payloads_.size());
    ASSERT_TRUE(std::equal(replayed.payloads.begin(), replayed.payloads.end(), payloads_.begin())) << round;
    ++(replayed.status.ok() ? prefixes : corruptions);
  }
  EXPECT_GT(corruptions, 1000u);
  EXPECT_GT(prefixes, 100u);
}

}  // namespace
}  // namespace tarn::wal
