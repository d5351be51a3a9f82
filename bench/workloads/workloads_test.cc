// Each workload does what its help says, and notices a store that does not; on MemoryEngine, which counts the calls.
// Nothing here depends on how fast the machine is: the workloads that run until the time is up do at least one
// operation, and every count is compared with what the result says.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "bench/workloads/memory_engine.h"
#include "bench/workloads/workload.h"

namespace tarn::bench {
namespace {

using ::testing::ExitedWithCode;

// Cold, so that no warming adds to the counts.
RunSpec SpecOf(const std::string& workload, uint64_t keys = 1000) {
  RunSpec spec{.engine = "map", .workload = workload, .keys = keys, .seconds = 0.03, .cold = true};
  spec.config.dir = "workloads_test.none";
  return spec;
}

// Loaded as the parent would, with the counts at zero again.
void Prepare(MemoryStore& store, const RunSpec& spec) {
  if (WorkloadOf(spec.workload).info.data == Data::kEmpty) return;
  LoadOn(spec, OpenIn(store));
  store.puts = store.settles = 0;
  store.put_order.clear();
  store.value_sizes.clear();
}

struct Done {
  MemoryStore store;
  RunResult result;
};
std::unique_ptr<Done> RunIt(const RunSpec& spec) {
  auto done = std::make_unique<Done>();
  Prepare(done->store, spec);
  done->result = RunOn(spec, OpenIn(done->store));
  return done;
}

std::vector<uint64_t> EvenNumbers(uint64_t keys) {
  std::vector<uint64_t> all;
  for (uint64_t id = 0; id < keys; ++id) all.push_back(2 * id);
  return all;
}

// ------------------------------------------------------------------------------------------ what holds for all of
// them

class EachWorkload : public ::testing::TestWithParam<std::string> {};

TEST_P(EachWorkload, ResultIsWhole) {
  const auto done = RunIt(SpecOf(GetParam(), 300));
  const RunResult& r = done->result;
  EXPECT_GT(r.operations, 0);
  EXPECT_GT(r.ops_per_second, 0);
  EXPECT_NEAR(r.ops_per_second * r.seconds, static_cast<double>(r.operations),
              1e-3 * static_cast<double>(r.operations));
  EXPECT_LE(r.latency_us.p50, r.latency_us.p99);
  EXPECT_LE(r.latency_us.p99, r.latency_us.p999);
  EXPECT_LE(r.latency_us.p999, r.latency_us.max);
  EXPECT_GT(r.latency_us.max, 0);
  ASSERT_GT(r.latency_curve.size(), 100);
  EXPECT_TRUE(std::is_sorted(r.latency_curve.begin(), r.latency_curve.end()));
  EXPECT_GE(r.cpu_s_per_million, 0);
  EXPECT_GT(r.peak_rss_bytes, 1 << 20);
  EXPECT_EQ(r.engine_config, "a map");
  EXPECT_EQ(r.missing, GetParam() == "readmissing" ? r.operations : 0);
  EXPECT_EQ(r.background_writes > 0, GetParam() == "readwhilewriting");
  const bool writes = WorkloadOf(GetParam()).info.data != Data::kLoaded;
  EXPECT_EQ(done->store.settles, writes ? 1 : 0);
  EXPECT_EQ(r.settle_seconds >= 0, writes);
  EXPECT_EQ(r.write_amp >= 0, writes);
  if (!writes) {
    EXPECT_EQ(done->store.puts + done->store.deletes, 0) << "the data set is shared with other runs";
  }
}

TEST_P(EachWorkload, SaysWhatItIs) {
  const WorkloadInfo& info = WorkloadOf(GetParam()).info;
  EXPECT_FALSE(info.help.empty());
  EXPECT_FALSE(info.unit.empty());
  EXPECT_EQ(info.help.find('\n'), std::string::npos);
}

TEST_P(EachWorkload, EffectiveTwiceIsEffectiveOnce) {
  const RunSpec once = Effective(SpecOf(GetParam()));
  EXPECT_EQ(ToJson(Effective(once)), ToJson(once));
}

TEST_P(EachWorkload, RunsOnThreads) {
  RunSpec spec = SpecOf(GetParam(), 300);
  spec.threads = 3;
  EXPECT_GT(RunIt(spec)->result.operations, 0);
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const WorkloadInfo& info : Workloads()) names.push_back(info.name);
  return names;
}
std::string TestName(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '+'; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Workloads, EachWorkload, ::testing::ValuesIn(Names()), TestName);

// ----------------------------------------------------------------------------------------------------- one after
// another

TEST(Load, WritesEveryKeyOnceInRandomOrder) {
  MemoryStore store;
  RunSpec spec = SpecOf("fillsync");  // power-safe, but a load never is
  LoadOn(spec, OpenIn(store));
  EXPECT_EQ(store.config.durability, Durability::kProcess);
  EXPECT_FALSE(std::is_sorted(store.put_order.begin(), store.put_order.end()));
  EXPECT_THAT(store.put_order, ::testing::UnorderedElementsAreArray(EvenNumbers(spec.keys)));
  EXPECT_EQ(store.settles, 1);
  for (const auto& [key, value] : store.data) {
    EXPECT_EQ(key.size(), 16);
    EXPECT_EQ(value.size(), 100);
    EXPECT_TRUE(IsValueOf(NumberOf(key), value));
  }
}

TEST(Fill, SeqIsInOrderAndEndsWithTheLastKey) {
  RunSpec spec = SpecOf("fillseq");
  spec.seconds = 1000;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.put_order, EvenNumbers(spec.keys));
  EXPECT_EQ(done->result.operations, spec.keys);
}

TEST(Fill, RandomWritesEachKeyOnceOnAnyNumberOfThreads) {
  for (const uint32_t threads : {1, 3}) {
    RunSpec spec = SpecOf("fillrandom");
    spec.seconds = 1000;
    spec.threads = threads;
    const auto done = RunIt(spec);
    EXPECT_THAT(done->store.put_order, ::testing::UnorderedElementsAreArray(EvenNumbers(spec.keys)));
    EXPECT_FALSE(std::is_sorted(done->store.put_order.begin(), done->store.put_order.end()));
  }
}

TEST(Fill, SyncIsPowerSafeWhateverIsAsked) {
  RunSpec spec = SpecOf("fillsync");
  spec.config.durability = Durability::kNone;
  spec.threads = 7;
  EXPECT_EQ(Effective(spec).threads, 1);
  EXPECT_EQ(RunIt(spec)->store.config.durability, Durability::kPower);
  spec.workload = "fillsync16";
  EXPECT_EQ(Effective(spec).threads, 16);
  EXPECT_EQ(RunIt(spec)->store.config.durability, Durability::kPower);
}

TEST(Fill, OverwriteTouchesOnlyWhatIsThere) {
  const auto done = RunIt(SpecOf("overwrite", 50));
  EXPECT_EQ(done->store.puts, done->result.operations);
  EXPECT_EQ(done->store.data.size(), 50);
}

TEST(Fill, DeleteRandomDeletesEachKeyOnce) {
  RunSpec spec = SpecOf("deleterandom");
  spec.seconds = 1000;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.deletes, spec.keys);
  EXPECT_TRUE(done->store.data.empty());
  EXPECT_EQ(done->result.space_amp, -1) << "nothing is live";
}

TEST(Read, RandomGetsWhatIsThere) {
  const auto done = RunIt(SpecOf("readrandom"));
  EXPECT_EQ(done->store.gets, done->result.operations);
  for (const auto& [number, times] : done->store.got) EXPECT_TRUE(number % 2 == 0 && number < 2000) << number;
}

TEST(Read, MissingAsksBetweenTheKeys) {
  const auto done = RunIt(SpecOf("readmissing"));
  EXPECT_EQ(done->store.gets, done->result.operations);
  for (const auto& [number, times] : done->store.got) EXPECT_TRUE(number % 2 == 1 && number < 2000) << number;
}

TEST(Read, HotIsOnePercentButAtLeastAThousand) {
  RunSpec spec = SpecOf("readhot", 120000);
  spec.cold = false;
  spec.value_bytes = 8;
  EXPECT_EQ(RunIt(spec)->store.got.size(), 1200) << "the warming gets them all";
  spec.keys = 5000;
  EXPECT_EQ(RunIt(spec)->store.got.size(), 1000);
  spec.keys = 10;
  EXPECT_EQ(RunIt(spec)->store.got.size(), 10);
}

TEST(Read, WarmingScansEverythingAndGets) {
  RunSpec spec = SpecOf("seekrandom", 200);
  spec.cold = false;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.seeks_to_end, 1);
  EXPECT_GT(done->store.gets, 0);
  EXPECT_LE(done->store.gets, 200);
}

TEST(Read, SeqAndReverseCountEntries) {
  const auto forward = RunIt(SpecOf("readseq"));
  EXPECT_GE(forward->store.nexts + 1, forward->result.operations);
  EXPECT_EQ(forward->store.prevs, 0);
  const auto backward = RunIt(SpecOf("readreverse"));
  EXPECT_GE(backward->store.prevs + 1, backward->result.operations);
  EXPECT_EQ(backward->store.nexts, 0);
}

TEST(Read, SeekRandomMakesACursorEachTime) {
  const auto done = RunIt(SpecOf("seekrandom"));
  EXPECT_EQ(done->store.cursors, done->result.operations);
  EXPECT_EQ(done->store.seeks, done->result.operations);
  EXPECT_LE(done->store.nexts, 10 * done->result.operations);
  EXPECT_GT(done->store.nexts, 9 * done->result.operations) << "fewer only where the data ends";
}

TEST(Read, MultiReadAsksFor64KeysACall) {
  const auto done = RunIt(SpecOf("multireadrandom"));
  EXPECT_EQ(done->store.multiget_keys, done->result.operations);
  EXPECT_EQ(done->store.multigets * 64, done->store.multiget_keys);
  EXPECT_EQ(done->store.gets, 0);
}

TEST(Read, ColdShrinksTheBudgetAndPassesThePageCacheBy) {
  RunSpec spec = SpecOf("readcold", 1000000);
  spec.cold = false;
  const RunSpec effective = Effective(spec);
  EXPECT_TRUE(effective.cold && effective.config.direct_reads);
  EXPECT_EQ(effective.config.memory_budget, 116000000 / 4);
  spec.keys = 1000;
  EXPECT_EQ(Effective(spec).config.memory_budget, 8 << 20);
}

TEST(Delete, SeekFindsTheFirstLiveKey) {
  RunSpec spec = SpecOf("deleteseq+seek");
  spec.config.durability = Durability::kPower;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.config.durability, Durability::kProcess);
  EXPECT_EQ(done->store.deletes, 900);
  EXPECT_EQ(NumberOf(done->store.data.begin()->first), 1800);
  EXPECT_EQ(done->store.seeks, done->result.operations);
  EXPECT_EQ(done->store.nexts, done->result.operations);
}

TEST(Mix, ReadWhileWritingCountsReadsOnly) {
  RunSpec spec = SpecOf("readwhilewriting");
  spec.threads = 2;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.gets, done->result.operations);
  EXPECT_EQ(done->store.puts, done->result.background_writes);
}

TEST(Mix, LargeValuesHaveFourTimesTheBytes) {
  RunSpec spec = SpecOf("fill-64k", 1000000);
  EXPECT_EQ(Effective(spec).value_bytes, 64 << 10);
  EXPECT_EQ(Effective(spec).keys, 4 * 116000000ull / (16 + (64 << 10)));
  spec.keys = 10;
  EXPECT_EQ(Effective(spec).keys, 10) << "never more than asked";
  const auto done = RunIt(spec);
  EXPECT_THAT(done->store.value_sizes, ::testing::Each(64 << 10));
}

double Share(uint64_t part, uint64_t of) { return static_cast<double>(part) / static_cast<double>(of); }

TEST(Mix, GraphHasItsRatiosAndSizes) {
  RunSpec spec = SpecOf("mixgraph", 2000);
  spec.seconds = 0.2;
  const auto done = RunIt(spec);
  const MemoryStore& s = done->store;
  EXPECT_EQ(s.gets + s.puts + s.seeks, done->result.operations);
  for (const uint64_t size : s.value_sizes) EXPECT_TRUE(size >= 10 && size <= 1024) << size;
  EXPECT_EQ(done->result.space_amp, -1) << "nobody knows the live bytes";
  EXPECT_EQ(s.data.size(), 2000) << "puts are over what is there";
}

TEST(Mix, YcsbDInsertsBetweenAndReadsTheLatest) {
  RunSpec spec = SpecOf("ycsb-d", 100);
  spec.threads = 2;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.gets + done->store.puts, done->result.operations);
  EXPECT_EQ(done->store.data.size(), 100 + done->store.puts) << "every put is a new key";
}

TEST(Mix, YcsbEScansOverWhatOthersInsert) {
  RunSpec spec = SpecOf("ycsb-e", 200);
  spec.threads = 2;
  const auto done = RunIt(spec);
  EXPECT_EQ(done->store.seeks + done->store.puts, done->result.operations);
  EXPECT_LE(done->store.nexts, 99 * done->store.seeks);
}

TEST(Mix, YcsbFReadsBeforeItWrites) {
  const auto done = RunIt(SpecOf("ycsb-f"));
  EXPECT_EQ(done->store.gets, done->result.operations);
  EXPECT_LE(done->store.puts, done->store.gets);
}

TEST(Mix, PopularKeysAreRead) {
  RunSpec spec = SpecOf("ycsb-c", 1000);
  const auto done = RunIt(spec);
  uint64_t most = 0, at = 0;
  for (const auto& [number, times] : done->store.got) {
    if (times > most) most = times, at = number;
  }
  if (done->result.operations < 1000) GTEST_SKIP() << "too few operations to see a rank";
  EXPECT_GT(Share(most, done->result.operations), 0.05) << "rank 0 of 1,000 is asked for in 13 % of all";
  EXPECT_EQ(at, 2 * Plan(Effective(spec)).scatter.Of(0));
}

TEST(Space, IsPerLiveByte) {
  const std::string dir = ::testing::TempDir() + "tarn_bench_space";
  std::filesystem::create_directories(dir);
  RunSpec spec = SpecOf("overwrite", 100);
  spec.cold = false;
  spec.config.dir = dir;
  MemoryStore store;
  Prepare(store, spec);
  store.on_settle = [&dir] {  // what a store leaves behind
    const std::string block(1 << 20, 'x');
    const int fd = ::open((dir + "/table").c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(::write(fd, block.data(), block.size()), static_cast<ssize_t>(block.size()));
    ::fsync(fd);
    ::close(fd);
  };
  const RunResult result = RunOn(spec, OpenIn(store));
  EXPECT_NEAR(result.space_amp, (1 << 20) / 11600.0, 1);
  EXPECT_EQ(result.space_amp_max, result.space_amp);
  std::filesystem::remove_all(dir);
}

// ------------------------------------------------------------------------------------------------------ wrong
// answers

class Catches : public ::testing::TestWithParam<std::string> {
 protected:
  static RunSpec Spec() {
    RunSpec spec = SpecOf(GetParam(), 20);
    spec.seconds = 60;  // it ends with the first read that is wrong
    return spec;
  }
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_P(Catches, AWrongValue) {
  EXPECT_EXIT(
      {
        MemoryStore store;
        Prepare(store, Spec());
        store.spoil = [](uint64_t, std::string* value) { ++value->front(); };
        RunOn(Spec(), OpenIn(store));
      },
      ExitedWithCode(1), "the value of 1?[0-9]+ bytes is not the one that was written");
}

TEST_P(Catches, AValueCutShort) {
  EXPECT_EXIT(
      {
        MemoryStore store;
        Prepare(store, Spec());
        store.spoil = [](uint64_t, std::string* value) { value->pop_back(); };
        RunOn(Spec(), OpenIn(store));
      },
      ExitedWithCode(1), "is not the one that was written");
}

TEST_P(Catches, AnEmptyValue) {
  EXPECT_EXIT(
      {
        MemoryStore store;
        Prepare(store, Spec());
        store.spoil = [](uint64_t, std::string* value) { value->clear(); };
        RunOn(Spec(), OpenIn(store));
      },
      ExitedWithCode(1), "the value of 0 bytes is not the one that was written");
}

TEST_P(Catches, AMissingKey) {
  EXPECT_EXIT(
      {
        MemoryStore store;
        Prepare(store, Spec());
        store.data.erase(store.data.begin(), std::prev(store.data.end()));
        store.loses_puts = true;  // or the workload might bring them back before it looks
        RunOn(Spec(), OpenIn(store));
      },
      ExitedWithCode(1), "not found, but it was written|the cursor is on key number|the cursor is at its end");
}

INSTANTIATE_TEST_SUITE_P(Readers, Catches,
                         ::testing::Values("readrandom", "readhot", "readseq", "readreverse", "seekrandom",
                                           "multireadrandom", "readwhilewriting", "mixgraph", "ycsb-a", "ycsb-d",
                                           "ycsb-e", "ycsb-f"),
                         TestName);

TEST(CatchesToo, AKeyThatWasNeverWritten) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  for (const char* workload : {"readmissing", "readseq"}) {
    EXPECT_EXIT(
        {
          MemoryStore store;
          Prepare(store, SpecOf(workload, 20));
          Key key(16);
          ValuePool pool(1, 100, 1);
          for (uint64_t id = 0; id < 20; ++id) {
            store.data.emplace(std::string(key.Of(2 * id + 1)), std::string(pool.Value(2 * id + 1, 100)));
          }
          RunOn(SpecOf(workload, 20), OpenIn(store));
        },
        ExitedWithCode(1), "this key was never written|instead of this one");
  }
}

TEST(CatchesToo, WhatComesAfterTheLastKey) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        MemoryStore store;
        Prepare(store, SpecOf("readseq", 20));
        store.data.emplace(std::string(Key(16).Of(40)), "more");
        RunOn(SpecOf("readseq", 20), OpenIn(store));
      },
      ExitedWithCode(1), "the cursor is not at its end");
}

TEST(CatchesToo, UnknownNames) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(WorkloadOf("fillsomehow"), ExitedWithCode(1),
              "no workload \"fillsomehow\"; there are: fillseq fillrandom");
  RunSpec spec = SpecOf("fillseq");
  spec.engine = "abacus";
  EXPECT_EXIT(RunOne(spec), ExitedWithCode(1), "no engine \"abacus\" in this program; there are: tarn");
}

}  // namespace
}  // namespace tarn::bench
