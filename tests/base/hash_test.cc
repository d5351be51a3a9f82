#include "base/hash.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace tarn {
namespace {

// Published test vectors of XXH3-64: the formats depend on these very numbers.
TEST(HashTest, IsXxh3) {
  EXPECT_EQ(Hash64(""), 0x2d06800538d394c2ull);
  EXPECT_EQ(Hash64("a"), 0xe6c632b61e964e1full);
  EXPECT_EQ(Hash64("abc"), 0x78af5f94892f3950ull);
}

TEST(HashTest, SeedAndBytesBothCount) {
  EXPECT_NE(Hash64("abc", 1), Hash64("abc", 2));
  EXPECT_NE(Hash64("", 1), Hash64("", 2));
  EXPECT_NE(Hash64(std::string(1, '\0')), Hash64(std::string(2, '\0')));
  EXPECT_EQ(Hash64("abc", 7), Hash64("abc", 7));
}

TEST(HashTest, PlacedChecksumsDifferByBytesBlobAndOffset) {
  const std::string block(4096, 'b');
  std::set<uint64_t> sums;
  for (uint64_t blob = 0; blob < 20; ++blob) {
    for (uint64_t offset = 0; offset < 20; ++offset) sums.insert(PlacedChecksum(block, blob, offset * 4096));
  }
  EXPECT_EQ(sums.size(), 400u);
  EXPECT_NE(PlacedChecksum(block, 1, 2), PlacedChecksum(block, 2, 1));
  EXPECT_NE(PlacedChecksum("x", 1, 2), PlacedChecksum("y", 1, 2));
}

TEST(HashTest, PieceByPieceIsTheSame) {
  std::string block;
  PlacedHasher hasher(7, 4096);
  EXPECT_EQ(hasher.value(), PlacedChecksum(block, 7, 4096));
  for (size_t piece = 1; block.size() < 3000;
       piece = piece % 37 + 1) {  // over every way of XXH3: short, long, striped
    const std::string more(piece, static_cast<char>('a' + piece % 26));
    hasher.Add(more);
    block += more;
    ASSERT_EQ(hasher.value(), PlacedChecksum(block, 7, 4096)) << block.size();
  }
}

TEST(HashTest, EveryBitOfABlockCounts) {
  std::string block(300, '\x5a');
  const uint64_t sum = PlacedChecksum(block, 3, 4);
  for (size_t i = 0; i < block.size() * 8; ++i) {
    block[i / 8] ^= static_cast<char>(1 << i % 8);
    ASSERT_NE(PlacedChecksum(block, 3, 4), sum) << "bit " << i;
    block[i / 8] ^= static_cast<char>(1 << i % 8);
  }
}

}  // namespace
}  // namespace tarn
