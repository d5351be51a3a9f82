#include "backends/s3/answers.h"

#include "backends/s3/encoding.h"
#include "backends/s3/xml.h"

namespace tarn::s3 {
namespace {

// Words of a server for a person's line.
std::string OneLine(std::string_view text) {
  constexpr size_t kMaxBytes = 200;
  std::string line(text.substr(0, kMaxBytes));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return line;
}

S3Error FromElement(const XmlElement& error) {
  S3Error out;
  out.code = OneLine(error.Text("Code"));
  out.message = OneLine(error.Text("Message"));
  out.region = OneLine(error.Text("Region"));
  return out;
}

Status BadAnswer(std::string_view kind, const std::string& why) {
  return Status::Corruption("the server's answer is no " + std::string(kind) + ": " + why +
                            ": check that the endpoint speaks S3");
}

Result<XmlElement> ParseDocument(std::string_view body, std::string_view root) {
  const Result<XmlElement> parsed = ParseXml(body);
  if (!parsed.ok()) return BadAnswer(root, std::string(parsed.status().message()));
  if (parsed->name != root) return BadAnswer(root, "it is a <" + OneLine(parsed->name) + ">");
  return parsed;
}

// Without the <Code> of an error a body is a page of a proxy, or nothing.
void TakeBody(const HttpResponse& response, S3Error* error) {
  const Result<XmlElement> parsed = ParseXml(response.body);
  if (!parsed.ok() || parsed->name != "Error") return;
  S3Error found = FromElement(*parsed);
  found.http_status = error->http_status;
  *error = std::move(found);
}

}  // namespace

S3Error ParseError(const HttpResponse& response) {
  S3Error error;
  error.http_status = response.status;
  TakeBody(response, &error);
  if (error.region.empty()) error.region = OneLine(FindHeader(response.headers, "x-amz-bucket-region"));
  return error;
}

Result<ObjectPage> ParseListing(std::string_view body) {
  TARN_ASSIGN(const XmlElement root, ParseDocument(body, "ListBucketResult"));
  const bool encoded = root.Text("EncodingType") == "url";
  ObjectPage page;
  for (const XmlElement& entry : root.children) {
    if (entry.name != "Contents") continue;
    ListedObject object;
    const std::string_view key = entry.Text("Key");
    const std::optional<std::string> decoded = encoded ? PercentDecode(key, true) : std::string(key);
    const std::optional<uint64_t> size = ParseNumber(entry.Text("Size"));
    if (!decoded || decoded->empty() || !size) return BadAnswer("ListBucketResult", "an entry has no key or size");
    page.objects.push_back({*decoded, *size, UnquoteEtag(entry.Text("ETag"))});
  }
  page.truncated = root.Text("IsTruncated") == "true";
  if (page.truncated && page.objects.empty()) return BadAnswer("ListBucketResult", "more is to come behind nothing");
  return page;
}

Result<UploadPage> ParseUploads(std::string_view body, std::string_view after_key, std::string_view after_id) {
  constexpr const char* kKind = "ListMultipartUploadsResult";
  TARN_ASSIGN(const XmlElement root, ParseDocument(body, kKind));
  const bool encoded = root.Text("EncodingType") == "url";
  const auto key_of = [&](std::string_view text) {
    return encoded ? PercentDecode(text, true) : std::optional<std::string>(text);
  };
  UploadPage page;
  for (const XmlElement& entry : root.children) {
    if (entry.name != "Upload") continue;
    const std::optional<std::string> key = key_of(entry.Text("Key"));
    const std::string id(entry.Text("UploadId"));
    if (!key || key->empty() || id.empty()) return BadAnswer(kKind, "an entry has no key or id");
    page.uploads.push_back({*key, id});
  }
  page.truncated = root.Text("IsTruncated") == "true";
  if (!page.truncated) return page;
  const std::optional<std::string> next = key_of(root.Text("NextKeyMarker"));
  if (!next) return BadAnswer(kKind, "its next marker has a bad %");
  page.next_key = *next;
  page.next_id = root.Text("NextUploadIdMarker");
  const bool onward = page.next_key > after_key || (page.next_key == after_key && page.next_id != after_id);
  if (!onward || page.uploads.empty()) return BadAnswer(kKind, "more is to come behind nothing");
  return page;
}

Result<std::string> ParseUploadId(std::string_view body) {
  TARN_ASSIGN(const XmlElement root, ParseDocument(body, "InitiateMultipartUploadResult"));
  std::string id(root.Text("UploadId"));
  if (id.empty()) return BadAnswer("InitiateMultipartUploadResult", "it has no UploadId");
  return id;
}

Result<ResultOrError> ParseResultOrError(const HttpResponse& response) {
  const Result<XmlElement> parsed = ParseXml(response.body);
  if (!parsed.ok()) return BadAnswer("result", std::string(parsed.status().message()));
  ResultOrError out;
  if (parsed->name == "Error") {
    out.error = FromElement(*parsed);
    out.error->http_status = response.status;
  } else {
    out.etag = UnquoteEtag(parsed->Text("ETag"));
  }
  return out;
}

Result<std::vector<std::string>> ParseDeleteMany(std::string_view body) {
  TARN_ASSIGN(const XmlElement root, ParseDocument(body, "DeleteResult"));
  std::vector<std::string> keys;
  for (const XmlElement& entry : root.children) {
    if (entry.name != "Error" || entry.Text("Code") == "NoSuchKey") continue;
    keys.emplace_back(entry.Text("Key"));
    if (keys.back().empty()) return BadAnswer("DeleteResult", "an error names no key");
  }
  return keys;
}

std::string UnquoteEtag(std::string_view etag) {
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') etag = etag.substr(1, etag.size() - 2);
  return std::string(etag);
}

std::optional<ContentRange> ParseContentRange(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return std::nullopt;
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return std::nullopt;
  const auto first = ParseNumber(text.substr(0, dash));
  const auto last = ParseNumber(text.substr(dash + 1, slash - dash - 1));
  const auto size = ParseNumber(text.substr(slash + 1));
  if (!first || !last || !size || *first > *last || *last >= *size) return std::nullopt;
  return ContentRange{*first, *last, *size};
}

}  // namespace tarn::s3
