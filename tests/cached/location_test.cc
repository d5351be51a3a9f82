// What a location may say (backends/location).
#include "backends/location/location.h"

#include <gtest/gtest.h>

#include "base/system_effects.h"

namespace tarn::location {
namespace {

TEST(Location, APathIsADirectory) {
  for (const char* path : {"lake", "./a://b", "/tmp/x?cache=/y", "s3:/x"}) {
    const auto location = ParseLocation(path);
    ASSERT_TRUE(location.ok()) << location.status().ToString();
    EXPECT_EQ(location->directory, path);
    EXPECT_EQ(location->bucket, "");
  }
  EXPECT_EQ(ParseLocation("file:///a b")->directory, "/a b");
}

TEST(Location, TheBucketGetsWhatIsItsOwn) {
  const auto location = ParseLocation("s3://b/p%3F?endpoint=http://h:1&cache=/var/c%26d&hedge=off&cache_size=3GiB");
  ASSERT_TRUE(location.ok()) << location.status().ToString();
  EXPECT_EQ(location->bucket, "s3://b/p%3F?endpoint=http://h:1&hedge=off");
  EXPECT_EQ(location->directory, "");
  EXPECT_EQ(location->cache, "/var/c&d");
  EXPECT_EQ(location->cache_bytes, 3ull << 30);
  EXPECT_EQ(location->cache_reserve_bytes, 1ull << 30);
  EXPECT_EQ(ParseLocation("s3://b")->bucket, "s3://b");
  EXPECT_EQ(ParseLocation("s3://b?cache=/c")->bucket, "s3://b");
  EXPECT_EQ(ParseLocation("s3://b?cache=/c")->cache_bytes, 10ull << 30);
  EXPECT_EQ(ParseLocation("s3://b?cache=/c&cache_size=20000000&cache_reserve=0")->cache_bytes, 20'000'000u);
  EXPECT_EQ(ParseLocation("s3://b?cache=/c&cache_reserve=0")->cache_reserve_bytes, 0u);
}

TEST(Location, SaysWhatIsWrong) {
  const auto refused = [](const std::string& text, Code code, const std::string& says) {
    const Status status = ParseLocation(text).status();
    EXPECT_EQ(status.code(), code) << text;
    EXPECT_NE(status.message().find(says), std::string_view::npos) << status.ToString();
  };
  refused("", Code::kInvalid, "name a directory");
  refused("file://x", Code::kInvalid, "file:///path");
  refused("gs://bucket/x", Code::kUnsupported, "s3://");
  refused("s3://b?cache=relative", Code::kInvalid, "bad cache=: use an absolute path");
  refused("s3://b?cache=%2", Code::kInvalid, "bad cache=");
  refused("s3://b?cache", Code::kInvalid, "bad cache=");
  refused("s3://b?cache=/c&cache_size=10GB", Code::kInvalid, "bad cache_size=");
  refused("s3://b?cache=/c&cache_size=15MiB", Code::kInvalid, "16MiB or more");
  refused("s3://b?cache=/c&cache_size=99999999999TiB", Code::kInvalid, "bad cache_size=");
  refused("s3://b?cache_reserve=1GiB", Code::kInvalid, "without cache=");
  EXPECT_EQ(ParseLocation("s3://b?cache=SeCrEt").status().message().find("SeCrEt"), std::string_view::npos);
}

TEST(Location, OpensADirectory) {
  const std::string path =
      testing::TempDir() + "/location_test." + std::to_string(testing::UnitTest::GetInstance()->random_seed());
  const auto open = [&](const LocationOptions& options) {
    return OpenLocation(path, options, SystemClock(), SystemEntropy());
  };
  EXPECT_EQ(open({.create = false}).status().code(), Code::kNotFound);
  EXPECT_EQ(open({.create = true, .read_only = true}).status().code(), Code::kNotFound);
  const auto made = open({});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)->info().name, "local");
  ASSERT_TRUE((*made)->PutIfAbsent("a", "b").ok());
  EXPECT_EQ((*open({.read_only = true}))->Delete("a").code(), Code::kInvalid);
  EXPECT_TRUE((*made)->Delete("a").ok());
}

}  // namespace
}  // namespace tarn::location
