// Damage: every byte of a table is changed in turn, and the table cut at every length. Whoever reads it then
// gets the answers of the sound table or a Corruption that names blob and offset; and Verify notices each one.
//
// The second half plays an author of bad tables, not a bad disk: every byte is changed *and the checksums are
// made right again*, so that the structure checks alone stand between the bytes and the reader.
#include <gtest/gtest.h>

#include <cstring>

#include "base/coding.h"
#include "base/hash.h"
#include "format/table_layout.h"
#include "tests/format/table_support.h"

namespace tarn::test {
namespace {

struct Sound {
  Entries entries;
  std::vector<RangeTombstone> tombstones;
  std::vector<std::string> questions;
  std::vector<std::string> answers;
  std::string bytes;
  RangeTombstones ranges;
};

constexpr Sequence kSnapshot = 6;
constexpr uint64_t kNumber = 3;

Sound MakeSound(Compression compression) {
  Sound sound;
  for (int i = 0; i < 24; ++i) {
    const std::string key = "dir/file" + std::to_string(i / 2 * 7 % 13);
    if (i % 5 == 4) {
      Delete(&sound.entries, key, static_cast<Sequence>(10 - i % 4));
    } else {
      Put(&sound.entries, key, static_cast<Sequence>(1 + i % 9), std::string(40, 'v') + std::to_string(i));
    }
  }
  sound.tombstones = {{"dir/file2", "dir/file3", 4}, {"dir/", "dir/zzz", 2}, {"e", std::string(30, 'e'), 3}};
  for (const auto& [key, value] : sound.entries) sound.questions.emplace_back(UserKeyOf(key));
  sound.questions.push_back("dir/file999");
  sound.questions.push_back("a");
  sound.questions.push_back("zz");
  MemBackend backend;
  const auto meta = BuildTable(backend, kNumber, sound.entries, sound.tombstones, {128, compression, 10});
  EXPECT_TRUE(meta.ok());
  sound.bytes = backend.Contents(TableBlobName(kNumber)).value();
  for (const auto& key : sound.questions) sound.answers.push_back(ExpectedAnswer(sound.entries, key, kSnapshot));
  sound.ranges = RangeTombstones(sound.tombstones);
  return sound;
}

void ExpectNamed(const Status& status) {
  EXPECT_EQ(status.code(), Code::kCorruption) << status.ToString();
  EXPECT_NE(status.message().find(TableBlobName(kNumber)), std::string_view::npos) << status.ToString();
  EXPECT_NE(status.message().find("offset"), std::string_view::npos) << status.ToString();
}

Result<std::shared_ptr<Table>> OpenBytes(MemBackend* backend, std::string bytes) {
  const uint64_t size = bytes.size();
  if (backend->Open(TableBlobName(kNumber)).ok()) {
    EXPECT_TRUE(backend->Corrupt(TableBlobName(kNumber), std::move(bytes)).ok());
  } else {
    EXPECT_TRUE(backend->PutIfAbsent(TableBlobName(kNumber), bytes).ok());
  }
  return Table::Open(*backend, kStoreId, kNumber, size);
}

// Reads all there is in all ways. Returns whether Verify complained.
bool ReadAll(const Sound& sound, MemBackend* backend, std::string bytes) {
  const auto table = OpenBytes(backend, std::move(bytes));
  if (!table.ok()) {
    ExpectNamed(table.status());
    return true;
  }
  BlobSource source;
  const Pairs expected(sound.entries.begin(), sound.entries.end());
  const auto forward = ScanForward(*table.value(), source);
  if (forward.ok()) {
    EXPECT_EQ(forward.value(), expected);
  } else {
    ExpectNamed(forward.status());
  }
  const auto backward = ScanBackward(*table.value(), source);
  if (backward.ok()) {
    EXPECT_EQ(backward.value(), Pairs(expected.rbegin(), expected.rend()));
  } else {
    ExpectNamed(backward.status());
  }
  TableProbe probe;
  for (size_t i = 0; i < sound.questions.size(); ++i) {
    Drive(&probe, *table.value(), source, sound.questions[i], kSnapshot);
    if (probe.status().ok()) {
      EXPECT_EQ(Answer(probe), sound.answers[i]);
    } else {
      ExpectNamed(probe.status());
    }
    EXPECT_EQ(table.value()->range_tombstones().NewestCover(sound.questions[i], kSnapshot),
              sound.ranges.NewestCover(sound.questions[i], kSnapshot));
  }
  const Status verified = table.value()->Verify(source);
  if (!verified.ok()) ExpectNamed(verified);
  return !verified.ok();
}

class TableFlip : public testing::TestWithParam<Compression> {};

TEST_P(TableFlip, TheSoundTableHasAllFeatures) {
  const Sound sound = MakeSound(GetParam());
  MemBackend backend;
  EXPECT_FALSE(ReadAll(sound, &backend, sound.bytes));
  const auto table = OpenBytes(&backend, sound.bytes);
  EXPECT_GT(table.value()->filter().stored_bytes, 0u);
  EXPECT_FALSE(table.value()->range_tombstones().empty());
  BlobSource source;
  ASSERT_TRUE(ScanForward(*table.value(), source).ok());
  EXPECT_GE(source.loads.size(), 8u) << "top index, several partitions, several data blocks";
  size_t compressed = 0;
  for (const uint64_t offset : source.loads) {
    for (uint32_t size = kBlockTrailerBytes; size < 1000 && offset + size <= sound.bytes.size(); ++size) {
      const auto stored = std::string_view(sound.bytes).substr(offset, size);
      if (!table.value()->DecodeBlock({offset, size}, stored).ok()) continue;
      compressed += static_cast<Compression>(stored[size - kBlockTrailerBytes]) == GetParam() ? 1 : 0;
      break;
    }
  }
  EXPECT_GE(compressed, 3u);
}

TEST_P(TableFlip, EveryByteMatters) {
  const Sound sound = MakeSound(GetParam());
  MemBackend backend;
  for (size_t i = 0; i < sound.bytes.size(); ++i) {
    for (const char value : {static_cast<char>(sound.bytes[i] ^ (1 << i % 8)), '\0', '\xff'}) {
      if (value == sound.bytes[i]) continue;
      std::string bad = sound.bytes;
      bad[i] = value;
      EXPECT_TRUE(ReadAll(sound, &backend, std::move(bad))) << "Verify did not notice byte " << i;
      if (HasFailure()) return;
    }
  }
}

TEST_P(TableFlip, EveryTruncationIsNoticed) {
  const Sound sound = MakeSound(GetParam());
  MemBackend backend;
  for (size_t size = 0; size < sound.bytes.size(); ++size) {
    const auto table = OpenBytes(&backend, sound.bytes.substr(0, size));  // even if the manifest agreed
    ASSERT_FALSE(table.ok()) << size;
    ExpectNamed(table.status());
    const auto expected = Table::Open(backend, kStoreId, kNumber, sound.bytes.size());
    ASSERT_FALSE(expected.ok()) << size;
    ExpectNamed(expected.status());
  }
  EXPECT_TRUE(ReadAll(sound, &backend, sound.bytes + '\0'));
}

TEST_P(TableFlip, BlocksDoNotVerifyElsewhere) {
  const Sound sound = MakeSound(GetParam());
  MemBackend backend, other;
  const auto table = OpenBytes(&backend, sound.bytes);
  BlobSource source;
  ASSERT_TRUE(ScanForward(*table.value(), source).ok());
  const BlockHandle top = table.value()->index();
  const std::string_view stored = std::string_view(sound.bytes).substr(top.offset, top.stored_bytes);
  ASSERT_TRUE(table.value()->DecodeBlock(top, stored).ok());
  EXPECT_FALSE(table.value()->DecodeBlock({top.offset + 1, top.stored_bytes}, stored).ok()) << "misdirected";
  ASSERT_TRUE(BuildTable(other, 4, sound.entries, sound.tombstones, {128, GetParam(), 10}).ok());
  const auto twin = Table::Open(other, kStoreId, 4, sound.bytes.size());
  ASSERT_TRUE(twin.ok()) << twin.status().ToString();
  EXPECT_FALSE(twin.value()->DecodeBlock(top, stored).ok()) << "the same block of another table";
}

// All blocks of the table, as far as the index leads to them.
std::vector<BlockHandle> AllBlocks(const Table& table, const TableFooter& footer) {
  BlobSource source;
  std::vector<BlockHandle> blocks = {footer.filter, footer.ranges, footer.properties, footer.index};
  BlockCursor top, partition;
  top.Reset(source.Load(table, footer.index).value());
  for (top.SeekToFirst(); top.valid(); top.Next()) {
    BlockHandle handle;
    EXPECT_TRUE(table.ParseHandle(top.value(), &handle).ok());
    blocks.push_back(handle);
    partition.Reset(source.Load(table, handle).value());
    for (partition.SeekToFirst(); partition.valid(); partition.Next()) {
      EXPECT_TRUE(table.ParseHandle(partition.value(), &handle).ok());
      blocks.push_back(handle);
    }
  }
  return blocks;
}

void Reseal(std::string* bytes, BlockHandle handle) {
  const size_t summed = handle.stored_bytes - 8;
  const uint64_t sum = PlacedChecksum(std::string_view(*bytes).substr(handle.offset, summed),
                                      TableIdentity(kStoreId, kNumber), handle.offset);
  std::memcpy(bytes->data() + handle.offset + summed, &sum, 8);
}
void ResealFooter(std::string* bytes) {
  const size_t footer = bytes->size() - kFooterBytes, summed = kFooterBytes - 16;
  const uint64_t sum =
      PlacedChecksum(std::string_view(*bytes).substr(footer, summed), TableIdentity(kStoreId, kNumber), footer);
  std::memcpy(bytes->data() + footer + summed, &sum, 8);
}

// Only that every way of reading ends, with entries or with a Status.
void ReadHostile(MemBackend* backend, const Sound& sound, std::string bytes, size_t* refused) {
  const auto table = OpenBytes(backend, std::move(bytes));
  if (!table.ok()) {
    ++*refused;
    return;
  }
  BlobSource source;
  const auto forward = ScanForward(*table.value(), source);
  const auto backward = ScanBackward(*table.value(), source);
  if (!forward.ok()) ExpectNamed(forward.status());
  if (!backward.ok()) ExpectNamed(backward.status());
  TableProbe probe;
  for (const std::string& question : sound.questions) Drive(&probe, *table.value(), source, question, kSnapshot);
  const auto cursor = table.value()->NewCursor(source);
  cursor->Seek(SeekKey("dir/file5", kSnapshot));
  const Status verified = table.value()->Verify(source);
  if (!verified.ok()) {
    ExpectNamed(verified);
    ++*refused;
  }
}

TEST_P(TableFlip, StructureAloneHoldsBackHostileBytes) {
  const Sound sound = MakeSound(GetParam());
  MemBackend backend;
  const auto table = OpenBytes(&backend, sound.bytes);
  const size_t footer_at = sound.bytes.size() - kFooterBytes;
  const auto footer = DecodeFooter(std::string_view(sound.bytes).substr(footer_at), footer_at, kStoreId, kNumber);
  ASSERT_TRUE(footer.ok());
  size_t tried = 0, refused = 0;
  for (const BlockHandle handle : AllBlocks(*table.value(), footer.value())) {
    for (uint64_t i = handle.offset; i < handle.offset + handle.stored_bytes - 8; ++i) {
      for (const int flip : {1, 0x80, 0xff}) {
        std::string bad = sound.bytes;
        bad[i] = static_cast<char>(bad[i] ^ flip);
        Reseal(&bad, handle);
        ReadHostile(&backend, sound, std::move(bad), &refused);
        ++tried;
      }
      if (HasFailure()) return;
    }
  }
  for (size_t i = footer_at; i < sound.bytes.size() - 16; ++i) {
    for (const int flip : {1, 0x80, 0xff}) {
      std::string bad = sound.bytes;
      bad[i] = static_cast<char>(bad[i] ^ flip);
      ResealFooter(&bad);
      size_t before = refused;
      ReadHostile(&backend, sound, std::move(bad), &refused);
      EXPECT_EQ(refused, before + 1) << "footer byte " << i - footer_at;
    }
    if (HasFailure()) return;
  }
  // What is left are bytes of values and of the filter, which no structure can know.
  EXPECT_GT(refused, tried / 4);
}

INSTANTIATE_TEST_SUITE_P(All, TableFlip, testing::Values(Compression::kNone, Compression::kLz4, Compression::kZstd),
                         [](const auto& param) {
                           return param.param == Compression::kNone  ? "None"
                                  : param.param == Compression::kLz4 ? "Lz4"
                                                                     : "Zstd";
                         });

}  // namespace
}  // namespace tarn::test
