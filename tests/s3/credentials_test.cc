// Where credentials come from, when they are fetched again, and that no secret is ever shown.
#include "backends/s3/credentials.h"

#include <gtest/gtest.h>

#include <map>

#include "backends/s3/metadata.h"
#include "backends/s3/s3_internal.h"
#include "tests/support/sim_effects.h"

namespace tarn::s3 {
namespace {

using test::VirtualClock;

// Answers by URL; counts. Everything else cannot be reached.
class Pages final : public HttpTransport {
 public:
  explicit Pages(std::map<std::string, std::string> pages) : pages_(std::move(pages)) {}
  std::unique_ptr<HttpQueue> NewQueue() override { return std::make_unique<Queue>(this); }
  void Set(const std::string& url, const std::string& body) { pages_[url] = body; }
  int asked = 0;
  std::vector<HttpRequest> requests;

 private:
  class Queue final : public HttpQueue {
   public:
    explicit Queue(Pages* pages) : pages_(pages) {}
    void Start(std::shared_ptr<HttpExchange> exchange) override {
      ++pages_->asked;
      pages_->requests.push_back(exchange->request);
      const auto found = pages_->pages_.find(exchange->request.method + " " + exchange->request.url);
      if (found == pages_->pages_.end()) {
        exchange->response.failure = HttpFailure::kConnect;
        exchange->response.why = "no route to host";
      } else {
        exchange->response.status = 200;
        exchange->response.body = found->second;
      }
      done_.push_back(std::move(exchange));
    }
    void Cancel(const std::shared_ptr<HttpExchange>&) override {}
    std::vector<std::shared_ptr<HttpExchange>> Wait(uint64_t) override { return std::exchange(done_, {}); }

   private:
    Pages* const pages_;
    std::vector<std::shared_ptr<HttpExchange>> done_;
  };
  std::map<std::string, std::string> pages_;
};

struct World {
  std::map<std::string, std::string> env, files;
  std::shared_ptr<Pages> pages = std::make_shared<Pages>(std::map<std::string, std::string>());
  std::shared_ptr<VirtualClock> clock = std::make_shared<VirtualClock>();

  Surroundings Around() {
    Surroundings around;
    around.env = [this](const std::string& name) -> std::optional<std::string> {
      return env.contains(name) ? std::optional<std::string>(env[name]) : std::nullopt;
    };
    around.read_file = [this](const std::string& path) -> Result<std::string> {
      return files.contains(path) ? Result<std::string>(files[path]) : Status::NotFound("cannot read " + path);
    };
    return around;
  }
  Result<std::shared_ptr<CredentialSource>> Find(const S3Options& options = {}) {
    return FindCredentials(options, Around(), pages, clock);
  }
  Credentials Must(const S3Options& options = {}) {
    const auto source = Find(options);
    EXPECT_TRUE(source.ok()) << source.status().ToString();
    return source.ok() ? *(*source)->Get() : Credentials();
  }
};

TEST(CredentialsTest, Environment) {
  World world;
  world.env = {{"AWS_ACCESS_KEY_ID", "id"}, {"AWS_SECRET_ACCESS_KEY", "secret"}, {"AWS_SESSION_TOKEN", "token"}};
  const Credentials found = world.Must();
  EXPECT_EQ(found.access_key, "id");
  EXPECT_EQ(found.secret_key.Reveal(), "secret");
  EXPECT_EQ(found.session_token.Reveal(), "token");
  world.env.erase("AWS_SECRET_ACCESS_KEY");
  EXPECT_NE(world.Find().status().message().find("$AWS_SECRET_ACCESS_KEY"), std::string_view::npos);
}

TEST(CredentialsTest, Profiles) {
  World world;
  world.env = {{"HOME", "/h"}};
  world.files["/h/.aws/credentials"] =
      "# mine\n[default]\naws_access_key_id = d\naws_secret_access_key=ds=/+\r\n\n[other]\naws_access_key_id=o\n"
      "s3 =\n  aws_secret_access_key = nested\naws_secret_access_key = os\naws_session_token = ot\n";
  world.files["/h/.aws/config"] =
      "[default]\nregion = eu-west-1\n[profile other]\nregion=eu-north-1\n[profile third]\naws_access_key_id=t\n"
      "aws_secret_access_key=ts\n[profile role]\nrole_arn = arn:aws:iam::1:role/x\n";
  EXPECT_EQ(world.Must().access_key, "d");
  EXPECT_EQ(world.Must().secret_key.Reveal(), "ds=/+");
  S3Options options;
  options.profile = "other";
  EXPECT_EQ(world.Must(options).secret_key.Reveal(), "os");
  EXPECT_EQ(world.Must(options).session_token.Reveal(), "ot");
  EXPECT_EQ(ProfileSetting("other", "region", world.Around()), "eu-north-1");
  EXPECT_EQ(ProfileSetting("default", "region", world.Around()), "eu-west-1");
  world.env["AWS_PROFILE"] = "third";
  EXPECT_EQ(world.Must().secret_key.Reveal(), "ts");
  world.env["AWS_PROFILE"] = "role";
  EXPECT_NE(world.Find().status().message().find("export-credentials"), std::string_view::npos);
  world.env["AWS_PROFILE"] = "missing";
  EXPECT_EQ(world.Find().status().code(), Code::kInvalid);
  // The environment goes before the environment's profile, a profile in the settings before both.
  world.env["AWS_ACCESS_KEY_ID"] = "e";
  world.env["AWS_SECRET_ACCESS_KEY"] = "es";
  EXPECT_EQ(world.Must().access_key, "e");
  EXPECT_EQ(world.Must(options).access_key, "o");
  // Other files than the usual.
  world.env = {{"AWS_SHARED_CREDENTIALS_FILE", "/c"}};
  world.files["/c"] = "[default]\naws_access_key_id=c\naws_secret_access_key=cs\n";
  EXPECT_EQ(world.Must().access_key, "c");
}

TEST(CredentialsTest, References) {
  World world;
  world.env = {{"MY_ID", "id"}, {"AWS_ACCESS_KEY_ID", "another"}};
  world.files["/key"] = "secret\n";
  S3Options options;
  options.access_key = "env:MY_ID";
  options.secret_key = "file:/key";
  EXPECT_EQ(world.Must(options).access_key, "id");
  EXPECT_EQ(world.Must(options).secret_key.Reveal(), "secret");
  options.secret_key = "file:/nowhere";
  EXPECT_EQ(world.Find(options).status().code(), Code::kInvalid);
  options.secret_key = "env:UNSET";
  EXPECT_NE(world.Find(options).status().message().find("$UNSET"), std::string_view::npos);
  options.secret_key = "";
  EXPECT_NE(world.Find(options).status().message().find("come together"), std::string_view::npos);
}

TEST(CredentialsTest, LiteralsAreRefusedAndNotRepeated) {
  World world;
  S3Options options;
  options.access_key = "env:MY_ID";
  world.env["MY_ID"] = "id";
  options.secret_key = "hunter2hunter2";
  Status status = world.Find(options).status();
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("env:NAME"), std::string_view::npos);
  EXPECT_EQ(status.message().find("hunter2"), std::string_view::npos);
  for (const char* url :
       {"s3://bucket/p?secret_key=hunter2hunter2", "s3://bucket?session_token=hunter2", "s3://id:hunter2@bucket/p",
        "s3://bucket?password=hunter2", "s3://bucket?region=a%hunter2", "s3://bucket?connections=hunter2"}) {
    status = ParseS3Url(url).status();
    EXPECT_EQ(status.code(), Code::kInvalid) << url;
    EXPECT_EQ(status.message().find("hunter2"), std::string_view::npos) << status.ToString();
  }
}

TEST(CredentialsTest, NoneSaysWhereToPutThem) {
  World world;
  const Status status = world.Find().status();
  EXPECT_EQ(status.code(), Code::kInvalid);
  EXPECT_NE(status.message().find("$AWS_ACCESS_KEY_ID"), std::string_view::npos) << status.ToString();
  EXPECT_EQ(world.pages->asked, 1);
  world.env["AWS_EC2_METADATA_DISABLED"] = "true";
  EXPECT_FALSE(world.Find().ok());
  EXPECT_EQ(world.pages->asked, 1) << "the machine was asked though that is switched off";
}

std::string Json(const std::string& n, const std::string& expires) {
  return R"({"Code": "Success", "AccessKeyId": "id)" + n + R"(", "SecretAccessKey": "secret)" + n +
         R"(", "Token": "token)" + n + R"(", "Expiration": ")" + expires + R"("})";
}

// The clock of the world begins at 2023-11-14T22:13:20Z.
class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    world_.pages->Set("PUT http://169.254.169.254/latest/api/token", "imds-token");
    world_.pages->Set("GET " + kRoles, "my-role\n");
    world_.pages->Set("GET " + kRoles + "my-role", Json("1", "2023-11-14T23:13:20Z"));
  }
  const std::string kRoles = "http://169.254.169.254/latest/meta-data/iam/security-credentials/";
  World world_;
};

TEST_F(MachineTest, IsAskedWithATokenAndPastProxies) {
  const Credentials found = world_.Must();
  EXPECT_EQ(found.access_key, "id1");
  EXPECT_EQ(found.session_token.Reveal(), "token1");
  EXPECT_EQ(found.expires, 1'700'003'600u);
  EXPECT_EQ(found.from, "the machine's role my-role");
  ASSERT_EQ(world_.pages->requests.size(), 3u);
  for (const HttpRequest& request : world_.pages->requests) EXPECT_TRUE(request.direct);
  EXPECT_EQ(FindHeader(world_.pages->requests[2].headers, "x-aws-ec2-metadata-token"), "imds-token");
}

TEST_F(MachineTest, IsAskedAgainAheadOfExpiry) {
  const auto source = world_.Find();
  ASSERT_TRUE(source.ok());
  EXPECT_EQ((*source)->Get()->access_key, "id1");
  EXPECT_EQ(world_.pages->asked, 3);
  world_.clock->Advance(3301ull * 1'000'000'000);  // five minutes before
  world_.pages->Set("GET " + kRoles + "my-role", Json("2", "2023-11-15T23:13:20Z"));
  EXPECT_EQ((*source)->Get()->access_key, "id2");
  EXPECT_EQ((*source)->Get()->access_key, "id2");
  EXPECT_EQ(world_.pages->asked, 6);
}

TEST_F(MachineTest, OldOnesServeWhileItCannotBeAsked) {
  const auto source = world_.Find();
  ASSERT_TRUE(source.ok());
  world_.pages->Set("GET " + kRoles + "my-role", "no credentials today");
  world_.clock->Advance(3301ull * 1'000'000'000);
  EXPECT_EQ((*source)->Get()->access_key, "id1");
  world_.clock->Advance(300ull * 1'000'000'000);
  EXPECT_FALSE((*source)->Get().ok()) << "expired credentials were handed out";
}

TEST_F(MachineTest, RefusedOnesAreFetchedAnew) {
  const auto source = world_.Find();
  ASSERT_TRUE(source.ok());
  const Credentials old = *(*source)->Get();
  world_.pages->Set("GET " + kRoles + "my-role", Json("2", "2023-11-14T23:13:20Z"));
  EXPECT_TRUE((*source)->Refuse(old));
  EXPECT_EQ((*source)->Get()->access_key, "id2");
  EXPECT_TRUE((*source)->Refuse(old)) << "others have been fetched since";
  const int asked = world_.pages->asked;
  EXPECT_EQ((*source)->Get()->access_key, "id2");
  EXPECT_EQ(world_.pages->asked, asked);
}

TEST(CredentialsTest, Container) {
  World world;
  world.env = {{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x"}, {"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/t"}};
  world.files["/t"] = "bearer\n";
  world.pages->Set("GET http://169.254.170.2/v2/x", Json("c", "2023-11-14T23:13:20Z"));
  EXPECT_EQ(world.Must().access_key, "idc");
  EXPECT_EQ(FindHeader(world.pages->requests[0].headers, "authorization"), "bearer");
  world.env = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/x"}};
  world.pages->Set("GET http://169.254.170.23/x", Json("e", "2023-11-14T23:13:20Z"));
  EXPECT_EQ(world.Must().access_key, "ide");
  for (const char* far : {"http://example.com/x", "http://127.0.0.1.example.com/x", "http://localhost@example.com/x",
                          "http://localhost:1@example.com/x", "ftp://localhost/x"}) {
    world.env = {{"AWS_CONTAINER_CREDENTIALS_FULL_URI", far}};
    const int asked = world.pages->asked;
    EXPECT_EQ(world.Find().status().code(), Code::kInvalid) << far;
    EXPECT_EQ(world.pages->asked, asked) << far;
  }
}

TEST(CredentialsTest, HostileMetadata) {
  for (const char* bad : {"", "[]", "{", "null", "\xff", R"({"AccessKeyId": 1})", R"({"AccessKeyId": "a"})",
                          R"({"AccessKeyId": {"a": "hunter2"}, "SecretAccessKey": ["hunter2"]})"}) {
    const auto parsed = ParseMetadata(bad, "a test");
    ASSERT_FALSE(parsed.ok()) << bad;
    EXPECT_EQ(parsed.status().message().find("hunter2"), std::string_view::npos);
  }
}

TEST(CredentialsTest, SecretsAreTakenOutOfWords) {
  Credentials credentials;
  credentials.secret_key = Secret("hunter2");
  credentials.session_token = Secret("tok");
  EXPECT_EQ(WithoutSecrets("a hunter2 and hunter2, tok", credentials), "a *** and ***, ***");
  EXPECT_EQ(WithoutSecrets("nothing", Credentials()), "nothing");
}

}  // namespace
}  // namespace tarn::s3
