// The stress of stress.h on each kind of backend, left to run to its end and closed in the middle.
//
// Threads make each run another one; the seed fixes what each thread does, not when. TARN_SEED=n for another seed,
// TARN_STRESS_OPS=n for longer runs (default 1200 changes for each of three writers). The tsan preset is where this
// program earns its keep.
#include "tests/concurrency/stress.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "backends/local/local.h"
#include "kernel/mem_set.h"
#include "memtable/builtin.h"
#include "tests/local/temp_directory.h"
#include "tests/support/dead_rows.h"
#include "tests/support/from_environment.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {
namespace {

struct Place {
  std::string name;
  bool local, io_uring, queues;
};
void PrintTo(const Place& place, std::ostream* out) { *out << place.name; }

class StressTest : public testing::TestWithParam<Place> {
 protected:
  void SetUp() override {
    if (GetParam().local) {
      directory_ = std::make_unique<TempDirectory>();
      auto local = local::OpenLocal(directory_->path(), {.allow_io_uring = GetParam().io_uring});
      ASSERT_TRUE(local.ok()) << local.status().ToString();
      backend_ = *local;
      std::printf("reads by %s\n", backend_->info().read_engine.c_str());
    } else {
      backend_ = std::make_shared<MemBackend>(MemOptions{.queues = GetParam().queues});
    }
    Open();
  }
  // Small parts, so that flushes and compactions run all the time; one budget for all, so that blocks get evicted.
  void Open() {
    Settings settings;
    settings.memory_bytes = 8ull << 20;
    settings.memtable_bytes = settings.table_bytes = 64ull << 10;
    settings.block_bytes = 512;
    settings.size_ratio = 3;
    Components parts;
    parts.backend = backend_;
    auto opened = DB::Open(settings, std::move(parts));
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    db_ = std::move(*opened);
  }
  void ExpectGood(Stress& stress) {
    for (const std::string& failure : stress.failures()) ADD_FAILURE() << "seed " << seed_ << ": " << failure;
  }

  const LeastDeadRow least_{2};
  const uint64_t seed_ = FromEnvironment("TARN_SEED", 1);
  const uint64_t operations_ = FromEnvironment("TARN_STRESS_OPS", 1200);
  std::unique_ptr<TempDirectory> directory_;
  std::shared_ptr<Backend> backend_;
  std::unique_ptr<DB> db_;
};

TEST_P(StressTest, ToTheEnd) {
  Stress stress(*db_, seed_);
  stress.Run(operations_);
  stress.CheckStore(*db_, true, "in the end");
  EXPECT_GT(stress.checkpoints(), 0u);
  const auto facts = db_->Statistics();
  EXPECT_EQ(facts.at("snapshots.open"), 0u) << "every snapshot was let go";
  EXPECT_GT(facts.at("flush.count"), 10u);
  EXPECT_GT(facts.at("compaction.count"), 10u);
  db_ = nullptr;
  Open();
  stress.CheckStore(*db_, true, "reopened");
  ExpectGood(stress);
}

// What a closed store answers to each call.
void ExpectClosed(DB& db) {
  std::string value;
  std::vector<std::string> values;
  const auto transaction = db.Begin();
  transaction->Put({}, "k", "v");
  EXPECT_EQ(transaction->Get({}, "other", &value).code(), Code::kInvalid);
  MemBackend target;
  const std::vector<std::pair<const char*, Status>> answers = {
      {"Put", db.Put("k", "v")},
      {"Delete", db.Delete("k")},
      {"DeleteRange", db.DeleteRange("a", "b")},
      {"Write", db.Write({})},
      {"SyncWal", db.SyncWal()},
      {"Commit", transaction->Commit()},
      {"Get", db.Get("k", &value)},
      {"MultiGet", db.MultiGet({}, {"k"}, &values)[0]},
      {"NewIterator", db.NewIterator()->status()},
      {"CreateFamily", db.CreateFamily("f").status()},
      {"FindFamily", db.FindFamily("left").status()},
      {"DropFamily", db.DropFamily(ColumnFamily{1})},
      {"CreateNamedSnapshot", db.CreateNamedSnapshot("s").status()},
      {"OpenNamedSnapshot", db.OpenNamedSnapshot("s").status()},
      {"DropNamedSnapshot", db.DropNamedSnapshot("s")},
      {"Flush", db.Flush()},
      {"Compact", db.Compact()},
      {"Checkpoint", db.Checkpoint(target)},
      {"Verify", db.Verify()},
      {"Property", db.Property("levels").status()},
  };
  for (const auto& [call, answer] : answers)
    EXPECT_EQ(answer.code(), Code::kInvalid) << call << ": " << answer.ToString();
  EXPECT_TRUE(db.Close().ok()) << "closing twice is fine";
  EXPECT_FALSE(db.Statistics().empty());
  EXPECT_FALSE(db.ListFamilies().empty());
}

TEST_P(StressTest, ClosedInTheMiddle) {
  Stress stress(*db_, seed_);
  stress.Run(operations_, operations_);  // a third of the way
  EXPECT_GE(stress.changes(), operations_);
  EXPECT_LT(stress.changes(), 3 * operations_) << "it was closed too late to prove anything";
  ExpectClosed(*db_);
  db_ = nullptr;
  Open();
  stress.CheckStore(*db_, true, "reopened");
  ExpectGood(stress);
}

// A reader's set of range tombstones stays alive while a writer puts others in its place.
TEST(MemtableTombstones, AreReadWhileOthersCome) {
  kernel::FamilyMem mem(NewSkipListStrategy(1)->Create());
  constexpr Sequence kLast = 20000;
  std::atomic<Sequence> added{0};
  std::atomic<uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      for (Sequence before = 0; before < kLast;) {
        before = added.load(std::memory_order_acquire);
        const Sequence cover = mem.NewestCover("b", kMaxSequence);
        wrong += cover < before || cover > kLast;
      }
    });
  }
  for (Sequence sequence = 1; sequence <= kLast; ++sequence) {
    mem.Add(Kind::kRangeDelete, sequence, "a", "c");
    added.store(sequence, std::memory_order_release);
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0u);
}

INSTANTIATE_TEST_SUITE_P(Backends, StressTest,
                         testing::Values(Place{"Mem", false, false, true},
                                         Place{"MemWithoutQueues", false, false, false},
                                         Place{"Local", true, true, true},
                                         Place{"LocalWithoutIoUring", true, false, true}),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace tarn::test
