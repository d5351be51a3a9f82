#include "tests/s3/mem_s3.h"

#include <algorithm>

#include "backends/s3/encoding.h"
#include "backends/s3/xml.h"

namespace tarn::test {

using s3::FindHeader;
using s3::HttpExchange;
using s3::HttpFailure;
using s3::HttpHeaders;
using s3::HttpRequest;
using s3::HttpResponse;

namespace {

HttpResponse Answer(int status, std::string body = "", HttpHeaders headers = {}) {
  HttpResponse response;
  response.status = status;
  response.body = std::move(body);
  response.headers = std::move(headers);
  response.headers.emplace_back("content-length", std::to_string(response.body.size()));
  return response;
}

HttpResponse Broken() {
  HttpResponse response;
  response.failure = HttpFailure::kBroken;
  response.why = "the connection was closed";
  return response;
}

HttpHeaders Metadata(const HttpRequest& request) {
  HttpHeaders out;
  for (const auto& header : request.headers) {
    if (header.first.starts_with("x-amz-meta-")) out.push_back(header);
  }
  return out;
}

}  // namespace

HttpResponse ErrorAnswer(int status, const std::string& code, const std::string& message, HttpHeaders headers) {
  return Answer(status, "<Error><Code>" + code + "</Code><Message>" + message + "</Message></Error>",
                std::move(headers));
}

// A request taken apart.
struct MemS3::Question {
  explicit Question(const HttpRequest& from) : request(from) {
    std::string_view url = from.url;
    url.remove_prefix(url.find('/', url.find("://") + 3) + 1);
    const size_t question = url.find('?');
    const std::string_view path = url.substr(0, question);
    const size_t slash = path.find('/');
    if (slash != std::string_view::npos) key = *s3::PercentDecode(path.substr(slash + 1), false);
    std::string_view query = question == std::string_view::npos ? "" : url.substr(question + 1);
    while (!query.empty()) {
      const std::string_view pair = query.substr(0, query.find('&'));
      query.remove_prefix(std::min(query.size(), pair.size() + 1));
      const size_t equals = pair.find('=');
      parameters[std::string(pair.substr(0, equals))] = *s3::PercentDecode(pair.substr(equals + 1), false);
    }
  }
  bool Has(const std::string& name) const { return parameters.contains(name); }
  std::string Get(const std::string& name) const { return Has(name) ? parameters.at(name) : ""; }
  std::string Header(std::string_view name) const { return std::string(FindHeader(request.headers, name)); }
  std::string Body() const { return request.body == nullptr ? "" : *request.body; }

  const HttpRequest& request;
  std::string key;
  std::map<std::string, std::string> parameters;
};

// --- the server --------------------------------------------------------------------------------------------

uint64_t MemS3::Handle(const HttpRequest& request, HttpResponse* response) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ++requests_;
  const size_t path = request.url.find('/', request.url.find("://") + 3);
  log_.push_back(request.method + " " + request.url.substr(path));
  const Plan plan = plan_ ? plan_(request, requests_) : Plan();
  for (auto late = late_.begin(); late != late_.end();) {
    if (late->first > requests_) {
      ++late;
      continue;
    }
    const HttpResponse unheard = Serve(late->second);
    late_done_ += unheard.status / 100 == 2 ? 1 : 0;
    late = late_.erase(late);
  }
  switch (plan.what) {
    case Plan::What::kTwice: Serve(request); [[fallthrough]];
    case Plan::What::kServe: *response = Serve(request); break;
    case Plan::What::kLoseAnswer:
      Serve(request);
      *response = Broken();
      break;
    case Plan::What::kLoseRequest: *response = Broken(); break;
    case Plan::What::kLate: late_.emplace_back(requests_ + plan.later, request); [[fallthrough]];
    case Plan::What::kRefuse: *response = plan.answer;
  }
  if (request.method == "HEAD") response->body.clear();
  const uint64_t arrives = clock_->MonotonicNanos() + plan.delay_nanos;
  if (arrives <= request.deadline_nanos) return arrives;
  *response = {};
  response->failure = HttpFailure::kDeadline;
  response->why = "it took too long";
  return request.deadline_nanos;
}

HttpResponse MemS3::Serve(const HttpRequest& request) {
  const Question q(request);
  if (request.method == "POST") return Post(q);
  if (request.method == "PUT") return Put(q);
  if (request.method == "DELETE") {
    if (q.Has("uploadId")) {
      return uploads_.erase(q.Get("uploadId")) > 0 ? Answer(204) : ErrorAnswer(404, "NoSuchUpload");
    }
    objects_.erase(q.key);
    return Answer(204);
  }
  if (q.Has("uploads")) return ListUploads(q);
  return q.Has("list-type") ? List(q) : Get(q);
}

HttpResponse MemS3::Get(const Question& q) const {
  const auto found = objects_.find(q.key);
  if (found == objects_.end()) return ErrorAnswer(404, "NoSuchKey");
  const Object& object = found->second;
  const std::string wanted = q.Header("if-match");
  if (!wanted.empty() && wanted != "\"" + object.etag + "\"") return ErrorAnswer(412, "PreconditionFailed");
  HttpHeaders headers = object.metadata;
  headers.emplace_back("etag", Etag(object.etag));
  unsigned long long first = 0, last = 0;
  if (std::sscanf(q.Header("range").c_str(), "bytes=%llu-%llu", &first, &last) != 2) {
    return Answer(200, object.bytes, headers);
  }
  if (first >= object.bytes.size()) return ErrorAnswer(416, "InvalidRange");
  last = std::min<unsigned long long>(last, object.bytes.size() - 1);
  headers.emplace_back("content-range", "bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
                                            std::to_string(object.bytes.size()));
  return Answer(206, object.bytes.substr(first, last - first + 1), headers);
}

HttpResponse MemS3::Put(const Question& q) {
  if (q.Has("uploadId")) {
    const auto upload = uploads_.find(q.Get("uploadId"));
    if (upload == uploads_.end()) return ErrorAnswer(404, "NoSuchUpload");
    upload->second.parts[*s3::ParseNumber(q.Get("partNumber"))] = q.Body();
    return Answer(200, "", {{"etag", Etag(s3::Hex(s3::Md5(q.Body())))}});
  }
  const std::string source = q.Header("x-amz-copy-source");
  if (!source.empty()) return Copy(q, source);
  return Store(q, q.Body(), Metadata(q.request), habits_.honours_if_none_match);
}

HttpResponse MemS3::Copy(const Question& q, const std::string& source) {
  const std::string from = *s3::PercentDecode(source.substr(source.find('/', 1) + 1), false);
  const auto found = objects_.find(from);
  if (found == objects_.end()) return ErrorAnswer(404, "NoSuchKey");
  const std::string wanted = q.Header("x-amz-copy-source-if-match");
  if (!wanted.empty() && wanted != "\"" + found->second.etag + "\"") return ErrorAnswer(412, "PreconditionFailed");
  const std::string etag = (objects_[q.key] = found->second).etag;
  return Answer(200, "<CopyObjectResult><ETag>" + Etag(etag) + "</ETag></CopyObjectResult>");
}

HttpResponse MemS3::Store(const Question& q, std::string bytes, const HttpHeaders& metadata, bool conditional) {
  const bool absent = q.Header("if-none-match") == "*";
  const std::string match = q.Header("if-match");
  if ((absent || !match.empty()) && !habits_.knows_conditions) return ErrorAnswer(501, "NotImplemented");
  const auto there = objects_.find(q.key);
  const bool exists = there != objects_.end();
  const bool fails = (absent && exists) || (!match.empty() && (!exists || match != "\"" + there->second.etag + "\""));
  if (fails && conditional) {
    if (lost_races_.erase(q.key) > 0) return ErrorAnswer(412, "PreconditionFailed");
    lost_races_.insert(q.key);
    return ErrorAnswer(habits_.lost_race_status, habits_.lost_race_code);
  }
  const std::string etag = s3::Hex(s3::Md5(bytes)) + "-" + std::to_string(++versions_);
  objects_[q.key] = {std::move(bytes), etag, metadata};
  return Answer(200, "", {{"etag", Etag(etag)}});
}

HttpResponse MemS3::Post(const Question& q) {
  if (q.Has("uploads")) {
    const std::string id = "upload-" + std::to_string(++versions_);
    uploads_[id] = {q.key, Metadata(q.request), {}};
    return Answer(200,
                  "<InitiateMultipartUploadResult><UploadId>" + id + "</UploadId></InitiateMultipartUploadResult>");
  }
  if (q.Has("uploadId")) return Complete(q);
  return DeleteMany(q);
}

HttpResponse MemS3::DeleteMany(const Question& q) {
  if (!habits_.deletes_many) return ErrorAnswer(501, "NotImplemented");
  const auto xml = s3::ParseXml(q.Body());
  if (!xml.ok() || xml->children.size() > 1001) return ErrorAnswer(400, "MalformedXML");  // <Quiet>, and 1,000
  std::string errors;
  for (const s3::XmlElement& object : xml->children) {
    if (object.name != "Object") continue;
    const std::string key(object.Text("Key"));
    if (!kept_in_bulk_.contains(key)) {
      objects_.erase(key);
      continue;
    }
    errors += "<Error><Key>" + key + "</Key><Code>InternalError</Code></Error>";
  }
  return Answer(200, "<DeleteResult>" + errors + "</DeleteResult>");
}

HttpResponse MemS3::ListUploads(const Question& q) const {
  std::map<std::pair<std::string, std::string>, bool> found;  // by key and id
  const std::pair<std::string, std::string> after = {q.Get("key-marker"), q.Get("upload-id-marker")};
  for (const auto& [id, upload] : uploads_) {
    if (upload.key.starts_with(q.Get("prefix")) && std::pair(upload.key, id) > after) found[{upload.key, id}] = true;
  }
  std::string entries, markers;
  size_t n = 0;
  for (const auto& [which, yes] : found) {
    if (n++ == habits_.uploads_a_page) break;
    const auto& [key, id] = which;
    entries += "<Upload><Key>" + s3::PercentEncode(key, false) + "</Key><UploadId>" + id + "</UploadId></Upload>";
    markers = "<NextKeyMarker>" + s3::PercentEncode(key, false) + "</NextKeyMarker><NextUploadIdMarker>" + id +
              "</NextUploadIdMarker>";
  }
  const std::string truncated = n > habits_.uploads_a_page ? "true" : "false";
  return Answer(200, "<ListMultipartUploadsResult><EncodingType>url</EncodingType><IsTruncated>" + truncated +
                         "</IsTruncated>" + markers + entries + "</ListMultipartUploadsResult>");
}

HttpResponse MemS3::Complete(const Question& q) {
  const auto upload = uploads_.find(q.Get("uploadId"));
  if (upload == uploads_.end()) return ErrorAnswer(404, "NoSuchUpload");
  std::string bytes;
  for (const auto& [number, part] : upload->second.parts) bytes += part;
  const HttpResponse stored = Store(q, std::move(bytes), upload->second.metadata, habits_.honours_it_on_complete);
  if (stored.status != 200) return stored;
  uploads_.erase(upload);
  return Answer(200, "<CompleteMultipartUploadResult><ETag>" + std::string(FindHeader(stored.headers, "etag")) +
                         "</ETag></CompleteMultipartUploadResult>");
}

HttpResponse MemS3::List(const Question& q) const {
  const std::string prefix = q.Get("prefix"), after = q.Get("start-after");
  const size_t most = *s3::ParseNumber(q.Get("max-keys"));
  std::string entries;
  size_t n = 0;
  bool truncated = false;
  for (auto at = objects_.lower_bound(prefix); at != objects_.end() && at->first.starts_with(prefix); ++at) {
    if (at->first <= after) continue;
    if ((truncated = n == most)) break;
    ++n;
    entries += "<Contents><Key>" + s3::PercentEncode(at->first, false) + "</Key><ETag>" + Etag(at->second.etag) +
               "</ETag><Size>" + std::to_string(at->second.bytes.size()) + "</Size></Contents>";
  }
  return Answer(200,
                "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                "<EncodingType>url</EncodingType><IsTruncated>" +
                    std::string(truncated ? "true" : "false") + "</IsTruncated>" + entries + "</ListBucketResult>");
}

// --- the transport -----------------------------------------------------------------------------------------

class MemQueue final : public s3::HttpQueue {
 public:
  explicit MemQueue(MemS3* server) : server_(server) {}
  void Start(std::shared_ptr<HttpExchange> exchange) override {
    const uint64_t arrives = server_->Handle(exchange->request, &exchange->response);
    exchange->ended_nanos = arrives;
    flying_.emplace_back(arrives, std::move(exchange));
  }
  void Cancel(const std::shared_ptr<HttpExchange>& exchange) override {
    std::erase_if(flying_, [&](const auto& one) { return one.second == exchange; });
  }
  std::vector<std::shared_ptr<HttpExchange>> Wait(uint64_t until_nanos) override {
    uint64_t next = until_nanos;
    for (const auto& [arrives, exchange] : flying_) next = std::min(next, arrives);
    const uint64_t now = server_->clock_->MonotonicNanos();
    if (next > now) server_->clock_->SleepNanos(next - now);
    std::vector<std::shared_ptr<HttpExchange>> done;
    std::erase_if(flying_, [&](const auto& one) {
      if (one.first > std::max(next, now)) return false;
      done.push_back(one.second);
      return true;
    });
    return done;
  }

 private:
  MemS3* const server_;
  std::vector<std::pair<uint64_t, std::shared_ptr<HttpExchange>>> flying_;
};

std::unique_ptr<s3::HttpQueue> MemS3::NewQueue() { return std::make_unique<MemQueue>(this); }

void MemS3::SetPlan(std::function<Plan(const HttpRequest&, uint64_t)> plan) {
  const std::lock_guard<std::mutex> lock(mutex_);
  plan_ = std::move(plan);
}

void MemS3::KeepInBulk(std::set<std::string> keys) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kept_in_bulk_ = std::move(keys);
}

std::vector<std::string> MemS3::TakeLog() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(log_, {});
}

std::vector<std::string> MemS3::Keys() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<std::string> keys;
  for (const auto& [key, object] : objects_) keys.push_back(key);
  return keys;
}

size_t MemS3::uploads() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return uploads_.size();
}

uint64_t MemS3::late_done() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return late_done_;
}

std::string MemS3::Contents(const std::string& key) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = objects_.find(key);
  return found == objects_.end() ? std::string() : found->second.bytes;
}

void MemS3::Corrupt(const std::string& key, std::string bytes) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = objects_.find(key);
  if (found != objects_.end()) found->second.bytes = std::move(bytes);
}

}  // namespace tarn::test
