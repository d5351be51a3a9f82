// A store on the test server: options for a prefix of its own, and the backend over them. For tests/s3.
#pragma once

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "backends/s3/encoding.h"
#include "backends/s3/s3.h"
#include "backends/s3/s3_internal.h"
#include "base/delete_all.h"
#include "base/list_all.h"
#include "base/system_effects.h"
#include "tests/contract/backend_contract_fixture.h"
#include "tests/s3/server_env.h"

namespace tarn::test {

// The server's keys as the process around us would have them, and nothing else of it.
inline s3::Surroundings ServerSurroundings(const ServerEnv& server) {
  s3::Surroundings around;
  around.env = [=](const std::string& name) -> std::optional<std::string> {
    if (name == "AWS_ACCESS_KEY_ID") return server.access_key;
    if (name == "AWS_SECRET_ACCESS_KEY") return server.secret_key;
    if (name == "AWS_REGION") return server.region;
    return std::nullopt;
  };
  around.read_file = [](const std::string&) -> Result<std::string> { return Status::NotFound("no files here"); };
  return around;
}

inline s3::S3Options ServerOptions(const ServerEnv& server, const std::string& prefix) {
  s3::S3Options options;
  options.bucket = server.bucket;
  options.prefix = prefix;
  options.endpoint = server.endpoint;
  options.if_match_quotes = !server.if_match_unquoted;
  return options;
}

inline Result<std::shared_ptr<s3::S3Backend>> OpenOnServer(const ServerEnv& server, const s3::S3Options& options) {
  const auto clock = SystemClock();
  TARN_ASSIGN(auto transport, s3::NewCurlTransport({options.connections, options.ca_file}, clock));
  return s3::OpenS3With(options, {clock, SystemEntropy(), std::move(transport), ServerSurroundings(server)});
}

// Deletes all blobs: the server keeps its objects in memory. That one is gone already is fine: what a killed process
// asked for may still be under way.
inline Status EmptyStore(Backend& backend) {
  TARN_ASSIGN(const std::vector<BlobInfo> blobs, ListAll(backend, ""));
  std::vector<std::string> names;
  for (const BlobInfo& blob : blobs) names.push_back(blob.name);
  return DeleteAll(backend, names);
}

}  // namespace tarn::test
