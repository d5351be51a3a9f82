// A store in the bucket of the real server behind a cache on the disk (backends/cached): what was read once, or
// written here, is read again without a request, also after the store was opened anew.
#include <filesystem>

#include "backends/cached/cached.h"
#include "backends/local/local.h"
#include "tarn/db.h"
#include "tests/s3/server_store.h"

namespace tarn::test {
namespace {

class S3CacheTest : public S3ServerTest {
 protected:
  void SetUp() override {
    S3ServerTest::SetUp();
    directory_ = testing::TempDir() + "/s3_cache_test." + s3::Hex(OwnPrefix());  // of this test alone
    std::filesystem::remove_all(directory_);
  }
  void TearDown() override {
    std::filesystem::remove_all(directory_);
    if (IsSkipped() || HasFatalFailure()) return;
    const auto backend = OpenOnServer(server, ServerOptions(server, OwnPrefix()));
    EXPECT_TRUE(backend.ok() && EmptyStore(**backend).ok());
  }

  // `bucket_` is what the store is in, below its cache.
  Result<std::unique_ptr<DB>> Open(uint64_t write_through_bytes) {
    TARN_ASSIGN(bucket_, OpenOnServer(server, ServerOptions(server, OwnPrefix())));
    cached::CacheOptions options;
    options.limit_bytes = 128 << 20;
    options.reserve_bytes = 0;
    options.write_through_bytes = write_through_bytes;
    Components parts;
    TARN_ASSIGN(parts.backend, cached::OpenCached(bucket_, local::OpenLocal(directory_), options));
    EXPECT_NE(parts.backend->info().read_engine.find("through a cache"), std::string::npos);
    Settings settings;
    settings.memory_bytes = 8 << 20;
    settings.memtable_bytes = 1 << 20;
    return DB::Open(settings, std::move(parts));
  }
  uint64_t Gets() const { return bucket_->stats().requests[static_cast<size_t>(s3::Verb::kGet)]; }
  // The GETs of reading everything: by a walk, and by point reads, one by one and many at once.
  uint64_t GetsOfEverything(DB& db, uint64_t keys) {
    const uint64_t before = Gets();
    uint64_t found = 0;
    const auto it = db.NewIterator();
    for (it->SeekToFirst(); it->valid(); it->Next()) ++found;
    EXPECT_TRUE(it->status().ok()) << it->status().ToString();
    EXPECT_EQ(found, keys);
    for (uint64_t n = 0; n < keys; n += 17) {
      std::string value;
      EXPECT_TRUE(db.Get(KeyOf(n), &value).ok() && value == ValueOf(n)) << n;
      std::vector<std::string> names, values;
      for (uint64_t i = 0; i < 16; ++i) names.push_back(KeyOf((n * 31 + i * 997) % keys));
      const std::vector<std::string_view> many(names.begin(), names.end());
      for (const Status& status : db.MultiGet({}, many, &values)) EXPECT_TRUE(status.ok()) << status.ToString();
    }
    return Gets() - before;
  }
  static std::string KeyOf(uint64_t n) { return "key" + std::to_string(10'000'000 + n); }
  // Does not compress.
  static std::string ValueOf(uint64_t n) {
    std::string value;
    for (uint64_t i = 0; i < 250; ++i) value += s3::Sha256(std::to_string(n) + "." + std::to_string(i)).substr(0, 8);
    return value;
  }
  void Fill(uint64_t write_through_bytes, uint64_t keys) {
    auto db = Open(write_through_bytes);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    for (uint64_t n = 0; n < keys; ++n) ASSERT_TRUE((*db)->Put(KeyOf(n), ValueOf(n), Durability::kNone).ok());
    ASSERT_TRUE((*db)->Compact().ok());
    ASSERT_TRUE((*db)->Close().ok());
  }

  static constexpr uint64_t kKeys = 8000;  // 16 MB
  std::string directory_;
  std::shared_ptr<s3::S3Backend> bucket_;
};

TEST_F(S3CacheTest, WhatWasReadIsReadAgainWithoutARequest) {
  ASSERT_NO_FATAL_FAILURE(Fill(0, kKeys));
  std::filesystem::remove_all(directory_);
  {
    auto db = Open(0);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    EXPECT_GT(GetsOfEverything(**db, kKeys), 5u);
    EXPECT_EQ(GetsOfEverything(**db, kKeys), 0u);
    ASSERT_TRUE((*db)->Close().ok());
  }
  auto db = Open(0);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  EXPECT_EQ(GetsOfEverything(**db, kKeys), 0u) << "after a restart";
}

TEST_F(S3CacheTest, WhatWasWrittenHereIsReadWithoutARequest) {
  ASSERT_NO_FATAL_FAILURE(Fill(64 << 20, kKeys));
  auto db = Open(0);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  EXPECT_EQ(GetsOfEverything(**db, kKeys), 0u);
}

// A point read whose block is nowhere on this machine is one ranged GET, as without the cache.
TEST_F(S3CacheTest, AColdPointReadIsOneGet) {
  ASSERT_NO_FATAL_FAILURE(Fill(0, kKeys));
  std::filesystem::remove_all(directory_);
  auto db = Open(0);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  std::string value;
  ASSERT_TRUE((*db)->Get(KeyOf(0), &value).ok());  // opens the table, with filter and index
  for (uint64_t n = 1000; n < 2000; n += 100) {
    const uint64_t before = Gets();
    ASSERT_TRUE((*db)->Get(KeyOf(n), &value).ok());
    EXPECT_EQ(Gets() - before, 1u) << n;
  }
}

}  // namespace
}  // namespace tarn::test
