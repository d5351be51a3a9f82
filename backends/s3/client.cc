#include "backends/s3/client.h"

#include <algorithm>
#include <cstring>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kSmallBytes = 64 << 10;
// A page of 1,000 keys of 1,024 bytes, every one of them percent-encoded, and what stands around them.
constexpr uint64_t kListingBytes = 4 << 20;
constexpr size_t kMostDeletes = 1000;                 // a rule of S3
constexpr uint64_t kBestEffortNanos = 5'000'000'000;  // destructors wait for it
constexpr int kRounds = 3;  // of a write that met somebody else's and found nothing afterwards

std::string Quoted(const std::string& etag) { return "\"" + etag + "\""; }

std::string XmlText(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '\r': out += "&#13;"; break;
      default: out += c;
    }
  }
  return out;
}

Call NewCall(Verb verb, std::string_view action, std::string key) {
  Call call;
  call.verb = verb;
  call.action = action;
  call.key = std::move(key);
  return call;
}

std::string EtagOf(const Call& call) { return UnquoteEtag(FindHeader(call.response.headers, "etag")); }

// Somebody else's write was met, or one's own of which the answer was lost.
bool Met(const Call& call) { return call.error.http_status == 412 || call.error.http_status == 409; }

}  // namespace

// --- reading -----------------------------------------------------------------------------------------------

Call Client::RangedGet(const std::string& key, const std::string& etag, uint64_t offset, uint64_t n) {
  Call call = NewCall(Verb::kGet, "read", key);
  call.headers.emplace_back("range", "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + n - 1));
  if (!etag.empty()) call.headers.emplace_back("if-match", Quoted(etag));
  call.answer_bytes = n;
  call.exact = true;
  call.hedge = true;
  return call;
}

Status Client::TakeRange(const Call& call, const std::string& object, uint64_t offset, std::span<char> out) {
  const int status = call.error.http_status;
  if (status == 404 || status == 412) {
    return Status::NotFound(object + " was deleted or replaced while it was open: open it again");
  }
  TARN_TRY(call.status);
  const auto range = ParseContentRange(FindHeader(call.response.headers, "content-range"));
  const bool whole = call.response.status == 200 && offset == 0;  // a server may send all as the whole
  const bool part =
      call.response.status == 206 && range && range->first == offset && range->last == offset + out.size() - 1;
  if (!whole && !part) {
    return Status::Io("the server sent another range of " + object + " than bytes " + std::to_string(offset) +
                      " to " + std::to_string(offset + out.size() - 1) + ": check that the endpoint speaks S3");
  }
  std::memcpy(out.data(), call.response.body.data(), out.size());
  return Status::Ok();
}

Result<std::optional<std::string>> Client::GetSmall(const std::string& key) {
  Call call = NewCall(Verb::kGet, "read", key);
  call.answer_bytes = kSmallBytes;
  Run(caller_.get(), &call);
  if (call.error.http_status == 404 && call.error.code != "NoSuchBucket") return std::optional<std::string>();
  TARN_TRY(call.status);
  return std::optional<std::string>(std::move(call.response.body));
}

Result<ObjectFacts> Client::Head(const std::string& key) {
  Call call = NewCall(Verb::kHead, "open", key);
  Run(caller_.get(), &call);
  TARN_TRY(call.status);
  const auto size = ParseNumber(FindHeader(call.response.headers, "content-length"));
  if (!size) {
    return Status::Io("the server does not say how long " + ObjectName(key) +
                      " is: check that the endpoint speaks S3");
  }
  return ObjectFacts{*size, EtagOf(call), std::string(FindHeader(call.response.headers, kAttemptHeader))};
}

Result<ObjectPage> Client::List(const std::string& prefix, const std::string& after, size_t limit) {
  Call call = NewCall(Verb::kList, "list", "");
  call.query = {{"list-type", "2"}, {"encoding-type", "url"}, {"prefix", prefix}};
  call.query.emplace_back("max-keys", std::to_string(std::min<size_t>(limit, 1000)));
  if (!after.empty()) call.query.emplace_back("start-after", after);
  call.answer_bytes = kListingBytes;
  Run(caller_.get(), &call);
  TARN_TRY(call.status);
  return ParseListing(call.response.body);
}

// --- writing -----------------------------------------------------------------------------------------------

Result<std::string> Client::PutIfMatch(const std::string& key, Body body, const std::string& etag) {
  Call call = NewCall(Verb::kPut, "replace", key);
  call.headers.emplace_back("if-match", if_match_quotes_ ? Quoted(etag) : etag);
  call.body = std::move(body);
  Run(caller_.get(), &call);
  if (call.status.ok()) return EtagOf(call);
  if (call.may_have_happened) return Unknown(key, call.status);
  return call.status;
}

Result<Created> Client::PutIfAbsent(const std::string& key, Body body) {
  const std::string id = NewAttemptId();
  for (int round = 1;; ++round) {
    Call call = NewCall(Verb::kPut, "write", key);
    call.headers = {{"if-none-match", "*"}, {std::string(kAttemptHeader), id}};
    call.body = body;
    Run(caller_.get(), &call);
    if (call.status.ok()) return Created{PutOutcome::kCreated, EtagOf(call)};
    TARN_ASSIGN(const auto settled, Settle(key, id, call));
    if (settled) return *settled;
    if (!Met(call) || round == kRounds) return Unknown(key, call.status);
    // It met an object that is gone by now.
  }
}

// After a conditional write that did not end OK: whose the object is; nothing when there is none.
Result<std::optional<Created>> Client::Settle(const std::string& key, const std::string& attempt_id,
                                              const Call& call) {
  if (!Met(call) && !call.may_have_happened) return call.status;
  const Result<ObjectFacts> facts = Head(key);
  if (facts.status().code() == Code::kNotFound) return std::optional<Created>();
  if (!facts.ok()) return Unknown(key, facts.status());
  if (facts->attempt_id == attempt_id) return std::optional<Created>({PutOutcome::kCreated, facts->etag});
  return std::optional<Created>({PutOutcome::kExists, ""});
}

Status Client::Unknown(const std::string& key, const Status& cause) const {
  return Status::Io("nobody can tell whether " + ObjectName(key) + " was written: " + std::string(cause.message()) +
                    "; then look whether it is there");
}

Status Client::Delete(const std::string& key) {
  Call call = NewCall(Verb::kDelete, "delete", key);
  Run(caller_.get(), &call);
  if (call.error.http_status == 404 && call.error.code != "NoSuchBucket") return Status::Ok();
  return call.status;
}

void Client::Drop(const std::string& key) {
  Call call = NewCall(Verb::kDelete, "delete", key);
  call.most_nanos = kBestEffortNanos;
  Run(caller_.get(), &call);
}

Status Client::DeleteMany(std::span<const std::string> keys) {
  while (!keys.empty()) {
    const auto page = keys.first(std::min(keys.size(), kMostDeletes));
    keys = keys.subspan(page.size());
    TARN_ASSIGN(const std::vector<std::string> left, DeletePage(page));
    for (const std::string& key : left) TARN_TRY(Delete(key));
  }
  return Status::Ok();
}

// One request; returns what has to be deleted otherwise.
Result<std::vector<std::string>> Client::DeletePage(std::span<const std::string> keys) {
  std::vector<std::string> all(keys.begin(), keys.end());
  if (all.size() == 1 || !deletes_many_.load(std::memory_order_relaxed)) return all;
  std::string xml = "<Delete><Quiet>true</Quiet>";
  for (const std::string& key : keys) xml += "<Object><Key>" + XmlText(key) + "</Key></Object>";
  xml += "</Delete>";
  Call call = NewCall(Verb::kDeleteMany, "delete objects in", "");
  call.query = {{"delete", ""}};
  call.headers = {{"content-md5", Base64(Md5(xml))}};  // S3 wants it for this verb
  call.body = std::make_shared<const std::string>(std::move(xml));
  call.answer_bytes = kListingBytes;
  Run(caller_.get(), &call);
  if (call.error.http_status == 501 || call.error.http_status == 405) {
    deletes_many_.store(false, std::memory_order_relaxed);
    return all;
  }
  TARN_TRY(call.status);
  TARN_ASSIGN(std::vector<std::string> left, ParseDeleteMany(call.response.body));
  for (const std::string& key : left) {
    if (std::find(keys.begin(), keys.end(), key) != keys.end()) continue;
    return Status::Io("the server says what became of " + ObjectName(key) +
                      ", which it was not asked to delete: check that the endpoint speaks S3");
  }
  return left;
}

Result<std::string> Client::Copy(const std::string& from, const std::string& etag, uint64_t size,
                                 const std::string& to) {
  Call call = NewCall(Verb::kCopy, "copy", to);
  call.headers = {{"x-amz-copy-source", "/" + caller_->endpoint.bucket + "/" + PercentEncode(from, false)}};
  if (!etag.empty()) call.headers.emplace_back("x-amz-copy-source-if-match", Quoted(etag));
  call.answer_bytes = size;  // for the time it takes; the answer comes behind the copy
  Run(caller_.get(), &call);
  if (call.error.http_status == 412)
    return Status::NotFound(ObjectName(from) + " was replaced: look at what is there");
  TARN_TRY(call.status);
  TARN_ASSIGN(const ResultOrError result, ParseResultOrError(call.response));
  if (!result.error) return result.etag;
  return ServerError(*result.error, "copy", caller_->PlaceOf(to, "the credentials in use"));
}

// --- multipart ---------------------------------------------------------------------------------------------

Result<std::string> Client::CreateUpload(const std::string& key, const std::string& attempt_id) {
  Call call = NewCall(Verb::kCreateUpload, "write", key);
  call.query = {{"uploads", ""}};
  call.headers = {{std::string(kAttemptHeader), attempt_id}};
  Run(caller_.get(), &call);
  TARN_TRY(call.status);
  return ParseUploadId(call.response.body);
}

Call Client::UploadPart(const std::string& key, const std::string& upload_id, int number, Body body) {
  Call call = NewCall(Verb::kUploadPart, "write", key);
  call.query = {{"partNumber", std::to_string(number)}, {"uploadId", upload_id}};
  call.body = std::move(body);
  return call;
}

Result<Created> Client::CompleteUpload(const std::string& key, const std::string& upload_id,
                                       const std::string& attempt_id, const std::vector<std::string>& etags) {
  std::string xml = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < etags.size(); ++i) {
    xml += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" + XmlText(Quoted(etags[i])) +
           "</ETag></Part>";
  }
  xml += "</CompleteMultipartUpload>";
  const Body body = std::make_shared<const std::string>(std::move(xml));
  for (int round = 1;; ++round) {
    Call call = NewCall(Verb::kCompleteUpload, "write", key);
    call.query = {{"uploadId", upload_id}};
    call.headers = {{"if-none-match", "*"}};
    call.body = body;
    Run(caller_.get(), &call);
    bool again = Met(call);
    if (call.status.ok()) {
      const Result<ResultOrError> result = ParseResultOrError(call.response);
      if (result.ok() && !result->error) return Created{PutOutcome::kCreated, result->etag};
      again = call.may_have_happened = true;
      call.status = result.ok()
                        ? ServerError(*result->error, "write", caller_->PlaceOf(key, "the credentials in use"))
                        : result.status();
    }
    // An upload that is gone may have been completed by an attempt whose answer was lost.
    call.may_have_happened |= call.error.http_status == 404;
    TARN_ASSIGN(const auto settled, Settle(key, attempt_id, call));
    if (settled) return *settled;
    if (!again || round == kRounds) return Unknown(key, call.status);
  }
}

Status Client::AbortUpload(const std::string& key, const std::string& upload_id) {
  Call call = NewCall(Verb::kAbortUpload, "abort the upload of", key);
  call.query = {{"uploadId", upload_id}};
  call.most_nanos = kBestEffortNanos;
  Run(caller_.get(), &call);
  if (call.error.http_status == 404 && call.error.code != "NoSuchBucket") return Status::Ok();
  return call.status;
}

Result<UploadPage> Client::ListUploads(const std::string& prefix, const std::string& after_key,
                                       const std::string& after_id) {
  Call call = NewCall(Verb::kList, "list the uploads to", "");
  call.query = {{"uploads", ""}, {"encoding-type", "url"}, {"prefix", prefix}};
  if (!after_key.empty()) call.query.emplace_back("key-marker", after_key);
  if (!after_id.empty()) call.query.emplace_back("upload-id-marker", after_id);
  call.answer_bytes = kListingBytes;
  Run(caller_.get(), &call);
  TARN_TRY(call.status);
  return ParseUploads(call.response.body, after_key, after_id);
}

// --- names -------------------------------------------------------------------------------------------------

std::string Client::NewAttemptId() const {
  char bytes[16];
  caller_->entropy->Fill(bytes);
  return Hex({bytes, sizeof(bytes)});
}

std::string Client::ObjectName(const std::string& key) const { return caller_->PlaceOf(key, "").object; }

}  // namespace tarn::s3
