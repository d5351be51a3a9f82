// The verbs of S3 on keys: any bytes up to 1,024, as S3 allows. For s3_backend.cc, reader.cc, writer.cc, proof.cc.
//
// Each blocks its caller's thread for one call with its retries. Answers are checked: length, Content-Range, ETag.
// Who does something that must happen once (PutIfAbsent, CompleteUpload) gives it an id, which is stored in the
// object's metadata: after a lost answer the object itself says whose it is.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backends/s3/answers.h"
#include "backends/s3/calls.h"
#include "tarn/sdk/backend.h"
#include "tarn/status.h"

namespace tarn::s3 {

inline constexpr std::string_view kAttemptHeader = "x-amz-meta-tarn-attempt";

struct ObjectFacts {
  uint64_t size = 0;
  std::string etag;        // without quotes; "" when the server named none
  std::string attempt_id;  // "" when it has none
};

struct Created {
  PutOutcome outcome = PutOutcome::kCreated;
  std::string etag;  // of what was created; may be ""
};

using Body = std::shared_ptr<const std::string>;

class Client {
 public:
  Client(std::shared_ptr<Caller> caller, bool if_match_quotes)
      : caller_(std::move(caller)), if_match_quotes_(if_match_quotes) {}

  // The range [offset, offset + n) of an object whose ETag is `etag` ("": whatever is there), as a call for a queue;
  // n > 0.
  static Call RangedGet(const std::string& key, const std::string& etag, uint64_t offset, uint64_t n);
  // Whether the answer to a RangedGet is that range. Fills `out` (n bytes).
  static Status TakeRange(const Call& call, const std::string& object, uint64_t offset, std::span<char> out);

  // A whole object of at most 64 KiB; nothing when the bucket is there and the object is not.
  Result<std::optional<std::string>> GetSmall(const std::string& key);
  Result<ObjectFacts> Head(const std::string& key);
  // Replaces the object if its ETag is `etag`, else Busy. Io: unknown, ask what is there now.
  Result<std::string> PutIfMatch(const std::string& key, Body body, const std::string& etag);
  // The rule of every commit; see s3.h.
  Result<Created> PutIfAbsent(const std::string& key, Body body);
  // Ends OK whether or not it was there.
  Status Delete(const std::string& key);
  // The same for what nobody will ask for again: best effort, in five seconds.
  void Drop(const std::string& key);
  // The same for many, 1,000 in a request. What an answer says is still there is deleted alone, and so are all where
  // the server does not know this verb. After an error any of them may be gone.
  Status DeleteMany(std::span<const std::string> keys);
  // Inside S3; at most 5 GiB. NotFound when the source is gone or its ETag is not `etag`. Returns the copy's ETag.
  Result<std::string> Copy(const std::string& from, const std::string& etag, uint64_t size, const std::string& to);
  // Keys that start with `prefix` and are greater than `after`, at most 1,000.
  Result<ObjectPage> List(const std::string& prefix, const std::string& after, size_t limit);

  // Multipart upload. Parts are numbered from 1, have 5 MiB at least except the last, and end as UploadPart calls
  // whose answer's ETag is handed to CompleteUpload.
  Result<std::string> CreateUpload(const std::string& key, const std::string& attempt_id);
  static Call UploadPart(const std::string& key, const std::string& upload_id, int number, Body body);
  // As PutIfAbsent with the id of CreateUpload; atomic only where the server honours the condition here.
  Result<Created> CompleteUpload(const std::string& key, const std::string& upload_id, const std::string& attempt_id,
                                 const std::vector<std::string>& etags);
  // In five seconds. One that is gone is fine.
  Status AbortUpload(const std::string& key, const std::string& upload_id);
  // Uploads that were neither completed nor aborted, of keys that start with `prefix`, 1,000 at most. The markers are
  // empty, or those of the page before.
  Result<UploadPage> ListUploads(const std::string& prefix, const std::string& after_key,
                                 const std::string& after_id);

  std::string NewAttemptId() const;
  std::string ObjectName(const std::string& key) const;  // "s3://bucket/key"
  Caller* caller() const { return caller_.get(); }

 private:
  Result<std::optional<Created>> Settle(const std::string& key, const std::string& attempt_id, const Call& call);
  Status Unknown(const std::string& key, const Status& cause) const;
  Result<std::vector<std::string>> DeletePage(std::span<const std::string> keys);

  const std::shared_ptr<Caller> caller_;
  const bool if_match_quotes_;
  std::atomic<bool> deletes_many_{true};  // false once the server has said that it cannot
};

}  // namespace tarn::s3
