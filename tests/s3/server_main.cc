// The main of programs that need the server: with TARN_S3_TESTS=off they skip, in words that ctest understands.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  const char* wanted = std::getenv("TARN_S3_TESTS");
  if (wanted != nullptr && std::string_view(wanted) == "off" && !GTEST_FLAG_GET(list_tests)) {
    std::puts("[  SKIPPED ] TARN_S3_TESTS=off");
    return 0;
  }
  return RUN_ALL_TESTS();
}
