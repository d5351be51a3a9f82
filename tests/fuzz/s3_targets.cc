// What the S3 backend reads: answers of servers (XML, headers), and texts of people and machines (URLs, profiles,
// metadata).
#include <algorithm>

#include "backends/s3/answers.h"
#include "backends/s3/calls.h"
#include "backends/s3/credentials.h"
#include "backends/s3/encoding.h"
#include "backends/s3/errors.h"
#include "backends/s3/metadata.h"
#include "backends/s3/retry.h"
#include "backends/s3/s3_internal.h"
#include "backends/s3/xml.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/targets.h"

namespace tarn::fuzz {
namespace {

bool IsOneLine(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f; });
}

void CheckStatus(const Status& status) {
  if (status.ok()) return;
  MUST(status.message().find('\n') == std::string_view::npos, "an error of two lines");
  MUST(status.code() == Code::kCorruption || status.code() == Code::kInvalid, status.ToString());
}

// Its depth, with the bytes of its names and texts added to `bytes`.
size_t Measure(const s3::XmlElement& element, size_t* bytes) {
  size_t below = 0;
  *bytes += element.name.size() + element.text.size();
  for (const s3::XmlElement& child : element.children) below = std::max(below, Measure(child, bytes));
  return below + 1;
}

void CheckError(const s3::HttpResponse& response) {
  const s3::S3Error error = s3::ParseError(response);
  for (const std::string* text : {&error.code, &error.message, &error.region}) {
    MUST(text->size() <= 200 && IsOneLine(*text), "a server's words fill more than their place in a line");
  }
  MUST(error.http_status == response.status, "the status of an error is the answer's");
  const Status status = s3::ServerError(error, "read", {"s3://b/k", "http://h", "b", "r", "c"});
  MUST(!status.ok() && IsOneLine(status.message()), "an error that is none, or not one line");
  const s3::Verdict verdict = s3::Judge(response, error);
  MUST((verdict == s3::Verdict::kDone) == (response.status >= 200 && response.status < 300), "a misjudged answer");
}

}  // namespace

// Input: two bytes of status, a short header, the body.
void RunS3Answers(std::string_view input) {
  Input in(input);
  s3::HttpResponse response;
  response.status = 100 + static_cast<int>(in.Below(500));
  const std::string header(in.Short());
  response.headers = {{"content-range", header}, {"retry-after", header}, {"x-amz-bucket-region", header}};
  response.body = in.Rest();
  const Result<s3::XmlElement> tree = s3::ParseXml(response.body);
  CheckStatus(tree.status());
  if (tree.ok()) {
    size_t bytes = 0;
    MUST(Measure(*tree, &bytes) <= 16, "a tree deeper than is allowed");
    MUST(bytes <= response.body.size(), "a tree of more text than its bytes");
  }
  const Result<s3::ObjectPage> page = s3::ParseListing(response.body);
  CheckStatus(page.status());
  if (page.ok()) {
    MUST(!page->truncated || !page->objects.empty(), "more is to come behind nothing");
    for (const s3::ListedObject& object : page->objects) MUST(!object.key.empty(), "an object without a key");
  }
  const Result<std::string> upload = s3::ParseUploadId(response.body);
  CheckStatus(upload.status());
  MUST(!upload.ok() || !upload->empty(), "an upload without an id");
  CheckStatus(s3::ParseResultOrError(response).status());
  CheckStatus(s3::ParseDeleteMany(response.body).status());
  const Result<s3::UploadPage> uploads = s3::ParseUploads(response.body, "", "");
  CheckStatus(uploads.status());
  MUST(!uploads.ok() || !uploads->truncated || !uploads->uploads.empty(), "more uploads behind nothing");
  CheckError(response);
  const auto range = s3::ParseContentRange(header);
  MUST(!range || (range->first <= range->last && range->last < range->size), "a range that is none");
  MUST(s3::RetryAfter(response) <= 30'000'000'000, "a server may not send us to sleep");
}

// Input: a URL (short), a profile's name (short), and a text that is a profile file and an answer of metadata.
void RunS3Text(std::string_view input) {
  Input in(input);
  const std::string url(in.Short()), profile(in.Short()), text(in.Rest());
  s3::Surroundings around;
  around.env = [](const std::string& name) {
    return name == "HOME" ? std::optional<std::string>("/h") : std::nullopt;
  };
  around.read_file = [&](const std::string&) { return Result<std::string>(text); };
  Result<s3::S3Options> options = s3::ParseS3Url(url);
  CheckStatus(options.status());
  if (options.ok()) {
    const Status checked = s3::CheckOptions(&*options);
    CheckStatus(checked);
    for (const std::string* reference : {&options->secret_key, &options->session_token, &options->access_key}) {
      MUST(reference->empty() || reference->starts_with("env:") || reference->starts_with("file:"),
           "a literal secret was accepted");
    }
    const Result<s3::Endpoint> endpoint = s3::FindEndpoint(*options, around);
    CheckStatus(endpoint.status());
    if (endpoint.ok()) MUST(IsOneLine(endpoint->host) && !endpoint->host.empty(), "a host that is none");
  }
  for (const char* name : {"aws_secret_access_key", "region"}) {
    const auto setting = s3::ProfileSetting(profile, name, around);
    MUST(!setting || text.find(*setting) != std::string::npos, "a setting that is not in the file");
  }
  const Result<s3::Credentials> credentials = s3::ParseMetadata(text, "a test");
  CheckStatus(credentials.status());
  MUST(!credentials.ok() || !credentials->secret_key.empty(), "credentials without a secret");
  MUST(s3::PercentDecode(s3::PercentEncode(text, true), true) == text, "decode(encode(x)) is not x");
  const auto date = s3::ParseDate(text);
  MUST(!date || s3::BasicDate(*date).size() == 16, "a date that cannot be written");
}

}  // namespace tarn::fuzz
