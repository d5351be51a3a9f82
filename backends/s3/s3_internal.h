// The private door to the S3 backend: opens it over any transport and surroundings. For backends/s3 and its tests.
#pragma once

#include <memory>

#include "backends/s3/credentials.h"
#include "backends/s3/retry.h"
#include "backends/s3/s3.h"
#include "backends/s3/transport.h"

namespace tarn::s3 {

// What OpenS3Backend fills in.
struct S3Parts {
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Entropy> entropy;
  std::shared_ptr<HttpTransport> transport;
  Surroundings around;
};
Result<std::shared_ptr<S3Backend>> OpenS3With(const S3Options& options, const S3Parts& parts);

// Trims the prefix; Invalid when a value is out of range.
Status CheckOptions(S3Options* options);

// The endpoint that options and surroundings name. Invalid when it is no URL or the bucket no bucket.
struct Endpoint;
Result<Endpoint> FindEndpoint(const S3Options& options, const Surroundings& around);

}  // namespace tarn::s3
