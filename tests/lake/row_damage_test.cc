// Every row of a lake is lost, moved, cut, lengthened and changed, one at a time, below the lake's feet. Block
// checksums catch what a disk does to rows; this is about what a bug would do, and about rows that a repair could not
// save. Whatever a row says, the lake answers with a result or an error: it never crashes, never runs for ever, and
// is still able to remove what it holds. A check must name every row that is lost or out of place.
#include <map>

#include "lake/layout.h"
#include "tests/kernel/sim_store.h"
#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

using test::MemBackend;

// Rows whose loss a check does not mind: the log of commands is history that no structure hangs on.
constexpr std::string_view kMayBeLost = "V";
// Rows that may as well stand elsewhere: a name is data, and an entry or attribute under another name is a good one.
constexpr std::string_view kMayMove = "VDA";
// Rows of which every value is good: the bytes of attributes are data, and marks have none.
constexpr std::string_view kAnyValue = "AOS";

bool IsOneOf(const std::string& family, std::string_view key, std::string_view kinds) {
  return family == "meta" && kinds.find(key[0]) != kinds.npos;
}

struct Row {
  std::string family, key, value;
};

class RowDamageTest : public LakeFixture {
 protected:
  // A lake with every kind of row, closed as by kill -9 so that orphan, stage and trash are still there.
  void SetUp() override {
    Init();
    const Ino dir = Dir(kRootIno, "dir");
    const Ino inner = Dir(dir, "inner");
    const Ino small = File(dir, "small", "tiny");
    const Ino large = File(inner, "large", Pattern(kBlockBytes * 2 + 500, 1));
    File(dir, "twin", Pattern(kBlockBytes * 2 + 500, 1));  // shares the chunks
    const Ino sparse = File(dir, "sparse", "start");
    ASSERT_OK(lake_->Write(sparse, kBlockBytes * 5ull, "end"));
    ASSERT_OK(lake_->Link(small, inner, "again").status());
    ASSERT_OK(lake_->Symlink(dir, "link", "../somewhere", {}).status());
    ASSERT_OK(lake_->SetXattr(small, "user.a", "b", false, false));
    ASSERT_OK(lake_->SetXattr(large, "user.long", std::string(300, 'x'), false, false));
    ASSERT_OK(lake_->CreateSnapshot("before").status());
    ASSERT_OK(lake_->AppendLog({.command = "one"}).status());
    ASSERT_OK(lake_->AppendLog({.command = "two"}).status());
    const Ino orphan = File(dir, "orphan", "still open");
    ASSERT_OK(lake_->Open(orphan));
    ASSERT_OK(lake_->Unlink(dir, "orphan"));
    const Result<Ino> stage = lake_->Stage({});
    ASSERT_OK(stage.status());
    File(*stage, "half", "an import that never ended");
    ASSERT_OK(lake_->SyncAll());
    image_ = backend_->CrashClone(1, test::CrashMode::kDropUnsynced);
    lake_->Release(orphan);
  }
  void CollectRows() {
    ForEachRow(*image_, [&](Row row) { rows_.push_back(std::move(row)); });
    ASSERT_GT(rows_.size(), 30u);
  }
  // Opening reclaims what the kill left behind; afterwards every row is part of the lake.
  void Settle() {
    const auto backend = image_->CrashClone(1, test::CrashMode::kProcessKill);
    auto lake = Lake::Open(test::SimParts(backend), options_);
    ASSERT_OK(lake.status());
    ASSERT_OK((*lake)->Close());
    image_ = backend;
  }

  static void ForEachRow(const MemBackend& image, const std::function<void(Row)>& visit) {
    auto db = test::OpenSim(image.CrashClone(1, test::CrashMode::kProcessKill));
    ASSERT_OK(db.status());
    for (const std::string& family : (*db)->ListFamilies()) {
      const auto walk = (*db)->NewIterator(*(*db)->FindFamily(family));
      for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
        visit({family, std::string(walk->key()), std::string(walk->value())});
      }
      ASSERT_OK(walk->status());
    }
  }

  // Replaces one row of a copy by another (or by nothing), and lives with it. True: something complained.
  bool LiveWith(const Row& row, const Row* instead) {
    const auto backend = image_->CrashClone(1, test::CrashMode::kProcessKill);
    {
      auto db = test::OpenSim(backend);
      EXPECT_OK(db.status());
      WriteBatch batch;
      batch.Delete(*(*db)->FindFamily(row.family), row.key);
      if (instead != nullptr) batch.Put(*(*db)->FindFamily(instead->family), instead->key, instead->value);
      EXPECT_OK((*db)->Write(batch));
      EXPECT_OK((*db)->Close());
    }
    auto lake = Lake::Open(test::SimParts(backend), options_);
    if (!lake.ok()) return true;
    const auto report = (*lake)->Check(true, {});
    bool complained = !report.ok() || !report->problems.empty();
    Visit((*lake)->Head(), kRootIno, 0);
    const auto snapshot = (*lake)->At("before");
    if (snapshot.ok()) Visit(**snapshot, kRootIno, 0);
    (void)(*lake)->ReadLog(0, 10);
    (void)(*lake)->RemoveTree(kRootIno, "dir");
    (void)(*lake)->Create(kRootIno, "new", 0644, 0, {});
    return !(*lake)->Close().ok() || complained;
  }

  // Reads all there is, whatever it answers.
  static void Visit(View& view, Ino ino, int depth) {
    if (depth > 8) return;  // damaged directories may run in a circle
    const auto attr = view.GetAttr(ino);
    std::string bytes(300, '\0');
    (void)view.Read(ino, 0, bytes);
    if (attr.ok() && attr->size > 200) (void)view.Read(ino, attr->size - 200, bytes);
    (void)view.ReadLink(ino);
    (void)view.SeekData(ino, 0);
    (void)view.SeekHole(ino, 0);
    const auto names = view.ListXattr(ino);
    if (names.ok()) {
      for (const std::string& name : *names) (void)view.GetXattr(ino, name);
    }
    const auto entries = view.ReadDir(ino, {}, 100);
    if (!entries.ok()) return;
    for (const DirEntry& entry : *entries) {
      (void)view.Lookup(ino, entry.name);
      Visit(view, entry.ino, depth + 1);
    }
  }

  static std::string Name(const Row& row) {
    return row.family + " " + (row.family == "meta" ? row.key.substr(0, 1) : std::string("row"));
  }

  std::shared_ptr<MemBackend> image_;
  std::vector<Row> rows_;
};

TEST_F(RowDamageTest, ALostRowIsNamed) {
  Settle();
  CollectRows();
  for (const Row& row : rows_) {
    if (LiveWith(row, nullptr) || IsOneOf(row.family, row.key, kMayBeLost)) continue;
    ADD_FAILURE() << "nobody misses the row " << row.family << " '" << Printable(row.key) << "'";
  }
}

TEST_F(RowDamageTest, ARowOutOfPlaceIsNamed) {
  Settle();
  CollectRows();
  for (const Row& row : rows_) {
    Row moved = row;
    moved.key.back() = static_cast<char>(moved.key.back() ^ 0x40);
    if (LiveWith(row, &moved) || IsOneOf(row.family, row.key, kMayMove)) continue;
    ADD_FAILURE() << "nobody minds the row " << row.family << " '" << Printable(row.key) << "' elsewhere";
  }
}

TEST_F(RowDamageTest, AnyValueIsSurvived) {
  CollectRows();
  std::map<std::string, uint64_t> complaints, tries;
  for (const Row& row : rows_) {
    // Each byte of short rows; of chunks and long attributes some.
    const size_t stride = std::max<size_t>(1, row.value.size() / 12);
    for (size_t at = 0; at <= row.value.size(); at += stride) {
      Row changed = row;
      changed.value.resize(at);
      complaints[Name(row)] += LiveWith(row, &changed) ? 1 : 0;
      ++tries[Name(row)];
      if (at == row.value.size()) break;
      for (const char flip : {'\x01', '\x80', '\xff'}) {
        changed.value = row.value;
        changed.value[at] = static_cast<char>(changed.value[at] ^ flip);
        complaints[Name(row)] += LiveWith(row, &changed) ? 1 : 0;
        ++tries[Name(row)];
      }
    }
    Row longer = row;
    longer.value += "more";
    complaints[Name(row)] += LiveWith(row, &longer) ? 1 : 0;
    ++tries[Name(row)];
  }
  for (const auto& [name, count] : tries) {
    std::printf("%-14s %5llu changes, %5llu noticed\n", name.c_str(), static_cast<unsigned long long>(count),
                static_cast<unsigned long long>(complaints[name]));
    EXPECT_TRUE(complaints[name] > 0 || IsOneOf("meta", name.substr(name.size() - 1), kAnyValue)) << name;
  }
  // A chunk is named by its hash, so no change of it may pass (all but the first try of each row change it).
  EXPECT_GE(complaints["chunks row"] + CountRows(*lake_, "chunks"), tries["chunks row"]);
}

}  // namespace
}  // namespace tarn::lake
