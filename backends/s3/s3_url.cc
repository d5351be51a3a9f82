// URLs of S3 stores, and where they lead: options from text, an endpoint from options and environment. No value of a
// URL is ever repeated in an error: somebody may have typed a secret into it.
#include <algorithm>
#include <charconv>
#include <functional>
#include <map>

#include "backends/s3/calls.h"
#include "backends/s3/encoding.h"
#include "backends/s3/s3_internal.h"

namespace tarn::s3 {
namespace {

constexpr std::string_view kScheme = "s3://";
constexpr size_t kMaxPrefixBytes = 1024 - 1 - 255;  // what a key of 1,024 bytes leaves beside a blob's name

using Setter = std::function<bool(S3Options*, const std::string& value)>;

Setter Text(std::string S3Options::*member) {
  return [member](S3Options* options, const std::string& value) {
    options->*member = value;
    return !value.empty();
  };
}

template <typename T>
Setter Number(T S3Options::*member, uint64_t unit, uint64_t least, uint64_t most) {
  return [=](S3Options* options, const std::string& value) {
    const auto number = ParseNumber(value);
    if (!number || *number < least || *number > most) return false;
    options->*member = static_cast<T>(*number * unit);
    return true;
  };
}

// A price: digits, and perhaps a point and more digits.
Setter Price(double S3Prices::*member) {
  return [member](S3Options* options, const std::string& value) {
    const char* const end = value.data() + value.size();
    double number = 0;
    const auto [rest, error] = std::from_chars(value.data(), end, number, std::chars_format::fixed);
    if (error != std::errc() || rest != end || !(number >= 0 && number <= 1e6)) return false;
    options->prices.*member = number;
    return true;
  };
}

template <typename T>
Setter OneOf(T S3Options::*member, std::map<std::string, T> values) {
  return [=](S3Options* options, const std::string& value) {
    const auto found = values.find(value);
    if (found == values.end()) return false;
    options->*member = found->second;
    return true;
  };
}

struct Parameter {
  Setter set;
  std::string_view values;  // for people
};

const std::map<std::string_view, Parameter>& Parameters() {
  static const std::map<std::string_view, Parameter> kParameters = {
      {"endpoint", {Text(&S3Options::endpoint), "http[s]://host[:port]"}},
      {"region", {Text(&S3Options::region), "a name"}},
      {"ca_file", {Text(&S3Options::ca_file), "a path"}},
      {"profile", {Text(&S3Options::profile), "a name"}},
      {"access_key", {Text(&S3Options::access_key), "env:NAME or file:PATH"}},
      {"secret_key", {Text(&S3Options::secret_key), "env:NAME or file:PATH"}},
      {"session_token", {Text(&S3Options::session_token), "env:NAME or file:PATH"}},
      {"addressing",
       {OneOf<Addressing>(
            &S3Options::addressing,
            {{"auto", Addressing::kAuto}, {"path", Addressing::kPath}, {"virtual", Addressing::kVirtual}}),
        "auto, path or virtual"}},
      {"if_match",
       {OneOf<bool>(&S3Options::if_match_quotes, {{"quoted", true}, {"unquoted", false}}), "quoted or unquoted"}},
      {"hedge", {OneOf<bool>(&S3Options::hedge, {{"on", true}, {"off", false}}), "on or off"}},
      {"part_mib", {Number(&S3Options::part_bytes, 1 << 20, 5, 1024), "5 to 1024"}},
      {"parallel_parts", {Number(&S3Options::parallel_parts, 1, 1, 64), "1 to 64"}},
      {"connections", {Number(&S3Options::connections, 1, 1, 1024), "1 to 1024"}},
      {"write_price", {Price(&S3Prices::thousand_writes), "0 to 1000000, of 1,000 PUT, COPY, POST and LIST"}},
      {"read_price", {Price(&S3Prices::thousand_reads), "0 to 1000000, of 1,000 GET and HEAD"}},
      {"egress_price", {Price(&S3Prices::egress), "0 to 1000000, of a GB of answers"}},
      {"storage_price", {Price(&S3Prices::storage), "0 to 1000000, of a GB for a month"}},
      {"deadline_seconds", {Number(&S3Options::deadline_nanos, 1'000'000'000, 1, 86400), "1 to 86400"}},
  };
  return kParameters;
}

Status SetParameter(std::string_view pair, S3Options* options) {
  const size_t equals = pair.find('=');
  const auto found = Parameters().find(pair.substr(0, equals));
  if (found == Parameters().end()) {
    std::string names;
    for (const std::string_view name : S3UrlParameters()) names += (names.empty() ? "" : ", ") + std::string(name);
    return Status::Invalid("the URL of the S3 store has an unknown parameter: use " + names);
  }
  const std::string name(found->first);
  const auto value = PercentDecode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), false);
  if (!value || !found->second.set(options, *value)) {
    return Status::Invalid("the URL of the S3 store has a bad " + name + "=: use " +
                           std::string(found->second.values));
  }
  if (!name.ends_with("_key") && name != "session_token") return Status::Ok();
  if (value->starts_with("env:") || value->starts_with("file:")) return Status::Ok();
  return Status::Invalid("the URL of the S3 store has " + name +
                         "= as a literal, and URLs are stored and listed: use env:NAME or file:PATH");
}

bool GoodBucket(std::string_view bucket) {
  return bucket.size() >= 3 && bucket.size() <= 255 && bucket[0] != '.' && bucket[0] != '-' &&
         std::all_of(bucket.begin(), bucket.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '-' || c == '_';
         });
}

// host or host:port, of characters that need no thought.
bool GoodHost(std::string_view host) {
  const size_t port = host.find(':', host.starts_with('[') ? host.find(']') : 0);
  const std::string_view name = host.substr(0, port);
  const bool good_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '[' || c == ']' ||
           c == ':';
  });
  if (port == std::string_view::npos) return good_name;
  const auto number = ParseNumber(host.substr(port + 1));
  return good_name && number && *number >= 1 && *number <= 65535;
}

Result<Endpoint> SplitEndpoint(std::string text) {
  while (text.ends_with('/')) text.pop_back();
  std::transform(text.begin(), text.end(), text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  Endpoint out;
  for (const std::string_view scheme : {"https", "http"}) {
    if (text.starts_with(std::string(scheme) + "://")) out.scheme = scheme;
  }
  if (!out.scheme.empty()) out.host = text.substr(out.scheme.size() + 3);
  if (!GoodHost(out.host)) {
    return Status::Invalid("the endpoint of the S3 store is no URL of a server: use http[s]://host[:port]");
  }
  // As the header Host will say it, which is signed.
  const std::string_view default_port = out.scheme == "https" ? ":443" : ":80";
  if (out.host.ends_with(default_port)) out.host.resize(out.host.size() - default_port.size());
  return out;
}

}  // namespace

std::vector<std::string_view> S3UrlParameters() {
  std::vector<std::string_view> names;
  for (const auto& [name, parameter] : Parameters()) names.push_back(name);
  return names;
}

Result<S3Options> ParseS3Url(std::string_view url) {
  if (!url.starts_with(kScheme)) return Status::Invalid("the URL of an S3 store begins with s3://: add it");
  url.remove_prefix(kScheme.size());
  const size_t question = url.find('?');
  std::string_view path = url.substr(0, question);
  std::string_view parameters = question == std::string_view::npos ? "" : url.substr(question + 1);
  S3Options options;
  const size_t slash = path.find('/');
  options.bucket = path.substr(0, slash);
  if (!GoodBucket(options.bucket)) {
    return Status::Invalid(
        "the URL of the S3 store names no bucket: use s3://BUCKET/PREFIX, and parameters for all else");
  }
  if (slash != std::string_view::npos) {
    const auto prefix = PercentDecode(path.substr(slash + 1), false);
    if (!prefix) return Status::Invalid("the prefix in the URL of the S3 store has a bad %: write %25 for one");
    options.prefix = *prefix;
  }
  while (!parameters.empty()) {
    const size_t end = parameters.find('&');
    TARN_TRY(SetParameter(parameters.substr(0, end), &options));
    parameters.remove_prefix(end == std::string_view::npos ? parameters.size() : end + 1);
  }
  return options;
}

Status CheckOptions(S3Options* options) {
  if (!GoodBucket(options->bucket)) return Status::Invalid("the S3 store has no bucket: name one");
  while (options->prefix.ends_with('/')) options->prefix.pop_back();
  while (options->prefix.starts_with('/')) options->prefix.erase(0, 1);
  if (options->prefix.size() > kMaxPrefixBytes) {
    return Status::Invalid("the prefix of the S3 store has more than " + std::to_string(kMaxPrefixBytes) +
                           " bytes: shorten it");
  }
  const bool good = options->part_bytes >= 5 << 20 && options->part_bytes <= 1 << 30 &&
                    options->parallel_parts >= 1 && options->parallel_parts <= 64 && options->connections >= 1 &&
                    options->connections <= 1024 && options->deadline_nanos >= 1'000'000;
  if (good) return Status::Ok();
  return Status::Invalid("a number in the options of the S3 store is out of range: see backends/s3/s3.h");
}

Result<Endpoint> FindEndpoint(const S3Options& options, const Surroundings& around) {
  std::string region = options.region;
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"}) {
    if (region.empty()) region = around.env(name).value_or("");
  }
  if (region.empty()) region = ProfileSetting(ProfileName(options, around), "region", around).value_or("us-east-1");
  std::string url = options.endpoint;
  for (const char* name : {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"}) {
    if (url.empty()) url = around.env(name).value_or("");
  }
  const bool is_aws = url.empty();
  TARN_ASSIGN(Endpoint endpoint, SplitEndpoint(is_aws ? "https://s3." + region + ".amazonaws.com" : url));
  endpoint.bucket = options.bucket;
  endpoint.region = region;
  // A bucket with dots has no certificate as a host name.
  const bool by_host =
      options.addressing == Addressing::kVirtual ||
      (options.addressing == Addressing::kAuto && is_aws && options.bucket.find('.') == std::string::npos);
  endpoint.path_prefix = by_host ? "/" : "/" + options.bucket + "/";
  if (by_host) endpoint.host = options.bucket + "." + endpoint.host;
  return endpoint;
}

}  // namespace tarn::s3
