// MergeJob against a model: random histories with snapshots and range tombstones go in through several inputs,
// and every reader must find in the output tables what it found in the inputs. A reader looks, as the kernel
// does, at the one table of the run whose range holds the key, and at no other.

#include "compaction/job.h"

#include <algorithm>
#include <functional>
#include <map>
#include <random>

#include "gtest/gtest.h"
#include "tests/support/mem_backend.h"

namespace tarn {
namespace {

constexpr char kStoreId[] = "0123456789abcdef";

struct Entry {
  std::string key;  // user key
  Sequence sequence = 0;
  Kind kind = Kind::kPut;
  std::string value;
  friend bool operator==(const Entry&, const Entry&) = default;
};
using Tombstones = std::vector<RangeTombstone>;

class ListCursor final : public Cursor {
 public:
  using Row = std::pair<std::string, std::string>;
  explicit ListCursor(std::vector<Row> rows, size_t fail_at = SIZE_MAX) : rows_(std::move(rows)), fail_at_(fail_at) {}
  void SeekToFirst() override { Show(0); }
  void SeekToLast() override { Show(rows_.size() - 1); }
  void Seek(std::string_view) override { SetError(Status::Unsupported("a merge only goes forward")); }
  void Next() override { Show(at_ + 1); }
  void Prev() override { SetError(Status::Unsupported("a merge only goes forward")); }

 private:
  void Show(size_t at) {
    at_ = at;
    if (at == fail_at_) {
      SetError(Status::Io("table/7: read failed; check the device"));
    } else if (at < rows_.size()) {
      SetEntry(rows_[at].first, rows_[at].second);
    } else {
      SetEnd();
    }
  }
  std::vector<Row> rows_;
  size_t fail_at_, at_ = 0;
};

std::unique_ptr<Cursor> Input(std::vector<Entry> entries, size_t fail_at = SIZE_MAX) {
  std::vector<ListCursor::Row> rows;
  for (const Entry& e : entries) rows.emplace_back(MakeInternalKey(e.key, e.sequence, e.kind), e.value);
  std::sort(rows.begin(), rows.end(), [](auto& a, auto& b) { return CompareInternalKeys(a.first, b.first) < 0; });
  return std::make_unique<ListCursor>(std::move(rows), fail_at);
}

class PlainSource final : public BlockSource {
 public:
  BlockRef Lookup(const Table&, BlockHandle) override { return nullptr; }
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override {
    std::string stored(handle.stored_bytes, '\0');
    TARN_TRY(table.blob().Read(handle.offset, stored));
    return table.DecodeBlock(handle, stored);
  }
  void Prefetch(const Table&, std::span<const BlockHandle>) override {}
};

struct Output {
  TableMeta meta;
  std::vector<Entry> entries;
  RangeTombstones tombstones;
  bool Holds(const std::string& key) const {
    return meta.smallest <= key && (meta.largest_exclusive ? key < meta.largest : key <= meta.largest);
  }
};

class MergeJobTest : public testing::Test {
 protected:
  MergeSpec Spec() {
    MergeSpec spec;
    spec.store_id = std::string(kStoreId, 16);
    spec.table.block_bytes = 512;
    spec.new_table_number = [this] { return next_table_++; };
    return spec;
  }

  Status Run(MergeSpec spec, uint64_t quantum = 1000) {
    MergeJob job(backend_, std::move(spec));
    uint64_t before = 0;
    while (job.Step(quantum)) {
      EXPECT_GT(job.bytes_read(), before);
      before = job.bytes_read();
    }
    EXPECT_FALSE(job.Step(quantum));
    dropped_ = job.entries_dropped();
    outputs_.clear();
    for (const TableMeta& meta : job.outputs()) outputs_.push_back(Open(meta));
    return job.status();
  }

  Output Open(const TableMeta& meta) {
    Output out{meta, {}, {}};
    auto opened = Table::Open(backend_, std::string(kStoreId, 16), meta.number, meta.file_bytes);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    if (!opened.ok()) return out;
    const Table& table = **opened;
    PlainSource source;
    const Status verified = table.Verify(source);
    EXPECT_TRUE(verified.ok()) << verified.ToString();
    out.tombstones = table.range_tombstones();
    auto cursor = table.NewCursor(source);
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) {
      const std::string_view key = cursor->key();
      out.entries.push_back(
          {std::string(UserKeyOf(key)), SequenceOf(key), KindOf(key), std::string(cursor->value())});
    }
    EXPECT_TRUE(cursor->status().ok());
    return out;
  }

  // The tables are a run: disjoint, ascending, and each inside its own range.
  void ExpectRun() const {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      const Output& out = outputs_[i];
      for (const Entry& entry : out.entries) EXPECT_TRUE(out.Holds(entry.key)) << entry.key;
      for (const auto& fragment : out.tombstones.fragments()) {
        EXPECT_LE(out.meta.smallest, fragment.begin);
        EXPECT_LE(fragment.end, out.meta.largest_exclusive ? out.meta.largest : out.meta.largest + '\0');
      }
      if (i == 0) continue;
      const TableMeta& left = outputs_[i - 1].meta;
      EXPECT_TRUE(left.largest_exclusive ? left.largest <= out.meta.smallest : left.largest < out.meta.smallest)
          << left.largest << " " << out.meta.smallest;
    }
  }

  std::vector<Entry> Everything() const {
    std::vector<Entry> all;
    for (const Output& out : outputs_) all.insert(all.end(), out.entries.begin(), out.entries.end());
    return all;
  }

  test::MemBackend backend_;
  uint64_t next_table_ = 1;
  uint64_t dropped_ = 0;
  std::vector<Output> outputs_;
};

TEST_F(MergeJobTest, NothingInNothingOut) {
  EXPECT_TRUE(Run(Spec()).ok());
  EXPECT_TRUE(outputs_.empty());
  EXPECT_EQ(next_table_, 1u);
}

TEST_F(MergeJobTest, InputsAreMerged) {
  MergeSpec spec = Spec();
  spec.inputs.push_back(Input({{"a", 5, Kind::kPut, "new"}, {"c", 6, Kind::kDelete, ""}}));
  spec.inputs.push_back(Input({{"a", 1, Kind::kPut, "old"}, {"b", 2, Kind::kPut, "b"}}));
  ASSERT_TRUE(Run(std::move(spec)).ok());
  EXPECT_EQ(Everything(), std::vector<Entry>(
                              {{"a", 5, Kind::kPut, "new"}, {"b", 2, Kind::kPut, "b"}, {"c", 6, Kind::kDelete, ""}}));
  EXPECT_EQ(dropped_, 1u);
  ASSERT_EQ(outputs_.size(), 1u);
  EXPECT_EQ(outputs_[0].meta.deletions, 1u);
}

TEST_F(MergeJobTest, WhenAllIsDroppedThereIsNoOutput) {
  MergeSpec spec = Spec();
  spec.bottom = true;
  spec.tombstones = {{"a", "z", 9}};
  spec.inputs.push_back(Input({{"a", 5, Kind::kPut, "x"}, {"zz", 6, Kind::kDelete, ""}}));
  ASSERT_TRUE(Run(std::move(spec)).ok());
  EXPECT_TRUE(outputs_.empty());
  EXPECT_EQ(dropped_, 2u);
  EXPECT_EQ(backend_.used_bytes(), 0u);
}

TEST_F(MergeJobTest, TombstonesAloneAreWritten) {
  MergeSpec spec = Spec();
  spec.tombstones = {{"a", "f", 9}, {"p", "q", 3}};
  ASSERT_TRUE(Run(std::move(spec)).ok());
  ASSERT_EQ(outputs_.size(), 1u);
  EXPECT_EQ(outputs_[0].meta.smallest, "a");
  EXPECT_EQ(outputs_[0].meta.largest, "q");
  EXPECT_TRUE(outputs_[0].meta.largest_exclusive);
  EXPECT_EQ(outputs_[0].tombstones.NewestCover("b", kMaxSequence), 9u);
  EXPECT_EQ(outputs_[0].tombstones.NewestCover("p", kMaxSequence), 3u);
}

TEST_F(MergeJobTest, TombstonesReachOverCutsGapsAndBothEnds) {
  MergeSpec spec = Spec();
  spec.table_bytes = 400;
  spec.tombstones = {{"", "k20", 1}, {"k35", "k351", 1}, {"k50", "zzz", 1}};
  std::vector<Entry> entries;
  for (int i = 10; i < 90; ++i) {
    if (i > 30 && i < 40) continue;  // a gap with a tombstone in it
    entries.push_back({"k" + std::to_string(i), 5, Kind::kPut, std::string(40, 'v')});
  }
  spec.inputs.push_back(Input(entries));
  ASSERT_TRUE(Run(std::move(spec)).ok());
  ASSERT_GT(outputs_.size(), 4u);
  ExpectRun();
  EXPECT_EQ(Everything().size(), entries.size());
  for (const std::string inside : {"", "a", "k10", "k199", "k35", "k350", "k50", "k55", "k555", "k89", "k9", "zz"}) {
    int tables = 0;
    Sequence cover = 0;
    for (const Output& out : outputs_) {
      if (!out.Holds(inside)) continue;
      ++tables;
      cover = out.tombstones.NewestCover(inside, kMaxSequence);
    }
    EXPECT_EQ(tables, 1) << inside;
    EXPECT_EQ(cover, 1u) << inside;
  }
  for (const std::string outside : {"k20", "k25", "k351", "k45", "zzz"}) {
    for (const Output& out : outputs_) EXPECT_EQ(out.tombstones.Find(outside), nullptr) << outside;
  }
}

TEST_F(MergeJobTest, VersionsOfOneKeyShareATable) {
  MergeSpec spec = Spec();
  spec.table_bytes = 300;
  std::vector<Entry> entries;
  for (Sequence s = 1; s <= 100; ++s) {
    entries.push_back({"hot", s, Kind::kPut, std::string(50, 'v')});
    spec.retained.push_back(s);
  }
  entries.push_back({"cold", 200, Kind::kPut, std::string(400, 'v')});
  entries.push_back({"last", 201, Kind::kPut, "v"});
  spec.inputs.push_back(Input(entries));
  ASSERT_TRUE(Run(std::move(spec)).ok());
  ExpectRun();
  ASSERT_EQ(outputs_.size(), 3u);
  EXPECT_EQ(outputs_[1].entries.size(), 100u);
}

TEST_F(MergeJobTest, AStepIsBoundedByItsQuantum) {
  MergeSpec spec = Spec();
  spec.bottom = true;  // entries that are dropped count too
  std::vector<Entry> entries;
  for (int i = 0; i < 1000; ++i) entries.push_back({"k" + std::to_string(i), 1, Kind::kDelete, ""});
  spec.inputs.push_back(Input(entries));
  MergeJob job(backend_, std::move(spec));
  int steps = 0;
  for (uint64_t before = 0; job.Step(100); before = job.bytes_read()) {
    ASSERT_LE(job.bytes_read() - before, 100u + 12u);
    ++steps;
  }
  EXPECT_GT(steps, 90);
  EXPECT_TRUE(job.outputs().empty());
}

TEST_F(MergeJobTest, AReadErrorEndsTheJobWithIt) {
  for (size_t inputs = 1; inputs <= 2; ++inputs) {
    MergeSpec spec = Spec();
    spec.inputs.push_back(Input({{"a", 5, Kind::kPut, "a"}, {"c", 6, Kind::kPut, "c"}}, 1));
    if (inputs == 2) spec.inputs.push_back(Input({{"b", 7, Kind::kPut, "b"}}));
    EXPECT_EQ(Run(std::move(spec)).code(), Code::kIo);
    EXPECT_TRUE(outputs_.empty());
    EXPECT_EQ(backend_.used_bytes(), 0u);
  }
}

TEST_F(MergeJobTest, HostileKeysAreCorruption) {
  using Row = ListCursor::Row;
  const Row good = {MakeInternalKey("m", 5, Kind::kPut), "v"};
  const std::vector<std::vector<Row>> cases = {
      {good, {"short", "v"}},
      {good, {"", "v"}},
      {good, {MakeInternalKey("n", 5, static_cast<Kind>(3)), "v"}},
      {good, {MakeInternalKey("n", 5, Kind::kRangeDelete), "v"}},
      {good, {MakeInternalKey("l", 5, Kind::kPut), "v"}},
      {good, {MakeInternalKey("m", 6, Kind::kPut), "v"}},
      {good, good},
  };
  for (const auto& rows : cases) {
    for (bool alone : {true, false}) {
      MergeSpec spec = Spec();
      spec.inputs.push_back(std::make_unique<ListCursor>(rows));
      if (!alone) spec.inputs.push_back(Input({{"zzz", 1, Kind::kPut, "v"}}));
      EXPECT_EQ(Run(std::move(spec)).code(), Code::kCorruption) << alone << " " << rows[1].first;
      EXPECT_TRUE(outputs_.empty());
    }
  }
}

TEST_F(MergeJobTest, AFullDeviceEndsTheJobAndLeavesWhatIsFinished) {
  MergeSpec spec = Spec();
  spec.table_bytes = 2000;
  spec.table.compression = Compression::kNone;
  std::vector<Entry> entries;
  for (int i = 1000; i < 2000; ++i) entries.push_back({std::to_string(i), 1, Kind::kPut, std::string(100, 'v')});
  spec.inputs.push_back(Input(entries));
  backend_.SetCapacity(20000);
  EXPECT_EQ(Run(std::move(spec)).code(), Code::kNoSpace);
  EXPECT_GT(outputs_.size(), 2u);
  uint64_t listed = 0;
  for (const Output& out : outputs_) listed += out.meta.file_bytes;
  EXPECT_EQ(backend_.used_bytes(), listed);
}

TEST_F(MergeJobTest, AnAbandonedJobLeavesOnlyFinishedTables) {
  MergeSpec spec = Spec();
  std::vector<Entry> entries;
  for (int i = 1000; i < 2000; ++i) entries.push_back({std::to_string(i), 1, Kind::kPut, std::string(100, 'v')});
  spec.inputs.push_back(Input(entries));
  auto job = std::make_unique<MergeJob>(backend_, std::move(spec));
  ASSERT_TRUE(job->Step(50000));
  EXPECT_TRUE(job->outputs().empty());
  job.reset();
  EXPECT_EQ(backend_.used_bytes(), 0u);
}

// ---- random histories ----

std::string Key(uint64_t i) { return {static_cast<char>('a' + i / 10), static_cast<char>('0' + i % 10)}; }

struct History {
  std::vector<Entry> entries;
  Tombstones tombstones;
  std::vector<Sequence> retained;
  Sequence now = 0;
};

History RandomHistory(std::mt19937_64& random) {
  History h;
  const uint64_t keys = 3 + random() % 60, changes = random() % 300;
  const uint64_t delete_share = random() % 60, range_share = random() % 12, retain_share = random() % 8;
  h.now = 1;  // what lies below the merge is at sequence 1
  for (uint64_t i = 0; i < changes; ++i) {
    ++h.now;
    const std::string key = Key(random() % keys);
    const uint64_t dice = random() % 100;
    if (dice < range_share) {
      h.tombstones.push_back({key, Key(random() % (keys + 5)) + (random() % 2 ? "" : "x"), h.now});
    } else if (dice < range_share + delete_share) {
      h.entries.push_back({key, h.now, Kind::kDelete, ""});
    } else {
      h.entries.push_back({key, h.now, Kind::kPut, key + std::string(random() % 60, '.') + std::to_string(h.now)});
    }
    if (random() % 100 < retain_share) h.retained.push_back(h.now);
  }
  return h;
}

// The value a reader finds; "-" for none, "below" for what lies in a deeper level.
std::string Seen(std::vector<Entry> versions, const RangeTombstones& tombstones, const std::string& key,
                 Sequence reader, bool below) {
  if (below) versions.push_back({key, 1, Kind::kPut, "below"});
  const Entry* newest = nullptr;
  for (const Entry& e : versions) {
    if (e.sequence <= reader && (newest == nullptr || e.sequence > newest->sequence)) newest = &e;
  }
  if (newest == nullptr || newest->kind == Kind::kDelete) return "-";
  return tombstones.NewestCover(key, reader) > newest->sequence ? "-" : newest->value;
}

using ByKey = std::map<std::string, std::vector<Entry>>;
ByKey Group(const std::vector<Entry>& entries) {
  ByKey groups;
  for (const Entry& e : entries) groups[e.key].push_back(e);
  return groups;
}
const std::vector<Entry>& VersionsOf(const ByKey& groups, const std::string& key) {
  static const std::vector<Entry> none;
  const auto it = groups.find(key);
  return it == groups.end() ? none : it->second;
}

TEST_F(MergeJobTest, EveryReaderFindsWhatItFound) {
  std::mt19937_64 random(31337);
  uint64_t tables = 0, dropped = 0, tombstones = 0;
  for (int round = 0; round < 1500; ++round) {
    const History h = RandomHistory(random);
    MergeSpec spec = Spec();
    spec.bottom = random() % 2 == 0;
    spec.table_bytes = 100 + random() % 1500;
    spec.tombstones = h.tombstones;
    spec.retained = h.retained;
    std::shuffle(spec.retained.begin(), spec.retained.end(), random);
    const bool bottom = spec.bottom;
    std::vector<std::vector<Entry>> parts(1 + random() % 6);
    for (const Entry& e : h.entries) parts[random() % parts.size()].push_back(e);
    for (auto& part : parts) spec.inputs.push_back(Input(std::move(part)));
    const Status status = Run(std::move(spec), 1 + random() % 3000);
    ASSERT_TRUE(status.ok()) << status.ToString();
    ExpectRun();
    ASSERT_EQ(Everything().size() + dropped_, h.entries.size());
    tables += outputs_.size();
    dropped += dropped_;

    const ByKey before = Group(h.entries);
    const RangeTombstones before_tombstones(h.tombstones);
    std::vector<ByKey> after;
    uint64_t hiding = 0, puts = 0;
    for (const Output& out : outputs_) {
      after.push_back(Group(out.entries));
      hiding += out.meta.deletions + out.meta.range_deletions;
      puts += out.meta.entries - out.meta.deletions;
      tombstones += out.meta.range_deletions;
    }
    ASSERT_TRUE(!bottom || hiding <= puts);
    std::vector<Sequence> readers = h.retained;
    readers.push_back(h.now);
    for (uint64_t i = 0; i < 140; ++i) {
      const std::string key = Key(i / 2) + (i % 2 ? "m" : "");  // keys and the gaps between them
      size_t at = outputs_.size();
      for (size_t t = 0; t < outputs_.size(); ++t) {
        if (outputs_[t].Holds(key)) at = t;
      }
      const bool inside = at < outputs_.size();
      const auto& versions = inside ? VersionsOf(after[at], key) : VersionsOf(before, "none");
      const RangeTombstones none;
      for (Sequence reader : readers) {
        ASSERT_EQ(Seen(versions, inside ? outputs_[at].tombstones : none, key, reader, !bottom),
                  Seen(VersionsOf(before, key), before_tombstones, key, reader, !bottom))
            << "round " << round << " key " << key << " reader " << reader << " bottom " << bottom;
      }
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(tables, 3000u);
  EXPECT_GT(dropped, 50000u);
  EXPECT_GT(tombstones, 1000u);
}

}  // namespace
}  // namespace tarn
