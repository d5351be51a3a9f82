// The guarantee of tarn/repair.h, held against every kind of single damage to a small store: flipped bytes, zeroed
// sectors, missing and cut files; and against several at once.
//
// TARN_REPAIR_STRIDE=1 flips every byte of the store (default 211: a sample). A failure names file, offset and seed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <set>

#include "base/hash.h"
#include "format/table_layout.h"
#include "kernel/repair_blocks.h"
#include "tests/repair/repair_fixture.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

struct Sample {
  Files files;
  Moments moments;
};

const std::vector<std::string> kFamilies = {"default", "other"};

std::string ValueOf(uint64_t key, uint64_t round) {
  return "value " + std::to_string(round) + " of " + std::to_string(key) + std::string(key % 40, '.');
}

// Several levels, tombstones of both kinds over older versions, two families, a snapshot, and a log that is not
// empty.
Sample MakeStore(uint32_t filter_bits = 10) {
  const auto backend = std::make_shared<MemBackend>();
  Settings settings = RepairSettings();
  settings.filter_bits_per_key = filter_bits;
  const auto db = OpenSim(backend, settings).value();
  const ColumnFamily other = db->CreateFamily("other").value();
  for (uint64_t round = 0; round < 3; ++round) {
    for (uint64_t i = round; i < 1200; i += round + 1) {
      EXPECT_TRUE(db->Put(NumberedKey(i), ValueOf(i, round)).ok());
      WriteBatch batch;
      if (i % 3 == 0) batch.Put(other, NumberedKey(i), ValueOf(i, round + 10));
      EXPECT_TRUE(db->Write(batch).ok());
    }
    for (uint64_t i = 7 * (round + 1); i < 1200; i += 31) EXPECT_TRUE(db->Delete(NumberedKey(i)).ok());
    EXPECT_TRUE(db->DeleteRange(NumberedKey(100 * round + 50), NumberedKey(100 * round + 70)).ok());
    EXPECT_TRUE(db->Flush().ok());
    EXPECT_TRUE(round != 0 || db->CreateNamedSnapshot("first").ok());
    EXPECT_TRUE(round != 1 || db->Compact().ok());
  }
  for (uint64_t i = 5; i < 1200; i += 97) {
    EXPECT_TRUE(db->Put(NumberedKey(i), ValueOf(i, 4), Durability::kPower).ok());
    EXPECT_TRUE(db->Delete(NumberedKey(i + 1), Durability::kPower).ok());
  }
  Sample sample;
  sample.moments = MomentsOf(*db);
  EXPECT_TRUE(db->Close().ok());
  sample.files = FilesOf(*backend);
  return sample;
}

const Sample& Original() {
  static const Sample* const kSample = new Sample(MakeStore());
  return *kSample;
}

size_t KeysOf(const Moments& moments) {
  size_t keys = 0;
  for (const auto& [family, rows] : moments.at("")) keys += rows.size();
  return keys;
}

uint64_t Stride() {
  const char* const text = std::getenv("TARN_REPAIR_STRIDE");
  return text != nullptr ? std::max(1, std::atoi(text)) : 211;
}

TEST(StoreRepair, AWholeStoreComesOutEqualAndNothingIsLost) {
  const Sample& sample = Original();
  const Repaired repaired = RepairFiles(sample.files);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(Listed(*repaired.report), "");
  EXPECT_EQ(repaired.moments, sample.moments);
  EXPECT_EQ(repaired.report->snapshots, std::vector<std::string>{"first"});
  EXPECT_EQ(repaired.report->families, (std::vector<std::string>{"default", "other"}));
  EXPECT_GT(repaired.report->log_records_read, 0u);
  EXPECT_GT(repaired.report->manifest_record, 0u);
  size_t tables = 0;
  for (const auto& [name, bytes] : sample.files) tables += name.starts_with("table/");
  EXPECT_EQ(repaired.report->tables_read, tables);
  EXPECT_GE(tables, 3u) << "the sample is too simple";
}

TEST(StoreRepair, AnyFlippedByte) {
  const Sample& sample = Original();
  const size_t keys = KeysOf(sample.moments);
  size_t place = 0, runs = 0, covered = 0;
  for (const auto& [name, bytes] : sample.files) {
    for (; place < bytes.size(); place += Stride()) {
      Files files = sample.files;
      files[name][place] = static_cast<char>(files[name][place] ^ (1 << place % 8));
      const std::string what = name + " byte " + std::to_string(place);
      const Repaired repaired = RepairFiles(files);
      const size_t inside = ExpectGuarantee(sample.moments, kFamilies, repaired, what);
      if (HasFailure()) return;
      if (name.starts_with("table/")) {
        // Only tombstones reach over a whole table; any other byte costs no more than a block, whatever it was part
        // of.
        const bool tombstones = Listed(*repaired.report).find("range tombstones") != std::string::npos;
        EXPECT_LE(inside, tombstones ? keys : keys / 20) << what << "\n" << Listed(*repaired.report);
        covered += inside;
      }
      if (name.starts_with("manifest/")) {
        EXPECT_EQ(repaired.moments.at(""), sample.moments.at("")) << what;
      }
      ++runs;
      if (HasFailure()) return;
    }
    place -= bytes.size();
  }
  EXPECT_GT(covered, 0u) << "no flip cost anything: the test is blind";
  RecordProperty("runs", static_cast<int>(runs));
}

TEST(StoreRepair, AnyZeroedSector) {
  const Sample& sample = Original();
  for (const auto& [name, bytes] : sample.files) {
    for (size_t at = 0; at < bytes.size(); at += 512) {
      if (Stride() > 1 && at / 512 % 3 != 0 && at + 512 < bytes.size()) continue;
      Files files = sample.files;
      files[name].replace(at, std::min<size_t>(512, bytes.size() - at), std::min<size_t>(512, bytes.size() - at),
                          '\0');
      ExpectGuarantee(sample.moments, kFamilies, RepairFiles(files), name + " sector at " + std::to_string(at));
      if (HasFailure()) return;
    }
  }
}

TEST(StoreRepair, AnyMissingFile) {
  const Sample& sample = Original();
  for (const auto& [name, bytes] : sample.files) {
    Files files = sample.files;
    files.erase(name);
    const Repaired repaired = RepairFiles(files);
    ExpectGuarantee(sample.moments, kFamilies, repaired, "without " + name);
    if (HasFailure()) return;
    if (name.starts_with("manifest/")) {
      EXPECT_EQ(repaired.moments.at(""), sample.moments.at("")) << name;
    } else {
      EXPECT_FALSE(repaired.report->losses.empty()) << name;
    }
  }
}

TEST(StoreRepair, AnyFileCutOff) {
  const Sample& sample = Original();
  for (const auto& [name, bytes] : sample.files) {
    for (const size_t size :
         {size_t{0}, size_t{1}, bytes.size() / 3, bytes.size() / 2, bytes.size() - 30, bytes.size() - 1}) {
      Files files = sample.files;
      files[name].resize(std::min(size, bytes.size()));
      ExpectGuarantee(sample.moments, kFamilies, RepairFiles(files), name + " cut to " + std::to_string(size));
      if (HasFailure()) return;
    }
  }
}

TEST(StoreRepair, SeveralDamagesAtOnce) {
  const Sample& sample = Original();
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    SeededRandom random(seed);
    Files files = sample.files;
    for (uint64_t n = 2 + random.Below(6); n > 0; --n) {
      auto file = std::next(files.begin(), static_cast<ptrdiff_t>(random.Below(files.size())));
      if (file->second.empty()) continue;
      const size_t at = random.Below(file->second.size());
      if (random.OneIn(8)) {
        files.erase(file);
      } else if (random.OneIn(6)) {
        file->second.resize(at);
      } else {
        file->second[at] = static_cast<char>(file->second[at] ^ (1 + random.Below(255)));
      }
    }
    ExpectGuarantee(sample.moments, kFamilies, RepairFiles(files), "seed " + std::to_string(seed));
    if (HasFailure()) return;
  }
}

TEST(StoreRepair, WithoutAnyManifestTablesAndLogSpeakForThemselves) {
  const Sample& sample = Original();
  Files files = sample.files;
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("manifest/"); });
  const Repaired repaired = RepairFiles(files);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(repaired.moments.at(""), sample.moments.at(""));
  EXPECT_EQ(repaired.report->manifest_record, 0u);
  ASSERT_EQ(repaired.report->losses.size(), 1u) << Listed(*repaired.report);
  EXPECT_TRUE(repaired.report->losses[0].Covers("other", "any"));
}

uint64_t IdentityOf(const std::string& name, const std::string& table) {
  const std::string footer = table.substr(table.size() - kFooterBytes);
  return TableIdentity(footer.substr(0, kStoreIdBytes), std::stoull(name.substr(6), nullptr, 16));
}

// All blocks of a whole table, in order.
std::vector<BlockHandle> BlocksOf(const Files& files, const std::string& name) {
  const std::string& bytes = files.at(name);
  kernel::BlockFinder finder(BackendOf(files)->Open(name).value(), IdentityOf(name, bytes));
  const uint64_t end = bytes.size() - kFooterBytes;
  std::vector<BlockHandle> blocks;
  for (uint64_t at = 0; at < end; at += blocks.back().stored_bytes) {
    blocks.push_back(finder.StartingAt(at, end).value().handle);
  }
  return blocks;
}

struct Layout {
  std::vector<BlockHandle> data, leading;  // leading: filter, index and properties
  bool tombstones = false;
  BlockHandle filter;
  uint64_t footer_at = 0;
};

Layout LayoutOf(const Files& files, const std::string& name) {
  const std::string& bytes = files.at(name);
  Layout layout;
  layout.footer_at = bytes.size() - kFooterBytes;
  const std::string_view end = std::string_view(bytes).substr(layout.footer_at);
  const TableFooter footer =
      DecodeFooter(end, layout.footer_at, end.substr(0, kStoreIdBytes), std::stoull(name.substr(6), nullptr, 16))
          .value();
  layout.filter = footer.filter;
  layout.tombstones = footer.ranges.stored_bytes != 0;
  kernel::BlockFinder finder(BackendOf(files)->Open(name).value(), IdentityOf(name, bytes));
  uint64_t entries = 0;
  for (const BlockHandle block : BlocksOf(files, name)) {
    BlockCursor cursor;
    cursor.Reset(finder.At(block));
    if (entries == footer.entries) {
      if (!layout.tombstones || block.offset != footer.ranges.offset) layout.leading.push_back(block);
      continue;
    }
    for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) ++entries;
    layout.data.push_back(block);
  }
  return layout;
}

void Flip(Files* files, const std::string& name, uint64_t place) {
  (*files)[name][place] = static_cast<char>((*files)[name][place] ^ 1);
}

// What only leads to the data can be done without: each block of the index, the filter, the properties, the footer,
// and all of these together.
TEST(StoreRepair, WhatIsNoDataCostsNothing) {
  for (const uint32_t filter_bits : {10u, 0u}) {
    const Sample sample = MakeStore(filter_bits);
    size_t damaged = 0;
    for (const auto& [name, bytes] : sample.files) {
      if (!name.starts_with("table/")) continue;
      const Layout layout = LayoutOf(sample.files, name);
      std::vector<uint64_t> places = {layout.footer_at + 50};
      for (const BlockHandle block : layout.leading) places.push_back(block.offset + block.stored_bytes / 2);
      Files all = sample.files;
      for (const uint64_t place : places) {
        Files files = sample.files;
        Flip(&files, name, place);
        // Tombstones behind a filter that is lost, too, are not found by themselves.
        const bool filter = place - layout.filter.offset < layout.filter.stored_bytes;
        if (!filter || !layout.tombstones) Flip(&all, name, place);
        const Repaired repaired = RepairFiles(files);
        ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
        EXPECT_EQ(Listed(*repaired.report), "") << name << " byte " << place << " filter " << filter_bits;
        EXPECT_TRUE(repaired.moments == sample.moments) << name << " byte " << place << " filter " << filter_bits;
        ++damaged;
      }
      const Repaired repaired = RepairFiles(all);
      ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
      EXPECT_EQ(Listed(*repaired.report), "") << name << " filter " << filter_bits;
      EXPECT_TRUE(repaired.moments == sample.moments) << name << " filter " << filter_bits;
      if (HasFailure()) return;
    }
    EXPECT_GT(damaged, 12u);
  }
}

// Where the index is lost and a block below it, too, the rest behind that block is lost, up to where the index goes
// on.
TEST(StoreRepair, ABlockAndWhatLeadsToIt) {
  const Sample& sample = Original();
  size_t covered = 0;
  for (const auto& [name, bytes] : sample.files) {
    if (!name.starts_with("table/")) continue;
    const Layout layout = LayoutOf(sample.files, name);
    for (const BlockHandle lead : layout.leading) {
      for (size_t i = lead.offset % 11; i < layout.data.size(); i += 11) {
        Files files = sample.files;
        Flip(&files, name, lead.offset + 1);
        Flip(&files, name, layout.data[i].offset + 1);
        covered += ExpectGuarantee(
            sample.moments, kFamilies, RepairFiles(files),
            name + " blocks at " + std::to_string(lead.offset) + " and " + std::to_string(layout.data[i].offset));
        if (HasFailure()) return;
      }
    }
  }
  EXPECT_GT(covered, 0u);
}

// A merge was published and one of its inputs is still on the device, while the other, which held the tombstone, is
// gone. A record that reads back has removed the input: whatever else is lost, it is not used.
TEST(StoreRepair, ATableThatWasMergedAwayDoesNotBringDeletedKeysBack) {
  const auto backend = std::make_shared<MemBackend>();
  const auto db = OpenSim(backend, RepairSettings()).value();
  ASSERT_TRUE(db->Put("deleted", "once").ok());
  ASSERT_TRUE(db->Put("kept", "1").ok());
  ASSERT_TRUE(db->Flush().ok());
  const Files earlier = FilesOf(*backend);
  ASSERT_TRUE(db->Delete("deleted").ok());
  ASSERT_TRUE(db->Compact().ok());
  ASSERT_TRUE(db->CreateNamedSnapshot("a record that will be lost").ok());
  ASSERT_TRUE(db->DropNamedSnapshot("a record that will be lost").ok());
  ASSERT_TRUE(db->Close().ok());
  Files files = FilesOf(*backend);
  size_t back = 0;
  for (const auto& [name, bytes] : earlier) back += name.starts_with("table/") && files.emplace(name, bytes).second;
  ASSERT_EQ(back, 1u);
  for (auto& [name, bytes] : files) {
    if (name.starts_with("manifest/") && bytes.find("will be lost") != std::string::npos) bytes[20] ^= 1;
  }
  const Repaired repaired = RepairFiles(files);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_GT(repaired.report->manifest_records_lost, 0u);
  EXPECT_EQ(repaired.moments.at("").at("default"), (RowsOf{{"kept", "1"}})) << Listed(*repaired.report);
}

// The record of a merge vanished without a trace: what it named is there, and what it replaced is not.
TEST(StoreRepair, TablesOfARecordThatVanishedAreFound) {
  const auto backend = std::make_shared<MemBackend>();
  auto db = OpenSim(backend, RepairSettings()).value();
  for (const char* value : {"old", "new"}) {
    ASSERT_TRUE(db->Put("key", value).ok());
    ASSERT_TRUE(db->Flush().ok());
  }
  const Files before = FilesOf(*backend);
  ASSERT_TRUE(db->Compact().ok());
  ASSERT_TRUE(db->Close().ok());
  db.reset();
  Files files = FilesOf(*backend);
  const size_t all = files.size();
  std::erase_if(files, [&](const auto& f) { return f.first.starts_with("manifest/") && !before.contains(f.first); });
  ASSERT_LT(files.size(), all);
  const Repaired repaired = RepairFiles(files);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(repaired.moments.at("").at("default"), (RowsOf{{"key", "new"}})) << Listed(*repaired.report);
  EXPECT_FALSE(repaired.report->losses.empty());
}

// The last key of one table is the first of another, which is newer.
TEST(StoreRepair, TablesThatTouchAreMerged) {
  const auto backend = std::make_shared<MemBackend>();
  auto db = OpenSim(backend, RepairSettings()).value();
  ASSERT_TRUE(db->Put("a", "1").ok());
  ASSERT_TRUE(db->Put("m", "old").ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->Put("m", "new").ok());
  ASSERT_TRUE(db->Put("z", "2").ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->Close().ok());
  const Repaired repaired = RepairFiles(FilesOf(*backend));
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(repaired.moments.at("").at("default"), (RowsOf{{"a", "1"}, {"m", "new"}, {"z", "2"}}));
}

TEST(StoreRepair, TheLogKnowsOfAManifestRecordThatVanishedAndOfItsFamily) {
  const auto backend = std::make_shared<MemBackend>();
  auto db = OpenSim(backend, RepairSettings()).value();
  ASSERT_TRUE(db->Put("old", "1").ok());
  const size_t before = FilesOf(*backend).size();
  const ColumnFamily late = db->CreateFamily("late").value();
  ASSERT_GT(FilesOf(*backend).size(), before);
  WriteBatch batch;
  batch.Put(late, "key", "value");
  ASSERT_TRUE(db->Write(batch, Durability::kPower).ok());
  ASSERT_TRUE(db->Close().ok());
  db.reset();
  Files files = FilesOf(*backend);
  const auto made = std::find_if(files.begin(), files.end(), [](const auto& file) {
    return file.first.starts_with("manifest/") && file.second.find("late") != std::string::npos;
  });
  ASSERT_NE(made, files.end());
  files.erase(made, files.upper_bound("manifest/~"));  // it and all after it: a shorter manifest, whole by itself
  RepairOptions options;
  Repaired repaired = RepairFiles(files, options);
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  EXPECT_EQ(repaired.moments.at("").at("family-1"), (RowsOf{{"key", "value"}}));
  EXPECT_EQ(repaired.moments.at("").at("default"), (RowsOf{{"old", "1"}}));
  EXPECT_GT(repaired.report->manifest_records_lost, 0u);
  options.family_names[1] = "late";
  repaired = RepairFiles(files, options);
  EXPECT_EQ(repaired.moments.at("").at("late"), (RowsOf{{"key", "value"}}));
}

TEST(StoreRepair, RefusesWhatItMustNotTouch) {
  const auto damaged = BackendOf(Original().files);
  const auto target = std::make_shared<MemBackend>();
  {
    const auto lock = damaged->features().locks->TryLock("lock", "pid 7 (tarn mount)").value();
    const Status busy = Repair(*damaged, RepairSettings(), SimParts(target)).status();
    EXPECT_EQ(busy.code(), Code::kBusy);
    EXPECT_NE(busy.message().find("pid 7 (tarn mount)"), std::string_view::npos) << busy.ToString();
  }
  EXPECT_EQ(Repair(*std::make_shared<MemBackend>(), RepairSettings(), SimParts(target)).status().code(),
            Code::kNotFound);
  EXPECT_TRUE(FilesOf(*target).empty());
  ASSERT_TRUE(target->PutIfAbsent("table/0000000000000001", "left over").ok());
  const Status full = Repair(*damaged, RepairSettings(), SimParts(target)).status();
  EXPECT_EQ(full.code(), Code::kInvalid);
  EXPECT_NE(full.message().find("table/0000000000000001"), std::string_view::npos) << full.ToString();
  EXPECT_EQ(FilesOf(*target).size(), 1u);
}

TEST(StoreRepair, EndsWhenTheCallerWantsItToAndWhenTheTargetIsFull) {
  const auto damaged = BackendOf(Original().files);
  RepairOptions options;
  options.settle = [](DB&, std::string_view snapshot) {
    return snapshot == "first" ? Status::Unavailable("enough") : Status();
  };
  const Status stopped =
      Repair(*damaged, RepairSettings(), SimParts(std::make_shared<MemBackend>()), options).status();
  EXPECT_EQ(stopped.message(), "enough");
  const auto small = std::make_shared<MemBackend>();
  small->SetCapacity(20'000);
  EXPECT_EQ(Repair(*damaged, RepairSettings(), SimParts(small)).status().code(), Code::kNoSpace);
  EXPECT_EQ(FilesOf(*damaged), Original().files);
}

// A sector that the device refuses costs what is in it, and nothing else.
TEST(StoreRepair, BytesThatTheDeviceDoesNotGiveBackAreLostLikeDamagedOnes) {
  FaultBackend damaged(BackendOf(Original().files));
  damaged.Arm({.error = Status::Io("a bad sector"), .forever = true, .only = [](const Call& call) {
                 return call.op == Op::kRead && call.name.starts_with("table/") && call.offset < 8192 &&
                        call.offset + call.bytes > 4096;
               }});
  const auto target = std::make_shared<MemBackend>();
  Repaired repaired;
  repaired.report = Repair(damaged, RepairSettings(), SimParts(target));
  ASSERT_TRUE(repaired.report.ok()) << repaired.report.status().ToString();
  repaired.moments = MomentsOf(*OpenSim(target, RepairSettings()).value());
  const size_t inside = ExpectGuarantee(Original().moments, kFamilies, repaired, "a bad sector in each table");
  EXPECT_GT(inside, 0u);
  EXPECT_LT(inside, KeysOf(Original().moments) * 3 / 4) << Listed(*repaired.report);
}

// Bytes that no Tarn wrote, behind checksums that are right: whatever comes out, repair ends and breaks nothing.
TEST(StoreRepair, HostileBytesBehindRightChecksums) {
  size_t saved = 0;
  for (uint64_t seed = 1; seed <= 400; ++seed) {
    SeededRandom random(seed);
    Files files = Original().files;
    auto file = files.lower_bound("table/");
    std::advance(file, static_cast<ptrdiff_t>(random.Below(3)));
    ASSERT_TRUE(file->first.starts_with("table/"));
    std::string& bytes = file->second;
    const uint64_t identity = IdentityOf(file->first, bytes);
    const std::vector<BlockHandle> blocks = BlocksOf(files, file->first);
    // The index, the tombstones and the properties are at the end; they are the more interesting.
    const size_t behind = random.OneIn(2) ? random.Below(12) : random.Below(blocks.size());
    const BlockHandle block = blocks[blocks.size() - 1 - std::min(behind, blocks.size() - 1)];
    for (uint64_t n = 1 + random.Below(3); n > 0; --n) {
      bytes[block.offset + random.Below(block.stored_bytes - 8)] = static_cast<char>(random.Below(256));
    }
    const std::string_view summed = std::string_view(bytes).substr(block.offset, block.stored_bytes - 8);
    const uint64_t sum = PlacedChecksum(summed, identity, block.offset);
    std::memcpy(bytes.data() + block.offset + summed.size(), &sum, sizeof(sum));
    if (random.OneIn(4)) std::erase_if(files, [](const auto& f) { return f.first.starts_with("manifest/"); });
    const auto damaged = BackendOf(files);
    const auto target = std::make_shared<MemBackend>();
    const auto report = Repair(*damaged, RepairSettings(), SimParts(target));
    saved += report.ok();
    EXPECT_TRUE(report.ok() || report.status().code() == Code::kInvalid) << seed << report.status().ToString();
  }
  EXPECT_GT(saved, 350u);
}

}  // namespace
}  // namespace tarn::test
