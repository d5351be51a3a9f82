#include "base/edit_distance.h"

#include <gtest/gtest.h>

namespace tarn::test {
namespace {

TEST(EditDistance, CountsLetters) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("import", "import"), 0u);
  EXPECT_EQ(EditDistance("imprt", "import"), 1u);
  EXPECT_EQ(EditDistance("fillsec", "fillseq"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace tarn::test
