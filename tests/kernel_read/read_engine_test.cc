// The read engine over a backend that watches its reads: what is in flight together, what is read once, what one
// bad block spoils, and what stays within the budget; on read queues and on the pool of threads alike.
#include "kernel/read_engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "tests/kernel_read/allocations.h"
#include "tests/kernel_read/watched_backend.h"

namespace tarn::kernel {
namespace {

using test::KeyOf;
using test::MakeTable;
using test::SeenRead;
using test::ValueOf;
using testing::HasSubstr;

constexpr Sequence kNow = 1'000'000'000;

// Probes of keys, each in its table, started and ready to run.
class Batch {
 public:
  void Add(const Table* table, uint64_t key) {
    keys_.push_back(KeyOf(key));
    numbers_.push_back(key);
    tables_.push_back(table);
  }
  void Run(ReadEngine& engine) {
    probes_ = std::vector<TableProbe>(keys_.size());
    std::vector<TableProbe*> pointers;
    for (size_t i = 0; i < keys_.size(); ++i) {
      probes_[i].Start(tables_[i], keys_[i], kNow);
      pointers.push_back(&probes_[i]);
    }
    engine.RunProbes(pointers);
  }
  // How many found their value.
  size_t Right(size_t value_bytes = 100) const {
    size_t right = 0;
    for (size_t i = 0; i < probes_.size(); ++i) {
      const TableProbe& probe = probes_[i];
      right += probe.status().ok() && probe.present() && probe.value() == ValueOf(numbers_[i], value_bytes) ? 1 : 0;
    }
    return right;
  }
  const TableProbe& operator[](size_t i) const { return probes_[i]; }
  size_t size() const { return probes_.size(); }

 private:
  std::vector<std::string> keys_;
  std::vector<uint64_t> numbers_;
  std::vector<const Table*> tables_;
  std::vector<TableProbe> probes_;
};

// The parameter: whether the backend has read queues (else the pool is used).
class ReadEngineTest : public testing::TestWithParam<bool> {
 protected:
  // Where the block that holds `key` lies: the last read of a cold lookup.
  SeenRead PlaceOf(const Table* table, uint64_t key) {
    MemoryBudget budget(1 << 20);
    BlockCache cache(&budget);
    ReadEngine engine(backend_, cache, statistics_);
    backend_.Forget();
    Batch batch;
    batch.Add(table, key);
    batch.Run(engine);
    EXPECT_EQ(batch.Right(), 1u);
    const SeenRead last = backend_.reads().back();
    backend_.Forget();
    return last;
  }

  test::WatchedBackend backend_{GetParam()};
  MemoryBudget budget_{16 << 20};
  BlockCache cache_{&budget_};
  Statistics statistics_;
  ReadEngine engine_{backend_, cache_, statistics_};
};
INSTANTIATE_TEST_SUITE_P(Rungs, ReadEngineTest, testing::Bool(),
                         [](const auto& rung) { return rung.param ? "Queue" : "Pool"; });

TEST_P(ReadEngineTest, SixtyFourColdKeysAreInFlightTogether) {
  std::vector<std::shared_ptr<Table>> tables;
  Batch batch;
  for (uint64_t i = 0; i < 64; ++i) {
    tables.push_back(MakeTable(backend_, i + 1, i, 1));
    batch.Add(tables.back().get(), i);
  }
  backend_.Forget();
  backend_.gate = 64;
  batch.Run(engine_);
  EXPECT_FALSE(backend_.gate_failed);
  EXPECT_EQ(backend_.peak(), 64u);
  EXPECT_EQ(batch.Right(), 64u);
  // Four dependent reads a key: filter, top index, index partition, data block. On the queue (first in, first
  // out) every finished read is replaced by the next of its probe, so 64 stay in flight up to the last stage.
  EXPECT_EQ(backend_.reads().size(), 256u);
  if (GetParam()) {
    ASSERT_EQ(backend_.in_flight_at_wait.size(), 256u);
    for (size_t i = 0; i <= 192; ++i) EXPECT_EQ(backend_.in_flight_at_wait[i], 64u) << "wait " << i;
  }
  EXPECT_EQ(statistics_.Get(Counter::kReadRequests), 256u);
  EXPECT_EQ(statistics_.Get(Counter::kBlockMisses), 256u);
  EXPECT_EQ(statistics_.Get(Counter::kFilterPositives), 64u);
  EXPECT_EQ(budget_.used(), cache_.bytes() + engine_.hints()->memory_bytes()) << "buffers were given back";
}

TEST_P(ReadEngineTest, ABlockThatManyWantIsReadOnce) {
  const auto table = MakeTable(backend_, 1, 0, 5000);
  backend_.Forget();
  Batch batch;
  for (uint64_t i = 0; i < 5000; ++i) batch.Add(table.get(), i);
  batch.Run(engine_);
  EXPECT_EQ(batch.Right(), 5000u);
  std::set<uint64_t> offsets;
  for (const SeenRead& read : backend_.reads()) {
    EXPECT_TRUE(offsets.insert(read.offset).second) << "offset " << read.offset << " was read twice";
  }
  EXPECT_GT(offsets.size(), 100u);
  if (GetParam()) {  // how many the pool has at once is up to the machine
    EXPECT_GT(backend_.peak(), 32u);
  }

  backend_.Forget();
  batch.Run(engine_);  // and now it is all in memory
  EXPECT_EQ(batch.Right(), 5000u);
  EXPECT_TRUE(backend_.reads().empty());
}

TEST_P(ReadEngineTest, WhatIsInFlightStaysWithinAQuarterOfTheBudget) {
  const auto table = MakeTable(backend_, 1, 0, 2000, 2000);  // about 1000 blocks of 4 KiB
  MemoryBudget budget(1 << 20);
  BlockCache cache(&budget);
  ReadEngine engine(backend_, cache, statistics_);
  backend_.Forget();
  Batch batch;
  for (uint64_t i = 0; i < 2000; ++i) batch.Add(table.get(), i);
  batch.Run(engine);
  EXPECT_EQ(batch.Right(2000), 2000u);
  EXPECT_LE(backend_.peak_bytes(), budget.limit() / 4);
  if (GetParam()) {  // how many the pool has at once is up to the machine
    EXPECT_GT(backend_.peak(), 16u);
  }
  EXPECT_LE(budget.used(), budget.limit());
  EXPECT_EQ(budget.used(), cache.bytes() + engine.hints()->memory_bytes());
}

TEST_P(ReadEngineTest, WorksWithNoRoomForAnyBlock) {
  const auto table = MakeTable(backend_, 1, 0, 1000);
  MemoryBudget budget(1 << 20);
  BlockCache cache(&budget);
  ReadEngine engine(backend_, cache, statistics_);
  const MemoryCharge memtables(budget, 2 << 20);
  Batch batch;
  for (uint64_t i = 0; i < 1000; i += 7) batch.Add(table.get(), i);
  batch.Run(engine);
  EXPECT_EQ(batch.Right(), batch.size());
  EXPECT_EQ(cache.bytes(), 0u);
}

TEST_P(ReadEngineTest, OneFailedReadFailsOnlyTheKeysThatNeedIt) {
  const auto table = MakeTable(backend_, 1, 0, 1000);
  const SeenRead bad = PlaceOf(table.get(), 500);
  backend_.hook = [&](const SeenRead& read, std::span<char>) {
    return read.offset == bad.offset ? Status::Io("the device said no") : Status::Ok();
  };
  Batch batch;
  for (uint64_t i = 0; i < 1000; ++i) batch.Add(table.get(), i);
  batch.Run(engine_);
  size_t failed = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (batch[i].status().ok()) continue;
    ++failed;
    EXPECT_EQ(batch[i].status().code(), Code::kIo);
    EXPECT_THAT(batch[i].status().ToString(), HasSubstr(TableBlobName(1)));
    EXPECT_THAT(batch[i].status().ToString(), HasSubstr("offset " + std::to_string(bad.offset)));
    EXPECT_THAT(batch[i].status().ToString(), HasSubstr("the device said no"));
  }
  EXPECT_FALSE(batch[500].status().ok());
  EXPECT_GT(failed, 10u);
  EXPECT_LT(failed, 60u);  // a block of keys, no more
  EXPECT_EQ(batch.Right(), 1000 - failed);
  size_t tries = 0;
  for (const SeenRead& read : backend_.reads()) tries += read.offset == bad.offset ? 1 : 0;
  EXPECT_EQ(tries, 1u) << "an I/O error is reported, not tried again";
}

// Bytes that are wrong once are read again; bytes that stay wrong are Corruption, for those who need them.
TEST_P(ReadEngineTest, ABadChecksumIsReadAgainOnce) {
  const auto table = MakeTable(backend_, 1, 0, 1000);
  const SeenRead bad = PlaceOf(table.get(), 500);
  for (const int spoiled : {1, 2}) {
    std::atomic<int> left{spoiled}, tries{0};
    backend_.hook = [&](const SeenRead& read, std::span<char> out) {
      if (read.offset == bad.offset) {
        tries.fetch_add(1);
        if (left.fetch_sub(1) > 0) out[10] ^= 1;
      }
      return Status::Ok();
    };
    for (const bool alone : {false, true}) {
      left = spoiled;
      tries = 0;
      MemoryBudget budget(16 << 20);
      BlockCache cache(&budget);
      Statistics statistics;
      ReadEngine engine(backend_, cache, statistics);
      Batch batch;
      for (uint64_t i = alone ? 500 : 0; i < (alone ? 501 : 1000); ++i) batch.Add(table.get(), i);
      batch.Run(engine);
      EXPECT_EQ(tries.load(), 2);
      EXPECT_EQ(statistics.Get(Counter::kReadRetries), 1u);
      if (spoiled == 1) {
        EXPECT_EQ(batch.Right(), batch.size());
      } else {
        const Status& status = batch[alone ? 0 : 500].status();
        EXPECT_EQ(status.code(), Code::kCorruption);
        EXPECT_THAT(status.ToString(), HasSubstr(TableBlobName(1)));
        EXPECT_THAT(status.ToString(), HasSubstr(std::to_string(bad.offset)));
        EXPECT_EQ(batch.Right() > 900, !alone);
      }
    }
  }
}

TEST_P(ReadEngineTest, ACachedLookupAllocatesNothingAndReadsNothing) {
  const auto table = MakeTable(backend_, 1, 0, 1000);
  TableProbe probe;
  const std::string key = KeyOf(321);
  const auto lookup = [&] {
    probe.Start(table.get(), key, kNow);
    engine_.RunProbe(probe);
  };
  lookup();
  lookup();
  backend_.Forget();
  const uint64_t before = test::AllocationsOfThisThread();
  for (int i = 0; i < 100; ++i) lookup();
  EXPECT_EQ(test::AllocationsOfThisThread(), before);
  EXPECT_TRUE(backend_.reads().empty());
  EXPECT_EQ(probe.value(), ValueOf(321));
}

TEST_P(ReadEngineTest, CountsWhatFiltersDo) {
  const auto with = MakeTable(backend_, 1, 0, 1000);
  const auto without = MakeTable(backend_, 2, 0, 1000, 100, /*filter_bits=*/0);
  Batch batch;
  for (uint64_t i = 500; i < 1500; ++i) batch.Add(with.get(), i);
  for (uint64_t i = 500; i < 1500; ++i) batch.Add(without.get(), i);
  batch.Run(engine_);
  EXPECT_EQ(batch.Right(), 1000u);
  EXPECT_EQ(statistics_.Get(Counter::kFilterPositives), 500u);
  EXPECT_EQ(statistics_.Get(Counter::kFilterNegatives) + statistics_.Get(Counter::kFilterFalsePositives), 500u);
  EXPECT_GT(statistics_.Get(Counter::kFilterNegatives), 450u);
}

TEST_P(ReadEngineTest, AHandleBeyondTheBlobIsCorruption) {
  const auto table = MakeTable(backend_, 1, 0, 10);
  backend_.Forget();
  const Result<BlockRef> far = engine_.Load(*table, {.offset = UINT64_MAX - 5, .stored_bytes = 100});
  EXPECT_EQ(far.status().code(), Code::kCorruption);
  const Result<BlockRef> huge = engine_.Load(*table, {.offset = 0, .stored_bytes = UINT32_MAX});
  EXPECT_EQ(huge.status().code(), Code::kCorruption);
  EXPECT_THAT(huge.status().ToString(), HasSubstr(TableBlobName(1) + " at offset 0"));
  EXPECT_TRUE(backend_.reads().empty()) << "refused before memory was taken and the device was asked";
}

TEST(ReadEngine, AThreadKeepsItsQueueAndIdleOnesAreBounded) {
  test::WatchedBackend backend(/*queues=*/true);
  std::vector<std::shared_ptr<Table>> tables;
  for (uint64_t i = 0; i < 2; ++i) tables.push_back(MakeTable(backend, i + 1, i, 1));
  MemoryBudget budget(1 << 20);
  BlockCache cache(&budget);
  Statistics statistics;
  ReadEngine engine(backend, cache, statistics);
  const auto cold = [&] {
    cache.EraseTable(1);
    cache.EraseTable(2);
    Batch batch;
    batch.Add(tables[0].get(), 0);
    batch.Add(tables[1].get(), 1);
    batch.Run(engine);
    EXPECT_EQ(batch.Right(), 2u);
  };
  for (int i = 0; i < 5; ++i) cold();
  EXPECT_EQ(backend.queues_made(), 1u);
  std::thread([&] {
    for (int i = 0; i < 5; ++i) cold();
  }).join();
  EXPECT_EQ(backend.queues_made(), 2u);
  cold();
  EXPECT_EQ(backend.queues_made(), 2u);
  for (int i = 0; i < 40; ++i) std::thread(cold).join();
  EXPECT_EQ(backend.queues_made(), 16u) << "threads that come and go take over idle queues";
}

TEST_P(ReadEngineTest, ManyThreadsOverASmallCache) {
  const auto table = MakeTable(backend_, 1, 0, 3000);
  MemoryBudget budget(1 << 20);
  BlockCache cache(&budget);
  ReadEngine engine(backend_, cache, statistics_);
  std::atomic<size_t> right{0};
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 0; round < 10; ++round) {
        Batch batch;
        for (uint64_t i = 0; i < 100; ++i) batch.Add(table.get(), (i * 29 + round * 7 + t * 1001) % 3000);
        batch.Run(engine);
        right.fetch_add(batch.Right());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right.load(), 4000u);
  EXPECT_EQ(budget.used(), cache.bytes() + engine.hints()->memory_bytes());
}

TEST(PoolReadQueue, HandsBackEveryRequestWithItsContext) {
  test::WatchedBackend backend(false);
  ASSERT_TRUE(backend.PutIfAbsent("blob", std::string(1000, 'x')).ok());
  const auto blob = backend.Open("blob");
  ASSERT_TRUE(blob.ok());
  ReadPool pool(4);
  PoolReadQueue queue(pool);
  EXPECT_TRUE(queue.Wait().empty());
  std::vector<char> bytes(200);
  std::vector<ReadRequest> requests(200);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i] = {.blob = blob->get(), .offset = i == 77 ? 1000 : i, .out = {&bytes[i], 1}, .context = &bytes[i]};
    queue.Submit(&requests[i]);
  }
  std::set<ReadRequest*> done;
  while (done.size() < requests.size()) {
    const auto some = queue.Wait();
    ASSERT_FALSE(some.empty());
    for (ReadRequest* request : some) EXPECT_TRUE(done.insert(request).second);
  }
  EXPECT_TRUE(queue.Wait().empty());
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(requests[i].context, &bytes[i]);
    EXPECT_EQ(requests[i].status.ok(), i != 77);
    EXPECT_EQ(bytes[i], i == 77 ? 0 : 'x');
  }
}

TEST(ThreadPool, RunsEverythingOnNoMoreThanItMay) {
  std::atomic<int> now{0}, peak{0}, ran{0};
  {
    ThreadPool pool(3, "test");
    for (int i = 0; i < 500; ++i) {
      pool.Run([&] {
        const int here = now.fetch_add(1) + 1;
        int seen = peak.load();
        while (seen < here && !peak.compare_exchange_weak(seen, here)) {
        }
        std::this_thread::yield();
        now.fetch_sub(1);
        ran.fetch_add(1);
      });
    }
  }  // what was queued still runs
  EXPECT_EQ(ran.load(), 500);
  EXPECT_LE(peak.load(), 3);
}

}  // namespace
}  // namespace tarn::kernel
