// Reading blobs: ranged GETs, one by one or many in flight. For s3_backend.cc.
//
// A read is cut into GETs of at most 8 MiB, so memory beside the caller's is bounded and a large read uses several
// connections. Each GET names the ETag of the object that was opened.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "backends/s3/client.h"
#include "tarn/sdk/backend.h"

namespace tarn::s3 {

// An object that readers have open. Its key changes when the object is copied aside, because its name is deleted.
struct OpenObject {
  const std::string blob;  // its name, for errors
  const uint64_t size;
  const uint64_t identity;   // of the ETag it was opened with
  mutable std::mutex mutex;  // guards key, etag and aside
  std::string key;
  std::string etag;
  bool aside = false;  // a copy of our own, deleted with the last reader
};

// Threads: any.
class S3Reader final : public BlobReader {
 public:
  S3Reader(std::shared_ptr<Client> client, std::shared_ptr<OpenObject> object)
      : client_(std::move(client)), object_(std::move(object)) {}
  uint64_t size() const override { return object_->size; }
  uint64_t identity() const override { return object_->identity; }
  Status Read(uint64_t offset, std::span<char> out) const override;
  const OpenObject& object() const { return *object_; }

 private:
  const std::shared_ptr<Client> client_;
  const std::shared_ptr<OpenObject> object_;
};

// At most `window` GETs in flight at once.
std::unique_ptr<ReadQueue> NewS3Queue(std::shared_ptr<Client> client, size_t window);

}  // namespace tarn::s3
