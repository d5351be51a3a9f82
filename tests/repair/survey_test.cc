// What a repair makes of the odd ends of a store: files that are none of its own, families and snapshots that were
// dropped, formats it does not know, tables of another store; and how losses are listed.
#include <gtest/gtest.h>

#include <cstring>

#include "base/hash.h"
#include "format/manifest_record.h"
#include "format/table_layout.h"
#include "kernel/repair_losses.h"
#include "tests/repair/repair_fixture.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

// A store with some life behind it: a family that stays, one that was dropped, a snapshot that was dropped.
struct Lived {
  Files files;
  Moments moments;
};

const std::vector<std::string> kFamilies = {"default", "dropped", "kept"};

Lived Live() {
  const auto backend = std::make_shared<MemBackend>();
  Lived lived;
  {
    const auto db = OpenSim(backend, RepairSettings()).value();
    const ColumnFamily dropped = db->CreateFamily("dropped").value(), kept = db->CreateFamily("kept").value();
    for (uint64_t i = 0; i < 300; ++i) {
      WriteBatch batch;
      batch.Put(NumberedKey(i), "default " + std::to_string(i));
      batch.Put(dropped, NumberedKey(i), "dropped " + std::to_string(i));
      batch.Put(kept, NumberedKey(i), "kept " + std::to_string(i));
      EXPECT_TRUE(db->Write(batch).ok());
    }
    EXPECT_TRUE(db->Flush().ok());
    EXPECT_TRUE(db->CreateNamedSnapshot("passing").ok());
    EXPECT_TRUE(db->CreateNamedSnapshot("staying").ok());
    EXPECT_TRUE(db->DeleteRange(NumberedKey(20), NumberedKey(40)).ok());
    EXPECT_TRUE(db->Flush().ok());
    EXPECT_TRUE(db->DropFamily(dropped).ok());
    EXPECT_TRUE(db->DropNamedSnapshot("passing").ok());
    EXPECT_TRUE(db->Put("last", "in the log").ok());
    lived.moments = MomentsOf(*db);
    EXPECT_TRUE(db->Close().ok());
  }
  lived.files = FilesOf(*backend);
  return lived;
}

// The names of blobs below a prefix, in order.
std::vector<std::string> Below(const Files& files, const std::string& prefix) {
  std::vector<std::string> names;
  for (const auto& [name, bytes] : files) {
    if (name.starts_with(prefix)) names.push_back(name);
  }
  return names;
}

void SealManifest(std::string* bytes, uint64_t number) {
  const std::string_view summed = std::string_view(*bytes).substr(0, bytes->size() - 8);
  const uint64_t sum = PlacedChecksum(summed, Hash64("manifest"), number);
  std::memcpy(bytes->data() + summed.size(), &sum, sizeof(sum));
}

TEST(Survey, StrayFilesAreLeftAlone) {
  const Lived lived = Live();
  Files files = lived.files;
  for (const char* name :
       {"table/notes.txt", "table/1", "manifest/readme", "manifest/00000000000000001", "other/x"}) {
    files[name] = "nothing of ours";
  }
  const Repaired repaired = RepairFiles(files);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(Listed(*repaired.report), "");
  EXPECT_TRUE(repaired.moments == lived.moments);
}

TEST(Survey, WhatWasDroppedStaysDroppedWhileARecordSaysSo) {
  const Lived lived = Live();
  const std::vector<std::string> records = Below(lived.files, "manifest/");
  ASSERT_GT(records.size(), 6u);
  // Any one record: the others say what it did, or its loss is reported and the guarantee holds.
  for (const std::string& lost : records) {
    for (const bool flipped : {true, false}) {
      Files files = lived.files;
      if (flipped) {
        files[lost][files[lost].size() / 2] ^= 1;
      } else {
        files.erase(lost);
      }
      const Repaired repaired = RepairFiles(files);
      ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
      EXPECT_TRUE(repaired.moments.at("").at("default") == lived.moments.at("").at("default")) << lost;
      EXPECT_TRUE(repaired.moments.at("").at("kept") == lived.moments.at("").at("kept")) << lost;
    }
  }
}

// Only the last record, a delta, reads back: it says that the family was dropped, and its tables are not brought
// back.
TEST(Survey, TheDropOfAFamilyOutlivesTheRecordThatMadeIt) {
  const Lived lived = Live();
  bool seen = false;
  for (const std::string& kept : Below(lived.files, "manifest/")) {
    const auto record = DecodeManifestRecord(lived.files.at(kept), std::stoull(kept.substr(9), nullptr, 16)).value();
    if (record.families_dropped.empty()) continue;
    seen = true;
    Files files = lived.files;
    std::erase_if(files, [&](const auto& file) { return file.first.starts_with("manifest/") && file.first != kept; });
    const Repaired repaired = RepairFiles(files);
    ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
    EXPECT_FALSE(repaired.moments.at("").contains("dropped"));
    EXPECT_GT(repaired.report->manifest_records_lost, 0u);
    ExpectGuarantee({{"", lived.moments.at("")}, {"staying", lived.moments.at("staying")}}, kFamilies, repaired,
                    kept);
  }
  EXPECT_TRUE(seen);
}

TEST(Survey, ALaterFormatIsRefusedAndNotRepairedAway) {
  const Lived lived = Live();
  const std::string newest = Below(lived.files, "manifest/").back();
  Files files = lived.files;
  files[newest][8] = 2;
  SealManifest(&files[newest], std::stoull(newest.substr(9), nullptr, 16));
  EXPECT_EQ(RepairFiles(files).report.status().code(), Code::kUnsupported);

  // Of tables it shows where no manifest says whose they are.
  files = lived.files;
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("manifest/"); });
  const std::string name = Below(files, "table/").front();
  std::string& table = files[name];
  const uint64_t at = table.size() - kFooterBytes;
  const std::string store = table.substr(at, kStoreIdBytes);
  // The version stands in front of the checksum and the magic.
  const size_t version_at = table.size() - kTableMagic.size() - 8 - 4;
  ASSERT_EQ(table[version_at], 1);
  table[version_at] = 2;
  const uint64_t sum = PlacedChecksum(std::string_view(table).substr(at, version_at + 4 - at),
                                      TableIdentity(store, std::stoull(name.substr(6), nullptr, 16)), at);
  std::memcpy(table.data() + version_at + 4, &sum, sizeof(sum));
  EXPECT_EQ(RepairFiles(files).report.status().code(), Code::kUnsupported);
}

TEST(Survey, WithoutAManifestMostTablesSayWhoseStoreItIs) {
  const Lived lived = Live();
  const auto other = std::make_shared<MemBackend>();
  {
    const auto db = OpenSim(other, RepairSettings(), 99).value();
    ASSERT_TRUE(db->Put("foreign", "row").ok());
    ASSERT_TRUE(db->Flush().ok());
    ASSERT_TRUE(db->Close().ok());
  }
  Files files = lived.files;
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("manifest/"); });
  const Files theirs = FilesOf(*other);
  const std::string name = Below(theirs, "table/").front();
  for (const char* as : {"table/0000000000000000", "table/00000000000000ff"}) {
    Files mixed = files;
    mixed[as] = theirs.at(name);
    mixed["table/00000000000000fe"] = "far too short";
    const Repaired repaired = RepairFiles(mixed);
    ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
    EXPECT_FALSE(repaired.moments.at("").at("default").contains("foreign"));
    EXPECT_EQ(repaired.moments.at("").at("default").size(), lived.moments.at("").at("default").size());
    EXPECT_GT(repaired.report->tables_lost, 0u);
  }
}

// Zeros at the end of a log look like space that was never written to, and a log that was never synced vouches for
// nothing: only the device says that something was there.
TEST(Survey, ALogThatTheDeviceDoesNotGiveBackIsALossAlsoWhenNothingVouchesForIt) {
  const auto backend = std::make_shared<MemBackend>();
  const auto db = OpenSim(backend, RepairSettings()).value();
  ASSERT_TRUE(db->Put("k", "old").ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->Put("k", "new", Durability::kProcess).ok());
  FaultBackend damaged(BackendOf(FilesOf(*backend)));  // as a kill leaves it
  damaged.Arm({.error = Status::Io("a bad sector"), .forever = true, .only = [](const Call& call) {
                 return call.op == Op::kRead && call.name.starts_with("wal/");
               }});
  const auto report = Repair(damaged, RepairSettings(), SimParts(std::make_shared<MemBackend>()));
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_GT(damaged.fired(), 0u);
  EXPECT_TRUE(Covered(*report, "default", "k")) << Listed(*report);
  EXPECT_NE(Listed(*report).find("wal/"), std::string::npos) << Listed(*report);
  EXPECT_NE(Listed(*report).find("the device does not give these bytes of the log back"), std::string::npos);
}

TEST(Survey, ALogAloneIsAStore) {
  const auto backend = std::make_shared<MemBackend>();
  {
    const auto db = OpenSim(backend, RepairSettings()).value();
    ASSERT_TRUE(db->Put("k", "v").ok());
    ASSERT_TRUE(db->Close().ok());
  }
  Files files = FilesOf(*backend);
  std::erase_if(files, [](const auto& file) { return !file.first.starts_with("wal/"); });
  ASSERT_FALSE(files.empty());
  const Repaired repaired = RepairFiles(files);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(repaired.moments.at("").at("default"), (RowsOf{{"k", "v"}}));
}

RepairLoss LossAt(uint64_t offset, uint64_t length, const std::string& begin, const std::string& end) {
  RepairLoss loss;
  loss.blob = "table/0000000000000007";
  loss.offset = offset;
  loss.length = length;
  loss.reason = "a data block that does not read back";
  loss.family = 1;
  loss.family_name = "f";
  loss.begin = begin;
  loss.end = end;
  return loss;
}

TEST(Losses, NeighboursBecomeOne) {
  kernel::RepairLosses losses;
  losses.Add(LossAt(100, 50, "a", "c"));
  losses.Add(LossAt(150, 50, "b", "d"));
  losses.Add(LossAt(200, 50, "d", ""));
  losses.Add(LossAt(250, 50, "e", "f"));
  losses.Add(LossAt(100, 50, "a", "c"));  // seen again when the data is read for another moment
  const auto all = losses.Take();
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].offset, 100u);
  EXPECT_EQ(all[0].length, 200u);
  EXPECT_EQ(all[0].begin, "a");
  EXPECT_EQ(all[0].end, "") << "to the last key";
  EXPECT_TRUE(losses.Take().empty());
}

TEST(Losses, WhatIsNotOfAPieceStaysApart) {
  const RepairLoss first = LossAt(100, 50, "d", "f");
  std::vector<RepairLoss> others(8, LossAt(150, 50, "e", "g"));
  others[0].blob = "table/0000000000000008";
  others[1].offset = 151;
  others[2].reason = "another reason";
  others[3].family = 2;
  others[4].begin = "g";  // behind a gap
  others[5].begin = "c";  // before it
  others[6].offset = 100;
  others[6].begin = "x";
  others[7].offset = 100;
  others[7].end = "x";
  for (const RepairLoss& other : others) {
    kernel::RepairLosses losses;
    losses.Add(first);
    losses.Add(other);
    EXPECT_EQ(losses.Take().size(), 2u) << other.ToString();
  }
  RepairLoss whole = first;
  whole.length = 0;
  RepairLoss no_keys = first;
  no_keys.keys = false;
  for (const RepairLoss& before : {whole, no_keys}) {
    kernel::RepairLosses losses;
    losses.Add(before);
    losses.Add(LossAt(before.offset + before.length, 50, "e", "g"));
    EXPECT_EQ(losses.Take().size(), 2u) << before.ToString();
  }
}

TEST(Losses, EachSaysWhatItMayAffect) {
  RepairLoss loss = LossAt(5, 6, "it's\x01", "\xff\\");
  EXPECT_EQ(loss.ToString(),
            "table/0000000000000007, offset 5, 6 bytes: a data block that does not read back; may affect keys from "
            "'it\\x27s\\x01' to before '\\xff\\x5c' of family f");
  loss.end.clear();
  loss.length = 0;
  loss.min_sequence = 3;
  loss.begin = std::string(80, 'k');
  EXPECT_EQ(loss.ToString(), "table/0000000000000007: a data block that does not read back; may affect keys from '" +
                                 std::string(64, 'k') + "...' of family f, sequences from 3");
  loss.begin.clear();
  loss.max_sequence = 9;
  EXPECT_EQ(loss.ToString(),
            "table/0000000000000007: a data block that does not read back; may affect any key of family f, sequences "
            "3 to 9");
  loss.end = "z";
  EXPECT_NE(loss.ToString().find("may affect keys from '' to before 'z' of family f"), std::string::npos);
  loss.end.clear();
  loss.any_family = true;
  loss.min_sequence = 0;
  EXPECT_NE(loss.ToString().find("; may affect any key"), std::string::npos);
  EXPECT_EQ(loss.ToString().find("of family"), std::string::npos);
  loss.keys = false;
  EXPECT_EQ(loss.ToString(), "table/0000000000000007: a data block that does not read back");
}

TEST(Losses, CoverTheirRangeOfTheirFamily) {
  RepairLoss loss = LossAt(0, 0, "b", "d");
  EXPECT_FALSE(loss.Covers("f", "a"));
  EXPECT_TRUE(loss.Covers("f", "b"));
  EXPECT_FALSE(loss.Covers("f", "d"));
  EXPECT_FALSE(loss.Covers("g", "b"));
  loss.end.clear();
  EXPECT_TRUE(loss.Covers("f", "zzz"));
  loss.any_family = true;
  EXPECT_TRUE(loss.Covers("g", "b"));
  loss.keys = false;
  EXPECT_FALSE(loss.Covers("f", "b"));
}

}  // namespace
}  // namespace tarn::test
