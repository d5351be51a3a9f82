// A store whose log is near: what is read where, and what is left when a disk, a machine or its power is lost.
#include <gtest/gtest.h>

#include <filesystem>

#include "backends/local/local.h"
#include "backends/tiered/tiered.h"
#include "kernel/manifest.h"
#include "tests/contract/backend_contract_fixture.h"
#include "tests/kernel/sim_store.h"
#include "tests/support/crash_backend.h"
#include "tests/support/fault_backend.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

// One machine: a disk, and a process that may have the store open.
struct Machine {
  explicit Machine(uint64_t seed) : id(seed) {}

  Status Open(const std::shared_ptr<Backend>& far, Settings settings = SmallSettings()) {
    Kill();
    wire = std::make_shared<FaultBackend>(far);
    TARN_ASSIGN(auto tiered, tiered::OpenTiered(wire, near == nullptr ? disk : near, {}));
    parts = SimParts(tiered, ++id * 1000);
    parts.holder = "machine";
    TARN_ASSIGN(db, DB::Open(settings, parts));
    return {};
  }
  Status OpenLost(const std::shared_ptr<Backend>& far, Settings settings = SmallSettings()) {
    settings.accept_lost_log = true;
    return Open(far, settings);
  }
  void Background() { static_cast<SimScheduler&>(*parts.scheduler).RunAll(); }
  // kill -9: what it still does, it does to nobody.
  void Kill() {
    if (db == nullptr) return;
    disk = disk->CrashClone(id, CrashMode::kProcessKill);
    wire->Arm({.forever = true});
    db.reset();
    parts = {};
  }
  void LoseDisk() {
    Kill();
    disk = std::make_shared<MemBackend>();
  }

  uint64_t id;
  std::shared_ptr<MemBackend> disk = std::make_shared<MemBackend>();
  std::shared_ptr<Backend> near;       // null: the disk itself
  std::shared_ptr<FaultBackend> wire;  // to the bucket
  Components parts;
  std::unique_ptr<DB> db;
};

class TieredStore : public testing::Test {
 protected:
  // The n-th put of a life; each is one sequence.
  static Status PutNth(DB& db, uint64_t n, const WriteOptions& options = {}) {
    return db.Put(NumberedKey(n), "value " + std::to_string(n) + std::string(n % 300, 'x'), options);
  }
  static void ExpectPuts(DB& db, uint64_t first, uint64_t last) {
    const auto it = db.NewIterator();
    uint64_t n = first;
    for (it->SeekToFirst(); it->valid(); it->Next(), ++n) ASSERT_EQ(it->key(), NumberedKey(n));
    TARN_ASSERT_OK(it->status());
    EXPECT_EQ(n, last + 1);
  }
  // Of the newest record that is in the bucket.
  uint64_t DurablePoint() const {
    kernel::Manifest manifest(*bucket_);
    EXPECT_TRUE(manifest.Load().ok());
    return manifest.state().last().last_sequence;
  }
  uint64_t FarReads() {
    uint64_t reads = 0;
    for (const std::string& line : far_->TakeLines())
      reads += line.starts_with("read t") || line.starts_with("submit");
    return reads;
  }

  const std::shared_ptr<MemBackend> bucket_ =
      std::make_shared<MemBackend>(MemOptions{.append = false, .locks = false});
  const std::shared_ptr<TraceBackend> far_ = std::make_shared<TraceBackend>(bucket_);
  Machine one_{1}, two_{2};
};

TEST_F(TieredStore, HotLevelsAreReadWithoutTheNetwork) {
  for (const uint32_t levels : {0u, 64u}) {
    Settings settings = SmallSettings();
    settings.near_levels = levels;
    TARN_ASSERT_OK(one_.Open(far_, settings));
    for (uint64_t n = 1; n <= 2000; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
    TARN_ASSERT_OK(one_.db->Flush());
    one_.Background();
    TARN_ASSERT_OK(one_.Open(far_, settings));  // nothing is cached
    one_.Background();
    FarReads();
    std::string value;
    for (uint64_t n = 1; n <= 2000; n += 7) TARN_ASSERT_OK(one_.db->Get(NumberedKey(n), &value));
    ExpectPuts(*one_.db, 1, 2000);
    const uint64_t reads = FarReads();
    EXPECT_EQ(reads == 0, levels != 0) << reads;
  }
}

TEST_F(TieredStore, CompactionMovesTablesFar) {
  Settings settings = SmallSettings();
  settings.near_levels = 1;
  TARN_ASSERT_OK(one_.Open(far_, settings));
  for (uint64_t n = 1; n <= 500; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Flush());
  one_.Background();
  EXPECT_FALSE(one_.disk->List("near/", "", 10)->blobs.empty());
  TARN_ASSERT_OK(one_.db->Compact());
  one_.Background();
  // What was merged goes when the last reader has let go; what came of it has no copy.
  kernel::Manifest manifest(*bucket_);
  TARN_ASSERT_OK(manifest.Load());
  EXPECT_FALSE(manifest.state().tables().empty());
  for (const auto& [number, table] : manifest.state().tables()) {
    EXPECT_EQ(table.level, 1u);
    EXPECT_FALSE(one_.disk->Contents("near/" + TableBlobName(number)).ok());
  }
  ExpectPuts(*one_.db, 1, 500);
}

TEST_F(TieredStore, OldTablesAreFar) {
  Settings settings = SmallSettings();
  settings.near_changes = 100;
  TARN_ASSERT_OK(one_.Open(far_, settings));
  TARN_ASSERT_OK(PutNth(*one_.db, 1));
  TARN_ASSERT_OK(one_.db->Flush());
  one_.Background();
  const std::string table = one_.disk->List("near/", "", 10)->blobs.at(0).name;
  for (uint64_t n = 2; n <= 150; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Flush());
  one_.Background();
  EXPECT_EQ(one_.disk->Contents(table).status().code(), Code::kNotFound);
  EXPECT_EQ(one_.disk->List("near/", "", 10)->blobs.size(), 1u);
}

// The central promise, at many moments: what is left is exactly the newest record of the bucket.
TEST_F(TieredStore, ALostDiskGoesBackToTheLastDurablePoint) {
  uint64_t puts = 0, lost = 0;
  SeededRandom random(7);
  for (int life = 0; life < 30; ++life) {
    TARN_ASSERT_OK(life == 0 ? one_.Open(far_) : one_.OpenLost(far_));
    ExpectPuts(*one_.db, 1, puts);
    for (uint64_t n = random.Below(1500); n > 0; --n) {
      TARN_ASSERT_OK(PutNth(*one_.db, ++puts, static_cast<Durability>(random.Below(3))));
      if (random.OneIn(8)) static_cast<SimScheduler&>(*one_.parts.scheduler).RunOne();
      if (random.OneIn(400)) TARN_ASSERT_OK(one_.db->Flush());
    }
    if (random.OneIn(4)) {
      TARN_ASSERT_OK(one_.db->SyncWal());
      TARN_ASSERT_OK(one_.db->CreateNamedSnapshot("of life " + std::to_string(life)).status());
      EXPECT_EQ(DurablePoint(), one_.db->Statistics()["sequence.visible"]) << "a snapshot is a durable point";
    }
    // The first puts of a life may have been given sequences beyond the last of the one before: the point as a count.
    const uint64_t behind = one_.db->Statistics()["sequence.visible"] - DurablePoint();
    one_.LoseDisk();
    const Status refused = one_.Open(far_);
    EXPECT_EQ(refused.code(), Code::kUnavailable) << refused.ToString();
    EXPECT_NE(refused.message().find("log_lost=accept"), std::string_view::npos) << refused.ToString();
    EXPECT_NE(refused.message().find("(machine)"), std::string_view::npos) << refused.ToString();
    puts -= behind;
    lost += behind;
  }
  EXPECT_GT(puts, 1000u);
  EXPECT_GT(lost, 100u);
}

TEST_F(TieredStore, NothingIsLostAfterAClose) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 100; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Close());
  TARN_EXPECT_CODE(two_.Open(far_), Code::kUnavailable);
  TARN_ASSERT_OK(two_.OpenLost(far_));
  ExpectPuts(*two_.db, 1, 100);
}

TEST_F(TieredStore, ALogThatIsHereIsUsedWhateverWasAccepted) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 100; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.OpenLost(far_));
  ExpectPuts(*one_.db, 1, 100);
}

// The old writer goes on acknowledging into its own log, and learns at its next step of the manifest.
TEST_F(TieredStore, ATakeoverFencesTheOldWriterAtItsNextStep) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 100; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Flush());
  TARN_ASSERT_OK(PutNth(*one_.db, 101));
  TARN_ASSERT_OK(two_.OpenLost(far_));
  ExpectPuts(*two_.db, 1, 100);
  TARN_ASSERT_OK(PutNth(*one_.db, 102));
  TARN_ASSERT_OK(PutNth(*two_.db, 101));
  TARN_EXPECT_CODE(one_.db->Flush(), Code::kFenced);
  TARN_EXPECT_CODE(PutNth(*one_.db, 103), Code::kFenced);
  TARN_EXPECT_CODE(one_.Open(far_), Code::kUnavailable);
  TARN_ASSERT_OK(two_.Open(far_));
  ExpectPuts(*two_.db, 1, 101);
  TARN_ASSERT_OK(one_.OpenLost(far_));  // and back again
  TARN_EXPECT_CODE(two_.db->Flush().ok() ? PutNth(*two_.db, 102) : Status(), Code::kOk);
  TARN_EXPECT_CODE(two_.db->Flush(), Code::kFenced);
}

// It sleeps until the manifest records behind what it knows are deleted, and their numbers free again.
TEST_F(TieredStore, ASleeperFindsItsNumbersTaken) {
  TARN_ASSERT_OK(one_.Open(far_));
  TARN_ASSERT_OK(PutNth(*one_.db, 1));
  TARN_ASSERT_OK(one_.db->Flush());
  TARN_ASSERT_OK(PutNth(*one_.db, 2));
  TARN_ASSERT_OK(two_.OpenLost(far_));
  for (uint64_t n = 2; n <= 200; ++n) {
    TARN_ASSERT_OK(PutNth(*two_.db, n));
    TARN_ASSERT_OK(two_.db->Flush());
  }
  EXPECT_GT(bucket_->List("manifest/", "", 1)->blobs.at(0).name, ManifestBlobName(10)) << "the old ones are deleted";
  TARN_EXPECT_CODE(one_.db->Flush(), Code::kFenced);
  TARN_ASSERT_OK(two_.Open(far_));
  ExpectPuts(*two_.db, 1, 200);
}

TEST_F(TieredStore, AFencedWriterSaysSoWhenItCloses) {
  TARN_ASSERT_OK(one_.Open(far_));
  TARN_ASSERT_OK(PutNth(*one_.db, 1));
  TARN_ASSERT_OK(two_.OpenLost(far_));
  TARN_EXPECT_CODE(one_.db->Close(), Code::kFenced);
}

// An opening that came too late leaves a segment behind; it must not pass for the log of whoever won.
TEST_F(TieredStore, ALateOpenersSegmentIsNoLog) {
  TARN_ASSERT_OK(one_.Open(far_));
  TARN_ASSERT_OK(PutNth(*one_.db, 1));
  auto faulty = std::make_shared<FaultBackend>(bucket_);
  faulty->Arm({.forever = true, .only = [](const Call& call) { return call.op == Op::kPutIfAbsent; }});
  EXPECT_FALSE(two_.OpenLost(faulty).ok());
  EXPECT_FALSE(two_.disk->List("wal/", "", 10)->blobs.empty()) << "it had begun a log";
  TARN_EXPECT_CODE(two_.Open(far_), Code::kUnavailable);
  Machine three(3);
  TARN_ASSERT_OK(three.OpenLost(far_));
  TARN_ASSERT_OK(PutNth(*three.db, 1));
  TARN_EXPECT_CODE(two_.Open(far_), Code::kUnavailable);
  TARN_ASSERT_OK(three.Open(far_));
  ExpectPuts(*three.db, 1, 1);
}

// As above, with a store that is being made by two at once.
TEST_F(TieredStore, TwoMakersOfOneStoreHaveLogsOfTheirOwn) {
  auto faulty = std::make_shared<FaultBackend>(bucket_);
  faulty->Arm({.at_call = 2, .only = [](const Call& call) { return call.op == Op::kPutIfAbsent; }});
  EXPECT_FALSE(one_.Open(faulty).ok()) << "died between its first two records";
  TARN_ASSERT_OK(two_.Open(far_));
  TARN_ASSERT_OK(PutNth(*two_.db, 1));
  TARN_EXPECT_CODE(one_.Open(far_), Code::kUnavailable);
}

TEST_F(TieredStore, AReaderElsewhereSeesTheLastDurablePoint) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 100; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Flush());
  TARN_ASSERT_OK(PutNth(*one_.db, 101));
  Settings settings = SmallSettings();
  settings.read_only = true;
  TARN_EXPECT_CODE(OpenSim(bucket_, settings).status(), Code::kCorruption);
  settings.accept_lost_log = true;
  const auto reader = OpenSim(bucket_, settings);
  TARN_ASSERT_OK(reader.status());
  ExpectPuts(**reader, 1, 100);
  TARN_ASSERT_OK(PutNth(*one_.db, 102));
  TARN_ASSERT_OK(one_.db->Flush());
}

// On a real disk: a reader there opens it read-only, and finds the log as its writer has begun it.
TEST_F(TieredStore, AReaderOnTheMachineSeesAllThatIsAcknowledged) {
  const std::string place = testing::TempDir() + "tarn_tiered_reader";
  std::filesystem::remove_all(place);
  Settings settings = SmallSettings();
  const auto open = [&](bool read_only) -> Result<std::unique_ptr<DB>> {
    settings.read_only = read_only;
    TARN_ASSIGN(auto disk, local::OpenLocal(place, {.read_only = read_only}));
    TARN_ASSIGN(auto tiered, tiered::OpenTiered(bucket_, disk, {.read_only = read_only}));
    return OpenSim(tiered, settings);
  };
  const auto writer = open(false);
  TARN_ASSERT_OK(writer.status());
  TARN_ASSERT_OK(open(true).status());
  for (uint64_t n = 1; n <= 10; ++n) TARN_ASSERT_OK(PutNth(**writer, n));
  const auto reader = open(true);
  TARN_ASSERT_OK(reader.status());
  ExpectPuts(**reader, 1, 10);
  std::filesystem::remove_all(place);
}

TEST_F(TieredStore, HotTablesComeBackAfterTheDiskWasLost) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 1000; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Close());
  one_.LoseDisk();
  TARN_ASSERT_OK(one_.OpenLost(far_));
  one_.Background();
  TARN_ASSERT_OK(one_.Open(far_));
  one_.Background();
  FarReads();
  ExpectPuts(*one_.db, 1, 1000);
  EXPECT_EQ(FarReads(), 0u);
}

TEST_F(TieredStore, ADamagedCopyIsHealedByTheBucket) {
  for (const bool footer : {false, true}) {
    TARN_ASSERT_OK(one_.Open(far_));
    for (uint64_t n = 1; n <= 300; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
    TARN_ASSERT_OK(one_.db->Flush());
    one_.Background();
    one_.Kill();
    const auto copies = one_.disk->List("near/", "", 100);
    ASSERT_FALSE(copies->blobs.empty());
    for (const BlobInfo& blob : copies->blobs) {
      std::string bytes = *one_.disk->Contents(blob.name);
      bytes[footer ? bytes.size() - 50 : 20] ^= 1;
      TARN_ASSERT_OK(one_.disk->Corrupt(blob.name, bytes));
    }
    TARN_ASSERT_OK(one_.Open(far_));
    std::string value;
    TARN_ASSERT_OK(one_.db->Get(NumberedKey(1), &value));
    ExpectPuts(*one_.db, 1, 300);
    TARN_ASSERT_OK(one_.db->Verify());
  }
}

TEST_F(TieredStore, CommitsAndHotReadsGoOnWithoutTheNetwork) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 300; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Flush());
  TARN_ASSERT_OK(one_.Open(far_));
  one_.Background();
  ExpectPuts(*one_.db, 1, 300);  // tables are open
  one_.wire->Arm({.error = Status::Unavailable("the cable is out"), .forever = true});
  for (uint64_t n = 301; n <= 320; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n, Durability::kPower));
  ExpectPuts(*one_.db, 1, 320);
  TARN_EXPECT_CODE(one_.db->Flush(), Code::kUnavailable);
  ExpectPuts(*one_.db, 1, 320);
  one_.wire->Disarm();
  TARN_ASSERT_OK(PutNth(*one_.db, 321));
  TARN_ASSERT_OK(one_.db->Flush());
  EXPECT_EQ(DurablePoint(), 321u);
}

// Verify is about the tables; that a copy of one is whole says nothing.
TEST_F(TieredStore, VerifyLooksPastCopies) {
  TARN_ASSERT_OK(one_.Open(far_));
  for (uint64_t n = 1; n <= 300; ++n) TARN_ASSERT_OK(PutNth(*one_.db, n));
  TARN_ASSERT_OK(one_.db->Flush());
  one_.Background();
  TARN_ASSERT_OK(one_.db->Verify());
  FarReads();
  ExpectPuts(*one_.db, 1, 300);
  EXPECT_EQ(FarReads(), 0u) << "copies are back";
  const std::string table = bucket_->List("table/", "", 1)->blobs.at(0).name;
  std::string bytes = *bucket_->Contents(table);
  bytes[20] ^= 1;
  TARN_ASSERT_OK(bucket_->Corrupt(table, bytes));
  TARN_EXPECT_CODE(one_.db->Verify(), Code::kCorruption);
}

// Power goes at each effect on the disk in turn; the bucket keeps what it has.
TEST_F(TieredStore, APowerCutKeepsWhatWasSynced) {
  for (uint64_t effect = 1;; effect += 5) {
    auto bucket = std::make_shared<MemBackend>(MemOptions{.append = false, .locks = false});
    Machine machine(effect);
    auto power = std::make_shared<CrashBackend>(machine.disk);
    power->CrashAt(effect, effect, CrashMode::kTornSubset);
    machine.near = power;
    uint64_t safe = 0;
    if (machine.Open(bucket).ok()) {
      for (uint64_t n = 1; n <= 300 && PutNth(*machine.db, n, Durability::kPower).ok(); ++n) safe = n;
      (void)machine.db->Flush();
    }
    machine.db.reset();
    if (power->survivor() == nullptr) break;
    machine.disk = power->survivor();
    machine.near = nullptr;
    TARN_ASSERT_OK(machine.Open(bucket));
    const auto it = machine.db->NewIterator();
    uint64_t found = 0;
    for (it->SeekToFirst(); it->valid(); it->Next()) ++found;
    EXPECT_GE(found, safe) << "effect " << effect;
    EXPECT_LE(found, safe + 1) << "effect " << effect;
  }
}

}  // namespace
}  // namespace tarn::test
