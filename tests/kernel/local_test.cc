// The store on real files: reads that overlap, on io_uring and on the fallback; threads that race.
// ctest runs this program twice, the second time under a seccomp filter that denies io_uring.
#include "backends/local/local.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/kernel/sim_store.h"
#include "tests/local/temp_directory.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kKeys = 64;
constexpr size_t kValueBytes = 8 << 10;  // larger than any other block, so that data reads can be told apart

std::string Noise(uint64_t seed) {
  std::string value(kValueBytes, '\0');
  SeededEntropy(seed).Fill(value);
  return value;
}

std::shared_ptr<Backend> OpenDirectory(const std::string& path, bool allow_io_uring = true) {
  auto backend = local::OpenLocal(path, {.allow_io_uring = allow_io_uring});
  EXPECT_TRUE(backend.ok()) << backend.status().ToString();
  return backend.ok() ? *backend : nullptr;
}

// One thread asks for 64 cold keys: all 64 data blocks must be on their way before the first is back.
void CheckReadsOverlap(bool allow_io_uring) {
  TempDirectory directory;
  {
    auto db = OpenSim(OpenDirectory(directory.path()));
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    for (uint64_t i = 0; i < kKeys; ++i) ASSERT_TRUE((*db)->Put(NumberedKey(i), Noise(i)).ok());
    ASSERT_TRUE((*db)->Compact().ok());
  }
  auto trace = std::make_shared<TraceBackend>(OpenDirectory(directory.path(), allow_io_uring));
  std::printf("reads by %s\n", trace->info().read_engine.c_str());
  auto db = OpenSim(trace);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  // Whoever reads a data block blocking waits until all 64 have come (the queue does not block at all).
  auto all_here = std::make_shared<Rendezvous>(kKeys);
  std::atomic<bool> apart = false;
  trace->SetReadHook([&, all_here](const Call& call) {
    if (call.bytes >= kValueBytes && !all_here->Arrive()) apart = true;
  });
  std::vector<std::string> names;
  for (uint64_t i = 0; i < kKeys; ++i) names.push_back(NumberedKey(i));
  std::vector<std::string> values;
  const std::vector<Status> statuses = (*db)->MultiGet({}, {names.begin(), names.end()}, &values);
  trace->SetReadHook(nullptr);
  EXPECT_FALSE(apart) << "some of the 64 reads waited for others to end";
  for (uint64_t i = 0; i < kKeys; ++i) {
    ASSERT_TRUE(statuses[i].ok()) << statuses[i].ToString();
    EXPECT_EQ(values[i], Noise(i));
  }
  EXPECT_GE(trace->max_reads_in_flight(), kKeys);
}

TEST(LocalStore, OneMultiGetHasItsReadsInFlightTogether) { CheckReadsOverlap(true); }
TEST(LocalStore, AndOnTheFallback) { CheckReadsOverlap(false); }

TEST(LocalStore, ReopensWithEverything) {
  TempDirectory directory;
  for (int round = 0; round < 3; ++round) {
    auto db = DB::Open(SmallSettings(), directory.path());
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    std::string value;
    for (uint64_t i = 0; i < 2000; ++i) {
      const Status got = (*db)->Get(NumberedKey(i), &value);
      ASSERT_EQ(got.ok(), round > 0) << got.ToString();
      ASSERT_TRUE((*db)->Put(NumberedKey(i), std::to_string(round)).ok());
    }
    EXPECT_TRUE((*db)->Verify().ok());
    EXPECT_TRUE((*db)->Close().ok());
  }
}

// Writers, readers, iterators, snapshots, flushes and compactions at once; what each thread wrote it reads back.
TEST(LocalStore, ThreadsAtOnce) {
  TempDirectory directory;
  auto opened = DB::Open(SmallSettings(), directory.path());
  ASSERT_TRUE(opened.ok());
  DB& db = **opened;
  constexpr uint64_t kRows = 4000;
  std::vector<std::thread> threads;
  std::atomic<bool> done = false;
  for (char name : {'a', 'b', 'c'}) {
    threads.emplace_back([&, name] {
      const std::string prefix(1, name);
      std::string value;
      for (uint64_t i = 0; i < kRows; ++i) {
        const std::string key = prefix + NumberedKey(i % 500);
        EXPECT_TRUE(db.Put(key, std::to_string(i), i % 400 == 0 ? Durability::kPower : Durability::kNone).ok());
        EXPECT_TRUE(db.Get(key, &value).ok());
        EXPECT_EQ(value, std::to_string(i));
      }
    });
  }
  std::thread scanner([&] {
    while (!done) {
      const auto snapshot = db.GetSnapshot();
      std::string first, second;
      for (std::string* out : {&first, &second}) {  // one snapshot gives one answer, whatever happens meanwhile
        const auto it = db.NewIterator({.snapshot = snapshot.get()});
        for (it->SeekToFirst(); it->valid(); it->Next()) out->append(it->key()).append(it->value());
        EXPECT_TRUE(it->status().ok()) << it->status().ToString();
      }
      EXPECT_EQ(first, second);
    }
  });
  std::thread keeper([&] {
    while (!done) {
      EXPECT_TRUE(db.Flush().ok());
      EXPECT_TRUE(db.Compact().ok());
    }
  });
  for (std::thread& thread : threads) thread.join();
  done = true;
  scanner.join();
  keeper.join();
  EXPECT_TRUE(db.Verify().ok());
}

}  // namespace
}  // namespace tarn::test
