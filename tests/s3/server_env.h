// The S3 server that a test talks to, as scripts/s3_server describes it: from the environment when TARN_S3_ENDPOINT
// is set there, otherwise from the file that the fixture of ctest wrote (CMakeLists.txt).
//
// Many tests share the server and its bucket, some at the same time: each keeps to keys below its own prefix. A test
// that stops or stalls the gateway must start a server of its own.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "tarn/status.h"

namespace tarn::test {

struct ServerEnv {
  std::string server;        // "ceph-20.2.4"
  std::string home;          // for scripts/s3_server; empty when the server is not one of its own
  std::string endpoint;      // "http://127.0.0.1:20272"
  std::string tls_endpoint;  // the same server by https; may be empty
  std::string ca_file;       // what tls_endpoint is trusted by
  std::string bucket;        // exists
  std::string region;
  std::string access_key;
  std::string secret_key;
  std::string other_access_key;  // a user without rights on the bucket; may be empty
  std::string other_secret_key;
  bool if_match_unquoted = false;    // If-Match on PUT matches only an ETag without quotes
  bool conditional_complete = true;  // If-None-Match on CompleteMultipartUpload is honoured
};

// Invalid: names the variable that is missing, and how to get a server.
Result<ServerEnv> ReadServerEnv();

// What tests with a server derive from: `server` is there, or the test has failed.
class S3ServerTest : public ::testing::Test {
 protected:
  void SetUp() override;

  // "test/<suite>.<name>/<process>/": nobody else writes there.
  static std::string OwnPrefix();

  ServerEnv server;
};

}  // namespace tarn::test
