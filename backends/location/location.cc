#include "backends/location/location.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/cached/cached.h"
#include "backends/local/local.h"
#include "backends/overlay/overlay.h"
#include "backends/s3/encoding.h"
#include "backends/s3/s3.h"
#include "backends/tiered/tiered.h"

namespace tarn::location {
namespace {

constexpr std::string_view kFile = "file://";
constexpr std::string_view kBucket = "s3://";

std::optional<uint64_t> ParseSize(std::string_view text) {
  uint64_t unit = 1;
  for (const auto& [suffix, bytes] : {std::pair<std::string_view, uint64_t>{"KiB", 1ull << 10},
                                      {"MiB", 1ull << 20},
                                      {"GiB", 1ull << 30},
                                      {"TiB", 1ull << 40}}) {
    if (!text.ends_with(suffix)) continue;
    text.remove_suffix(suffix.size());
    unit = bytes;
    break;
  }
  const auto number = s3::ParseNumber(text);
  if (!number || *number > UINT64_MAX / unit) return std::nullopt;
  return *number * unit;
}

using Setter = bool (*)(Location* location, const std::string& value);  // false: not a value it can have

template <std::string Location::*member>
bool SetDirectory(Location* location, const std::string& value) {
  location->*member = value;
  return value.starts_with('/') && value.find('\0') == std::string::npos;
}

template <uint64_t Location::*member, uint64_t least>
bool SetSize(Location* location, const std::string& value) {
  const auto bytes = ParseSize(value);
  if (!bytes || *bytes < least) return false;
  location->*member = *bytes;
  return true;
}

constexpr uint64_t kMostLevels = 64;  // what a manifest can say

template <auto Location::*member, uint64_t most>
bool SetNumber(Location* location, const std::string& value) {
  const auto number = s3::ParseNumber(value);
  if (!number || *number > most) return false;
  location->*member = static_cast<typename std::remove_reference_t<decltype(location->*member)>::value_type>(*number);
  return true;
}

bool SetFamily(Location* location, const std::string& value) {
  const size_t colon = value.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  const auto levels = s3::ParseNumber(std::string_view(value).substr(colon + 1));
  if (!levels || *levels > kMostLevels) return false;
  location->family_near_levels[value.substr(0, colon)] = static_cast<uint32_t>(*levels);
  return true;
}

bool SetLostLog(Location* location, const std::string& value) {
  location->accept_lost_log = true;
  return value == "accept";
}

// The parameters of layers above the bucket; all others are the bucket's own.
struct Parameter {
  Setter set;
  std::string_view needs;   // makes no sense without this parameter
  std::string_view values;  // for people
};
const std::map<std::string_view, Parameter>& Parameters() {
  static const std::map<std::string_view, Parameter> kParameters = {
      {"cache", {SetDirectory<&Location::cache>, "", "an absolute path"}},
      {"cache_size", {SetSize<&Location::cache_bytes, cached::kMinLimitBytes>, "cache", "16MiB or more, like 10GiB"}},
      {"cache_reserve", {SetSize<&Location::cache_reserve_bytes, 0>, "cache", "a size, like 1GiB"}},
      {"log", {SetDirectory<&Location::log>, "", "an absolute path"}},
      {"log_lost", {SetLostLog, "", "accept, to go back to the last durable point"}},
      {"near_changes", {SetNumber<&Location::near_changes, UINT64_MAX>, "log", "a number of changes"}},
      {"near_family", {SetFamily, "log", "NAME:LEVELS, 0 to 64 levels"}},
      {"near_levels", {SetNumber<&Location::near_levels, kMostLevels>, "log", "0 to 64"}},
      {"near_size", {SetSize<&Location::near_bytes, 0>, "log", "a size, like 8GiB"}},
  };
  return kParameters;
}

// That a parameter which is not ours is the bucket's. A name that is neither may be a secret gone astray, so it is
// not repeated.
Status CheckOfBucket(std::string_view name) {
  std::vector<std::string_view> known = s3::S3UrlParameters();
  if (std::find(known.begin(), known.end(), name) != known.end()) return {};
  for (const auto& [ours, parameter] : Parameters()) known.push_back(ours);
  std::sort(known.begin(), known.end());
  std::string names;
  for (const std::string_view each : known) names += (names.empty() ? "" : ", ") + std::string(each);
  return Status::Invalid("the location has an unknown parameter: use " + names);
}

Result<Location> ParseBucket(std::string_view url) {
  const size_t question = url.find('?');
  Location out;
  out.bucket = url.substr(0, question);
  std::string_view parameters = question == std::string_view::npos ? "" : url.substr(question + 1);
  std::map<std::string_view, const Parameter*> ours;
  char before = '?';
  while (!parameters.empty()) {
    const std::string_view pair = parameters.substr(0, parameters.find('&'));
    parameters.remove_prefix(std::min(parameters.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    const auto found = Parameters().find(pair.substr(0, equals));
    if (found == Parameters().end()) {
      TARN_TRY(CheckOfBucket(pair.substr(0, equals)));
      out.bucket += std::exchange(before, '&');
      out.bucket += pair;
      continue;
    }
    ours.insert({found->first, &found->second});
    const auto value = s3::PercentDecode(equals == std::string_view::npos ? "" : pair.substr(equals + 1), false);
    if (value && found->second.set(&out, *value)) continue;
    return Status::Invalid("the location has a bad " + std::string(found->first) + "=: use " +
                           std::string(found->second.values));
  }
  for (const auto& [name, parameter] : ours) {
    if (parameter->needs.empty() || ours.contains(parameter->needs)) continue;
    return Status::Invalid("the location has " + std::string(name) + "= without " + std::string(parameter->needs) +
                           "=: name both, or neither");
  }
  return out;
}

// A path that cannot be a cache is the user's to correct. A disk that fails is not: the store is opened without.
Result<std::shared_ptr<Backend>> AddCache(std::shared_ptr<Backend> bucket, const Location& location,
                                          const LocationOptions& opened) {
  cached::CacheOptions options;
  options.limit_bytes = location.cache_bytes;
  options.reserve_bytes = location.cache_reserve_bytes;
  options.warm = opened.warm;
  options.holder = opened.holder;
  Result<std::shared_ptr<Backend>> disk = local::OpenLocal(location.cache, {});
  const Code code = disk.status().code();
  if (code == Code::kInvalid || code == Code::kNotFound) return disk.status().Annotate("cache=");
  auto cached = cached::OpenCached(std::move(bucket), std::move(disk), options);
  if (!cached.ok()) return cached.status().Annotate("cache=");
  return cached;
}

Result<std::shared_ptr<Backend>> AddLog(std::shared_ptr<Backend> bucket, const Location& location,
                                        const LocationOptions& opened) {
  auto disk = local::OpenLocal(
      location.log,
      {.create = !opened.read_only, .read_only = opened.read_only, .direct_reads = opened.direct_reads});
  if (!disk.ok()) return disk.status().Annotate("log=");
  auto tiered = tiered::OpenTiered(std::move(bucket), std::move(*disk),
                                   {.near_bytes = location.near_bytes, .read_only = opened.read_only});
  if (!tiered.ok()) return tiered.status().Annotate("log=");
  return tiered;
}

}  // namespace

Status ApplyLocation(const std::string& text, Settings* settings) {
  TARN_ASSIGN(const Location location, ParseLocation(text));
  if (location.near_levels.has_value()) settings->near_levels = *location.near_levels;
  if (location.near_changes.has_value()) settings->near_changes = *location.near_changes;
  for (const auto& [family, levels] : location.family_near_levels) settings->family_near_levels[family] = levels;
  settings->accept_lost_log |= location.accept_lost_log;
  return {};
}

Result<Location> ParseLocation(const std::string& text) {
  if (text.starts_with(kBucket)) return ParseBucket(text);
  Location location;
  location.directory = text;
  if (text.starts_with(kFile)) {
    location.directory = text.substr(kFile.size());
    if (location.directory.starts_with('/')) return location;
    return Status::Invalid("location " + text +
                           ": a file:// URL holds an absolute path: name a directory as file:///path");
  }
  const size_t colon = text.find("://");
  if (colon != std::string::npos && text.find('/') > colon) {
    return Status::Unsupported("location " + text + ": this build opens paths, file:// and s3:// URLs");
  }
  if (text.empty()) return Status::Invalid("location is empty; name a directory");
  return location;
}

namespace {

// All layers but that of a clone.
Result<std::shared_ptr<Backend>> OpenHere(const std::string& text, const LocationOptions& options,
                                          std::shared_ptr<Clock> clock, std::shared_ptr<Entropy> entropy) {
  TARN_ASSIGN(const Location location, ParseLocation(text));
  if (!location.directory.empty()) {
    return local::OpenLocal(location.directory, {.create = options.create && !options.read_only,
                                                 .read_only = options.read_only,
                                                 .direct_reads = options.direct_reads});
  }
  TARN_ASSIGN(s3::S3Options bucket, s3::ParseS3Url(location.bucket));
  bucket.read_only = options.read_only;
  TARN_ASSIGN(auto opened, s3::OpenS3Backend(bucket, std::move(clock), std::move(entropy)));
  std::shared_ptr<Backend> backend = options.on_bucket ? options.on_bucket(std::move(opened)) : std::move(opened);
  if (!options.bare && !location.cache.empty()) {
    TARN_ASSIGN(backend, AddCache(std::move(backend), location, options));
  }
  if (!options.bare && !location.log.empty()) {
    TARN_ASSIGN(backend, AddLog(std::move(backend), location, options));
  }
  return backend;
}

}  // namespace

Result<std::shared_ptr<Backend>> OpenLocation(const std::string& text, const LocationOptions& options,
                                              std::shared_ptr<Clock> clock, std::shared_ptr<Entropy> entropy) {
  TARN_ASSIGN(std::shared_ptr<Backend> here, OpenHere(text, options, clock, entropy));
  if (options.bare) return here;
  return overlay::OpenClone(std::move(here), [&](const std::string& url) {
    LocationOptions of_base = options;
    of_base.create = false;
    of_base.read_only = true;
    return OpenHere(url, of_base, clock, entropy);  // a repository is no clone
  });
}

}  // namespace tarn::location
