// What DB promises, operation by operation. The random tests in tests/model/ compare all of it with a model.
#include <gtest/gtest.h>
#include <unistd.h>

#include "kernel/manifest.h"
#include "tests/kernel/sim_store.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

struct DbTest : testing::Test {
  std::shared_ptr<MemBackend> backend = std::make_shared<MemBackend>();
  std::unique_ptr<DB> db = Open();

  std::unique_ptr<DB> Open(Settings settings = SmallSettings()) {
    auto opened = OpenSim(backend, settings);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return opened.ok() ? std::move(*opened) : nullptr;
  }
  std::string Get(std::string_view key, const ReadOptions& options = {}) {
    std::string value;
    const Status status = db->Get(key, &value, options);
    return status.ok() ? value : "<" + std::string(CodeName(status.code())) + ">";
  }
};

TEST_F(DbTest, PutGetDelete) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "<not found>");
  ASSERT_TRUE(db->Delete("a").ok());
  EXPECT_EQ(Get("a"), "<not found>");
}

TEST_F(DbTest, DeleteRangeHidesOlderAndNotNewer) {
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(db->Put(key, "old").ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->DeleteRange("a", "c").ok());
  ASSERT_TRUE(db->Put("b", "new").ok());
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Get("a"), "<not found>");
    EXPECT_EQ(Get("b"), "new");
    EXPECT_EQ(Get("c"), "old");
    ASSERT_TRUE(round == 0 ? db->Flush().ok() : db->Compact().ok());
  }
}

TEST_F(DbTest, SnapshotsSurviveCompaction) {
  ASSERT_TRUE(db->Put("k", "1").ok());
  const auto snapshot = db->GetSnapshot();
  ASSERT_TRUE(db->Put("k", "2").ok());
  ASSERT_TRUE(db->Compact().ok());
  EXPECT_EQ(Get("k", {.snapshot = snapshot.get()}), "1");
  EXPECT_EQ(Get("k"), "2");
}

TEST_F(DbTest, NamedSnapshotsSurviveReopenAndCompaction) {
  ASSERT_TRUE(db->Put("k", "1").ok());
  ASSERT_TRUE(db->CreateNamedSnapshot("yesterday").ok());
  EXPECT_EQ(db->CreateNamedSnapshot("yesterday").status().code(), Code::kBusy);
  ASSERT_TRUE(db->DeleteRange("a", "z").ok());
  ASSERT_TRUE(db->Compact().ok());
  db.reset();
  db = Open();
  ASSERT_TRUE(db->Compact().ok());
  {
    const auto snapshot = db->OpenNamedSnapshot("yesterday");
    ASSERT_TRUE(snapshot.ok());
    EXPECT_EQ(Get("k", {.snapshot = snapshot->get()}), "1");
  }
  EXPECT_EQ(Get("k"), "<not found>");
  ASSERT_TRUE(db->DropNamedSnapshot("yesterday").ok());
  EXPECT_EQ(db->DropNamedSnapshot("yesterday").code(), Code::kNotFound);
  ASSERT_TRUE(db->Compact().ok());
  EXPECT_EQ(db->Statistics().at("tables.count"), 0u) << "nothing sees the old value any more";
}

TEST_F(DbTest, FamiliesAreSeparateAndDroppedAtOnce) {
  const auto family = db->CreateFamily("f");
  ASSERT_TRUE(family.ok());
  WriteBatch batch;
  batch.Put("k", "default");
  batch.Put(*family, "k", "other");
  ASSERT_TRUE(db->Write(batch).ok());
  std::string value;
  ASSERT_TRUE(db->Get(*family, "k", &value).ok());
  EXPECT_EQ(value, "other");
  EXPECT_EQ(Get("k"), "default");
  EXPECT_EQ(db->CreateFamily("f").status().code(), Code::kBusy);
  ASSERT_TRUE(db->DropFamily(*family).ok());
  EXPECT_EQ(db->Get(*family, "k", &value).code(), Code::kInvalid);
  EXPECT_EQ(db->FindFamily("f").status().code(), Code::kNotFound);
  batch.Clear();
  batch.Put(*family, "k", "again");
  EXPECT_EQ(db->Write(batch).code(), Code::kInvalid);
  db.reset();
  db = Open();
  EXPECT_EQ(db->ListFamilies(), std::vector<std::string>{"default"});
}

TEST_F(DbTest, LimitsAreNamed) {
  EXPECT_EQ(db->Put(std::string((64 << 10) + 1, 'k'), "").code(), Code::kInvalid);
  EXPECT_TRUE(db->Put(std::string(64 << 10, 'k'), "").ok());
  EXPECT_EQ(Get(std::string(64 << 10, 'k')), "");
  EXPECT_TRUE(db->Put("", "empty key").ok());
  EXPECT_EQ(Get(""), "empty key");
}

TEST_F(DbTest, ATransactionConflictsOnWhatItRead) {
  ASSERT_TRUE(db->Put("balance", "10").ok());
  const auto txn = db->Begin();
  std::string value;
  ASSERT_TRUE(txn->Get({}, "balance", &value).ok());
  txn->Put({}, "log", "took 5");
  ASSERT_TRUE(db->DeleteRange("a", "c").ok());  // a range tombstone over the key counts as a change
  EXPECT_EQ(txn->Commit().code(), Code::kBusy);
  EXPECT_EQ(Get("log"), "<not found>");
  EXPECT_EQ(txn->Commit().code(), Code::kInvalid) << "it is over";
}

TEST_F(DbTest, ASecondOpenNamesTheHolder) {
  const auto second = OpenSim(backend);
  ASSERT_EQ(second.status().code(), Code::kBusy);
  EXPECT_NE(second.status().message().find("pid " + std::to_string(getpid())), std::string::npos)
      << second.status().ToString();
}

TEST_F(DbTest, ReadOnlyBesideALiveWriter) {
  ASSERT_TRUE(db->Put("flushed", "1").ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->Put("logged", "2").ok());
  Settings settings = SmallSettings();
  settings.read_only = true;
  const std::unique_ptr<DB> reader = Open(settings);
  ASSERT_NE(reader, nullptr);
  ASSERT_TRUE(db->Compact().ok());  // takes the reader's tables away
  ASSERT_TRUE(db->Put("later", "3").ok());
  std::string value;
  EXPECT_TRUE(reader->Get("flushed", &value).ok());
  EXPECT_TRUE(reader->Get("logged", &value).ok());
  EXPECT_EQ(reader->Get("later", &value).code(), Code::kNotFound);
  EXPECT_EQ(reader->Put("x", "y").code(), Code::kInvalid);
}

TEST_F(DbTest, ClosedMeansClosed) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  ASSERT_TRUE(db->Close().ok());
  ASSERT_TRUE(db->Close().ok());
  std::string value;
  EXPECT_EQ(db->Get("a", &value).code(), Code::kInvalid);
  EXPECT_EQ(db->Put("a", "2").code(), Code::kInvalid);
  EXPECT_EQ(db->NewIterator()->status().code(), Code::kInvalid);
}

TEST_F(DbTest, SettingsAreCheckedAndEachHasAnEffect) {
  Settings settings = SmallSettings();
  settings.create_if_missing = false;
  EXPECT_EQ(OpenSim(std::make_shared<MemBackend>(), settings).status().code(), Code::kNotFound);
  db.reset();
  settings.error_if_exists = true;
  EXPECT_EQ(OpenSim(backend, settings).status().code(), Code::kBusy);
  for (auto spoil : std::initializer_list<void (*)(Settings*)>{
           [](Settings* s) { s->memory_bytes = 1; }, [](Settings* s) { s->background_threads = 0; },
           [](Settings* s) { s->filter_bits_per_key = 65; }, [](Settings* s) { s->block_bytes = 511; },
           [](Settings* s) { s->table_bytes = 1; }, [](Settings* s) { s->memtable_bytes = 1; },
           [](Settings* s) { s->size_ratio = 1; }}) {
    Settings bad = SmallSettings();
    spoil(&bad);
    EXPECT_EQ(OpenSim(backend, bad).status().code(), Code::kInvalid);
  }
}

TEST_F(DbTest, ManyWritesFlushAndCompactByThemselves) {
  db.reset();
  Components parts;  // the real scheduler: its threads work while this one writes
  parts.backend = backend;
  auto opened = DB::Open(SmallSettings(), std::move(parts));
  ASSERT_TRUE(opened.ok());
  db = std::move(*opened);
  for (uint64_t i = 0; i < 20000; ++i) ASSERT_TRUE(db->Put(NumberedKey(i % 5000), std::string(50, 'v')).ok());
  ASSERT_TRUE(db->Flush().ok());
  const auto facts = db->Statistics();
  EXPECT_GT(facts.at("flush.count"), 5u);
  EXPECT_GT(facts.at("compaction.count"), 0u);
  EXPECT_LE(facts.at("memory.used_bytes"), facts.at("memory.limit_bytes"));
  EXPECT_EQ(Get(NumberedKey(4999)), std::string(50, 'v'));
  EXPECT_TRUE(db->Verify().ok());
}

TEST_F(DbTest, ACheckpointIsIndependent) {
  for (uint64_t i = 0; i < 3000; ++i) ASSERT_TRUE(db->Put(NumberedKey(i), "v").ok());
  const auto target = std::make_shared<MemBackend>();
  ASSERT_TRUE(db->Checkpoint(*target).ok());
  EXPECT_EQ(db->Checkpoint(*target).code(), Code::kInvalid) << "the target is not empty any more";
  ASSERT_TRUE(db->DeleteRange("a", "z").ok());
  auto copy = OpenSim(target);
  ASSERT_TRUE(copy.ok()) << copy.status().ToString();
  std::string value;
  EXPECT_TRUE((*copy)->Get(NumberedKey(2999), &value).ok());
  EXPECT_TRUE((*copy)->Verify().ok());
}

TEST_F(DbTest, AfterAFailedLogCallTheStoreIsReadOnlyUntilReopened) {
  db.reset();
  auto faulty = std::make_shared<FaultBackend>(backend);
  auto opened = OpenSim(faulty);
  ASSERT_TRUE(opened.ok());
  db = std::move(*opened);
  ASSERT_TRUE(db->Put("before", "1", Durability::kPower).ok());
  faulty->Arm(
      {.error = Status::Io("wal/x: injected"), .only = [](const Call& call) { return call.op == Op::kLogSync; }});
  EXPECT_EQ(db->Put("doubt", "2", Durability::kPower).code(), Code::kIo);
  faulty->Disarm();
  const Status refused = db->Put("after", "3");
  EXPECT_EQ(refused.code(), Code::kIo);
  EXPECT_NE(refused.message().find("read-only"), std::string_view::npos);
  EXPECT_EQ(Get("before"), "1");
  db.reset();
  db = Open();
  EXPECT_EQ(Get("before"), "1");
  EXPECT_TRUE(db->Put("after", "3").ok());
}

TEST_F(DbTest, AFullDeviceRefusesWritesAndLosesNothing) {
  uint64_t acknowledged = 0;
  backend->SetCapacity(backend->used_bytes() + (400 << 10));
  Status status;
  for (; status.ok() && acknowledged < 100000; acknowledged += status.ok()) {
    status = db->Put(NumberedKey(acknowledged), std::string(100, 'x'));
  }
  EXPECT_EQ(status.code(), Code::kNoSpace) << status.ToString();
  db.reset();
  backend->SetCapacity(UINT64_MAX);
  db = Open();
  for (uint64_t i = 0; i < acknowledged; ++i) ASSERT_EQ(Get(NumberedKey(i)), std::string(100, 'x')) << i;
}

TEST(Fencing, ALateWriterLosesToAHigherEpoch) {
  auto backend = std::make_shared<MemBackend>();
  kernel::Manifest first(*backend);
  ASSERT_TRUE(first.Create(std::string(16, 'i'), "one").ok());
  kernel::Manifest second(*backend);
  ASSERT_TRUE(second.Load().ok());
  second.TakeOver(second.state().last().epoch + 1, "two");
  ASSERT_TRUE(second.Publish(second.NextStep()).ok());
  const Status fenced = first.Publish(first.NextStep());
  EXPECT_EQ(fenced.code(), Code::kFenced);
  EXPECT_NE(fenced.message().find("two (epoch 2)"), std::string_view::npos) << fenced.ToString();
  EXPECT_EQ(first.Publish(first.NextStep()).code(), Code::kFenced) << "a fenced writer stays fenced";
}

TEST(Manifest, OpensFromTheLastFullRecordAndDropsOlderOnes) {
  auto backend = std::make_shared<MemBackend>();
  kernel::Manifest manifest(*backend);
  ASSERT_TRUE(manifest.Create(std::string(16, 'i'), "w").ok());
  for (int i = 0; i < 300; ++i) {
    ManifestRecord step = manifest.NextStep();
    step.snapshots_added.push_back({"s" + std::to_string(i), 0, 0});
    ASSERT_TRUE(manifest.Publish(step).ok());
  }
  kernel::Manifest again(*backend);
  ASSERT_TRUE(again.Load().ok());
  EXPECT_EQ(again.state().snapshots().size(), 300u);
  EXPECT_LE(backend->List("manifest/", "", 1000)->blobs.size(), 130u);
}

}  // namespace
}  // namespace tarn::test
