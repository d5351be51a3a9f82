// wal/salvage on its own: whatever happens to a log, what is handed out was appended, in order, and a damaged place
// costs what stood there and nothing that can be made out around it.
#include <algorithm>

#include "tests/support/fault_backend.h"
#include "tests/wal/wal_fixture.h"
#include "wal/salvage.h"

namespace tarn::wal {
namespace {

class LogSalvageTest : public WalFixture {
 protected:
  struct Salvaged {
    std::vector<std::string> payloads;
    std::vector<WalLoss> losses;
  };

  // Two segments with records of many sizes.
  void SetUp() override {
    auto writer = OpenAt(1);
    for (uint64_t i = 0; i < 24; ++i) {
      payloads_.push_back(std::string(i * i % 97 + 1, static_cast<char>('a' + i)));
      ASSERT_TRUE(writer->Append(payloads_.back(), Durability::kPower).ok());
      ASSERT_TRUE(i != 11 || writer->Rotate().ok());
    }
    ASSERT_TRUE(writer->Close().ok());
  }
  Salvaged Salvage(std::string_view store = kStore, uint64_t first_segment = 1) {
    Salvaged salvaged;
    const Status status = SalvageFrom(*disk_, &salvaged, store, first_segment);
    EXPECT_TRUE(status.ok()) << status.ToString();
    return salvaged;
  }
  Status SalvageFrom(Backend& backend, Salvaged* salvaged, std::string_view store = kStore,
                     uint64_t first_segment = 1) {
    return strategy_->Salvage(
        backend, store, first_segment,
        [salvaged](uint64_t, std::string_view payload) {
          salvaged->payloads.emplace_back(payload);
          return Status::Ok();
        },
        [salvaged](const WalLoss& loss) { salvaged->losses.push_back(loss); });
  }
  // How many are missing; they must be a subsequence of what was appended.
  size_t Missing(const Salvaged& salvaged) {
    size_t at = 0;
    for (const std::string& payload : salvaged.payloads) {
      while (at < payloads_.size() && payloads_[at] != payload) ++at;
      EXPECT_LT(at++, payloads_.size()) << "invented, or out of order: " << payload;
    }
    return payloads_.size() - salvaged.payloads.size();
  }

  std::vector<std::string> payloads_;
};

TEST_F(LogSalvageTest, AWholeLogIsReadAndNothingIsLost) {
  for (const std::string_view store : {kStore, std::string_view()}) {  // it may have to say itself whose it is
    const Salvaged salvaged = Salvage(store);
    EXPECT_EQ(salvaged.payloads, payloads_);
    EXPECT_TRUE(salvaged.losses.empty());
  }
}

TEST_F(LogSalvageTest, AnyFlippedByteCostsItsRecordAtMost) {
  size_t cost = 0, header_flips = 0;
  for (const uint64_t segment : {1, 2}) {
    const std::string bytes = BytesOf(segment);
    for (size_t at = 0; at < bytes.size(); ++at) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
      SetBytes(segment, damaged);
      const Salvaged salvaged = Salvage();
      const size_t missing = Missing(salvaged);
      // Of the segment's header only the start of the chain matters; of a record's header nothing does.
      EXPECT_LE(missing, at < kSegmentHeaderBytes - 8 ? 0u : 1u) << segment << " byte " << at;
      EXPECT_TRUE(missing == 0 || !salvaged.losses.empty()) << segment << " byte " << at << ": lost without a word";
      cost += missing;
      header_flips += missing == 0;
      if (HasFailure()) return;
    }
    SetBytes(segment, bytes);
  }
  EXPECT_GT(cost, 500u);
  EXPECT_GT(header_flips, 24u * 20);
}

TEST_F(LogSalvageTest, ALostStretchIsPassedOver) {
  const std::string bytes = BytesOf(1);
  for (size_t at = kSegmentHeaderBytes; at + 200 < bytes.size(); at += 7) {
    std::string damaged = bytes;
    damaged.replace(at, 200, 200, '\0');
    SetBytes(1, damaged);
    const Salvaged salvaged = Salvage();
    const size_t missing = Missing(salvaged);
    EXPECT_FALSE(salvaged.losses.empty()) << at;
    EXPECT_LE(missing, 9u) << at;  // 200 bytes and both neighbours
    EXPECT_GE(salvaged.payloads.size(), 12u) << "the second segment is whole";
  }
}

TEST_F(LogSalvageTest, AMissingSegmentIsMissed) {
  for (const uint64_t segment : {1, 2}) {
    const std::string bytes = BytesOf(segment);
    ASSERT_TRUE(disk_->Delete(SegmentName(segment)).ok());
    const Salvaged salvaged = Salvage();
    EXPECT_EQ(Missing(salvaged), 12u);
    ASSERT_FALSE(salvaged.losses.empty());
    EXPECT_EQ(salvaged.losses[0].blob, SegmentName(segment));
    ASSERT_TRUE(disk_->PutIfAbsent(SegmentName(segment), bytes).ok());
  }
}

TEST_F(LogSalvageTest, AnyCutIsNoticedUnlessItTakesNothing) {
  const std::string bytes = BytesOf(1);
  for (size_t size = 0; size < bytes.size(); ++size) {
    SetBytes(1, bytes.substr(0, size));
    const Salvaged salvaged = Salvage();
    EXPECT_TRUE(Missing(salvaged) == 0 || !salvaged.losses.empty()) << size;
  }
}

TEST_F(LogSalvageTest, WhatTakesTheRecordsEndsTheSalvageWithItsOwnError) {
  size_t taken = 0;
  const Status status = strategy_->Salvage(
      *disk_, kStore, 1,
      [&](uint64_t, std::string_view) { return ++taken == 3 ? Status::NoSpace("no room for it") : Status::Ok(); },
      [](const WalLoss& loss) { ADD_FAILURE() << loss.reason; });
  EXPECT_EQ(status.ToString(), Status::NoSpace("no room for it").ToString());
  EXPECT_EQ(taken, 3u);
}

TEST_F(LogSalvageTest, AStrayFileIsNamedAndStopsNothing) {
  for (const char* name : {"wal/notes.txt", "wal/1", "wal/00000000000000zz"}) {
    ASSERT_TRUE(disk_->PutIfAbsent(name, "stray").ok());
  }
  const Salvaged salvaged = Salvage();
  EXPECT_EQ(salvaged.payloads, payloads_);
  ASSERT_EQ(salvaged.losses.size(), 3u);
  EXPECT_EQ(salvaged.losses[0].blob, "wal/00000000000000zz");
}

TEST_F(LogSalvageTest, TheSegmentsBeforeTheFirstWantedOneAreNotMissed) {
  const Salvaged salvaged = Salvage(kStore, 2);
  EXPECT_EQ(Missing(salvaged), 12u);
  EXPECT_TRUE(salvaged.losses.empty());
  ASSERT_TRUE(disk_->Delete(SegmentName(1)).ok());  // released, so whoever asks for everything misses nothing either
  EXPECT_TRUE(Salvage(kStore, 0).losses.empty());
}

TEST_F(LogSalvageTest, AMissingFirstSegmentIsMissed) {
  ASSERT_TRUE(disk_->Delete(SegmentName(1)).ok());
  ASSERT_TRUE(disk_->Delete(SegmentName(2)).ok());
  const Salvaged salvaged = Salvage();
  EXPECT_TRUE(salvaged.payloads.empty());
  ASSERT_EQ(salvaged.losses.size(), 1u);
  EXPECT_EQ(salvaged.losses[0].blob, SegmentName(1));
}

// Zeros behind a seal, or in its place, are no record; a seal of which a few bytes changed is still a seal.
TEST_F(LogSalvageTest, TheEndOfASegmentInEveryState) {
  const std::string bytes = BytesOf(2);
  for (size_t damaged = 0; damaged <= kRecordHeaderBytes; ++damaged) {
    std::string end = bytes;
    for (size_t i = 0; i < damaged; ++i) end[end.size() - 1 - i] = static_cast<char>(end[end.size() - 1 - i] ^ 0x5a);
    SetBytes(2, end);
    const Salvaged salvaged = Salvage();
    EXPECT_EQ(salvaged.payloads, payloads_) << damaged;
    EXPECT_EQ(salvaged.losses.empty(), damaged <= 4) << damaged;
  }
}

// Two records in a row are damaged in all ways that leave the later ones whole.
TEST_F(LogSalvageTest, TwoDamagedRecordsCostThemselvesAtMostAndTheNext) {
  const std::string bytes = BytesOf(1);
  std::vector<size_t> starts;
  for (size_t at = kSegmentHeaderBytes, i = 0; i < 12; ++i) {
    starts.push_back(at);
    at += kRecordHeaderBytes + payloads_[i].size();
  }
  for (size_t i = 0; i + 2 < starts.size(); ++i) {
    for (size_t first = starts[i]; first < starts[i + 1]; first += 5) {
      for (size_t second = starts[i + 1]; second < starts[i + 2]; second += 7) {
        std::string damaged = bytes;
        for (const size_t at : {first, second}) damaged[at] = static_cast<char>(damaged[at] ^ 0x21);
        SetBytes(1, damaged);
        const Salvaged salvaged = Salvage();
        const size_t missing = Missing(salvaged);
        EXPECT_LE(missing, 3u) << first << " and " << second;
        EXPECT_TRUE(missing == 0 || !salvaged.losses.empty()) << first << " and " << second;
        if (HasFailure()) return;
      }
    }
  }
}

// Segments of more bytes than are read at once, with one call on the backend failing: salvage says which segment it
// could not read on, or hands on the error of a listing.
class BigLogSalvageTest : public LogSalvageTest {
 protected:
  static constexpr size_t kEach = 300000;

  void SetUp() override {
    auto writer = OpenAt(1);
    for (uint64_t i = 0; i < 16; ++i) {
      payloads_.push_back(std::string(kEach, static_cast<char>('a' + i)));
      ASSERT_TRUE(writer->Append(payloads_.back(), Durability::kPower).ok());
      ASSERT_TRUE(i != 7 || writer->Rotate().ok());
    }
    ASSERT_TRUE(writer->Close().ok());
  }
  static size_t StartOf(size_t record) { return kSegmentHeaderBytes + record * (kRecordHeaderBytes + kEach); }

  void FailEachCall(std::string_view store) {
    const Salvaged whole = Salvage(store);
    test::FaultBackend faulty(disk_);
    Salvaged rehearsal;
    ASSERT_TRUE(SalvageFrom(faulty, &rehearsal, store).ok());
    const uint64_t calls = faulty.calls();
    for (uint64_t n = 1; n <= calls; ++n) {
      faulty.Arm({.at_call = n, .error = Status::Io("cannot do it")});
      Salvaged salvaged;
      const Status status = SalvageFrom(faulty, &salvaged, store);
      EXPECT_EQ(faulty.fired(), 1u);
      faulty.Disarm();
      Missing(salvaged);
      if (!status.ok()) {
        EXPECT_EQ(status.ToString(), Status::Io("cannot do it").ToString());
        EXPECT_TRUE(salvaged.payloads.empty()) << "only the listing ends it";
        continue;
      }
      EXPECT_LE(salvaged.payloads.size(), whole.payloads.size());
      EXPECT_GE(salvaged.payloads.size() + 8, whole.payloads.size()) << "the other segment is whole";
      const bool told = std::any_of(salvaged.losses.begin(), salvaged.losses.end(),
                                    [](const WalLoss& loss) { return loss.reason == "cannot do it"; });
      EXPECT_TRUE(told) << "call " << n << " of " << calls;
    }
    EXPECT_EQ(Salvage(store).payloads, whole.payloads);
  }
  void Flip(uint64_t segment, size_t at) {
    std::string bytes = BytesOf(segment);
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    SetBytes(segment, bytes);
  }
  void Wipe(uint64_t segment, size_t at, size_t size) {
    std::string bytes = BytesOf(segment);
    bytes.replace(at, std::min(size, bytes.size() - at), std::min(size, bytes.size() - at), '\x55');
    SetBytes(segment, bytes);
  }
};

TEST_F(BigLogSalvageTest, OfAWholeLog) {
  FailEachCall(kStore);
  FailEachCall({});
}

TEST_F(BigLogSalvageTest, OfDamagedSegmentHeaders) {
  Flip(1, 3);
  Flip(2, 30);
  FailEachCall(kStore);
}

TEST_F(BigLogSalvageTest, OfDamagedRecordHeaders) {
  for (const size_t record : {1, 4}) Flip(1, StartOf(record) + 2);
  Flip(2, StartOf(7) + 5);
  FailEachCall(kStore);
}

TEST_F(BigLogSalvageTest, OfDamagedPayloads) {
  Flip(1, StartOf(3) + 1000);
  Flip(2, StartOf(2) + 1000);
  Flip(2, StartOf(2) + 2);
  FailEachCall(kStore);
}

TEST_F(BigLogSalvageTest, OfLostStretches) {
  Wipe(1, StartOf(2) + 100, 1400000);
  Wipe(2, StartOf(5) + 7, 10000000);
  FailEachCall(kStore);
}

}  // namespace
}  // namespace tarn::wal
