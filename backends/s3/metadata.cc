#include "backends/s3/metadata.h"

#include <nlohmann/json.hpp>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kDeadlineNanos = 2'000'000'000;
constexpr uint64_t kMaxAnswerBytes = 64 << 10;
constexpr std::string_view kMachine = "http://169.254.169.254";
constexpr std::string_view kContainer = "http://169.254.170.2";

Result<std::string> Fetch(HttpTransport& transport, Clock& clock, const std::string& method, const std::string& url,
                          HttpHeaders headers) {
  auto exchange = std::make_shared<HttpExchange>();
  HttpRequest& request = exchange->request;
  request.method = method;
  request.url = url;
  request.headers = std::move(headers);
  request.max_answer_bytes = kMaxAnswerBytes;
  request.direct = true;
  request.deadline_nanos = clock.MonotonicNanos() + kDeadlineNanos;
  const auto queue = transport.NewQueue();
  queue->Start(exchange);
  while (queue->Wait(UINT64_MAX).empty()) {
  }
  const HttpResponse& response = exchange->response;
  if (response.failure != HttpFailure::kNone) return Status::Unavailable(url + ": " + response.why);
  if (response.status != 200) return Status::Unavailable(url + " answers " + std::to_string(response.status));
  return response.body;
}

// A token may be sent to these in clear.
bool IsNear(std::string_view url) {
  for (const std::string_view host : {"127.0.0.1", "localhost", "[::1]", "169.254.170.2", "169.254.170.23"}) {
    const std::string with_host = "http://" + std::string(host);
    if (!url.starts_with(with_host)) continue;
    const std::string_view rest = url.substr(with_host.size());
    if (rest.empty() || rest[0] == '/' || rest[0] == ':') return rest.find('@') == std::string_view::npos;
  }
  return false;
}

}  // namespace

bool HasContainerEndpoint(const Surroundings& around) {
  return around.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") || around.env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
}

Result<Credentials> FetchFromContainer(const Surroundings& around, HttpTransport& transport, Clock& clock) {
  std::string url = around.env("AWS_CONTAINER_CREDENTIALS_FULL_URI").value_or("");
  if (const auto relative = around.env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"))
    url = std::string(kContainer) + *relative;
  if (!url.starts_with("https://") && !IsNear(url)) {
    return Status::Invalid("$AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor of this machine: correct it");
  }
  HttpHeaders headers;
  std::string token = around.env("AWS_CONTAINER_AUTHORIZATION_TOKEN").value_or("");
  if (const auto file = around.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")) {
    TARN_ASSIGN(token, around.read_file(*file));
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  }
  if (!token.empty()) headers.emplace_back("authorization", token);
  TARN_ASSIGN(const std::string json, Fetch(transport, clock, "GET", url, std::move(headers)));
  return ParseMetadata(json, "the container's endpoint");
}

Result<Credentials> FetchFromMachine(const Surroundings& around, HttpTransport& transport, Clock& clock) {
  if (around.env("AWS_EC2_METADATA_DISABLED") == "true") return Status::Invalid("$AWS_EC2_METADATA_DISABLED is true");
  std::string base = around.env("AWS_EC2_METADATA_SERVICE_ENDPOINT").value_or(std::string(kMachine));
  while (base.ends_with('/')) base.pop_back();
  TARN_ASSIGN(const std::string token, Fetch(transport, clock, "PUT", base + "/latest/api/token",
                                             {{"x-aws-ec2-metadata-token-ttl-seconds", "300"}}));
  const HttpHeaders headers = {{"x-aws-ec2-metadata-token", token}};
  const std::string roles = base + "/latest/meta-data/iam/security-credentials/";
  TARN_ASSIGN(std::string role, Fetch(transport, clock, "GET", roles, headers));
  role = role.substr(0, role.find_first_of("\r\n"));
  if (role.empty()) return Status::Unavailable("the machine has no role");
  TARN_ASSIGN(const std::string json, Fetch(transport, clock, "GET", roles + PercentEncode(role, true), headers));
  return ParseMetadata(json, "the machine's role " + PercentEncode(role, true));
}

Result<Credentials> ParseMetadata(const std::string& json, std::string from) {
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  const auto text = [&](const char* name) -> std::string {
    if (!parsed.is_object() || !parsed.contains(name) || !parsed[name].is_string()) return "";
    return parsed[name].get<std::string>();
  };
  Credentials out;
  out.access_key = text("AccessKeyId");
  out.secret_key = Secret(text("SecretAccessKey"));
  out.session_token = Secret(text("Token"));
  out.expires = ParseDate(text("Expiration")).value_or(0);
  out.from = std::move(from);
  if (!out.access_key.empty() && !out.secret_key.empty()) return out;
  return Status::Invalid(out.from + " answers no credentials: check the role");
}

}  // namespace tarn::s3
