// What S3's answers say, from their bytes. For calls.cc and client.cc. Pure; hostile bytes end in Corruption.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/s3/transport.h"
#include "tarn/status.h"

namespace tarn::s3 {

// <Error>, or what can be told without one (the answer to a HEAD has no body). All texts are one line, at most 200
// bytes.
struct S3Error {
  int http_status = 0;  // 0: there was no answer
  std::string code;     // "NoSuchKey"; empty when the server named none
  std::string message;
  std::string region;  // where the bucket is, if the server says so
};
S3Error ParseError(const HttpResponse& response);

struct ListedObject {
  std::string key;
  uint64_t size = 0;
  std::string etag;  // without quotes
};
struct ObjectPage {
  std::vector<ListedObject> objects;
  bool truncated = false;  // more keys follow the last one
};
Result<ObjectPage> ParseListing(std::string_view body);

struct ListedUpload {
  std::string key, id;
};
struct UploadPage {
  std::vector<ListedUpload> uploads;
  bool truncated = false;
  std::string next_key, next_id;  // the markers of the page behind this one
};
// A page that follows the markers. Corruption when it says that more follows, and does not get on.
Result<UploadPage> ParseUploads(std::string_view body, std::string_view after_key, std::string_view after_id);

Result<std::string> ParseUploadId(std::string_view body);

// CompleteMultipartUpload and CopyObject may answer 200 and put an <Error> into the body. The ETag, or "" when the
// server names none; or the error.
struct ResultOrError {
  std::string etag;
  std::optional<S3Error> error;
};
Result<ResultOrError> ParseResultOrError(const HttpResponse& response);

// The keys that a DeleteResult says are still there: its <Error>s.
Result<std::vector<std::string>> ParseDeleteMany(std::string_view body);

std::string UnquoteEtag(std::string_view etag);

// "bytes 0-9/100".
struct ContentRange {
  uint64_t first = 0, last = 0;
  uint64_t size = 0;
};
std::optional<ContentRange> ParseContentRange(std::string_view text);

}  // namespace tarn::s3
