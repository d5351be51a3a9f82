// Tables as their readers see them: scans, seeks and probes against the entries they were built from, what the
// builder reports, how a probe asks for blocks, and what a scan prefetches.
#include "format/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "format/table_builder.h"
#include "tests/format/table_support.h"

namespace tarn::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

void ExpectSame(const Table& table, const Entries& entries) {
  BlobSource source;
  const Pairs expected(entries.begin(), entries.end());
  const auto forward = ScanForward(table, source);
  ASSERT_TRUE(forward.ok()) << forward.status().ToString();
  EXPECT_TRUE(forward.value() == expected);
  auto backward = ScanBackward(table, source);
  ASSERT_TRUE(backward.ok()) << backward.status().ToString();
  EXPECT_TRUE(Pairs(backward.value().rbegin(), backward.value().rend()) == expected);
  TableProbe probe;
  for (const auto& [key, value] : entries) {
    const std::string user_key(UserKeyOf(key));
    for (const Sequence snapshot : {SequenceOf(key), SequenceOf(key) - 1, SequenceOf(key) + 1, kMaxSequence}) {
      Drive(&probe, table, source, user_key, snapshot);
      ASSERT_EQ(Answer(probe), ExpectedAnswer(entries, user_key, snapshot));
    }
    for (const std::string& other : {user_key + '\0', user_key + "\xff", user_key.substr(0, user_key.size() / 2)}) {
      Drive(&probe, table, source, other, 20);
      ASSERT_EQ(Answer(probe), ExpectedAnswer(entries, other, 20));
    }
  }
}

TEST(Table, ReadsBackUnderEveryOption) {
  for (const Compression compression : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    for (const uint32_t block_bytes : {64, 512, 4096, 1 << 20}) {
      for (const uint32_t filter_bits : {0, 10}) {
        SCOPED_TRACE(testing::Message() << int(compression) << " " << block_bytes << " " << filter_bits);
        const Entries entries = Mixed(block_bytes + filter_bits, 1500);
        const Built built = Build(entries, {{"k", "kz", 77}}, {block_bytes, compression, filter_bits});
        ExpectSame(*built.table, entries);
        BlobSource source;
        const Status verified = built.table->Verify(source);
        EXPECT_TRUE(verified.ok()) << verified.ToString();
        EXPECT_EQ(built.table->entries(), entries.size());
        EXPECT_EQ(built.table->filter().stored_bytes == 0, filter_bits == 0);
      }
    }
  }
}

TEST(Table, OptionsHaveTheirEffect) {
  const Entries entries = Numbered(5000, 100);
  const auto bytes = [&](TableOptions options) { return Build(entries, {}, options).meta.file_bytes; };
  EXPECT_LT(bytes({4096, Compression::kLz4, 10}), bytes({4096, Compression::kNone, 10}) / 2);
  EXPECT_LT(bytes({4096, Compression::kZstd, 10}), bytes({4096, Compression::kLz4, 10}));
  EXPECT_NEAR(static_cast<double>(bytes({4096, Compression::kNone, 20})) -
                  static_cast<double>(bytes({4096, Compression::kNone, 10})),
              5000 * 10 / 8.0, 200);
  const Built small = Build(entries, {}, {512, Compression::kNone, 0});
  const Built large = Build(entries, {}, {32768, Compression::kNone, 0});
  BlobSource few, many;
  ASSERT_TRUE(ScanForward(*small.table, many).ok());
  ASSERT_TRUE(ScanForward(*large.table, few).ok());
  EXPECT_GT(many.loads.size(), 20 * few.loads.size());
}

TEST(Table, SeekAgreesWithASortedMapOnEveryTarget) {
  const Entries entries = Mixed(9, 800);
  const Built built = Build(entries, {}, {200, Compression::kNone, 10});
  BlobSource source(true);
  const auto cursor = built.table->NewCursor(source);
  std::mt19937 rng(1);
  auto it = entries.end();
  for (int step = 0; step < 40000; ++step) {
    const uint32_t move = it == entries.end() ? rng() % 3 : rng() % 16;
    if (move == 0) {
      cursor->SeekToFirst();
      it = entries.begin();
    } else if (move == 1) {
      cursor->SeekToLast();
      it = std::prev(entries.end());
    } else if (move == 2) {
      auto near = std::next(entries.begin(), static_cast<int64_t>(rng() % entries.size()));
      std::string user_key(UserKeyOf(near->first));
      if (rng() % 2 == 0) user_key += "\xff";
      const std::string target = SeekKey(user_key, rng() % 45);
      cursor->Seek(target);
      it = entries.lower_bound(target);
    } else if (move < 10) {
      cursor->Next();
      ++it;
    } else {
      cursor->Prev();
      it = it == entries.begin() ? entries.end() : std::prev(it);
    }
    ASSERT_TRUE(cursor->status().ok()) << cursor->status().ToString();
    ASSERT_EQ(cursor->valid(), it != entries.end());
    if (!cursor->valid()) continue;
    ASSERT_EQ(cursor->key(), it->first);
    ASSERT_EQ(cursor->value(), it->second);
  }
}

// The neighbours of a block boundary are where a seek could land in the wrong block.
TEST(Table, VersionsOfOneKeySpanBlocksAndPartitions) {
  Entries entries;
  for (Sequence s = 1; s <= 900; ++s) Put(&entries, "hot", s * 2, "value of " + std::to_string(s));
  Put(&entries, "ho", 5, "before");
  Put(&entries, "hot0", 5, "after");
  const Built built = Build(entries, {}, {128, Compression::kNone, 10});
  BlobSource source(true);
  TableProbe probe;
  for (Sequence snapshot = 0; snapshot <= 1801; ++snapshot) {
    Drive(&probe, *built.table, source, "hot", snapshot);
    ASSERT_EQ(Answer(probe), ExpectedAnswer(entries, "hot", snapshot));
  }
  ExpectSame(*built.table, entries);
}

TEST(Table, MetaSaysWhatWasWritten) {
  Entries entries;
  Put(&entries, "c", 9, "12345");
  Delete(&entries, "c", 4);
  Put(&entries, "m", 6, "");
  const Built built = Build(entries, {{"d", "e", 2}, {"e", "f", 11}, {"x", "x", 50}, {"z", "y", 60}});
  const auto expect = [](const TableMeta& meta) {
    EXPECT_EQ(meta.number, 7u);
    EXPECT_EQ(meta.smallest, "c");
    EXPECT_EQ(meta.largest, "m");
    EXPECT_FALSE(meta.largest_exclusive);
    EXPECT_EQ(meta.min_sequence, 2u);
    EXPECT_EQ(meta.max_sequence, 11u);
    EXPECT_EQ(meta.entries, 3u);
    EXPECT_EQ(meta.deletions, 1u);
    EXPECT_EQ(meta.range_deletions, 2u);  // the empty ranges delete nothing and are not written
    EXPECT_EQ(meta.raw_bytes, 3 * 9 + 5u);
  };
  expect(built.meta);
  BlobSource source;
  const auto stored = built.table->ReadProperties(source);
  ASSERT_TRUE(stored.ok());
  expect(stored.value());
  EXPECT_EQ(stored.value().file_bytes, built.meta.file_bytes);
  EXPECT_EQ(built.backend->Contents(TableBlobName(7)).value().size(), built.meta.file_bytes);
}

TEST(Table, RangeTombstonesWidenTheKeyRange) {
  const Entries entries = Numbered(3);
  const auto range = [&](const std::string& begin, const std::string& end) {
    const TableMeta meta = Build(entries, {{begin, end, 3}}).meta;
    return meta.smallest + ".." + meta.largest + (meta.largest_exclusive ? ")" : "]");
  };
  EXPECT_EQ(range("a", "b"), "a.." + Key(2) + "]");
  EXPECT_EQ(range("a", "z"), "a..z)");
  EXPECT_EQ(range(Key(1), Key(2)), Key(0) + ".." + Key(2) + "]");  // the end is a key of the table
  EXPECT_EQ(range(Key(1), Key(2) + "0"), Key(0) + ".." + Key(2) + "0)");
}

TEST(Table, RangeTombstonesAreThereAfterOpen) {
  std::vector<RangeTombstone> tombstones;
  for (int i = 0; i < 300; ++i) tombstones.push_back({Key(i), Key(i + 10), static_cast<Sequence>(1 + i * 7 % 300)});
  tombstones.push_back({Key(5), Key(200), 1});
  tombstones.push_back({Key(0), Key(3), 1});  // the same begin and sequence as the first, but shorter
  for (const Entries& entries : {Entries(), Numbered(50)}) {
    const Built built = Build(entries, tombstones);
    const RangeTombstones expected(tombstones);
    for (int i = -1; i < 320; ++i) {
      for (const Sequence snapshot : {0, 1, 150, 299, 1000}) {
        ASSERT_EQ(built.table->range_tombstones().NewestCover(Key(i), snapshot),
                  expected.NewestCover(Key(i), snapshot));
      }
    }
    EXPECT_EQ(built.meta.range_deletions, 301u);
    BlobSource source;
    EXPECT_TRUE(built.table->Verify(source).ok());
  }
}

TEST(Table, OfTombstonesAlone) {
  const Built built = Build({}, {{"b", "d", 4}});
  EXPECT_EQ(built.meta.smallest, "b");
  EXPECT_EQ(built.meta.largest, "d");
  EXPECT_TRUE(built.meta.largest_exclusive);
  EXPECT_EQ(built.meta.min_sequence, 4u);
  BlobSource source;
  TableProbe probe;
  Drive(&probe, *built.table, source, "c", 9);
  EXPECT_EQ(Answer(probe), "absent");
  EXPECT_TRUE(ScanForward(*built.table, source).value().empty());
  EXPECT_TRUE(ScanBackward(*built.table, source).value().empty());
  EXPECT_TRUE(source.loads.empty());
}

TEST(Table, HugeKeysAndValues) {
  Entries entries;
  for (const char c : {'a', 'b', 'c', 'd'}) {
    Put(&entries, std::string(64 << 10, c), 5, std::string(5 << 20, c));
    Put(&entries, std::string(64 << 10, c) + "x", 5, "small");
  }
  Put(&entries, "b", 5, std::string(100 << 20, '\0'));
  for (const Compression compression : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    const Built built = Build(entries, {}, {4096, compression, 10});
    BlobSource source;
    TableProbe probe;
    for (const auto& [key, value] : entries) {
      Drive(&probe, *built.table, source, UserKeyOf(key), 9);
      ASSERT_TRUE(probe.present());
      ASSERT_TRUE(probe.value() == value);
    }
    const Status verified = built.table->Verify(source);
    EXPECT_TRUE(verified.ok()) << verified.ToString();
  }
}

TEST(Table, AValueOfOneGibibyte) {
  MemBackend backend;
  auto builder = TableBuilder::Create(backend, kStoreId, 1, {});
  ASSERT_TRUE(builder.ok());
  {
    const std::string value(1 << 30, 'g');
    ASSERT_TRUE(builder.value()->Add(MakeInternalKey(std::string(64 << 10, 'k'), 5, Kind::kPut), value).ok());
  }
  ASSERT_TRUE(builder.value()->Add(MakeInternalKey("l", 5, Kind::kPut), "beside it").ok());
  const auto meta = builder.value()->Finish();
  ASSERT_TRUE(meta.ok()) << meta.status().ToString();
  auto table = Table::Open(backend, kStoreId, 1, meta.value().file_bytes);
  ASSERT_TRUE(table.ok());
  BlobSource source;
  TableProbe probe;
  Drive(&probe, *table.value(), source, std::string(64 << 10, 'k'), 9);
  ASSERT_TRUE(probe.present()) << Answer(probe);
  EXPECT_EQ(probe.value().size(), size_t{1} << 30);
  EXPECT_EQ(probe.value().find_first_not_of('g'), std::string_view::npos);
  Drive(&probe, *table.value(), source, "l", 9);
  EXPECT_EQ(Answer(probe), "put@5=beside it");
}

TEST(TableProbe, StopsForEachBlockItWants) {
  const Entries entries = Numbered(2000);
  const Built built = Build(entries, {}, {256, Compression::kNone, 10});
  BlobSource source;
  TableProbe probe;
  probe.Start(built.table.get(), Key(777), kMaxSequence);
  std::vector<uint64_t> wanted;
  while (probe.Run(source) == TableProbe::Step::kNeedBlock) {
    EXPECT_EQ(probe.Run(source), TableProbe::Step::kNeedBlock) << "asking again changes nothing";
    wanted.push_back(probe.wanted().offset);
    probe.Supply(source.Load(*built.table, probe.wanted()));
  }
  ASSERT_EQ(wanted.size(), 4u);
  EXPECT_EQ(wanted[0], built.table->filter().offset);
  EXPECT_EQ(wanted[1], built.table->index().offset);
  EXPECT_GT(wanted[2], wanted[0]);  // a partition: behind the filter
  EXPECT_LT(wanted[3], wanted[0]);  // a data block
  EXPECT_EQ(Answer(probe), ExpectedAnswer(entries, Key(777), kMaxSequence));
  EXPECT_FALSE(probe.filtered());
  const BlockRef held = probe.value_block();
  const std::string_view value = probe.value();
  probe.Start(built.table.get(), "no such key", kMaxSequence);
  EXPECT_EQ(value, entries.at(MakeInternalKey(Key(777), 5, Kind::kPut))) << "lives with its block";
}

TEST(TableProbe, TheFilterSparesTheDataBlocks) {
  const Built built = Build(Numbered(2000), {}, {256, Compression::kNone, 10});
  BlobSource source(true);
  TableProbe probe;
  int filtered = 0;
  for (int i = 0; i < 2000; ++i) {
    Drive(&probe, *built.table, source, Key(i) + "?", kMaxSequence);
    EXPECT_EQ(Answer(probe), "absent");
    filtered += probe.filtered() ? 1 : 0;
  }
  EXPECT_GE(filtered, 1950);
  Drive(&probe, *built.table, source, Key(1), kMaxSequence);
  EXPECT_FALSE(probe.filtered());
}

TEST(TableProbe, AnUnavailableBlockEndsItWithThatError) {
  const Built built = Build(Numbered(2000), {}, {256, Compression::kNone, 10});
  for (int good_blocks = 0; good_blocks < 4; ++good_blocks) {
    BlobSource source;
    TableProbe probe;
    probe.Start(built.table.get(), Key(5), kMaxSequence);
    for (int i = 0; probe.Run(source) == TableProbe::Step::kNeedBlock; ++i) {
      if (i == good_blocks) source.fail_loads = Status::Unavailable("the network is away");
      probe.Supply(source.Load(*built.table, probe.wanted()));
    }
    EXPECT_EQ(probe.status().code(), Code::kUnavailable);
    EXPECT_FALSE(probe.present());
    source.fail_loads = Status();
    Drive(&probe, *built.table, source, Key(5), kMaxSequence);
    EXPECT_TRUE(probe.present()) << "reusable after an error";
  }
}

TEST(TableCursor, HintsGrowAlongAForwardScan) {
  const Built built = Build(Numbered(20000), {}, {4096, Compression::kNone, 1});
  BlobSource source;
  const auto cursor = built.table->NewCursor(source);
  cursor->SeekToFirst();
  EXPECT_TRUE(source.hints.empty()) << "one block is no scan";
  for (; cursor->valid(); cursor->Next()) {
  }
  ASSERT_TRUE(cursor->status().ok());
  std::vector<uint64_t> data_blocks, hinted;
  for (const uint64_t offset : source.loads) {
    if (offset < built.table->filter().offset) data_blocks.push_back(offset);  // what stands before the filter
  }
  std::vector<size_t> sizes;
  for (const auto& hint : source.hints) {
    sizes.push_back(hint.size());
    hinted.insert(hinted.end(), hint.begin(), hint.end());
  }
  ASSERT_GE(sizes.size(), 6u);
  EXPECT_THAT(std::vector<size_t>(sizes.begin(), sizes.begin() + 6), ElementsAre(2, 4, 8, 16, 16, 16));
  for (const size_t size : sizes) EXPECT_LE(size, 16u);
  EXPECT_TRUE(std::is_sorted(hinted.begin(), hinted.end()));
  EXPECT_EQ(std::adjacent_find(hinted.begin(), hinted.end()), hinted.end()) << "nothing is hinted twice";
  EXPECT_THAT(hinted, testing::Each(testing::AnyOfArray(data_blocks)));
  EXPECT_GT(hinted.size(), data_blocks.size() * 9 / 10);
}

TEST(TableCursor, NoHintsForSeeksAndBackwardScans) {
  const Built built = Build(Numbered(5000), {}, {512, Compression::kNone, 0});
  BlobSource source;
  const auto cursor = built.table->NewCursor(source);
  for (int i = 0; i < 5000; i += 97) cursor->Seek(SeekKey(Key(i), kMaxSequence));
  for (cursor->SeekToLast(); cursor->valid(); cursor->Prev()) {
  }
  EXPECT_TRUE(source.hints.empty());
}

TEST(TableCursor, ErrorsEndItAndASeekStartsOver) {
  const Built built = Build(Numbered(2000), {}, {256, Compression::kNone, 10});
  BlobSource source;
  const auto cursor = built.table->NewCursor(source);
  cursor->SeekToFirst();
  source.fail_loads = Status::Unavailable("the network is away");
  while (cursor->valid()) cursor->Next();
  EXPECT_EQ(cursor->status().code(), Code::kUnavailable);
  cursor->Seek(SeekKey(Key(1500), kMaxSequence));
  EXPECT_FALSE(cursor->valid());
  EXPECT_EQ(cursor->status().code(), Code::kUnavailable);
  source.fail_loads = Status();
  cursor->Seek(SeekKey(Key(1500), kMaxSequence));
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(UserKeyOf(cursor->key()), Key(1500));
  EXPECT_TRUE(cursor->status().ok());
}

TEST(TableOpen, RefusesATableThatIsNotTheOneAskedFor) {
  const Built built = Build(Numbered(10));
  const uint64_t bytes = built.meta.file_bytes;
  const std::string contents = built.backend->Contents(TableBlobName(7)).value();
  ASSERT_TRUE(built.backend->PutIfAbsent(TableBlobName(8), contents).ok());
  const auto error = [&](std::string_view store, uint64_t number, uint64_t expected) {
    const auto table = Table::Open(*built.backend, store, number, expected);
    return table.ok() ? "opened" : table.status().ToString();
  };
  EXPECT_EQ(error(kStoreId, 7, bytes), "opened");
  EXPECT_THAT(error(kStoreId, 8, bytes), HasSubstr("corruption: table/0000000000000008: footer at offset"));
  EXPECT_THAT(error(kStoreId, 8, bytes), HasSubstr("it is table 7"));
  EXPECT_THAT(error("fedcba9876543210", 7, bytes), HasSubstr("of another store"));
  EXPECT_THAT(error(kStoreId, 7, bytes + 1), HasSubstr("corruption: table/0000000000000007: ends at offset"));
  EXPECT_THAT(error(kStoreId, 9, bytes), HasSubstr("the table is missing"));
}

TEST(TableBuilder, RefusesEntriesThatDoNotBelong) {
  const auto second = [](std::string_view key) {
    MemBackend backend;
    auto builder = TableBuilder::Create(backend, kStoreId, 1, {});
    EXPECT_TRUE(builder.value()->Add(MakeInternalKey("m", 5, Kind::kPut), "").ok());
    const Status status = builder.value()->Add(key, "");
    if (!status.ok()) {
      EXPECT_EQ(builder.value()->Add(MakeInternalKey("z", 5, Kind::kPut), "").code(), status.code());
      EXPECT_FALSE(builder.value()->Finish().ok());
      EXPECT_FALSE(backend.Open(TableBlobName(1)).ok());
    }
    return status.code();
  };
  EXPECT_EQ(second(MakeInternalKey("m", 4, Kind::kPut)), Code::kOk);
  EXPECT_EQ(second(MakeInternalKey("m", 5, Kind::kPut)), Code::kCorruption);
  EXPECT_EQ(second(MakeInternalKey("m", 6, Kind::kPut)), Code::kCorruption);
  EXPECT_EQ(second(MakeInternalKey("a", 4, Kind::kPut)), Code::kCorruption);
  EXPECT_EQ(second(MakeInternalKey("z", 4, Kind::kRangeDelete)), Code::kCorruption);
  EXPECT_EQ(second("short"), Code::kCorruption);
  MemBackend backend;
  EXPECT_EQ(TableBuilder::Create(backend, "too short", 1, {}).status().code(), Code::kInvalid);
}

// The second table is the first one's entries, each with what it says of its block; it is, byte for byte, the table
// that packed them anew would make.
TEST(TableBuilder, TakesOverABlockThatIsOneLargeValue) {
  Entries entries;
  uint64_t large = 0;
  for (int i = 0; i < 300; ++i) {
    // Some small ones are alone in their block too, between large ones.
    const size_t bytes = i % 3 == 0 ? 5000 : i % 7 == 0 ? 4096 : 1000;
    large += bytes >= 4096 ? 1 : 0;
    std::string value(bytes, static_cast<char>('a' + i % 26));
    if (i % 2 == 0) std::iota(value.begin(), value.begin() + 1000, static_cast<char>(i));
    Put(&entries, Key(i), 5, std::move(value));
  }
  for (const Compression first : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
    for (const Compression second : {Compression::kNone, Compression::kLz4, Compression::kZstd}) {
      const Built from = Build(entries, {}, {.compression = first});
      BlobSource source;
      const auto cursor = from.table->NewCursor(source);
      MemBackend disk;
      auto builder = TableBuilder::Create(disk, kStoreId, 7, {.compression = second}).value();
      for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) {
        ASSERT_TRUE(builder->Add(cursor->key(), cursor->value(), cursor->stored()).ok());
      }
      ASSERT_TRUE(cursor->status().ok());
      EXPECT_EQ(builder->blocks_taken_over(), first == second ? large : 0u);
      ASSERT_TRUE(builder->Finish().ok());
      const Built anew = Build(entries, {}, {.compression = second});
      EXPECT_TRUE(disk.Contents(TableBlobName(7)).value() == anew.backend->Contents(TableBlobName(7)).value());
    }
  }
}

TEST(TableBuilder, WithoutFinishTheTableNeverExisted) {
  MemBackend backend;
  {
    auto builder = TableBuilder::Create(backend, kStoreId, 1, {});
    EXPECT_TRUE(builder.value()->empty());
    for (const auto& [key, value] : Numbered(5000, 500)) ASSERT_TRUE(builder.value()->Add(key, value).ok());
    EXPECT_FALSE(builder.value()->empty());
    EXPECT_EQ(backend.Open(TableBlobName(1)).status().code(), Code::kNotFound);
  }
  EXPECT_EQ(backend.Open(TableBlobName(1)).status().code(), Code::kNotFound);
  EXPECT_EQ(backend.used_bytes(), 0u);
}

TEST(TableBuilder, AFullDeviceIsNoSpaceAndPublishesNothing) {
  MemBackend backend;
  backend.SetCapacity(300000);
  const auto meta = BuildTable(backend, 1, Numbered(5000, 500), {}, {4096, Compression::kNone, 10});
  ASSERT_FALSE(meta.ok());
  EXPECT_EQ(meta.status().code(), Code::kNoSpace);
  EXPECT_EQ(backend.Open(TableBlobName(1)).status().code(), Code::kNotFound);
}

TEST(TableBuilder, SizeEstimateFollowsTheFile) {
  MemBackend backend;
  auto builder = TableBuilder::Create(backend, kStoreId, 1, {4096, Compression::kNone, 10});
  EXPECT_EQ(builder.value()->size_estimate(), 0u);
  uint64_t before = 0;
  for (const auto& [key, value] : Numbered(5000, 100)) {
    ASSERT_TRUE(builder.value()->Add(key, value).ok());
    EXPECT_GT(builder.value()->size_estimate(), before);
    before = builder.value()->size_estimate();
  }
  const TableMeta meta = builder.value()->Finish().value();
  EXPECT_LT(before, meta.file_bytes);
  EXPECT_GT(before, meta.file_bytes - meta.file_bytes / 20);
}

}  // namespace
}  // namespace tarn::test
