// Writing one blob: one conditional PUT, or a multipart upload once it outgrows a part. For s3_backend.cc.
//
// Memory: the part that is being filled, and those in flight. Parts in flight advance inside Append and Finish, on
// the writer's thread. Destroyed before Finish: the upload is aborted, in one attempt; what a crash leaves of it is
// never visible, and the bucket's lifecycle rule for unfinished uploads removes it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "backends/s3/client.h"
#include "tarn/sdk/backend.h"

namespace tarn::s3 {

struct WriterOptions {
  uint64_t part_bytes = 8 << 20;
  uint32_t parallel_parts = 4;
  // Told what was published.
  std::function<void(uint64_t size, const std::string& etag)> published;
};
std::unique_ptr<BlobWriter> NewS3Writer(std::shared_ptr<Client> client, std::string key, WriterOptions options);

}  // namespace tarn::s3
