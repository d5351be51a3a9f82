// What the store refuses, and that it says why: settings and places that make no sense, names, values over a limit,
// objects that are over, backends and policies that break their contract. Nothing of it harms the store.
#include <gtest/gtest.h>

#include <set>

#include "format/manifest_record.h"
#include "tarn/repair.h"
#include "tests/kernel/sim_store.h"
#include "tests/local/temp_directory.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

void ExpectRefused(const Status& status, Code code, const std::string& says) {
  EXPECT_EQ(status.code(), code) << status.ToString();
  EXPECT_NE(status.message().find(says), std::string_view::npos) << status.ToString() << " lacks: " << says;
}

TEST(Refusals, SettingsAtBothEndsOfTheirRanges) {
  struct Case {
    void (*spoil)(Settings*);
    const char* says;
  };
  for (const Case& one : std::initializer_list<Case>{
           {[](Settings* s) { s->memory_bytes = (8 << 20) - 1; },
            "memory_bytes is 8388607; it must be at least 8 MiB"},
           {[](Settings* s) { s->background_threads = 257; }, "background_threads is 257; it must be 1 to 256"},
           {[](Settings* s) { s->block_bytes = (1 << 20) + 1; }, "block_bytes is 1048577; it must be 512 to 1 MiB"},
           {[](Settings* s) { s->table_bytes = (64 << 10) - 1; }, "table_bytes is 65535; it must be at least 64 KiB"},
           {[](Settings* s) { s->memtable_bytes = s->memory_bytes / 2 + 1; }, "64 KiB to half of memory_bytes"},
           {[](Settings* s) { s->size_ratio = 33; }, "size_ratio is 33; it must be 2 to 32"}}) {
    Settings settings = SmallSettings();
    one.spoil(&settings);
    const auto backend = std::make_shared<MemBackend>();
    ExpectRefused(OpenSim(backend, settings).status(), Code::kInvalid, one.says);
    EXPECT_TRUE(backend->List("", "", 1)->blobs.empty()) << "something was written";
  }
}

TEST(Refusals, PlacesThatAreNone) {
  ExpectRefused(DB::Open(SmallSettings(), Components()).status(), Code::kInvalid, "name a backend");
  ExpectRefused(DB::Open(SmallSettings(), std::string()).status(), Code::kInvalid, "name a directory");
  ExpectRefused(DB::Open(SmallSettings(), std::string("file://")).status(), Code::kInvalid, "name a directory");
  ExpectRefused(DB::Open(SmallSettings(), std::string("gs://bucket/x")).status(), Code::kUnsupported,
                "gs://bucket/x");
  TempDirectory directory;
  Settings settings = SmallSettings();
  settings.create_if_missing = false;
  const std::string place = directory.path() + "/nothing";
  for (const bool read_only : {false, true}) {
    settings.read_only = read_only;
    ExpectRefused(DB::Open(settings, place).status(), Code::kNotFound, place);
  }
}

TEST(Refusals, AFileUrlIsAPath) {
  TempDirectory directory;
  const std::string place = directory.path() + "/store";
  ASSERT_TRUE(DB::Open(SmallSettings(), "file://" + place).value()->Put("k", "v").ok());
  Settings settings = SmallSettings();
  settings.read_only = true;
  std::string value;
  EXPECT_TRUE(DB::Open(settings, place).value()->Get("k", &value).ok());
  EXPECT_EQ(value, "v");
}

// Two processes could write one log.
TEST(Refusals, ABackendThatAppendsWithoutLocks) {
  ExpectRefused(OpenSim(std::make_shared<MemBackend>(MemOptions{.locks = false})).status(), Code::kUnsupported,
                "append files but no locks");
}

struct OpenStore : testing::Test {
  std::shared_ptr<MemBackend> backend = std::make_shared<MemBackend>();
  std::unique_ptr<DB> db = OpenSim(backend).value();
};
using RefusalsOf = OpenStore;

TEST_F(RefusalsOf, NamesAndFamilies) {
  for (const std::string& name : {std::string(), std::string(256, 'n')}) {
    const std::string says = std::to_string(name.size()) + " bytes; it must have 1 to 255";
    ExpectRefused(db->CreateFamily(name).status(), Code::kInvalid, "column family name of " + says);
    ExpectRefused(db->CreateNamedSnapshot(name).status(), Code::kInvalid, "snapshot name of " + says);
  }
  ASSERT_TRUE(db->CreateFamily(std::string(255, 'n')).ok());
  ExpectRefused(db->DropFamily({}), Code::kInvalid, "default column family cannot be dropped");
  ExpectRefused(db->DropFamily({77}), Code::kInvalid, "77");
  EXPECT_EQ(db->ListFamilies().size(), 2u);
}

TEST_F(RefusalsOf, ChangesOverALimit) {
  const std::string key((64 << 10) + 1, 'k');
  ExpectRefused(db->DeleteRange("a", key), Code::kInvalid, "over the limit of 64 KiB");
  ExpectRefused(db->DeleteRange(key, "z"), Code::kInvalid, "over the limit of 64 KiB");
  const std::string value((1ull << 30) + 1, 'v');
  ExpectRefused(db->Put("k", value), Code::kInvalid, "over the limit of 1 GiB; split it");
  std::string found;
  EXPECT_EQ(db->Get("k", &found).code(), Code::kNotFound);
  EXPECT_TRUE(db->Put("k", "v").ok());
}

TEST_F(RefusalsOf, ATransactionThatIsOver) {
  ASSERT_TRUE(db->Put("k", "before").ok());
  for (const bool committed : {true, false}) {
    const auto transaction = db->Begin();
    transaction->Put({}, committed ? "made" : "never", "1");
    if (committed) {
      ASSERT_TRUE(transaction->Commit().ok());
    } else {
      transaction->Rollback();
    }
    std::string value = "untouched";
    ExpectRefused(transaction->Get({}, "k", &value), Code::kInvalid, "begin another");
    transaction->Put({}, "k", "late");
    transaction->Delete({}, "k");
    ExpectRefused(transaction->Commit(), Code::kInvalid, "begin another");
    EXPECT_TRUE(db->Get("k", &value).ok());
    EXPECT_EQ(value, "before");
  }
  std::string value;
  EXPECT_TRUE(db->Get("made", &value).ok());
  EXPECT_EQ(db->Get("never", &value).code(), Code::kNotFound);
}

TEST_F(RefusalsOf, AReadOnlyStoreAnswersForItself) {
  ASSERT_TRUE(db->Put("k", "v").ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->Put("k2", "v").ok());
  Settings settings = SmallSettings();
  settings.read_only = true;
  const auto reader = OpenSim(backend, settings).value();
  for (const Status& refused : {reader->Put("x", "y"), reader->SyncWal(), reader->Flush(), reader->Compact(),
                                reader->CreateFamily("f").status(), reader->DropFamily({1}),
                                reader->CreateNamedSnapshot("s").status(), reader->DropNamedSnapshot("s")}) {
    ExpectRefused(refused, Code::kInvalid, "opened read-only");
  }
  EXPECT_TRUE(reader->Verify().ok());
  EXPECT_EQ(reader->Statistics().at("wal.live_bytes"), 0u);
  // What it reads is still what it pinned, when the writer has taken the names of its tables away.
  ASSERT_TRUE(db->DeleteRange("a", "z").ok());
  ASSERT_TRUE(db->Compact().ok());
  EXPECT_TRUE(reader->Verify().ok());
  std::string value;
  EXPECT_TRUE(reader->Get("k", &value).ok());
}

// Somebody else publishes in the target while a checkpoint is copied into it.
class Intruder final : public WrappingBackend {
 public:
  explicit Intruder(std::shared_ptr<Backend> inner) : WrappingBackend(inner), inner_(std::move(inner)) {}

 private:
  Status Around(const Call& call, const Effect& effect) override {
    if (call.op == Op::kPutIfAbsent) {
      EXPECT_TRUE(inner_->PutIfAbsent(call.name, "another's").ok());
    }
    return effect();
  }
  const std::shared_ptr<Backend> inner_;
};

TEST_F(RefusalsOf, ACheckpointIntoAPlaceThatSomebodyElseTook) {
  ASSERT_TRUE(db->Put("mine", "v").ok());
  const auto target = std::make_shared<MemBackend>();
  Intruder intruder(target);
  ExpectRefused(db->Checkpoint(intruder), Code::kBusy, "another writer put a store into the target meanwhile");
  EXPECT_EQ(target->Contents(ManifestBlobName(1)).value(), "another's");
}

// Stores may be listed in pages as small as a backend likes.
class OneByOne final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t) override {
    return WrappingBackend::List(prefix, after, 1);
  }

 private:
  Status Around(const Call&, const Effect& effect) override { return effect(); }
};

TEST(Listing, PagesOfOneNameAreEnough) {
  const auto disk = std::make_shared<MemBackend>();
  const auto backend = std::make_shared<OneByOne>(disk);
  for (uint64_t life = 0; life < 4; ++life) {
    const auto db = OpenSim(backend).value();
    for (uint64_t i = 0; i < 600; ++i) ASSERT_TRUE(db->Put(NumberedKey(i * 4 + life), std::string(200, 'v')).ok());
    if (life % 2 == 1) {
      ASSERT_TRUE(db->Flush().ok());
    }
  }
  ASSERT_GT(disk->List("table/", "", 100)->blobs.size(), 3u);
  ASSERT_GT(disk->List("manifest/", "", 100)->blobs.size(), 3u);
  const auto target = std::make_shared<MemBackend>();
  {
    const auto db = OpenSim(backend).value();
    ASSERT_TRUE(db->Put("last", "v").ok());
    EXPECT_TRUE(db->Verify().ok());
  }
  const auto report = Repair(*backend, SmallSettings(), SimParts(std::make_shared<OneByOne>(target)));
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_TRUE(report->losses.empty());
  EXPECT_EQ(report->rows_written, 2401u);
}

// A policy may say what it likes; what would break the order of ages is not done.
class Confused final : public CompactionPolicy {
 public:
  explicit Confused(uint64_t seed) : random_(seed) {}
  std::string_view name() const override { return "confused"; }
  uint64_t Debt(const LevelsView&) const override { return 0; }
  std::optional<CompactionPlan> Choose(const LevelsView& view) const override {
    CompactionPlan plan;
    plan.output_level = static_cast<uint32_t>(random_.OneIn(8) ? random_.Next() : random_.Below(9));
    for (uint32_t level = 0; level < view.levels.size(); ++level) {
      CompactionPlan::Input input{level, {}};
      for (const RunView& run : view.levels[level]) {
        if (!run.busy && random_.OneIn(2)) input.runs.push_back(run.id);
      }
      if (random_.OneIn(6)) input.runs.push_back(random_.Next());
      plan.inputs.push_back(input);
    }
    asked_.insert(plan.output_level);
    return plan;
  }
  size_t kinds() const { return asked_.size(); }

 private:
  mutable SeededRandom random_;
  mutable std::set<uint32_t> asked_;
};

TEST(Policies, ANonsensicalPlanHarmsNothing) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const auto policy = std::make_shared<Confused>(seed);
    Components parts = SimParts(std::make_shared<MemBackend>(), seed);
    parts.compaction = policy;
    const auto db = DB::Open(SmallSettings(), parts).value();
    std::map<std::string, std::string> model;
    SeededRandom random(seed);
    for (uint64_t i = 0; i < 4000; ++i) {
      const std::string key = NumberedKey(random.Below(500));
      if (random.OneIn(7)) {
        ASSERT_TRUE(db->Delete(key).ok());
        model.erase(key);
      } else {
        model[key] = std::to_string(i) + std::string(120, 'v');
        ASSERT_TRUE(db->Put(key, model[key]).ok());
      }
      if (i % 300 == 299) {
        ASSERT_TRUE(db->Flush().ok());
      }
    }
    std::map<std::string, std::string> rows;
    const auto walk = db->NewIterator();
    for (walk->SeekToFirst(); walk->valid(); walk->Next()) rows.emplace(walk->key(), walk->value());
    EXPECT_EQ(rows, model) << "seed " << seed;
    EXPECT_TRUE(db->Verify().ok());
    EXPECT_GT(policy->kinds(), 4u);
  }
}

}  // namespace
}  // namespace tarn::test
