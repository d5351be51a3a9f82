#include "tests/s3/server_env.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <map>

namespace tarn::test {
namespace {

// "export NAME=VALUE" a line; scripts/s3_server writes no value that needs quotes.
std::map<std::string, std::string> ReadFile(const std::string& path) {
  std::map<std::string, std::string> values;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const size_t begin = line.starts_with("export ") ? 7 : 0;
    const size_t equals = line.find('=', begin);
    if (equals != std::string::npos) values[line.substr(begin, equals - begin)] = line.substr(equals + 1);
  }
  return values;
}

}  // namespace

Result<ServerEnv> ReadServerEnv() {
  const bool from_environment = std::getenv("TARN_S3_ENDPOINT") != nullptr;
  const std::map<std::string, std::string> file =
      from_environment ? std::map<std::string, std::string>() : ReadFile(TARN_S3_ENVIRONMENT);
  std::string missing;
  const auto optional = [&](const char* name) -> std::string {
    const char* value = from_environment ? std::getenv(name) : nullptr;
    const auto found = file.find(name);
    return value != nullptr ? value : found != file.end() ? found->second : "";
  };
  const auto needed = [&](const char* name) {
    std::string value = optional(name);
    if (value.empty() && missing.empty()) missing = name;
    return value;
  };
  ServerEnv env{.server = optional("TARN_S3_SERVER"),
                .home = optional("TARN_S3_HOME"),
                .endpoint = needed("TARN_S3_ENDPOINT"),
                .tls_endpoint = optional("TARN_S3_TLS_ENDPOINT"),
                .ca_file = optional("TARN_S3_CA_FILE"),
                .bucket = needed("TARN_S3_BUCKET"),
                .region = needed("AWS_REGION"),
                .access_key = needed("AWS_ACCESS_KEY_ID"),
                .secret_key = needed("AWS_SECRET_ACCESS_KEY"),
                .other_access_key = optional("TARN_S3_OTHER_ACCESS_KEY_ID"),
                .other_secret_key = optional("TARN_S3_OTHER_SECRET_ACCESS_KEY"),
                .if_match_unquoted = optional("TARN_S3_IF_MATCH_UNQUOTED") == "1",
                .conditional_complete = optional("TARN_S3_CONDITIONAL_COMPLETE") != "0"};
  if (missing.empty()) return env;
  return Status::Invalid("no S3 server: " + missing +
                         " is not set; run the test through ctest, or first: vars=$(scripts/s3_server start) && "
                         "eval \"$vars\"");
}

void S3ServerTest::SetUp() {
  Result<ServerEnv> env = ReadServerEnv();
  ASSERT_TRUE(env.ok()) << env.status().ToString();
  server = *env;
}

std::string S3ServerTest::OwnPrefix() {
  const ::testing::TestInfo* info = ::testing::UnitTest::GetInstance()->current_test_info();
  return std::string("test/") + info->test_suite_name() + "." + info->name() + "/" + std::to_string(getpid()) + "/";
}

}  // namespace tarn::test
