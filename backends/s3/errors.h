// Errors of S3 as people read them: what was tried, where, why not, what to do next. For backends/s3.
#pragma once

#include <string>
#include <string_view>

#include "backends/s3/answers.h"
#include "backends/s3/transport.h"
#include "tarn/status.h"

namespace tarn::s3 {

// Where a request went, for the message.
struct Place {
  std::string object;    // "s3://bucket/key"
  std::string endpoint;  // "https://host:port"
  std::string bucket;
  std::string region;       // that we signed for
  std::string credentials;  // where they come from
};

// `action`: "read", "write", "list", ...
Status ServerError(const S3Error& error, std::string_view action, const Place& place);
Status TransportError(const HttpResponse& response, std::string_view action, const Place& place);

// The range [offset, offset + wanted) is not in an object of `size` bytes.
Status PastTheEnd(const std::string& object, uint64_t size, uint64_t offset, size_t wanted);

}  // namespace tarn::s3
