#include "base/coding.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

namespace tarn {
namespace {

std::string Bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out += static_cast<char>(value);
  return out;
}

TEST(CodingTest, FixedIntegersAreLittleEndian) {
  std::string out;
  PutFixed32(&out, 0x04030201);
  PutFixed64(&out, 0x0c0b0a0908070605);
  EXPECT_EQ(out, Bytes({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  std::string_view in = out;
  uint32_t narrow = 0;
  uint64_t wide = 0;
  ASSERT_TRUE(GetFixed32(&in, &narrow));
  ASSERT_TRUE(GetFixed64(&in, &wide));
  EXPECT_EQ(narrow, 0x04030201u);
  EXPECT_EQ(wide, 0x0c0b0a0908070605u);
  EXPECT_TRUE(in.empty());
}

TEST(CodingTest, FixedIntegersRefuseShortInput) {
  const std::string bytes(8, 'x');
  for (size_t n = 0; n < 8; ++n) {
    std::string_view in = std::string_view(bytes).substr(0, n);
    uint64_t wide;
    EXPECT_FALSE(GetFixed64(&in, &wide));
    uint32_t narrow;
    in = std::string_view(bytes).substr(0, n);
    EXPECT_EQ(GetFixed32(&in, &narrow), n >= 4);
  }
}

TEST(CodingTest, VarintsHaveTheDocumentedBytes) {
  auto encode = [](uint64_t v) {
    std::string out;
    PutVarint(&out, v);
    return out;
  };
  EXPECT_EQ(encode(0), Bytes({0}));
  EXPECT_EQ(encode(127), Bytes({0x7f}));
  EXPECT_EQ(encode(128), Bytes({0x80, 1}));
  EXPECT_EQ(encode(300), Bytes({0xac, 2}));
  EXPECT_EQ(encode(std::numeric_limits<uint64_t>::max()),
            Bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}));
}

TEST(CodingTest, VarintsRoundTripAtEveryPowerOfTwoAndRefuseEveryPrefix) {
  for (int bit = 0; bit < 64; ++bit) {
    for (const uint64_t v : {(1ull << bit) - 1, 1ull << bit, (1ull << bit) + 1}) {
      std::string out;
      PutVarint(&out, v);
      std::string_view in = out;
      uint64_t back = ~v;
      ASSERT_TRUE(GetVarint(&in, &back));
      EXPECT_EQ(back, v);
      EXPECT_TRUE(in.empty());
      for (size_t n = 0; n < out.size(); ++n) {
        in = std::string_view(out).substr(0, n);
        EXPECT_FALSE(GetVarint(&in, &back)) << v << " cut to " << n;
      }
    }
  }
}

TEST(CodingTest, VarintsRefuseMoreThan64Bits) {
  uint64_t v;
  const std::string overflow = std::string(9, '\xff') + '\x02';
  std::string_view in = overflow;
  EXPECT_FALSE(GetVarint(&in, &v));
  const std::string endless(20, '\x80');
  in = endless;
  EXPECT_FALSE(GetVarint(&in, &v));
  uint32_t narrow;
  std::string wide;
  PutVarint(&wide, 1ull << 32);
  in = wide;
  EXPECT_FALSE(GetVarint32(&in, &narrow));
  wide.clear();
  PutVarint(&wide, (1ull << 32) - 1);
  in = wide;
  ASSERT_TRUE(GetVarint32(&in, &narrow));
  EXPECT_EQ(narrow, UINT32_MAX);
}

TEST(CodingTest, BytesRoundTripAndRefuseLengthsBeyondTheInput) {
  std::string out;
  PutBytes(&out, "");
  PutBytes(&out, std::string(300, 'b'));
  std::string_view in = out, bytes;
  ASSERT_TRUE(GetBytes(&in, &bytes));
  EXPECT_EQ(bytes, "");
  ASSERT_TRUE(GetBytes(&in, &bytes));
  EXPECT_EQ(bytes, std::string(300, 'b'));
  EXPECT_TRUE(in.empty());
  in = std::string_view(out).substr(0, out.size() - 1);
  ASSERT_TRUE(GetBytes(&in, &bytes));
  EXPECT_FALSE(GetBytes(&in, &bytes));
  std::string huge;
  PutVarint(&huge, UINT64_MAX);
  in = huge;
  EXPECT_FALSE(GetBytes(&in, &bytes));
}

}  // namespace
}  // namespace tarn
