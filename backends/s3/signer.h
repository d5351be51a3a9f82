// Signature Version 4 of AWS in the flavour of S3: the path is encoded once, and the payload's hash is always signed,
// so the server checks the bytes that arrive. For calls.cc.
//
// Source: "Signature Version 4 signing process" in the documents of Amazon S3; tests/s3/signer_test.cc has its
// examples.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/s3/credentials.h"
#include "backends/s3/transport.h"

namespace tarn::s3 {

using Query = std::vector<std::pair<std::string, std::string>>;  // names and values, not encoded

// "a=1&b=" sorted and encoded: what is signed, and what is sent.
std::string CanonicalQuery(Query query);

class Signer {
 public:
  explicit Signer(std::string region) : region_(std::move(region)) {}

  // Adds x-amz-date, x-amz-content-sha256, x-amz-security-token (if there is a session) and authorization to
  // `headers`. All headers given are signed; `host` as it will be sent; `path` encoded; `query` canonical.
  void Sign(const Credentials& credentials, uint64_t unix_seconds, std::string_view method, std::string_view host,
            std::string_view path, std::string_view query, std::string_view payload, HttpHeaders* headers);

 private:
  std::string KeyOfDay(const Credentials& credentials, const std::string& day);

  const std::string region_;
  std::mutex mutex_;  // guards the derived key of the last day and secret
  std::string cached_for_, cached_key_;
};

}  // namespace tarn::s3
