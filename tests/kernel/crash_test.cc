// The power goes at every single effect of a scripted life, in all three ways a crash can look; and every single
// backend call fails in turn. After each: the store opens, everything acknowledged as durable is there, nothing is
// half applied, and a second reopen gives the same answers.
#include <gtest/gtest.h>

#include "tests/kernel/sim_store.h"
#include "tests/support/crash_backend.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kBatches = 24;

// Batch n writes both families with value n and removes what batch n-3 wrote. So exactly one pair of rows of
// each of the last three batches is there, and any subset of a batch shows.
struct Acknowledged {
  uint64_t written = 0;  // batches that returned OK
  uint64_t power = 0;    // of them, up to the last one that was acknowledged at kPower
};

Acknowledged Live(const std::shared_ptr<Backend>& backend) {
  Acknowledged done;
  auto opened = OpenSim(backend);
  if (!opened.ok()) return done;
  DB& db = **opened;
  const auto family = db.CreateFamily("other");
  if (!family.ok()) return done;
  for (uint64_t n = 1; n <= kBatches; ++n) {
    WriteBatch batch;
    batch.Put(NumberedKey(n), std::to_string(n));
    batch.Put(*family, NumberedKey(n), std::to_string(n) + std::string(n % 5 == 0 ? 3000 : 0, 'x'));
    if (n > 3) {
      batch.DeleteRange(NumberedKey(n - 3), NumberedKey(n - 2));
      batch.Delete(*family, NumberedKey(n - 3));
    }
    const Durability durability = n % 4 == 0 ? Durability::kPower : Durability::kProcess;
    if (!db.Write(batch, durability).ok()) return done;
    done.written = n;
    if (durability == Durability::kPower) done.power = n;
    if (n % 7 == 0 && !db.Flush().ok()) return done;
    if (n % 12 == 0 && !db.Compact().ok()) return done;
    if (n == 10 && !db.CreateNamedSnapshot("ten").ok()) return done;
  }
  if (db.Close().ok()) done.power = done.written;
  return done;
}

// How many batches the store holds; fails the test when it holds parts of one.
uint64_t BatchesIn(DB& db) {
  const auto family = db.FindFamily("other");
  const auto newest = db.NewIterator();
  newest->SeekToLast();
  EXPECT_TRUE(newest->status().ok()) << newest->status().ToString();
  if (!newest->valid()) return 0;
  EXPECT_TRUE(family.ok()) << "rows are there, but not the family that was made before them";
  if (!family.ok()) return 0;
  const uint64_t last = std::stoull(std::string(newest->value()));
  for (uint64_t n = 1; n <= last; ++n) {
    std::string a, b;
    const Status in_default = db.Get(NumberedKey(n), &a);
    const Status in_other = db.Get(*family, NumberedKey(n), &b);
    const bool expected = n + 3 > last;
    EXPECT_EQ(in_default.ok(), expected) << "row " << n << " of " << last << ": " << in_default.ToString();
    EXPECT_EQ(in_other.ok(), expected) << "row " << n << " of " << last << ": " << in_other.ToString();
  }
  return last;
}

void CheckRecovered(const std::shared_ptr<Backend>& backend, uint64_t at_least, uint64_t at_most) {
  uint64_t batches = 0;
  for (int round = 0; round < 2; ++round) {
    auto opened = OpenSim(backend);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    const uint64_t now = BatchesIn(**opened);
    if (round == 0) batches = now;
    EXPECT_EQ(now, batches) << "a second reopen disagrees";
    EXPECT_TRUE((*opened)->Verify().ok());
    EXPECT_TRUE((*opened)->Close().ok());
  }
  EXPECT_GE(batches, at_least);
  EXPECT_LE(batches, at_most);
}

class CrashSweep : public testing::TestWithParam<CrashMode> {};

TEST_P(CrashSweep, AtEveryEffect) {
  auto rehearsal = std::make_shared<CrashBackend>(std::make_shared<MemBackend>());
  ASSERT_EQ(Live(rehearsal).written, kBatches);
  const uint64_t effects = rehearsal->effects();
  ASSERT_GT(effects, 100u);
  for (uint64_t at = 1; at <= effects; ++at) {
    auto machine = std::make_shared<CrashBackend>(std::make_shared<MemBackend>());
    machine->CrashAt(at, at * 31, GetParam());
    const Acknowledged done = Live(machine);
    const auto after = machine->survivor();
    ASSERT_NE(after, nullptr);
    SCOPED_TRACE("power gone at effect " + std::to_string(at));
    const uint64_t floor = GetParam() == CrashMode::kProcessKill ? done.written : done.power;
    CheckRecovered(after, floor, done.written + 1);
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Modes, CrashSweep,
                         testing::Values(CrashMode::kProcessKill, CrashMode::kDropUnsynced, CrashMode::kTornSubset));

// A crash during recovery from a crash: cut the recovery at each of its own effects.
TEST(CrashSweepNested, RecoveryIsRepeatable) {
  auto rehearsal = std::make_shared<CrashBackend>(std::make_shared<MemBackend>());
  Live(rehearsal);
  const uint64_t effects = rehearsal->effects();
  for (uint64_t at = 10; at <= effects; at += 7) {
    auto machine = std::make_shared<CrashBackend>(std::make_shared<MemBackend>());
    machine->CrashAt(at, at, CrashMode::kTornSubset);
    const Acknowledged done = Live(machine);
    for (uint64_t second = 1;; ++second) {
      auto recovering = std::make_shared<CrashBackend>(machine->survivor()->CrashClone(1, CrashMode::kProcessKill));
      recovering->CrashAt(second, at + second, CrashMode::kTornSubset);
      { const auto opened = OpenSim(recovering); }
      if (recovering->survivor() == nullptr) break;
      SCOPED_TRACE("power gone at effect " + std::to_string(at) + ", then at " + std::to_string(second));
      CheckRecovered(recovering->survivor(), done.power, done.written + 1);
      if (HasFailure()) return;
    }
  }
}

// Several full memtables wait, one is flushed, the process dies: the log must still hold all the others.
TEST(CrashBetweenFlushes, TheLogIsKeptForWhatStillWaits) {
  auto disk = std::make_shared<MemBackend>();
  Components parts = SimParts(disk);
  const auto scheduler = std::static_pointer_cast<SimScheduler>(parts.scheduler);
  auto opened = DB::Open(SmallSettings(), std::move(parts));
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  DB& db = **opened;
  uint64_t written = 0;
  const uint64_t one = SmallSettings().memtable_bytes;
  for (; db.Statistics()["memory.memtable_bytes"] < 4 * one; ++written) {
    ASSERT_TRUE(db.Put(NumberedKey(written), std::string(4000, 'v'), Durability::kProcess).ok());
  }
  const uint64_t flushes = db.Statistics()["flush.count"];
  while (db.Statistics()["flush.count"] == flushes) ASSERT_TRUE(scheduler->RunOne());
  ASSERT_GT(db.Statistics()["memory.memtable_bytes"], 2 * one) << "nothing waits any more";
  auto after = OpenSim(disk->CrashClone(1, CrashMode::kProcessKill));
  ASSERT_TRUE(after.ok()) << after.status().ToString();
  for (uint64_t n = 0; n < written; ++n) {
    std::string value;
    ASSERT_TRUE((*after)->Get(NumberedKey(n), &value).ok()) << n << " of " << written;
  }
}

class FaultSweep : public testing::TestWithParam<Code> {};

TEST_P(FaultSweep, AtEveryCall) {
  auto rehearsal = std::make_shared<FaultBackend>(std::make_shared<MemBackend>());
  Live(rehearsal);
  const uint64_t calls = rehearsal->calls();
  for (uint64_t at = 1; at <= calls; ++at) {
    for (const bool effect_happens : {false, true}) {
      auto disk = std::make_shared<MemBackend>();
      auto faulty = std::make_shared<FaultBackend>(disk);
      faulty->Arm({.at_call = at,
                   .error = Status(GetParam(), "injected"),
                   .effect_happens = effect_happens && GetParam() == Code::kIo});
      const Acknowledged done = Live(faulty);
      SCOPED_TRACE("call " + std::to_string(at) + " fails" + (effect_happens ? " although it happened" : ""));
      CheckRecovered(disk, done.written, done.written + 1);
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Errors, FaultSweep, testing::Values(Code::kIo, Code::kNoSpace));

}  // namespace
}  // namespace tarn::test
