// The S3 backend on the real server: the errors that people make, odd keys, sizes, addressing, TLS.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>

#include "backends/s3/client.h"
#include "tests/s3/server_store.h"

namespace tarn::test {
namespace {

using s3::Body;
using s3::Call;
using s3::Client;
using s3::S3Options;

// A clock that is wrong by a constant.
class WrongClock final : public Clock {
 public:
  explicit WrongClock(int64_t seconds) : seconds_(seconds) {}
  uint64_t MonotonicNanos() override { return real_->MonotonicNanos(); }
  uint64_t WallNanos() override { return real_->WallNanos() + seconds_ * 1'000'000'000; }
  void SleepNanos(uint64_t nanos) override { real_->SleepNanos(nanos); }

 private:
  const std::shared_ptr<Clock> real_ = SystemClock();
  const int64_t seconds_;
};

class S3ServerBackendTest : public S3ServerTest {
 protected:
  S3Options Options() { return ServerOptions(server, OwnPrefix()); }
  Result<std::shared_ptr<s3::S3Backend>> Open() { return OpenOnServer(server, Options()); }
  void ExpectRefused(const S3Options& options, const ServerEnv& env, Code code, const std::string& words) {
    const Status status = OpenOnServer(env, options).status();
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_NE(status.message().find(words), std::string_view::npos) << status.ToString();
    EXPECT_EQ(status.message().find(env.secret_key), std::string_view::npos);
    EXPECT_EQ(status.message().find('\n'), std::string_view::npos);
  }
  std::unique_ptr<Client> NewClient() {
    const S3Options options = Options();
    auto caller = std::make_shared<s3::Caller>();
    caller->clock = SystemClock();
    caller->entropy = SystemEntropy();
    caller->transport = *s3::NewCurlTransport({}, caller->clock);
    caller->endpoint = *s3::FindEndpoint(options, ServerSurroundings(server));
    caller->credentials = *s3::FindCredentials(options, ServerSurroundings(server), caller->transport, caller->clock);
    caller->signer = std::make_unique<s3::Signer>(caller->endpoint.region);
    return std::make_unique<Client>(std::move(caller), options.if_match_quotes);
  }
};

Body BodyOf(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

Status Write(Backend& backend, const std::string& name, std::string_view bytes) {
  TARN_ASSIGN(auto writer, backend.Create(name));
  TARN_TRY(writer->Append(bytes));
  return writer->Finish();
}

// --- errors that people make ---------------------------------------------------------------------------------

TEST_F(S3ServerBackendTest, WrongSecret) {
  ServerEnv wrong = server;
  wrong.secret_key = "another-secret";
  ExpectRefused(Options(), wrong, Code::kInvalid, "correct the credentials in the environment");
}

TEST_F(S3ServerBackendTest, UnknownAccessKey) {
  ServerEnv wrong = server;
  wrong.access_key = "NOBODY";
  ExpectRefused(Options(), wrong, Code::kInvalid, "does not know the access key");
}

TEST_F(S3ServerBackendTest, UserWithoutRights) {
  ServerEnv other = server;
  other.access_key = server.other_access_key;
  other.secret_key = server.other_secret_key;
  if (other.access_key.empty()) GTEST_SKIP() << "this server has one user";
  ExpectRefused(Options(), other, Code::kInvalid, "access is denied");
}

TEST_F(S3ServerBackendTest, MissingBucket) {
  S3Options options = Options();
  options.bucket = "tarn-no-such-bucket";
  ExpectRefused(options, server, Code::kNotFound, "there is no bucket tarn-no-such-bucket at " + server.endpoint);
}

TEST_F(S3ServerBackendTest, UnreachableEndpoint) {
  S3Options options = Options();
  options.endpoint = "http://127.0.0.1:1";
  options.deadline_nanos = 500'000'000;
  ExpectRefused(options, server, Code::kUnavailable, "http://127.0.0.1:1 cannot be reached");
}

// What `scripts/s3_server session` says: credentials that end after that many seconds.
std::map<std::string, std::string> NewSession(const std::string& home, int seconds) {
  const std::string command = "TARN_S3_HOME=" + home + " " + TARN_S3_SCRIPT + " session " + std::to_string(seconds);
  std::map<std::string, std::string> values;
  FILE* output = popen(command.c_str(), "r");
  char line[8192];
  while (output != nullptr && std::fgets(line, sizeof(line), output) != nullptr) {
    const std::string text(line, std::strcspn(line, "\n"));
    const size_t equals = text.find('=');
    if (text.starts_with("export ") && equals != std::string::npos)
      values[text.substr(7, equals - 7)] = text.substr(equals + 1);
  }
  if (output != nullptr) pclose(output);
  return values;
}

TEST_F(S3ServerBackendTest, SessionTokensWorkAndExpire) {
  if (server.home.empty()) GTEST_SKIP() << "not a server of scripts/s3_server";
  auto session = NewSession(server.home, 3);
  ASSERT_FALSE(session["AWS_SESSION_TOKEN"].empty());
  s3::Surroundings around = ServerSurroundings(server);
  around.env = [session](const std::string& name) {
    const auto found = session.find(name);
    return found == session.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  S3Options options = Options();
  options.endpoint = session["TARN_S3_ENDPOINT"];
  options.region = server.region;
  const auto clock = SystemClock();
  const auto backend = s3::OpenS3With(options, {clock, SystemEntropy(), *s3::NewCurlTransport({}, clock), around});
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  Status status;
  for (int i = 0; status.ok() && i < 300; ++i) {
    status = (*backend)->List("", "", 1).status();
    clock->SleepNanos(100'000'000);
  }
  EXPECT_EQ(status.code(), Code::kInvalid) << status.ToString();
  EXPECT_NE(status.message().find("session token"), std::string_view::npos) << status.ToString();
  EXPECT_EQ(status.message().find(session["AWS_SESSION_TOKEN"]), std::string_view::npos);
}

TEST_F(S3ServerBackendTest, WrongClocksAreHealed) {
  for (const int64_t seconds : {-7200, 7200}) {
    const auto clock = std::make_shared<WrongClock>(seconds);
    const auto backend = s3::OpenS3With(
        Options(), {clock, SystemEntropy(), *s3::NewCurlTransport({}, clock), ServerSurroundings(server)});
    ASSERT_TRUE(backend.ok()) << seconds << ": " << backend.status().ToString();
    EXPECT_EQ((*backend)->stats().retries, 1u) << "it had to learn the server's clock once";
  }
}

TEST_F(S3ServerBackendTest, TlsIsVerified) {
  if (server.tls_endpoint.empty()) GTEST_SKIP() << "this server has no TLS";
  S3Options options = Options();
  options.endpoint = server.tls_endpoint;
  ExpectRefused(options, server, Code::kInvalid, "cannot be trusted");
  options.ca_file = "/nowhere/ca.pem";
  ExpectRefused(options, server, Code::kInvalid, "cannot be trusted");
  options.ca_file = server.ca_file;
  const auto backend = OpenOnServer(server, options);
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  ASSERT_TRUE(Write(**backend, "a", "over tls").ok());
  ASSERT_TRUE((*backend)->Delete("a").ok());
}

TEST_F(S3ServerBackendTest, BucketInTheHostName) {
  S3Options options = Options();
  const size_t port = server.endpoint.rfind(':');
  if (!server.endpoint.starts_with("http://127.0.0.1:")) GTEST_SKIP() << "not a server on loopback";
  options.endpoint = "http://localhost" + server.endpoint.substr(port);  // and all names below localhost
  options.addressing = s3::Addressing::kVirtual;
  const auto backend = OpenOnServer(server, options);
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  ASSERT_TRUE(Write(**backend, "a", "by host").ok());
  const auto by_path = Open();
  ASSERT_TRUE(by_path.ok());
  EXPECT_TRUE((*by_path)->Delete("a").ok()) << "both ways lead to one bucket";
}

// --- keys --------------------------------------------------------------------------------------------------

TEST_F(S3ServerBackendTest, OddKeys) {
  const auto client = NewClient();
  const std::string prefix = OwnPrefix();
  std::vector<std::string> keys;
  for (const std::string& odd :
       {std::string("a b"), std::string("a+b"), std::string("50%"), std::string("a%20b"), std::string("caf\xc3\xa9"),
        std::string("\xf0\x9f\x8f\x94"), std::string("a//b"), std::string("/"), std::string("."), std::string("../x"),
        std::string("a/./b"), std::string("q?a=b&c#d"), std::string("&<>\"';:@=$,!*()[]{}|\\^`~"),
        std::string(1024 - prefix.size(), 'k')}) {
    keys.push_back(prefix + odd);
    const auto put = client->PutIfAbsent(keys.back(), BodyOf("bytes of " + odd));
    ASSERT_TRUE(put.ok()) << odd << ": " << put.status().ToString();
    EXPECT_EQ(put->outcome, PutOutcome::kCreated) << odd;
    const auto facts = client->Head(keys.back());
    ASSERT_TRUE(facts.ok()) << odd << ": " << facts.status().ToString();
    EXPECT_EQ(facts->size, 9 + odd.size());
    EXPECT_EQ(facts->etag, put->etag);
    const auto bytes = client->GetSmall(keys.back());
    ASSERT_TRUE(bytes.ok() && bytes->has_value()) << odd << ": " << bytes.status().ToString();
    EXPECT_EQ(**bytes, "bytes of " + odd);
    const auto again = client->PutIfAbsent(keys.back(), BodyOf("others"));
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(again->outcome, PutOutcome::kExists) << odd;
  }
  std::sort(keys.begin(), keys.end());
  const auto page = client->List(prefix, "", 1000);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  std::vector<std::string> listed;
  for (const auto& object : page->objects) listed.push_back(object.key);
  EXPECT_EQ(listed, keys);
  EXPECT_TRUE(client->DeleteMany(keys).ok());
  EXPECT_TRUE(client->List(prefix, "", 1000)->objects.empty());
  const Status status = client->PutIfAbsent(std::string(1025, 'k'), BodyOf("")).status();
  EXPECT_EQ(status.code(), Code::kInvalid) << status.ToString();
  EXPECT_NE(status.message().find("shorten"), std::string_view::npos) << status.ToString();
}

TEST_F(S3ServerBackendTest, ReplaceIfItIsWhatWasSeen) {
  const auto client = NewClient();
  const std::string key = OwnPrefix() + "counter";
  const auto created = client->PutIfAbsent(key, BodyOf("1"));
  ASSERT_TRUE(created.ok()) << created.status().ToString();
  const auto second = client->PutIfMatch(key, BodyOf("2"), created->etag);
  ASSERT_TRUE(second.ok()) << second.status().ToString();
  const Status late = client->PutIfMatch(key, BodyOf("3"), created->etag).status();
  EXPECT_EQ(late.code(), Code::kBusy) << late.ToString();
  EXPECT_EQ(**client->GetSmall(key), "2");
  EXPECT_TRUE(client->Delete(key).ok());
  EXPECT_TRUE(client->Delete(key).ok()) << "deleting twice is deleting once";
}

TEST_F(S3ServerBackendTest, ListsPastAThousand) {
  auto backend = Open();
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  constexpr int kBlobs = 2100, kThreads = 8;
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int me = 0; me < kThreads; ++me) {
    threads.emplace_back([&, me] {
      for (int i = me; i < kBlobs; i += kThreads) {
        if (!(*backend)->PutIfAbsent("n/" + std::to_string(10000 + i), "x").ok()) ++failures;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(failures, 0);
  const auto page = (*backend)->List("n/", "", 5000);
  ASSERT_TRUE(page.ok()) << page.status().ToString();
  EXPECT_FALSE(page->more);
  ASSERT_EQ(page->blobs.size(), static_cast<size_t>(kBlobs));
  for (int i = 0; i < kBlobs; ++i) EXPECT_EQ(page->blobs[i].name, "n/" + std::to_string(10000 + i));
  const auto client = NewClient();
  std::vector<std::string> keys;
  for (const BlobInfo& blob : page->blobs) keys.push_back(OwnPrefix() + blob.name);
  EXPECT_TRUE(client->DeleteMany(keys).ok());
  EXPECT_TRUE(client->List(OwnPrefix() + "n/", "", 1000)->objects.empty());
}

TEST_F(S3ServerBackendTest, CollectsWhatDeadWritersLeft) {
  auto backend = Open();
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  const auto client = NewClient();
  const std::string prefix = OwnPrefix();
  for (const char* name : {"t/1", "t/1", "t/2", "FILES/t"}) {
    ASSERT_TRUE(client->CreateUpload(prefix + name, client->NewAttemptId()).ok());
  }
  const std::string aside = prefix + "TARN-S3/ASIDE/000000000000000";
  for (const char* copy : {"4/a", "4/b", "5/c", "6/d"}) {
    ASSERT_TRUE(client->PutIfAbsent(aside + copy, BodyOf("copy")).ok());
  }
  const auto first_only = [](std::string_view name) { return name == "t/1"; };
  const Status collected = (*backend)->features().collector->Collect(5, first_only);
  ASSERT_TRUE(collected.ok()) << collected.ToString();
  EXPECT_EQ((*backend)->stats().collected_copies, 2u);
  EXPECT_EQ((*backend)->stats().collected_uploads, 2u);
  EXPECT_EQ(client->List(prefix + "TARN-S3/ASIDE/", "", 10)->objects.size(), 2u);
  const auto left = client->ListUploads(prefix, "", "");
  ASSERT_TRUE(left.ok()) << left.status().ToString();
  EXPECT_EQ(left->uploads.size(), 2u);
  for (const auto& upload : left->uploads) EXPECT_TRUE(client->AbortUpload(upload.key, upload.id).ok());
  EXPECT_TRUE(client->ListUploads(prefix, "", "")->uploads.empty());
  const std::vector<std::string> copies = {aside + "5/c", aside + "6/d"};
  EXPECT_TRUE(client->DeleteMany(copies).ok());
}

// --- sizes ---------------------------------------------------------------------------------------------------

// Byte `at` of a large blob: zeros, with a few bytes that tell the place in every MiB.
void FillSparse(uint64_t at, std::span<char> out) {
  std::fill(out.begin(), out.end(), '\0');
  for (uint64_t mib = at >> 20; (mib << 20) < at + out.size(); ++mib) {
    const std::string mark = "MiB " + std::to_string(mib);
    for (size_t i = 0; i < mark.size(); ++i) {
      const uint64_t place = (mib << 20) + i;
      if (place >= at && place - at < out.size()) out[place - at] = mark[i];
    }
  }
}

void RoundTrip(Backend& backend, const std::string& name, uint64_t size) {
  auto writer = backend.Create(name);
  TARN_ASSERT_OK(writer.status());
  std::string piece(3 << 20, '?');
  for (uint64_t at = 0; at < size; at += piece.size()) {
    const std::span<char> out(piece.data(), std::min<uint64_t>(piece.size(), size - at));
    FillSparse(at, out);
    TARN_ASSERT_OK((*writer)->Append({out.data(), out.size()}));
  }
  TARN_ASSERT_OK((*writer)->Finish());
  auto reader = backend.Open(name);
  TARN_ASSERT_OK(reader.status());
  ASSERT_EQ((*reader)->size(), size);
  std::string got(7 << 20, '?'), wanted(7 << 20, '?');
  for (uint64_t at = 0; at < size; at += got.size()) {
    const size_t n = std::min<uint64_t>(got.size(), size - at);
    TARN_ASSERT_OK((*reader)->Read(at, std::span<char>(got).first(n)));
    FillSparse(at, std::span<char>(wanted).first(n));
    ASSERT_TRUE(got.compare(0, n, wanted, 0, n) == 0) << name << " differs in the bytes from " << at;
  }
  reader->reset();
  TARN_ASSERT_OK(backend.Delete(name));
}

TEST_F(S3ServerBackendTest, SizesAroundAPart) {
  S3Options options = Options();
  options.part_bytes = 5 << 20;
  const auto backend = OpenOnServer(server, options);
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  for (const uint64_t size : {0u, 1u, (5u << 20) - 1, 5u << 20, (5u << 20) + 1, 10u << 20, (10u << 20) + 1}) {
    RoundTrip(**backend, "size-" + std::to_string(size), size);
  }
  const s3::S3Stats stats = (*backend)->stats();
  EXPECT_EQ(stats.requests[static_cast<size_t>(s3::Verb::kCreateUpload)], 3u) << "above a part, and only there";
}

// TARN_S3_LARGE_MIB=5120 makes it 5 GiB; memory stays that of five parts.
TEST_F(S3ServerBackendTest, LargeBlob) {
  const char* wanted = std::getenv("TARN_S3_LARGE_MIB");
  const uint64_t mib = wanted == nullptr ? 64 : std::strtoull(wanted, nullptr, 10);
  const auto backend = Open();
  ASSERT_TRUE(backend.ok()) << backend.status().ToString();
  RoundTrip(**backend, "large", (mib << 20) + 17);
}

}  // namespace
}  // namespace tarn::test
