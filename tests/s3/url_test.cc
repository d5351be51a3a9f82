// URLs of stores, and the endpoint that they and the environment lead to.
#include <gtest/gtest.h>

#include <map>

#include "backends/s3/calls.h"
#include "backends/s3/s3_internal.h"
#include "tarn/sdk/blob_name.h"

namespace tarn::s3 {
namespace {

Surroundings Env(std::map<std::string, std::string> values, const std::string& config = "") {
  Surroundings around;
  around.env = [=](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
  };
  around.read_file = [=](const std::string& path) -> Result<std::string> {
    return path.ends_with("config") && !config.empty() ? Result<std::string>(config) : Status::NotFound("none");
  };
  return around;
}

std::string UrlOf(const std::string& url, const Surroundings& around) {
  const auto options = ParseS3Url(url);
  if (!options.ok()) return options.status().ToString();
  const auto endpoint = FindEndpoint(*options, around);
  if (!endpoint.ok()) return endpoint.status().ToString();
  return endpoint->scheme + "://" + endpoint->host + endpoint->path_prefix + " " + endpoint->region;
}

TEST(UrlTest, AllParameters) {
  const auto options = ParseS3Url(
      "s3://my-bucket/a/b%20c?endpoint=http%3A%2F%2Flocalhost:9000&region=eu-west-1&addressing=virtual&profile=me"
      "&access_key=env:A&secret_key=file:/s&session_token=env:T&ca_file=/"
      "ca.pem&if_match=unquoted&hedge=off&part_mib=16"
      "&parallel_parts=8&connections=100&deadline_seconds=5");
  ASSERT_TRUE(options.ok()) << options.status().ToString();
  EXPECT_EQ(options->bucket, "my-bucket");
  EXPECT_EQ(options->prefix, "a/b c");
  EXPECT_EQ(options->endpoint, "http://localhost:9000");
  EXPECT_EQ(options->region, "eu-west-1");
  EXPECT_EQ(options->addressing, Addressing::kVirtual);
  EXPECT_EQ(options->profile, "me");
  EXPECT_EQ(options->access_key, "env:A");
  EXPECT_EQ(options->secret_key, "file:/s");
  EXPECT_EQ(options->session_token, "env:T");
  EXPECT_EQ(options->ca_file, "/ca.pem");
  EXPECT_FALSE(options->if_match_quotes);
  EXPECT_FALSE(options->hedge);
  EXPECT_EQ(options->part_bytes, 16u << 20);
  EXPECT_EQ(options->parallel_parts, 8u);
  EXPECT_EQ(options->connections, 100u);
  EXPECT_EQ(options->deadline_nanos, 5'000'000'000u);
}

TEST(UrlTest, BadOnesSayWhat) {
  for (const auto& [url, why] :
       std::map<std::string, std::string>{{"http://b", "begins with s3://"},
                                          {"s3://", "names no bucket"},
                                          {"s3:///p", "names no bucket"},
                                          {"s3://-x", "names no bucket"},
                                          {"s3://a:b@bucket/p", "names no bucket"},
                                          {"s3://bucket/%zz", "a bad %"},
                                          {"s3://bucket?colour=red", "unknown parameter"},
                                          {"s3://bucket?part_mib=4", "bad part_mib=: use 5 to 1024"},
                                          {"s3://bucket?hedge=maybe", "use on or off"},
                                          {"s3://bucket?region", "bad region="}}) {
    const Status status = ParseS3Url(url).status();
    EXPECT_EQ(status.code(), Code::kInvalid) << url;
    EXPECT_NE(status.message().find(why), std::string_view::npos) << url << ": " << status.ToString();
  }
}

TEST(UrlTest, Endpoints) {
  EXPECT_EQ(UrlOf("s3://bucket", Env({})), "https://bucket.s3.us-east-1.amazonaws.com/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket", Env({{"AWS_REGION", "eu-west-1"}})),
            "https://bucket.s3.eu-west-1.amazonaws.com/ eu-west-1");
  EXPECT_EQ(UrlOf("s3://bucket", Env({{"HOME", "/h"}}, "[default]\nregion = eu-north-1\n")),
            "https://bucket.s3.eu-north-1.amazonaws.com/ eu-north-1");
  EXPECT_EQ(UrlOf("s3://dotted.bucket?region=x", Env({})), "https://s3.x.amazonaws.com/dotted.bucket/ x");
  EXPECT_EQ(UrlOf("s3://bucket?addressing=path", Env({})), "https://s3.us-east-1.amazonaws.com/bucket/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket?endpoint=http://Local:80/", Env({})), "http://local/bucket/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket?endpoint=https://h:443", Env({})), "https://h/bucket/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket?endpoint=http://h:443", Env({})), "http://h:443/bucket/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket?endpoint=http://[::1]:9000", Env({})), "http://[::1]:9000/bucket/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket?addressing=virtual&endpoint=http://localhost:1", Env({})),
            "http://bucket.localhost:1/ us-east-1");
  EXPECT_EQ(UrlOf("s3://bucket", Env({{"AWS_ENDPOINT_URL", "http://a"}, {"AWS_ENDPOINT_URL_S3", "http://b"}})),
            "http://b/bucket/ us-east-1");
  for (const char* bad : {"ftp://h", "h", "http://", "http://h/path", "http://u:p@h", "http://h:0", "http://h:99999",
                          "http://h:x", "http://h?q"}) {
    S3Options options;
    options.bucket = "bucket";
    options.endpoint = bad;
    EXPECT_EQ(FindEndpoint(options, Env({})).status().code(), Code::kInvalid) << bad;
  }
}

TEST(UrlTest, OptionsAreChecked) {
  S3Options options;
  EXPECT_EQ(CheckOptions(&options).code(), Code::kInvalid) << "no bucket";
  options.bucket = "bucket";
  options.prefix = "//a/b//";
  EXPECT_TRUE(CheckOptions(&options).ok());
  EXPECT_EQ(options.prefix, "a/b");
  options.prefix = std::string(800, 'x');
  EXPECT_EQ(CheckOptions(&options).code(), Code::kInvalid);
  options.prefix = "";
  options.part_bytes = 1 << 20;
  EXPECT_EQ(CheckOptions(&options).code(), Code::kInvalid);
}

}  // namespace
}  // namespace tarn::s3
