// The parts below the workloads: histogram, chance, keys and values, JSON, and what is asked from the kernel.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <lz4.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "bench/workloads/chance.h"
#include "bench/workloads/data.h"
#include "bench/workloads/histogram.h"
#include "bench/workloads/usage.h"

namespace tarn::bench {
namespace {

using ::testing::ExitedWithCode;

// --------------------------------------------------------------------------------------------------------------
// histogram

TEST(Histogram, QuantilesAgainstASort) {
  Histogram all, odd;
  std::vector<uint64_t> exact;
  Random random(1);
  for (int i = 0; i < 100000; ++i) {
    const auto nanos = static_cast<uint64_t>(std::pow(10, 10 * random.Fraction()));  // 1 ns to 10 s
    exact.push_back(nanos);
    (i % 2 == 0 ? all : odd).Add(nanos);
  }
  all.Merge(odd);
  std::sort(exact.begin(), exact.end());
  ASSERT_EQ(all.count(), exact.size());
  EXPECT_EQ(all.max(), exact.back());
  for (const double q : {0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1.0}) {
    const uint64_t want = exact[static_cast<size_t>(std::ceil(q * 100000)) - 1];
    EXPECT_GE(all.Quantile(q), want) << q;
    EXPECT_LE(all.Quantile(q), want + want / 64) << q;
  }
}

TEST(Histogram, SmallAndHugeValuesAndNone) {
  Histogram h;
  EXPECT_EQ(h.Quantile(0.5), 0);
  for (uint64_t v = 0; v < 64; ++v) h.Add(v);
  for (uint64_t v = 0; v < 64; ++v) EXPECT_EQ(h.Quantile(static_cast<double>(v + 1) / 64), v) << "exact below 64";
  h.Add(~0ull);
  EXPECT_EQ(h.Quantile(1), ~0ull);
}

TEST(Histogram, CurveGoesToSixNines) {
  Histogram h;
  for (uint64_t v = 1; v <= 1000; ++v) h.Add(v * 1000);
  const auto curve = h.Curve();
  EXPECT_EQ(curve.front()[0], 0.5);
  EXPECT_NEAR(curve.front()[1], 500, 8);
  EXPECT_GT(curve.back()[0], 0.999998);
  EXPECT_EQ(curve.back()[1], 1000);
  EXPECT_NEAR((1 - curve[1][0]) / (1 - curve[0][0]), 0.9, 1e-9);
}

// -----------------------------------------------------------------------------------------------------------------
// chance

TEST(Permutation, IsABijection) {
  for (const uint64_t n : {1, 2, 3, 7, 64, 65, 1000, 65536, 65537}) {
    for (const uint64_t seed : {1, 2}) {
      const Permutation order(n, seed);
      std::vector<bool> seen(n);
      for (uint64_t i = 0; i < n; ++i) {
        const uint64_t at = order.Of(i);
        ASSERT_LT(at, n);
        ASSERT_FALSE(seen[at]) << n << " " << i;
        seen[at] = true;
      }
    }
  }
}

TEST(Permutation, LooksRandom) {
  constexpr uint64_t kN = 100000;
  const Permutation order(kN, 5), other(kN, 6);
  std::map<uint64_t, int> steps;
  uint64_t ascents = 0, same = 0;
  for (uint64_t i = 0; i + 1 < kN; ++i) {
    ascents += order.Of(i + 1) > order.Of(i) ? 1 : 0;
    ++steps[order.Of(i + 1) - order.Of(i)];
    same += order.Of(i) == other.Of(i) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(ascents) / kN, 0.5, 0.01);
  int most = 0;
  for (const auto& [step, times] : steps) most = std::max(most, times);
  EXPECT_LT(most, 100) << "a lattice would take the same step again and again";
  EXPECT_LT(same, 20) << "the seed decides";
}

TEST(Zipf, HasTheSkewOfYcsb) {
  for (const uint64_t n : {1, 2, 3, 5}) {
    const Zipf small(n);
    Random random(n);
    for (int i = 0; i < 1000; ++i) ASSERT_LT(small.Rank(random), n);
  }
  constexpr uint64_t kN = 5000, kDraws = 400000;
  double zeta = 0;
  for (uint64_t i = 1; i <= kN; ++i) zeta += std::pow(static_cast<double>(i), -Zipf::kTheta);
  const Zipf zipf(kN);
  Random random(3);
  std::vector<uint64_t> drawn(kN);
  for (uint64_t i = 0; i < kDraws; ++i) ++drawn.at(zipf.Rank(random));
  // The method is exact for the first two ranks and close for the others: sums over stretches are compared.
  double expected = 0;
  uint64_t got = 0;
  for (uint64_t rank = 0; rank < kN; ++rank) {
    expected += std::pow(static_cast<double>(rank + 1), -Zipf::kTheta) / zeta * kDraws;
    got += drawn[rank];
    if (rank == 0 || rank == 1) {
      EXPECT_NEAR(static_cast<double>(got), expected, 0.02 * expected);
    }
    if (rank == 9 || rank == 99 || rank == 999) {
      EXPECT_NEAR(static_cast<double>(got), expected, 0.06 * expected) << rank;
    }
  }
}

TEST(MixKeys, ModelIsThatOfTheTrace) {
  constexpr uint64_t kKeys = 30000, kDraws = 100000;
  const MixKeys mix(kKeys, 1);
  Random random(2);
  std::vector<uint64_t> ranges(30);
  std::set<uint64_t> distinct;
  double value_bytes = 0;
  for (uint64_t i = 0; i < kDraws; ++i) {
    const uint64_t id = mix.Id(random);
    ASSERT_LT(id, kKeys);
    ++ranges[id / 1000];
    distinct.insert(id);
    const uint64_t bytes = MixKeys::ValueBytes(random);
    ASSERT_TRUE(bytes >= 10 && bytes <= 1024);
    value_bytes += static_cast<double>(bytes);
    ASSERT_LT(MixKeys::ScanLength(random), 10000);
  }
  std::sort(ranges.rbegin(), ranges.rend());
  // 14.18 exp(-2.917) + 0.0164 exp(-0.08082) of a sum of 0.985: the hottest range gets most.
  EXPECT_NEAR(static_cast<double>(ranges[0]) / kDraws, 0.80, 0.02);
  EXPECT_GT(ranges[29], 0);
  EXPECT_LT(distinct.size(), kKeys) << "keys are asked for again";
  EXPECT_NEAR(value_bytes / kDraws, 36, 2) << "25.45 / (1 - 0.2615), and the small ones are 10";
  for (const uint64_t few : {1, 2, 29, 31}) {
    const MixKeys tiny(few, 1);
    for (int i = 0; i < 1000; ++i) ASSERT_LT(tiny.Id(random), few);
  }
}

// ------------------------------------------------------------------------------------------------------- keys and
// values

TEST(Key, OrderIsThatOfNumbers) {
  Key a(16), b(16);
  EXPECT_EQ(a.Of(7).size(), 16);
  EXPECT_EQ(NumberOf(a.Of(123456789)), 123456789);
  for (const uint64_t n : {0ull, 1ull, 255ull, 256ull, 65535ull, 1ull << 40}) EXPECT_LT(a.Of(n), b.Of(n + 1));
  EXPECT_EQ(Key(8).Of(1), std::string("\0\0\0\0\0\0\0\1", 8));
}

TEST(Value, VouchesForKeyAndSize) {
  ValuePool pool(0.5, 1000, 1);
  for (const size_t size : {0, 1, 7, 8, 9, 100, 1000}) {
    for (uint64_t number = 0; number < 3000; ++number) {
      const std::string value(pool.Value(number, size));
      ASSERT_EQ(value.size(), size);
      ASSERT_TRUE(IsValueOf(number, value));
      if (size < 8) continue;  // too small to tell all keys apart
      ASSERT_FALSE(IsValueOf(number + 1, value));
      ASSERT_FALSE(IsValueOf(number, value.substr(0, size - 1)));
    }
  }
}

TEST(Value, HasTheAskedCompressibility) {
  for (const double wanted : {0.25, 0.5, 1.0}) {
    ValuePool pool(wanted, 400, 1);
    std::string block;
    while (block.size() < 64 << 10) block += pool.Value(block.size(), 400);
    std::string out(LZ4_compressBound(static_cast<int>(block.size())), '\0');
    const int bytes =
        LZ4_compress_default(block.data(), out.data(), static_cast<int>(block.size()), static_cast<int>(out.size()));
    EXPECT_NEAR(static_cast<double>(bytes) / static_cast<double>(block.size()), wanted, 0.1);
  }
}

TEST(Value, PoolStaysAsItWas) {
  ValuePool used(0.5, 100, 1), fresh(0.5, 100, 1);
  std::string first(fresh.Value(0, 100));
  const size_t slices = ValuePool::kBytes / 100;
  std::set<std::string> bodies;
  for (size_t i = 0; i < 3 * slices; ++i) bodies.insert(std::string(used.Value(i, 100).substr(8)));
  EXPECT_LE(bodies.size(), slices + 2) << "the checks of earlier values are gone when a slice comes again";
  EXPECT_TRUE(bodies.contains(first.substr(8)));
}

// -------------------------------------------------------------------------------------------------------------------
// JSON

TEST(Json, SpecRoundTrip) {
  RunSpec spec{.engine = "tarn",
               .workload = "ycsb-a",
               .keys = 123456789012,
               .key_bytes = 20,
               .value_bytes = 400,
               .compressibility = 0.25,
               .threads = 3,
               .seconds = 7.5,
               .cold = true,
               .seed = ~0ull};
  spec.config = {.dir = "a \"b\"",
                 .memory_budget = 1ull << 33,
                 .durability = Durability::kPower,
                 .compression = false,
                 .filter_bits_per_key = 7,
                 .direct_reads = true,
                 .background_threads = 5};
  const RunSpec back = SpecFromJson(ToJson(spec));
  EXPECT_EQ(ToJson(back), ToJson(spec));
  EXPECT_EQ(back.keys, spec.keys);
  EXPECT_EQ(back.seed, spec.seed);
  EXPECT_EQ(back.config.dir, spec.config.dir);
  EXPECT_EQ(back.config.durability, Durability::kPower);
  EXPECT_TRUE(back.cold && back.config.direct_reads && !back.config.compression);
}

TEST(Json, ResultRoundTrip) {
  RunResult result{.operations = 5,
                   .seconds = 0.1,
                   .ops_per_second = 50,
                   .latency_us = {1, 2, 3, 4.125},
                   .latency_curve = {{0.5, 1}, {0.55, 1.5}},
                   .ops_over_time = {3, 2},
                   .cpu_s_per_million = 2.5,
                   .write_amp = 3.25,
                   .read_amp = 0,
                   .space_amp = 1.5,
                   .space_amp_max = 2,
                   .settle_seconds = 0.5,
                   .peak_rss_bytes = 1ull << 34,
                   .missing = 9,
                   .background_writes = 11,
                   .engine_config = "so\nand so"};
  const RunResult back = ResultFromJson(ToJson(result));
  EXPECT_EQ(ToJson(back), ToJson(result));
  EXPECT_EQ(back.latency_curve, result.latency_curve);
  EXPECT_EQ(back.ops_over_time, result.ops_over_time);
  EXPECT_EQ(back.latency_us.max, 4.125);
  EXPECT_EQ(back.background_writes, 11);
  EXPECT_EQ(back.engine_config, result.engine_config);
}

TEST(Json, WhatIsLeftOutHasItsDefault) {
  const RunSpec spec = SpecFromJson(R"({"engine":"tarn","workload":"readseq","seconds":2,"config":{"dir":"d"}})");
  EXPECT_EQ(spec.keys, 1000000);
  EXPECT_EQ(spec.seconds, 2);
  EXPECT_EQ(spec.config.memory_budget, 256ull << 20);
}

TEST(Json, MistakesAreOneLine) {
  const auto spec = [](const std::string& more) {
    return R"({"workload":"readseq","config":{"dir":"d"})" + more + "}";
  };
  const std::map<std::string, std::string> mistakes = {
      {"nonsense", "spec is not JSON: nonsense; it has to be one object"},
      {"[1]", "spec is \\[1\\]; it has to be like"},
      {spec(R"(,"key":1)"), "spec has no field \"key\"; bench/run.h has the list"},
      {spec(R"(,"keys":"many")"), "spec.keys is \"many\"; it has to be like 1000000"},
      {spec(R"(,"keys":-1)"), "spec.keys is -1; it has to be like 1000000"},
      {spec(R"(,"keys":0)"), "spec.keys is 0.0; it has to be in 1.0 .. "},
      {spec(R"(,"key_bytes":7)"), "spec.key_bytes is 7"},
      {spec(R"(,"value_bytes":99999999)"), "spec.value_bytes is 99999999"},
      {spec(R"(,"threads":0)"), "spec.threads is 0"},
      {spec(R"(,"threads":4294967297)"), "spec: /threads is 4294967297; that is too large"},
      {spec(R"(,"seconds":0)"), "spec.seconds is 0"},
      {spec(R"(,"compressibility":2)"), "spec.compressibility is 2"},
      {R"({"workload":"readseq"})", "spec.config.dir is empty"},
      {R"({"workload":"x","config":{"dir":"d"}})", "there is no workload \"x\"; there are: fillseq"},
      {R"({"config":{"durability":"much"}})",
       "durability is \"much\"; it has to be \"none\", \"process\" or \"power\""},
      {R"({"config":{"dirs":"d"}})", "spec.config has no field \"dirs\""},
  };
  for (const auto& [text, message] : mistakes) {
    EXPECT_EXIT(SpecFromJson(text), ExitedWithCode(1), "^tarn-bench: " + message + "[^\n]*\n$") << text;
  }
  EXPECT_EXIT(ResultFromJson(R"({"ops_over_time":["x"]})"), ExitedWithCode(1), "^tarn-bench: result: [^\n]*\n$");
}

// --------------------------------------------------------------------------------------------------------------
// what is asked from the kernel

class Usage : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::current_path() / ("workloads_usage." + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_ / "below");
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  void WriteMiB() const {
    const std::string block(1 << 20, 'x');
    const int fd = ::open((dir_ / "below/file").c_str(), O_CREAT | O_WRONLY, 0600);
    ASSERT_EQ(::write(fd, block.data(), block.size()), static_cast<ssize_t>(block.size()));
    ASSERT_EQ(::fsync(fd), 0);
    ::close(fd);
  }
  bool OnDevice() const {
    constexpr long kTmpfs = 0x01021994;
    struct statfs fs {};
    return ::statfs(dir_.c_str(), &fs) == 0 && fs.f_type != kTmpfs;
  }
  // Of a file of 1 MiB.
  static int64_t PagesInMemory(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY);
    void* const at = ::mmap(nullptr, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
    EXPECT_NE(at, MAP_FAILED);
    std::vector<unsigned char> resident(256);
    EXPECT_EQ(::mincore(at, 1 << 20, resident.data()), 0);
    ::munmap(at, 1 << 20);
    ::close(fd);
    return std::count_if(resident.begin(), resident.end(), [](unsigned char page) { return (page & 1) != 0; });
  }
  std::filesystem::path dir_;
};

TEST_F(Usage, DeviceBytesCountWhatIsWritten) {
  if (!OnDevice()) GTEST_SKIP() << "tmpfs has no device";
  const DeviceBytes before = DeviceBytesNow();
  WriteMiB();
  EXPECT_GE(DeviceBytesNow().written - before.written, 1 << 20);
}

TEST_F(Usage, DiskBytesAreThoseOfAllFilesBelow) {
  EXPECT_EQ(DiskBytesOf(dir_), 0);
  WriteMiB();
  EXPECT_NEAR(static_cast<double>(DiskBytesOf(dir_)), 1 << 20, 8192);
  EXPECT_EQ(DiskBytesOf(dir_ / "not there"), 0);
  SpaceSampler sampler(dir_);
  EXPECT_EQ(sampler.Stop(), DiskBytesOf(dir_)) << "at least one sample is taken";
}

TEST_F(Usage, DroppedPagesAreNotInMemory) {
  const std::string file = dir_ / "below/file", unread = dir_ / "unread";
  std::ofstream(unread).close();
  std::filesystem::resize_file(unread, 1 << 20);
  if (PagesInMemory(unread) != 0) GTEST_SKIP() << "nobody says here which pages are in memory";
  WriteMiB();
  EXPECT_GT(PagesInMemory(file), 0);
  // A page that the kernel itself holds just then (it moves, merges and ages pages in the background) stays, so one
  // call may leave some. A cold run does not notice a few; a call that drops nothing leaves all, however often it is
  // made.
  for (int i = 0; i < 10000 && PagesInMemory(file) != 0; ++i) DropPageCache(dir_);
  EXPECT_EQ(PagesInMemory(file), 0);
}

TEST_F(Usage, ProcessorAndMemoryOnlyGrow) {
  const double cpu = CpuSecondsNow();
  const uint64_t rss = PeakRssBytes();
  std::string big(64 << 20, 'x');
  EXPECT_GE(PeakRssBytes(), rss + big.size() / 2);
  EXPECT_GE(CpuSecondsNow(), cpu);
}

}  // namespace
}  // namespace tarn::bench
