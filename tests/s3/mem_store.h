// A backend over MemS3 with virtual time: what the tests without a server stand on.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "backends/s3/s3_internal.h"
#include "tests/s3/mem_s3.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

struct MemWorld {
  explicit MemWorld(Habits habits = {}, uint64_t seed = 1)
      : clock(std::make_shared<VirtualClock>()),
        entropy(std::make_shared<SeededEntropy>(seed)),
        server(std::make_shared<MemS3>(clock, habits)) {
    options.bucket = "bucket";
    options.prefix = "p";
    options.endpoint = "http://mem";
    options.part_bytes = 5 << 20;
    env = {{"AWS_ACCESS_KEY_ID", "id"}, {"AWS_SECRET_ACCESS_KEY", "hunter2-secret"}};
  }
  s3::Surroundings Around() const {
    s3::Surroundings around;
    around.env = [values = env](const std::string& name) -> std::optional<std::string> {
      const auto found = values.find(name);
      return found == values.end() ? std::nullopt : std::optional<std::string>(found->second);
    };
    around.read_file = [](const std::string&) -> Result<std::string> { return Status::NotFound("no files here"); };
    return around;
  }
  Result<std::shared_ptr<s3::S3Backend>> Open() const {
    return s3::OpenS3With(options, {clock, entropy, server, Around()});
  }
  // Proved before, and the log empty.
  std::shared_ptr<s3::S3Backend> Must() const {
    auto backend = Open();
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    server->TakeLog();
    return backend.ok() ? *backend : nullptr;
  }

  std::shared_ptr<VirtualClock> clock;
  std::shared_ptr<SeededEntropy> entropy;
  std::shared_ptr<MemS3> server;
  s3::S3Options options;
  std::map<std::string, std::string> env;
};

// What befalls the nth request (from 1, counted from here) that `fits`.
inline void Befall(MemS3* server, std::function<bool(const s3::HttpRequest&)> fits, uint64_t nth, Plan plan) {
  auto seen = std::make_shared<uint64_t>(0);
  server->SetPlan(
      [=](const s3::HttpRequest& request, uint64_t) { return fits(request) && ++*seen == nth ? plan : Plan(); });
}
inline std::function<bool(const s3::HttpRequest&)> Method(const std::string& method) {
  return [method](const s3::HttpRequest& request) { return request.method == method; };
}

}  // namespace tarn::test
