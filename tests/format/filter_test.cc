// The filter: never a false negative, and the measured rate of false positives at each setting.
#include "format/filter.h"

#include <gtest/gtest.h>

#include <cstdio>

namespace tarn {
namespace {

std::string Key(uint64_t i) { return "user/" + std::to_string(i); }

std::string Build(uint32_t bits_per_key, uint64_t keys) {
  FilterBuilder builder(bits_per_key);
  for (uint64_t i = 0; i < keys; ++i) builder.Add(Key(i));
  return builder.Finish();
}

double FalsePositiveRate(const std::string& filter, uint64_t first, uint64_t questions) {
  uint64_t positives = 0;
  for (uint64_t i = 0; i < questions; ++i) positives += FilterMayContain(filter, Key(first + i)) ? 1 : 0;
  return static_cast<double>(positives) / static_cast<double>(questions);
}

TEST(Filter, NeverDeniesAKeyItGot) {
  for (const uint32_t bits : {1u, 2u, 5u, 10u, 20u, 64u, 1000u}) {
    for (const uint64_t keys : {1, 2, 50, 51, 52, 1000, 20000}) {
      const std::string filter = Build(bits, keys);
      for (uint64_t i = 0; i < keys; ++i) ASSERT_TRUE(FilterMayContain(filter, Key(i))) << bits << " " << keys;
    }
  }
}

TEST(Filter, MeasuredRateAndSize) {
  constexpr uint64_t kKeys = 100000, kQuestions = 1000000;
  struct Case {
    uint32_t bits_per_key;
    double at_most;
  };
  for (const Case c : {Case{4, 0.17}, Case{6, 0.065}, Case{8, 0.03}, Case{10, 0.0105}, Case{12, 0.005},
                       Case{16, 0.0012}, Case{20, 0.0004}}) {
    const std::string filter = Build(c.bits_per_key, kKeys);
    const double bits = static_cast<double>(filter.size()) * 8 / kKeys;
    const double rate = FalsePositiveRate(filter, kKeys, kQuestions);
    std::printf("%2u bits per key asked: %.3f stored, %.4f %% false positives\n", c.bits_per_key, bits, rate * 100);
    EXPECT_LE(rate, c.at_most) << c.bits_per_key;
    EXPECT_GT(rate, 0) << "a rate that cannot be";
    EXPECT_NEAR(bits, c.bits_per_key, 0.02);
  }
}

TEST(Filter, RateHoldsForSmallTables) {
  // One line at least, so small filters are only ever better than asked.
  for (const uint64_t keys : {10, 40, 51, 400}) {
    EXPECT_LE(FalsePositiveRate(Build(10, keys), 1000000, 200000), 0.02) << keys;
  }
}

TEST(Filter, AdjacentRepeatsCostNothing) {
  FilterBuilder builder(10);
  for (int i = 0; i < 1000; ++i) builder.Add("same");
  EXPECT_EQ(builder.keys(), 1u);
  EXPECT_EQ(builder.Finish().size(), 65u);
}

TEST(Filter, NoBitsOrNoKeysGiveNoFilter) {
  EXPECT_TRUE(Build(0, 100).empty());
  EXPECT_TRUE(Build(10, 0).empty());
}

TEST(Filter, MalformedBytesAnswerTrue) {
  std::string filter = Build(10, 100);
  ASSERT_LT(FalsePositiveRate(filter, 1000, 1000), 0.1);
  for (const size_t size : {0, 1, 63, 64, 66, 127}) EXPECT_TRUE(FilterMayContain(filter.substr(0, size), "no such"));
  for (const char probes : {'\0', '\x1f', '\xff'}) {
    filter.back() = probes;
    EXPECT_EQ(FalsePositiveRate(filter, 1000, 1000), 1.0);
  }
}

}  // namespace
}  // namespace tarn
