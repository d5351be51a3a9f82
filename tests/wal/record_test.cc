#include "wal/record.h"

#include <gtest/gtest.h>

#include <string>

namespace tarn::wal {
namespace {

constexpr std::string_view kStore = "example-store-01";

TEST(WalRecordTest, NamesRoundTripInOrderAndNothingElseIsAName) {
  EXPECT_EQ(SegmentName(1), "wal/0000000000000001");
  EXPECT_EQ(SegmentName(0xfedcba9876543210), "wal/fedcba9876543210");
  uint64_t last = 0;
  for (uint64_t n = 1; n < UINT64_MAX / 3; n *= 3) {
    EXPECT_EQ(SegmentNumber(SegmentName(n)), n);
    if (last != 0) {
      EXPECT_LT(SegmentName(last), SegmentName(n));
    }
    last = n;
  }
  for (const char* name :
       {"", "wal/", "wal/1", "wal/000000000000000g", "wal/000000000000000A", "wal/00000000000000001",
        "log/0000000000000001", "wal/0000000000000000", "wal/ffffffffffffffff", "wal/ 000000000000001"}) {
    EXPECT_EQ(SegmentNumber(name), std::nullopt) << name;
  }
}

TEST(WalRecordTest, SegmentHeadersRoundTrip) {
  SegmentHeader header{std::string(kStore), 7, {6, 1234, 0xabcdef}, false, 0};
  const std::string bytes = EncodeSegmentHeader(&header);
  ASSERT_EQ(bytes.size(), kSegmentHeaderBytes);
  const auto decoded = DecodeSegmentHeader(bytes, kStore, 7);
  ASSERT_TRUE(decoded.ok());
  ASSERT_TRUE(decoded->has_value());
  EXPECT_EQ((*decoded)->previous, header.previous);
  EXPECT_EQ((*decoded)->chain, header.chain);
  for (size_t n = 0; n < bytes.size(); ++n) {
    const auto cut = DecodeSegmentHeader(std::string_view(bytes).substr(0, n), kStore, 7);
    ASSERT_TRUE(cut.ok() && !cut->has_value()) << n;
  }
}

TEST(WalRecordTest, RecordHeadersVerifyOnlyInTheirPlace) {
  const uint64_t identity = SegmentIdentity(kStore, 3);
  std::string bytes;
  AppendRecordHeader(&bytes, {77, RecordType::kData, 100, 0x1234}, identity, 200);
  ASSERT_EQ(bytes.size(), kRecordHeaderBytes);
  const auto header = DecodeRecordHeader(bytes, identity, 200);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->payload_bytes, 77u);
  EXPECT_EQ(header->type, RecordType::kData);
  EXPECT_EQ(header->durable_offset, 100u);
  EXPECT_EQ(header->chain, 0x1234u);
  EXPECT_FALSE(DecodeRecordHeader(bytes, identity, 201).has_value());
  EXPECT_FALSE(DecodeRecordHeader(bytes, SegmentIdentity(kStore, 4), 200).has_value());
  EXPECT_FALSE(DecodeRecordHeader(bytes, SegmentIdentity("example-store-02", 3), 200).has_value());
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string bad = bytes;
    bad[i / 8] ^= static_cast<char>(1 << i % 8);
    EXPECT_FALSE(DecodeRecordHeader(bad, identity, 200).has_value()) << "bit " << i;
  }
}

TEST(WalRecordTest, ARecordThatStatesTheFutureIsNotValid) {
  const uint64_t identity = SegmentIdentity(kStore, 3);
  std::string bytes;
  AppendRecordHeader(&bytes, {0, RecordType::kSeal, 201, 1}, identity, 200);
  EXPECT_FALSE(DecodeRecordHeader(bytes, identity, 200).has_value());
}

TEST(WalRecordTest, AWitnessStatesMoreThanWasAsked) {
  const uint64_t identity = SegmentIdentity(kStore, 3);
  std::string bytes;
  AppendRecordHeader(&bytes, {5, RecordType::kData, 100, 1}, identity, 200);
  EXPECT_TRUE(FindWitness(bytes, identity, 200, 99).has_value());
  EXPECT_FALSE(FindWitness(bytes, identity, 200, 100).has_value());
  bytes[0] ^= 1;
  EXPECT_FALSE(FindWitness(bytes, identity, 200, 99).has_value());
}

TEST(WalRecordTest, ZeroesAreNeverARecord) {
  const std::string zeroes(kRecordHeaderBytes, '\0');
  EXPECT_FALSE(DecodeRecordHeader(zeroes, SegmentIdentity(kStore, 1), 72).has_value());
}

TEST(WalRecordTest, TheChainDependsOnEveryPayloadAndTheirOrder) {
  EXPECT_NE(NextChain(NextChain(1, "a"), "b"), NextChain(NextChain(1, "b"), "a"));
  EXPECT_NE(NextChain(1, ""), NextChain(2, ""));
  EXPECT_NE(NextChain(NextChain(1, ""), ""), NextChain(1, ""));
}

}  // namespace
}  // namespace tarn::wal
