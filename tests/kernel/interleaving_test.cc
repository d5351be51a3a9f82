// What may happen between two steps of an operation: another writer, a full device, a flush that ends at the wrong
// moment. The other party acts from inside a backend call, so each interleaving is the same in every run.
#include <gtest/gtest.h>

#include <bit>
#include <thread>

#include "kernel/store.h"
#include "memtable/builtin.h"
#include "tests/kernel/sim_store.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

// Calls a function before each effect; calls made from within it are passed through.
class HookBackend final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  std::function<void(const Call&)> before;

 private:
  Status Around(const Call& call, const Effect& effect) override {
    if (auto hook = std::exchange(before, nullptr); hook != nullptr) {
      hook(call);
      before = std::move(hook);
    }
    return effect();
  }
};

// Runs all that is queued before it looks whether the waiter may go on, as a slow waiter does.
class LateScheduler final : public Scheduler {
 public:
  void Submit(Lane lane, Task task) override { inner_.Submit(lane, std::move(task)); }
  void Notify() override {}
  void Await(std::mutex& mutex, const std::function<bool()>& ready) override {
    mutex.unlock();
    inner_.RunAll();
    mutex.lock();
    inner_.Await(mutex, ready);
  }

 private:
  SimScheduler inner_{1};
};

bool IsTable(const Call& call, Op op) { return call.op == op && call.name.starts_with("table/"); }

std::unique_ptr<DB> MustOpen(std::shared_ptr<Backend> backend, Settings settings = SmallSettings()) {
  auto opened = OpenSim(std::move(backend), settings);
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  return opened.ok() ? std::move(*opened) : nullptr;
}

struct Interleaving : testing::Test {
  std::shared_ptr<MemBackend> disk = std::make_shared<MemBackend>();
  std::shared_ptr<HookBackend> hooked = std::make_shared<HookBackend>(disk);
  std::shared_ptr<FaultBackend> faulty = std::make_shared<FaultBackend>(hooked);
  std::unique_ptr<DB> db = MustOpen(faulty);

  void FillOneMemtable() {
    for (int i = 0; i < 90; ++i) ASSERT_TRUE(db->Put(NumberedKey(next_++), std::string(1000, 'v')).ok());
  }
  uint64_t next_ = 0;
};

TEST_F(Interleaving, FlushDoesNotWaitForWhatIsWrittenMeanwhile) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  int flushes = 0;
  hooked->before = [&](const Call& call) {
    if (IsTable(call, Op::kFinish) && ++flushes < 100) FillOneMemtable();
  };
  ASSERT_TRUE(db->Flush().ok());
  hooked->before = nullptr;
  EXPECT_LE(flushes, 2);
}

TEST_F(Interleaving, AFlushThatCannotBePublishedLeavesNoTables) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  faulty->Arm({.error = Status::NoSpace("injected"), .forever = true, .only = [](const Call& call) {
                 return call.op == Op::kPutIfAbsent;
               }});
  for (int i = 0; i < 5; ++i) EXPECT_EQ(db->Flush().code(), Code::kNoSpace);
  faulty->Disarm();
  EXPECT_TRUE(disk->List("table/", "", 100)->blobs.empty()) << "a full device must not be filled further";
  ASSERT_TRUE(db->Flush().ok());
  EXPECT_EQ(disk->List("table/", "", 100)->blobs.size(), 1u);
}

TEST_F(Interleaving, ARecordThatAFullDeviceKeptNeverthelessIsInDoubt) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  faulty->Arm({.error = Status::NoSpace("injected"), .effect_happens = true, .only = [](const Call& call) {
                 return call.op == Op::kPutIfAbsent;
               }});
  EXPECT_EQ(db->Flush().code(), Code::kNoSpace);
  faulty->Disarm();
  EXPECT_EQ(db->Flush().code(), Code::kNoSpace) << "no retry: it would meet its own record";
  db = nullptr;
  db = MustOpen(disk);
  std::string value;
  EXPECT_TRUE(db->Get("a", &value).ok());
  EXPECT_TRUE(db->Verify().ok());
}

TEST_F(Interleaving, ACompactionThatFailsSaysSoAlthoughAFlushSucceedsBehindIt) {
  db = nullptr;
  Components parts = SimParts(faulty);
  parts.scheduler = std::make_shared<LateScheduler>();
  auto opened = DB::Open(SmallSettings(), std::move(parts));
  ASSERT_TRUE(opened.ok());
  db = std::move(*opened);
  for (int i = 0; i < 2; ++i) {
    ASSERT_TRUE(db->Put("a", "1").ok());
    ASSERT_TRUE(db->Flush().ok());
  }
  faulty->Arm(
      {.error = Status::NoSpace("injected"), .only = [](const Call& call) { return IsTable(call, Op::kFinish); }});
  bool filled = false;  // with something whose flush runs right after the compaction has failed
  hooked->before = [&](const Call& call) {
    if (IsTable(call, Op::kCreate) && !std::exchange(filled, true)) FillOneMemtable();
  };
  EXPECT_EQ(db->Compact().code(), Code::kNoSpace);
  EXPECT_EQ(faulty->fired(), 1u);
}

TEST_F(Interleaving, AReadOnlyOpenStartsAgainWhenTheWriterReleasesTheLogMeanwhile) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  auto watched = std::make_shared<HookBackend>(disk);
  for (const Op at : {Op::kList, Op::kOpen}) {
    int left = 1;
    watched->before = [&](const Call& call) {
      if (call.op != at || !call.name.starts_with("wal/") || left-- != 1) return;
      ASSERT_TRUE(db->Flush().ok());  // releases the segment that the reader was about to read
      ASSERT_TRUE(db->Put("b", "2").ok());
      ASSERT_TRUE(db->Flush().ok());
      ASSERT_TRUE(db->Put("c", "3").ok());
    };
    Settings settings = SmallSettings();
    settings.read_only = true;
    const auto reader = MustOpen(watched, settings);
    ASSERT_NE(reader, nullptr);
    std::string value;
    EXPECT_TRUE(reader->Get("a", &value).ok());
    EXPECT_TRUE(reader->Get("b", &value).ok());
  }
}

TEST_F(Interleaving, ACheckpointHasNoSnapshotOfChangesItLacks) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  ASSERT_TRUE(db->CreateNamedSnapshot("before").ok());
  const auto copy = std::make_shared<MemBackend>();
  HookBackend target(copy);
  target.before = [&](const Call& call) {
    if (call.op != Op::kList) return;
    ASSERT_TRUE(db->Put("b", "2").ok());
    ASSERT_TRUE(db->CreateNamedSnapshot("after").ok());
  };
  ASSERT_TRUE(db->Checkpoint(target).ok());
  const auto other = MustOpen(copy);
  ASSERT_TRUE(other->Put("c", "3").ok());
  const auto names = other->ListNamedSnapshots();
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].name, "before");
}

TEST_F(Interleaving, VerifyLooksAtTheDeviceAndNotIntoTheCache) {
  ASSERT_TRUE(db->Put("a", "1").ok());
  ASSERT_TRUE(db->Flush().ok());
  std::string value;
  ASSERT_TRUE(db->Get("a", &value).ok());  // its blocks are cached now
  ASSERT_TRUE(db->Verify().ok());
  const std::string name = disk->List("table/", "", 1)->blobs.at(0).name;
  const std::string sound = *disk->Contents(name);
  for (const size_t at : {size_t{3}, sound.size() - 1}) {  // in a data block, and in the footer
    std::string rotten = sound;
    rotten[at] ^= 1;
    ASSERT_TRUE(disk->Corrupt(name, rotten).ok());
    EXPECT_EQ(db->Verify().code(), Code::kCorruption) << at;
  }
}

TEST_F(Interleaving, ALargeBatchIsCountedInTheStatistics) {
  ASSERT_TRUE(db->Put("a", std::string(5 << 20, 'v')).ok());
  EXPECT_GE(db->Statistics().at("wal.bytes"), 5u << 20);
}

// The sequence is held by a snapshot, by a name, or by both, at any moment.
TEST(Retention, ASnapshotThatGetsOrLosesItsNameIsNeverMissed) {
  kernel::Store store(SmallSettings(), SimParts(std::make_shared<MemBackend>()));
  ASSERT_TRUE(store.manifest_for_open().Create(std::string(16, 'i'), "w").ok());
  const auto strategy = NewSkipListStrategy(1);
  ASSERT_TRUE(
      store.InstallManifest(std::make_shared<kernel::MemSet>(*strategy, std::vector<uint32_t>{0}, 1, &store.budget))
          .ok());
  store.Show(7);
  store.RegisterSnapshot();
  std::atomic<bool> done{false};
  std::thread namer([&] {
    for (int i = 0; i < 2000; ++i) {
      EXPECT_TRUE(store
                      .Edit([](ManifestRecord* delta, const auto&) {
                        delta->snapshots_added.push_back({"s", 7, 0});
                        return Status();
                      })
                      .ok());
      store.ReleaseSnapshot(7);
      EXPECT_TRUE(store.RegisterNamedSnapshot("s").ok());
      EXPECT_TRUE(store
                      .Edit([](ManifestRecord* delta, const auto&) {
                        delta->snapshots_dropped.push_back("s");
                        return Status();
                      })
                      .ok());
    }
    done = true;
  });
  uint64_t missed = 0;
  while (!done) missed += store.Retained() != std::vector<Sequence>{7};
  namer.join();
  EXPECT_EQ(missed, 0u);
  store.ReleaseSnapshot(7);
}

// Reads between the additions do not make each of them cost all that came before.
TEST(MemtableTombstones, AreKeptInFewSetsThatKnowThemAll) {
  const auto strategy = NewSkipListStrategy(1);
  kernel::FamilyMem mem(strategy->Create());
  SeededRandom random(1);
  std::vector<RangeTombstone> added;
  for (Sequence sequence = 1; sequence <= 300; ++sequence) {
    const uint64_t begin = random.Below(100);
    added.push_back({NumberedKey(begin), NumberedKey(begin + 1 + random.Below(10)), sequence});
    mem.Add(Kind::kRangeDelete, sequence, added.back().begin, added.back().end);
    const auto sets = mem.tombstones();
    ASSERT_EQ(sets->size(), static_cast<size_t>(std::popcount(sequence)));
    const std::string key = NumberedKey(random.Below(110));
    const Sequence snapshot = random.Below(sequence + 1);
    ASSERT_EQ(mem.NewestCover(key, snapshot), RangeTombstones(added).NewestCover(key, snapshot)) << sequence;
  }
  EXPECT_EQ(mem.all_tombstones().size(), 300u);
}

}  // namespace
}  // namespace tarn::test
