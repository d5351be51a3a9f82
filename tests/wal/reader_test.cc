// SegmentReader on hostile bytes: what it allocates, what it believes, and how far it looks for a witness.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "wal/segment_reader.h"

namespace tarn::wal {
namespace {

constexpr std::string_view kStore = "example-store-01";
constexpr uint64_t kSegment = 9;
constexpr uint64_t kMiB = 1 << 20;

// A blob of memory that remembers the largest read.
class Blob final : public BlobReader {
 public:
  explicit Blob(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<char> out) const override {
    if (offset > size() || out.size() > size() - offset) return Status::Corruption("read behind the end");
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    largest_ = std::max<uint64_t>(largest_, out.size());
    total_ += out.size();
    return Status::Ok();
  }
  uint64_t largest() const { return largest_; }
  uint64_t total() const { return total_; }

 private:
  const std::string bytes_;
  mutable uint64_t largest_ = 0;
  mutable uint64_t total_ = 0;
};

// Encodes a segment record by record.
class Builder {
 public:
  Builder() {
    SegmentHeader header{std::string(kStore), kSegment, {}, false, 0};
    bytes = EncodeSegmentHeader(&header);
    chain_ = header.chain;
  }
  void Add(std::string_view payload, uint64_t durable_offset = 0) {
    AddClaiming(static_cast<uint32_t>(payload.size()), RecordType::kData, durable_offset, payload);
  }
  // Everything verifies but, perhaps, the length.
  void AddClaiming(uint32_t payload_bytes, RecordType type, uint64_t durable_offset, std::string_view payload) {
    chain_ = NextChain(chain_, payload);
    AppendRecordHeader(&bytes, {payload_bytes, type, durable_offset, chain_}, SegmentIdentity(kStore, kSegment),
                       bytes.size());
    bytes += payload;
  }
  std::string bytes;

 private:
  uint64_t chain_ = 0;
};

TEST(WalReaderTest, WalksRecordsOfAllSizesReadingEachByteOnce) {
  Builder builder;
  std::vector<std::string> payloads;
  for (const uint64_t bytes : {0ul, 10ul, kMiB - 40, 5ul, kMiB, 3 * kMiB + 1, 0ul, 600000ul, 600000ul, 600000ul}) {
    payloads.emplace_back(bytes, static_cast<char>('a' + payloads.size()));
    builder.Add(payloads.back());
  }
  const Blob blob(builder.bytes);
  SegmentReader reader(blob, kStore, kSegment);
  ASSERT_TRUE(reader.ReadHeader().value().has_value());
  std::string_view payload;
  for (const std::string& expected : payloads) {
    ASSERT_EQ(reader.Next(&payload).value(), SegmentReader::Item::kData);
    ASSERT_TRUE(payload == expected);
  }
  EXPECT_EQ(reader.Next(&payload).value(), SegmentReader::Item::kEnd);
  EXPECT_EQ(reader.Next(&payload).value(), SegmentReader::Item::kEnd);
  EXPECT_EQ(blob.total(), builder.bytes.size());
  EXPECT_LE(blob.largest(), 3 * kMiB + 1 + kRecordHeaderBytes);
}

TEST(WalReaderTest, ALengthBeyondTheBlobIsNotBelieved) {
  for (const uint32_t claimed : {1u, 1000u, UINT32_MAX}) {
    Builder builder;
    builder.AddClaiming(claimed, RecordType::kData, 0, "");
    const Blob blob(builder.bytes);
    SegmentReader reader(blob, kStore, kSegment);
    ASSERT_TRUE(reader.ReadHeader().value().has_value());
    std::string_view payload;
    EXPECT_EQ(reader.Next(&payload).value(), SegmentReader::Item::kBad);
    EXPECT_EQ(reader.offset(), kSegmentHeaderBytes);
    EXPECT_LE(blob.largest(), builder.bytes.size());
  }
}

TEST(WalReaderTest, ASealWithAPayloadIsBad) {
  Builder builder;
  builder.AddClaiming(3, RecordType::kSeal, kSegmentHeaderBytes, "abc");
  const Blob blob(builder.bytes);
  SegmentReader reader(blob, kStore, kSegment);
  ASSERT_TRUE(reader.ReadHeader().value().has_value());
  std::string_view payload;
  EXPECT_EQ(reader.Next(&payload).value(), SegmentReader::Item::kBad);
}

// The witness stands far behind the damage, at every position around the border of two windows.
TEST(WalReaderTest, FindsAWitnessAnywhereInBoundedMemory) {
  for (uint64_t shift = 15; shift < 48; ++shift) {
    Builder builder;
    const uint64_t damage = builder.bytes.size();
    builder.bytes += std::string(kMiB - 45 + shift, '\x01');
    const uint64_t witness = builder.bytes.size();
    builder.Add("late", damage + 1);
    const Blob blob(builder.bytes);
    SegmentReader reader(blob, kStore, kSegment);
    ASSERT_TRUE(reader.ReadHeader().value().has_value());
    std::string_view payload;
    ASSERT_EQ(reader.Next(&payload).value(), SegmentReader::Item::kBad);
    ASSERT_EQ(reader.FindWitnessBehind().value(), witness);
    ASSERT_LE(blob.largest(), kMiB);
  }
}

TEST(WalReaderTest, ARecordThatVouchesForLessIsNoWitness) {
  Builder builder;
  const uint64_t damage = builder.bytes.size();
  builder.bytes += std::string(500, '\x02');
  builder.Add("late", damage);
  const Blob blob(builder.bytes);
  SegmentReader reader(blob, kStore, kSegment);
  ASSERT_TRUE(reader.ReadHeader().value().has_value());
  EXPECT_EQ(reader.FindWitnessBehind().value(), std::nullopt);
}

}  // namespace
}  // namespace tarn::wal
