// The bytes of docs/formats/backup.md.
#include <gtest/gtest.h>

#include "format/backup_record.h"

namespace tarn {
namespace {

BackupRecord Example() {
  BackupRecord record;
  record.state.number = record.state.base = 1;
  record.state.epoch = 1;
  record.state.writer = "doc";
  record.state.store_id = "tarn-example-id!";
  record.state.next_table = 3;
  record.state.next_run = 2;
  record.state.last_sequence = record.state.durable_sequence = 9;
  record.state.families_added = {{0, "default"}};
  ManifestTable table;
  table.run = 1;
  table.meta.number = 2;
  table.meta.file_bytes = 400;
  table.meta.smallest = "a";
  table.meta.largest = "m";
  table.meta.min_sequence = 1;
  table.meta.max_sequence = 9;
  table.meta.entries = 8;
  table.meta.deletions = 1;
  table.meta.raw_bytes = 200;
  record.state.tables_added = {table};
  record.info.number = 3;
  record.info.created_wall_nanos = 1000;
  record.info.label = "v1";
  record.info.writer = "ada@host";
  record.info.sent_tables = 1;
  record.info.sent_bytes = 400;
  DescribeTables(record.state, &record.info);
  return record;
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[static_cast<unsigned char>(c) >> 4];
    out += kDigits[c & 15];
  }
  return out;
}

constexpr std::string_view kFront =
    "7461726e626b7570010000003000000003107461726e2d6578616d706c652d696421e8070276310861646140686f73740190"
    "0301900309655a60997c614c10c570a3b86f79c29604";

TEST(BackupRecordTest, TheWorkedExample) {
  const std::string bytes = EncodeBackupRecord(BackupBlobName(3), Example());
  EXPECT_EQ(Hex(bytes.substr(0, kFront.size() / 2)), kFront);
  EXPECT_EQ(bytes.substr(kFront.size() / 2), EncodeManifestRecord(Example().state));
  EXPECT_EQ(Hex(EncodeRepository("tarn-example-id!")),
            "7461726e7265706f010000007461726e2d6578616d706c652d69642124bc2a08511b2449");
}

TEST(BackupRecordTest, ReadsBack) {
  const std::string name = BackupBlobName(3), bytes = EncodeBackupRecord(name, Example());
  const auto back = DecodeBackupRecord(name, bytes);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(EncodeBackupRecord(name, *back), bytes);
  EXPECT_EQ(back->info.label, "v1");
  const auto summary = DecodeBackupSummary(name, bytes.substr(0, kBackupSummaryBytes));
  ASSERT_TRUE(summary.ok());
  EXPECT_EQ(summary->writer, "ada@host");
  EXPECT_EQ(DecodeRepository(EncodeRepository("tarn-example-id!")).value(), "tarn-example-id!");
}

TEST(BackupRecordTest, EveryChangedBitIsFound) {
  const std::string name = BackupBlobName(3), bytes = EncodeBackupRecord(name, Example());
  EXPECT_EQ(DecodeBackupRecord(BackupBlobName(4), bytes).status().code(), Code::kCorruption);
  EXPECT_EQ(DecodeBackupRecord("intent/0000000000000003", bytes).status().code(), Code::kCorruption);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string wrong = bytes;
    wrong[at] ^= 1;
    EXPECT_EQ(DecodeBackupRecord(name, wrong).status().code(), Code::kCorruption) << at;
    EXPECT_EQ(DecodeBackupRecord(name, bytes.substr(0, at)).status().code(), Code::kCorruption) << at;
  }
  EXPECT_EQ(DecodeBackupRecord(name, bytes + "x").status().code(), Code::kCorruption);
  const std::string mark = EncodeRepository("tarn-example-id!");
  for (size_t at = 0; at < mark.size(); ++at) {
    std::string wrong = mark;
    wrong[at] ^= 1;
    EXPECT_FALSE(DecodeRepository(wrong).ok()) << at;
    EXPECT_FALSE(DecodeRepository(mark.substr(0, at)).ok()) << at;
  }
}

}  // namespace
}  // namespace tarn
