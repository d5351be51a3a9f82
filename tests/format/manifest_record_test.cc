// Manifest records: round trip, the worked example of docs/formats/manifest.md byte for byte, and hostile bytes
// of every sort, also behind a right checksum.

#include "format/manifest_record.h"

#include <random>

#include "base/coding.h"
#include "base/hash.h"
#include "gtest/gtest.h"

namespace tarn {
namespace {

ManifestRecord Delta() {
  ManifestRecord r;
  r.number = 0x1a;
  r.base = 0x10;
  r.epoch = 3;
  r.writer = "pid 71 (tarn mount)";
  r.store_id = "0123456789abcdef";
  r.next_table = 300;
  r.next_run = 40;
  r.next_family = 6;
  r.last_sequence = 123456789;
  r.first_wal = 12;
  r.durable_sequence = 123456791;
  r.families_added = {{4, "inodes"}, {5, ""}};
  r.families_dropped = {2, 3};
  ManifestTable t;
  t.family = 4;
  t.level = 2;
  t.run = 39;
  t.meta.number = 299;
  t.meta.file_bytes = 33000000;
  t.meta.smallest = "apple";
  t.meta.largest = std::string("pe\0ar", 5);
  t.meta.largest_exclusive = true;
  t.meta.min_sequence = 7;
  t.meta.max_sequence = 123456000;
  t.meta.entries = 1000;
  t.meta.deletions = 10;
  t.meta.range_deletions = 2;
  t.meta.raw_bytes = 70000000;
  r.tables_added = {t, t};
  r.tables_added[1].meta.smallest = "";
  r.tables_added[1].meta.largest_exclusive = false;
  r.tables_removed = {17, 18, 255};
  r.snapshots_added = {{"before import", 5000, 1700000000000000000}};
  r.snapshots_dropped = {"old", ""};
  return r;
}

// The worked example of docs/formats/manifest.md.
ManifestRecord Example() {
  ManifestRecord r;
  r.number = r.base = 1;
  r.epoch = 1;
  r.writer = "doc";
  r.store_id = "tarn-example-id!";
  r.next_table = 3;
  r.next_run = 2;
  r.next_family = 1;
  r.last_sequence = 9;
  r.first_wal = 2;
  r.durable_sequence = 11;
  r.families_added = {{0, "default"}};
  ManifestTable t;
  t.run = 1;
  t.meta.number = 2;
  t.meta.file_bytes = 400;
  t.meta.smallest = "a";
  t.meta.largest = "m";
  t.meta.min_sequence = 1;
  t.meta.max_sequence = 9;
  t.meta.entries = 8;
  t.meta.deletions = 1;
  t.meta.raw_bytes = 200;
  r.tables_added = {t};
  r.snapshots_added = {{"v1", 5, 1000}};
  return r;
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (unsigned char c : bytes) {
    out.push_back("0123456789abcdef"[c >> 4]);
    out.push_back("0123456789abcdef"[c & 15]);
  }
  return out;
}

// The same bytes with a checksum that is right, to reach the parser behind it.
std::string Resign(std::string bytes, uint64_t number) {
  bytes.resize(bytes.size() - 8);
  PutFixed64(&bytes, PlacedChecksum(bytes, Hash64("manifest"), number));
  return bytes;
}

void ExpectSameTable(const ManifestTable& a, const ManifestTable& b) {
  EXPECT_EQ(a.family, b.family);
  EXPECT_EQ(a.level, b.level);
  EXPECT_EQ(a.run, b.run);
  EXPECT_EQ(a.meta.number, b.meta.number);
  EXPECT_EQ(a.meta.file_bytes, b.meta.file_bytes);
  EXPECT_EQ(a.meta.smallest, b.meta.smallest);
  EXPECT_EQ(a.meta.largest, b.meta.largest);
  EXPECT_EQ(a.meta.largest_exclusive, b.meta.largest_exclusive);
  EXPECT_EQ(a.meta.min_sequence, b.meta.min_sequence);
  EXPECT_EQ(a.meta.max_sequence, b.meta.max_sequence);
  EXPECT_EQ(a.meta.entries, b.meta.entries);
  EXPECT_EQ(a.meta.deletions, b.meta.deletions);
  EXPECT_EQ(a.meta.range_deletions, b.meta.range_deletions);
  EXPECT_EQ(a.meta.raw_bytes, b.meta.raw_bytes);
}

TEST(ManifestRecord, NameSortsAsTheNumber) {
  EXPECT_EQ(ManifestBlobName(1), "manifest/0000000000000001");
  EXPECT_EQ(ManifestBlobName(0xabcdef), "manifest/0000000000abcdef");
  EXPECT_LT(ManifestBlobName(0xff), ManifestBlobName(0x100));
}

TEST(ManifestRecord, EveryFieldComesBack) {
  const ManifestRecord in = Delta();
  const auto decoded = DecodeManifestRecord(EncodeManifestRecord(in), in.number);
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  const ManifestRecord& out = *decoded;
  EXPECT_FALSE(out.full());
  EXPECT_EQ(out.number, in.number);
  EXPECT_EQ(out.base, in.base);
  EXPECT_EQ(out.epoch, in.epoch);
  EXPECT_EQ(out.writer, in.writer);
  EXPECT_EQ(out.store_id, in.store_id);
  EXPECT_EQ(out.next_table, in.next_table);
  EXPECT_EQ(out.next_run, in.next_run);
  EXPECT_EQ(out.next_family, in.next_family);
  EXPECT_EQ(out.last_sequence, in.last_sequence);
  EXPECT_EQ(out.first_wal, in.first_wal);
  EXPECT_EQ(out.durable_sequence, in.durable_sequence);
  ASSERT_EQ(out.families_added.size(), 2u);
  EXPECT_EQ(out.families_added[0].id, 4u);
  EXPECT_EQ(out.families_added[0].name, "inodes");
  EXPECT_EQ(out.families_added[1].name, "");
  EXPECT_EQ(out.families_dropped, in.families_dropped);
  ASSERT_EQ(out.tables_added.size(), 2u);
  for (size_t i = 0; i < 2; ++i) ExpectSameTable(out.tables_added[i], in.tables_added[i]);
  EXPECT_EQ(out.tables_removed, in.tables_removed);
  ASSERT_EQ(out.snapshots_added.size(), 1u);
  EXPECT_EQ(out.snapshots_added[0].name, "before import");
  EXPECT_EQ(out.snapshots_added[0].sequence, 5000u);
  EXPECT_EQ(out.snapshots_added[0].created_wall_nanos, 1700000000000000000u);
  EXPECT_EQ(out.snapshots_dropped, in.snapshots_dropped);
  EXPECT_EQ(EncodeManifestRecord(out), EncodeManifestRecord(in));
}

// A change of these bytes is a change of the format: raise the version and docs/formats/manifest.md.
TEST(ManifestRecord, WorkedExampleOfTheDocument) {
  EXPECT_EQ(Hex(EncodeManifestRecord(Example())),
            "7461726e6d667374010000000101010201010301010403646f6305107461726e2d6578616d706c65"
            "2d6964210601030701020801010901090a01020b010b1009000764656661756c7412120000010290"
            "030161016d000109080100c801140602763105e807980f61a4400dd015");
}

TEST(ManifestRecord, AnotherRecordsBytesAreCorruption) {
  const ManifestRecord in = Delta();
  const auto decoded = DecodeManifestRecord(EncodeManifestRecord(in), in.number + 1);
  ASSERT_FALSE(decoded.ok());
  EXPECT_EQ(decoded.status().code(), Code::kCorruption);
  EXPECT_NE(decoded.status().message().find("manifest/000000000000001b"), std::string::npos);
}

TEST(ManifestRecord, EveryFlippedBitIsCorruption) {
  const ManifestRecord in = Delta();
  const std::string good = EncodeManifestRecord(in);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    const auto decoded = DecodeManifestRecord(bad, in.number);
    ASSERT_FALSE(decoded.ok()) << "bit " << bit;
    ASSERT_EQ(decoded.status().code(), Code::kCorruption) << "bit " << bit;
    ASSERT_NE(decoded.status().message().find("manifest/000000000000001a"), std::string::npos);
  }
}

TEST(ManifestRecord, EveryTruncationIsCorruption) {
  const ManifestRecord in = Delta();
  const std::string good = EncodeManifestRecord(in);
  for (size_t size = 0; size < good.size(); ++size) {
    const auto decoded = DecodeManifestRecord(std::string_view(good).substr(0, size), in.number);
    ASSERT_FALSE(decoded.ok()) << size;
    ASSERT_EQ(decoded.status().code(), Code::kCorruption) << size;
  }
}

TEST(ManifestRecord, SignedTruncationNeverReadsAsARecordOfOtherContent) {
  const ManifestRecord in = Delta();
  const std::string good = EncodeManifestRecord(in);
  int whole = 0;
  for (size_t size = 20; size < good.size(); ++size) {
    const auto decoded = DecodeManifestRecord(Resign(good.substr(0, size), in.number), in.number);
    if (decoded.ok()) {
      ++whole;  // cut exactly between two listed fields: a shorter record, and nothing else
      EXPECT_EQ(EncodeManifestRecord(*decoded).size(), size);
    } else {
      EXPECT_EQ(decoded.status().code(), Code::kCorruption) << size;
    }
  }
  EXPECT_EQ(whole, 12);  // one less than the places between fields behind the scalars: the last is the record
}

TEST(ManifestRecord, SignedHostileBytesNeverCrash) {
  const ManifestRecord in = Delta();
  const std::string good = EncodeManifestRecord(in);
  std::mt19937_64 random(5);
  int refused = 0;
  for (int round = 0; round < 50000; ++round) {
    std::string bad = good;
    for (uint64_t n = 1 + random() % 3; n > 0; --n) {
      bad[12 + random() % (bad.size() - 20)] = static_cast<char>(random());
    }
    const auto decoded = DecodeManifestRecord(Resign(bad, in.number), in.number);
    if (decoded.ok()) {
      for (const ManifestTable& table : decoded->tables_added) ASSERT_LE(table.level, 63u);
      continue;
    }
    ++refused;
    const Code code = decoded.status().code();
    ASSERT_TRUE(code == Code::kCorruption || code == Code::kUnsupported);
  }
  EXPECT_GT(refused, 1000);
}

// Each case breaks one rule that the checksum cannot see.
struct Case {
  const char* what;
  uint64_t tag;
  std::string payload;
  Code code;
};

TEST(ManifestRecord, SignedFieldsAreCheckedOneByOne) {
  const std::string good = EncodeManifestRecord(Example());
  const std::string too_long(11, '\xff');
  const Case cases[] = {
      {"a scalar behind the lists", 10, "\x01", Code::kCorruption},
      {"an unknown tag", 22, "x", Code::kUnsupported},
      {"an unassigned tag", 12, "x", Code::kUnsupported},
      {"lists out of order", 16, std::string("\x00\x00", 2), Code::kCorruption},
      {"left-over bytes", 20, std::string("\x01z\x01\x01\x01", 5), Code::kCorruption},
      {"a snapshot that ends early", 20, std::string("\x01z\x01", 3), Code::kCorruption},
      {"an endless varint", 20, std::string("\x01z", 2) + too_long, Code::kCorruption},
      {"a string longer than the field", 20, std::string("\x7fz\x01\x01", 4), Code::kCorruption},
      {"a full state that drops a snapshot", 21, "v1", Code::kCorruption},
      {"one more snapshot, which is fine", 20, std::string("\x01z\x01\x01", 4), Code::kOk},
  };
  for (const Case& c : cases) {
    std::string bytes = good.substr(0, good.size() - 8);
    PutVarint(&bytes, c.tag);
    PutBytes(&bytes, c.payload);
    const auto decoded = DecodeManifestRecord(Resign(bytes + "checksum", 1), 1);
    EXPECT_EQ(decoded.status().code(), c.code) << c.what << ": " << decoded.status().ToString();
  }
}

TEST(ManifestRecord, NewerVersionIsUnsupportedNotCorrupt) {
  std::string bytes = EncodeManifestRecord(Example());
  bytes[8] = 2;
  EXPECT_EQ(DecodeManifestRecord(bytes, 1).status().code(), Code::kCorruption);  // a flip, not a version
  EXPECT_EQ(DecodeManifestRecord(Resign(bytes, 1), 1).status().code(), Code::kUnsupported);
}

TEST(ManifestRecordDeathTest, WhatCouldNotBeReadBackIsNotWritten) {
  ManifestRecord r = Example();
  r.tables_added[0].meta.number = r.next_table;
  EXPECT_DEATH(EncodeManifestRecord(r), "still to be given out");
  r = Example();
  r.store_id = "short";
  EXPECT_DEATH(EncodeManifestRecord(r), "16 bytes");
}

}  // namespace
}  // namespace tarn
