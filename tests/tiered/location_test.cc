// The parameters of a location that make a tiered store.
#include "backends/location/location.h"

#include <gtest/gtest.h>

namespace tarn::location {
namespace {

TEST(TieredLocation, TakesItsParametersAndLeavesTheBucketsOwn) {
  const std::string url =
      "s3://b/p?endpoint=http://127.0.0.1:1&log=/var/lib/a%26b&near_size=3GiB&near_levels=0&near_changes=1000"
      "&near_family=a:b:64&near_family=bulk:0&log_lost=accept&part_mib=8";
  const auto location = ParseLocation(url);
  ASSERT_TRUE(location.ok()) << location.status().ToString();
  EXPECT_EQ(location->bucket, "s3://b/p?endpoint=http://127.0.0.1:1&part_mib=8");
  EXPECT_EQ(location->log, "/var/lib/a&b");
  EXPECT_EQ(location->near_bytes, 3ull << 30);
  Settings settings;
  ASSERT_TRUE(ApplyLocation(url, &settings).ok());
  EXPECT_EQ(settings.near_levels, 0u);
  EXPECT_EQ(settings.near_changes, 1000u);
  EXPECT_EQ(settings.family_near_levels, (std::map<std::string, uint32_t>{{"a:b", 64}, {"bulk", 0}}));
  EXPECT_TRUE(settings.accept_lost_log);
}

TEST(TieredLocation, LeavesSettingsThatItDoesNotName) {
  Settings settings;
  settings.near_levels = 7;
  settings.accept_lost_log = true;
  for (const char* text : {"s3://b/p?log=/d", "s3://b", "/a/directory"}) {
    ASSERT_TRUE(ApplyLocation(text, &settings).ok()) << text;
  }
  EXPECT_EQ(settings.near_levels, 7u);
  EXPECT_TRUE(settings.accept_lost_log);
  Settings plain;
  ASSERT_TRUE(ApplyLocation("s3://b/p?log=/d", &plain).ok());
  EXPECT_FALSE(plain.accept_lost_log);
}

TEST(TieredLocation, RefusesWhatItCannotBe) {
  for (const char* bad :
       {"log=relative", "log=", "log=/d&near_size=much", "log=/d&near_levels=65", "log=/d&near_levels=-1",
        "log=/d&near_family=a", "log=/d&near_family=:1", "log=/d&near_family=a:65", "log=/d&near_changes=x",
        "log_lost=yes", "log_lost", "near_levels=2", "near_size=1GiB", "near_family=a:1", "near_changes=1"}) {
    const auto location = ParseLocation(std::string("s3://b/p?") + bad);
    EXPECT_EQ(location.status().code(), Code::kInvalid) << bad;
    EXPECT_EQ(location.status().message().find('\n'), std::string_view::npos) << bad;
  }
}

TEST(TieredLocation, AnUnknownParameterIsToldTheNamesOfAllLayers) {
  const Status status = ParseLocation("s3://b/p?region=x&sekret_key=Xyzzy").status();
  EXPECT_EQ(status.code(), Code::kInvalid);
  for (const char* name : {"cache_size", "endpoint", "log", "near_levels", "secret_key"}) {
    EXPECT_NE(status.message().find(name), std::string_view::npos) << name << ": " << status.ToString();
  }
  EXPECT_EQ(status.message().find("sekret"), std::string_view::npos);
  EXPECT_EQ(status.message().find("Xyzzy"), std::string_view::npos);
}

}  // namespace
}  // namespace tarn::location
