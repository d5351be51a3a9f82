// wal/salvage on its own: whatever happens to a log, what is handed out was appended, in order, and a damaged place
// costs what stood there and nothing that can be made out around it.
#include <algorithm>

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
  Salvaged Salvage(std::string_view store = kStore) {
    Salvaged salvaged;
    const Status status = strategy_->Salvage(
        *disk_, store, 1,
        [&](uint64_t, std::string_view payload) {
          salvaged.payloads.emplace_back(payload);
          return Status::Ok();
        },
        [&](const WalLoss& loss) { salvaged.losses.push_back(loss); });
    EXPECT_TRUE(status.ok()) << status.ToString();
    return salvaged;
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

}  // namespace
}  // namespace tarn::wal
