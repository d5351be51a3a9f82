#include "backends/s3/signer.h"

#include <algorithm>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr std::string_view kService = "s3";
constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string Join(std::initializer_list<std::string_view> parts, char between) {
  std::string out;
  for (const std::string_view part : parts) {
    if (!out.empty()) out += between;
    out += part;
  }
  return out;
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(' ') - first + 1);
}

}  // namespace

std::string CanonicalQuery(Query query) {
  for (auto& [name, value] : query) {
    name = PercentEncode(name, true);
    value = PercentEncode(value, true);
  }
  std::sort(query.begin(), query.end());
  std::string out;
  for (const auto& [name, value] : query) {
    if (!out.empty()) out += '&';
    out += name + "=" + value;
  }
  return out;
}

void Signer::Sign(const Credentials& credentials, uint64_t unix_seconds, std::string_view method,
                  std::string_view host, std::string_view path, std::string_view query, std::string_view payload,
                  HttpHeaders* headers) {
  const std::string date = BasicDate(unix_seconds), day = date.substr(0, 8);
  const std::string payload_hash = Hex(Sha256(payload));
  headers->emplace_back("x-amz-content-sha256", payload_hash);
  headers->emplace_back("x-amz-date", date);
  if (!credentials.session_token.empty()) {
    headers->emplace_back("x-amz-security-token", credentials.session_token.Reveal());
  }

  HttpHeaders sorted = *headers;
  sorted.emplace_back("host", host);
  std::sort(sorted.begin(), sorted.end());
  std::string lines, names;
  for (const auto& [name, value] : sorted) {
    lines += name + ":";
    lines += Trim(value);
    lines += '\n';
    names += (names.empty() ? "" : ";") + name;
  }
  const std::string request = Join({method, path, query, lines, names, payload_hash}, '\n');
  const std::string scope = Join({day, region_, kService, "aws4_request"}, '/');
  const std::string to_sign = Join({kAlgorithm, date, scope, Hex(Sha256(request))}, '\n');
  const std::string signature = Hex(HmacSha256(KeyOfDay(credentials, day), to_sign));
  headers->emplace_back("authorization", std::string(kAlgorithm) + " Credential=" + credentials.access_key + "/" +
                                             scope + ",SignedHeaders=" + names + ",Signature=" + signature);
}

std::string Signer::KeyOfDay(const Credentials& credentials, const std::string& day) {
  const std::string wanted = Sha256(day + "\n" + credentials.secret_key.Reveal());
  const std::lock_guard<std::mutex> lock(mutex_);
  if (cached_for_ != wanted) {
    std::string key = HmacSha256("AWS4" + credentials.secret_key.Reveal(), day);
    for (const std::string_view part : {std::string_view(region_), kService, std::string_view("aws4_request")}) {
      key = HmacSha256(key, part);
    }
    cached_for_ = wanted;
    cached_key_ = key;
  }
  return cached_key_;
}

}  // namespace tarn::s3
