// What a store asks of the real server, as the proxy before it saw it: one ranged GET for a cold read, and nothing
// while it idles for TARN_S3_IDLE_SECONDS (cost_test.cc idles for an hour, on a simulated clock).
#include "tarn/db.h"
#include "tests/s3/proxied_server.h"
#include "tests/support/from_environment.h"

namespace tarn::test {
namespace {

class S3TraceTest : public ProxiedServerTest {
 protected:
  std::unique_ptr<DB> Open() {
    s3::S3Options options = ServerOptions(server, OwnPrefix());
    options.endpoint = proxy_->endpoint();
    auto backend = OpenOnServer(server, options);
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    if (!backend.ok()) return nullptr;
    bucket_ = *backend;
    Components parts;
    parts.backend = *backend;
    auto db = DB::Open({}, std::move(parts));
    EXPECT_TRUE(db.ok()) << db.status().ToString();
    return db.ok() ? std::move(*db) : nullptr;
  }

  std::shared_ptr<s3::S3Backend> bucket_;
};

std::string KeyOf(int n) { return "key" + std::to_string(100'000 + n); }

TEST_F(S3TraceTest, AColdPointReadIsOneRangedGet) {
  constexpr int kKeys = 20'000;
  {
    const auto db = Open();
    ASSERT_NE(db, nullptr);
    for (int n = 0; n < kKeys; ++n) {
      ASSERT_TRUE(db->Put(KeyOf(n), std::to_string(n) + std::string(200, 'v'), Durability::kNone).ok());
    }
    ASSERT_TRUE(db->Flush().ok());
  }
  const auto db = Open();
  ASSERT_NE(db, nullptr);
  proxy_->TakeRequests();
  std::string value;
  ASSERT_TRUE(db->Get(KeyOf(0), &value).ok());
  const auto first = proxy_->TakeRequests();
  EXPECT_LE(first.size(), 5u) << "the first read of a table: its footer, index, filter and the block";
  for (int n = 1000; n < kKeys; n += 1000) {
    ASSERT_TRUE(db->Get(KeyOf(n), &value).ok());
    EXPECT_TRUE(value.starts_with(std::to_string(n)));
    const auto requests = proxy_->TakeRequests();
    ASSERT_EQ(requests.size(), 1u) << n;
    EXPECT_EQ(requests[0].method, "GET");
    EXPECT_TRUE(requests[0].range.starts_with("bytes=")) << requests[0].range;
    EXPECT_NE(requests[0].target.find("/table/"), std::string::npos) << requests[0].target;
    EXPECT_LE(requests[0].answer_bytes, 8192u);
  }
  EXPECT_TRUE(EmptyStore(*bucket_).ok());
}

TEST_F(S3TraceTest, AnIdleStoreIsSilent) {
  const auto seconds = FromEnvironment("TARN_S3_IDLE_SECONDS", 0);
  if (seconds == 0) GTEST_SKIP() << "TARN_S3_IDLE_SECONDS says how long to wait";
  const auto db = Open();
  ASSERT_NE(db, nullptr);
  for (int n = 0; n < 100; ++n) ASSERT_TRUE(db->Put(KeyOf(n), "v", Durability::kPower).ok());
  ASSERT_TRUE(db->Flush().ok());
  ASSERT_TRUE(db->Put("z", "v", Durability::kPower).ok());  // an open log, as of a store in use
  proxy_->TakeRequests();
  SystemClock()->SleepNanos(seconds * 1'000'000'000);
  const auto requests = proxy_->TakeRequests();
  EXPECT_EQ(requests.size(), 0u);
  std::printf("%zu requests in %d seconds\n", requests.size(), static_cast<int>(seconds));
  ASSERT_TRUE(db->Put("z", "w", Durability::kPower).ok());
  EXPECT_EQ(proxy_->TakeRequests().size(), 1u);
  ASSERT_TRUE(db->Close().ok());
  EXPECT_TRUE(EmptyStore(*bucket_).ok());
}

}  // namespace
}  // namespace tarn::test
