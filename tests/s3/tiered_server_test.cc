// A tiered store in the bucket of the real server: commits and hot reads send nothing, and the bucket is enough to
// come back when the disk is lost.
#include <cstdlib>
#include <filesystem>

#include "backends/local/local.h"
#include "backends/tiered/tiered.h"
#include "tarn/db.h"
#include "tests/s3/server_store.h"

namespace tarn::test {
namespace {

class S3TieredTest : public S3ServerTest {
 protected:
  void SetUp() override {
    S3ServerTest::SetUp();
    disk_ = testing::TempDir() + "tarn_tiered_" + std::to_string(getpid());
  }
  void TearDown() override {
    for (const char* which : {"/one", "/two"}) std::filesystem::remove_all(disk_ + which);
    if (IsSkipped() || HasFatalFailure()) return;
    const auto backend = OpenOnServer(server, ServerOptions(server, OwnPrefix()));
    EXPECT_TRUE(backend.ok() && EmptyStore(**backend).ok());
  }
  Result<std::unique_ptr<DB>> Open(const std::string& disk, bool lost) {
    Components parts;
    TARN_ASSIGN(bucket_, OpenOnServer(server, ServerOptions(server, OwnPrefix())));
    TARN_ASSIGN(auto near, local::OpenLocal(disk_ + disk));
    TARN_ASSIGN(parts.backend, tiered::OpenTiered(bucket_, near));
    Settings settings;
    settings.memory_bytes = 16 << 20;
    settings.near_levels = 64;
    settings.accept_lost_log = lost;
    return DB::Open(settings, std::move(parts));
  }
  uint64_t Requests() const {
    uint64_t sum = 0;
    for (const uint64_t count : bucket_->stats().requests) sum += count;
    return sum;
  }
  // How many keys there are, and whether they are the first ones.
  static uint64_t Count(DB& db) {
    const auto it = db.NewIterator();
    uint64_t n = 0;
    for (it->SeekToFirst(); it->valid(); it->Next(), ++n) EXPECT_EQ(it->key(), KeyOf(n));
    EXPECT_TRUE(it->status().ok()) << it->status().ToString();
    return n;
  }
  static std::string KeyOf(uint64_t n) { return std::to_string(1'000'000 + n); }

  std::string disk_;
  std::shared_ptr<s3::S3Backend> bucket_;
};

TEST_F(S3TieredTest, CommitsAndHotReadsSendNothingAndTheBucketIsEnough) {
  auto db = Open("/one", /*lost=*/false);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  const uint64_t opened = Requests();
  for (uint64_t n = 0; n < 500; ++n)
    ASSERT_TRUE((*db)->Put(KeyOf(n), std::string(500, 'v'), Durability::kPower).ok());
  EXPECT_EQ(Requests(), opened) << "a commit is an fsync";
  ASSERT_TRUE((*db)->Close().ok());
  db->reset();
  db = Open("/one", /*lost=*/false);
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  const uint64_t again = Requests();
  EXPECT_EQ(Count(**db), 500u);
  EXPECT_EQ(Requests(), again) << "what is hot is read from the disk";
  ASSERT_TRUE((*db)->Put(KeyOf(500), "in the log alone", Durability::kPower).ok());

  const auto refused = Open("/two", /*lost=*/false);
  ASSERT_EQ(refused.status().code(), Code::kUnavailable) << refused.status().ToString();
  auto two = Open("/two", /*lost=*/true);
  ASSERT_TRUE(two.ok()) << two.status().ToString();
  EXPECT_EQ(Count(**two), 500u) << "the last durable point";
  EXPECT_EQ((*db)->Flush().code(), Code::kFenced);
}

// As a user opens it.
TEST_F(S3TieredTest, OpensByItsUrl) {
  ASSERT_EQ(setenv("AWS_ACCESS_KEY_ID", server.access_key.c_str(), 1), 0);
  ASSERT_EQ(setenv("AWS_SECRET_ACCESS_KEY", server.secret_key.c_str(), 1), 0);
  std::string bucket = "s3://" + server.bucket + "/" + OwnPrefix();
  while (bucket.back() == '/') bucket.pop_back();
  bucket += "?region=" + server.region + "&endpoint=" + server.endpoint;
  const std::string url = bucket + "&near_levels=1&log=" + disk_;
  {
    auto db = DB::Open({}, url + "/one");
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    ASSERT_TRUE((*db)->Put(KeyOf(0), "v").ok());
  }
  EXPECT_TRUE(std::filesystem::exists(disk_ + "/one/wal"));
  EXPECT_EQ(DB::Open({}, url + "/two").status().code(), Code::kUnavailable);
  auto db = DB::Open({}, url + "/two&log_lost=accept");
  ASSERT_TRUE(db.ok()) << db.status().ToString();
  EXPECT_EQ(Count(**db), 1u);
  Settings reading;
  reading.read_only = true;
  auto reader = DB::Open(reading, bucket + "&log_lost=accept");
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  EXPECT_EQ(Count(**reader), 1u);
}

}  // namespace
}  // namespace tarn::test
