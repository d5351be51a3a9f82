#include "backends/s3/credentials.h"

#include <cstdlib>
#include <fstream>
#include <mutex>
#include <utility>
#include <vector>

#include "backends/s3/metadata.h"
#include "backends/s3/s3.h"
#include "backends/s3/transport.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kRefreshAheadSeconds = 300;
constexpr size_t kMaxFileBytes = 1 << 20;

using Fetch = std::function<Result<Credentials>()>;

class CachedSource final : public CredentialSource {
 public:
  CachedSource(Credentials first, bool renewable, Fetch fetch, std::shared_ptr<Clock> clock)
      : renewable_(renewable), fetch_(std::move(fetch)), clock_(std::move(clock)), cached_(std::move(first)) {}

  Result<Credentials> Get() override {
    const uint64_t now = clock_->WallNanos() / 1'000'000'000;
    Credentials old;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!refused_ && (cached_.expires == 0 || now + kRefreshAheadSeconds < cached_.expires)) return cached_;
      old = cached_;
    }
    const bool old_serves = !IsRefused() && now < old.expires;
    std::unique_lock<std::mutex> fetching(fetch_mutex_, std::defer_lock);
    if (old_serves && !fetching.try_lock()) return old;  // somebody else fetches
    if (!old_serves) {
      fetching.lock();
      const std::lock_guard<std::mutex> lock(mutex_);
      const bool renewed = cached_.secret_key.Reveal() != old.secret_key.Reveal();
      if (!refused_ && renewed) return cached_;
    }
    Result<Credentials> fetched = fetch_();
    if (!fetched.ok()) return old_serves ? Result<Credentials>(old) : fetched;
    const std::lock_guard<std::mutex> lock(mutex_);
    cached_ = *fetched;
    refused_ = false;
    return fetched;
  }

  bool Refuse(const Credentials& credentials) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Others may have been fetched since these were used.
    const bool current = cached_.secret_key.Reveal() == credentials.secret_key.Reveal() &&
                         cached_.session_token.Reveal() == credentials.session_token.Reveal();
    if (renewable_ && current) refused_ = true;
    return renewable_;
  }

 private:
  bool IsRefused() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return refused_;
  }

  const bool renewable_;
  const Fetch fetch_;
  const std::shared_ptr<Clock> clock_;
  std::mutex fetch_mutex_;  // held by the one who fetches; taken before mutex_
  std::mutex mutex_;        // guards cached_ and refused_
  Credentials cached_;
  bool refused_ = false;
};

std::string HomeFile(const Surroundings& around, const char* variable, const char* name) {
  if (const auto path = around.env(variable)) return *path;
  const auto home = around.env("HOME");
  return home ? *home + "/.aws/" + name : "";
}

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// One setting of a section in an INI file of AWS; nested settings (indented lines) belong to others.
std::optional<std::string> IniSetting(std::string_view text, std::string_view section, std::string_view name) {
  bool inside = false;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view raw = text.substr(0, end), line = Trim(raw);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty() || line[0] == '#' || line[0] == ';' || raw[0] == ' ' || raw[0] == '\t') continue;
    if (line[0] == '[') {
      inside = Trim(line.substr(1, line.find(']') - 1)) == section;
      continue;
    }
    const size_t equals = line.find('=');
    if (!inside || equals == std::string_view::npos || Trim(line.substr(0, equals)) != name) continue;
    return std::string(Trim(line.substr(equals + 1)));
  }
  return std::nullopt;
}

// --- the links of the chain; each: nothing when it is not there ----------------------------------------------

Result<Credentials> FromReferences(const S3Options& options, const Surroundings& around) {
  if (options.access_key.empty() || options.secret_key.empty()) {
    return Status::Invalid("access_key and secret_key come together: set both to env:NAME or file:PATH");
  }
  Credentials out;
  TARN_ASSIGN(const Secret access, Dereference("access_key", options.access_key, around));
  out.access_key = access.Reveal();
  TARN_ASSIGN(out.secret_key, Dereference("secret_key", options.secret_key, around));
  if (!options.session_token.empty()) {
    TARN_ASSIGN(out.session_token, Dereference("session_token", options.session_token, around));
  }
  out.from = "the settings access_key and secret_key";
  return out;
}

Result<Credentials> FromEnvironment(const Surroundings& around) {
  Credentials out;
  out.access_key = around.env("AWS_ACCESS_KEY_ID").value_or("");
  out.secret_key = Secret(around.env("AWS_SECRET_ACCESS_KEY").value_or(""));
  out.session_token = Secret(around.env("AWS_SESSION_TOKEN").value_or(""));
  out.from = "the environment ($AWS_ACCESS_KEY_ID)";
  if (out.secret_key.empty())
    return Status::Invalid("$AWS_ACCESS_KEY_ID is set, but $AWS_SECRET_ACCESS_KEY is not: set both");
  return out;
}

bool HasProfile(const std::string& profile, const Surroundings& around) {
  for (const char* name : {"aws_access_key_id", "role_arn", "credential_process", "sso_session", "sso_start_url"}) {
    if (ProfileSetting(profile, name, around)) return true;
  }
  return false;
}

Result<Credentials> FromProfile(const std::string& profile, const Surroundings& around) {
  Credentials out;
  out.access_key = ProfileSetting(profile, "aws_access_key_id", around).value_or("");
  out.secret_key = Secret(ProfileSetting(profile, "aws_secret_access_key", around).value_or(""));
  out.session_token = Secret(ProfileSetting(profile, "aws_session_token", around).value_or(""));
  out.from = "the profile " + profile;
  if (!out.access_key.empty() && !out.secret_key.empty()) return out;
  return Status::Invalid("the profile " + profile +
                         " has no aws_access_key_id and aws_secret_access_key: add them, choose another with "
                         "profile=, or for roles and SSO run `aws configure export-credentials --format env`");
}

Result<std::shared_ptr<CredentialSource>> NewSource(bool renewable, Fetch fetch, std::shared_ptr<Clock> clock) {
  TARN_ASSIGN(Credentials first, fetch());
  return std::shared_ptr<CredentialSource>(
      std::make_shared<CachedSource>(std::move(first), renewable, std::move(fetch), std::move(clock)));
}

}  // namespace

Secret::~Secret() {
  for (volatile char& c : value_) c = 0;
}

std::string WithoutSecrets(std::string text, const Credentials& credentials) {
  for (const Secret* secret : {&credentials.secret_key, &credentials.session_token}) {
    if (secret->empty()) continue;
    for (size_t at = 0; (at = text.find(secret->Reveal(), at)) != std::string::npos;) {
      text.replace(at, secret->Reveal().size(), "***");
    }
  }
  return text;
}

Surroundings ProcessSurroundings() {
  Surroundings around;
  around.env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
  };
  around.read_file = [](const std::string& path) -> Result<std::string> {
    std::ifstream in(path, std::ios::binary);
    std::string text(kMaxFileBytes, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (in.bad() || in.gcount() == 0)
      return Status::NotFound("cannot read " + path + ": check the path and permissions");
    text.resize(in.gcount());
    return text;
  };
  return around;
}

Result<Secret> Dereference(std::string_view setting, const std::string& reference, const Surroundings& around) {
  const std::string name(setting);
  if (reference.starts_with("env:")) {
    const std::string variable = reference.substr(4);
    if (const auto value = around.env(variable)) return Secret(*value);
    return Status::Invalid("the environment variable $" + variable + " that " + name +
                           " names is not set: export it");
  }
  if (reference.starts_with("file:")) {
    Result<std::string> text = around.read_file(reference.substr(5));
    if (!text.ok()) return Status::Invalid(name + ": " + std::string(text.status().message()));
    while (!text->empty() && (text->back() == '\n' || text->back() == '\r')) text->pop_back();
    return Secret(std::move(*text));
  }
  return Status::Invalid(name + " is a literal, and settings are stored and listed: use env:NAME or file:PATH");
}

std::string ProfileName(const S3Options& options, const Surroundings& around) {
  if (!options.profile.empty()) return options.profile;
  return around.env("AWS_PROFILE").value_or("default");
}

std::optional<std::string> ProfileSetting(const std::string& profile, std::string_view name,
                                          const Surroundings& around) {
  const auto credentials = around.read_file(HomeFile(around, "AWS_SHARED_CREDENTIALS_FILE", "credentials"));
  if (credentials.ok()) {
    if (auto found = IniSetting(*credentials, profile, name)) return found;
  }
  const auto config = around.read_file(HomeFile(around, "AWS_CONFIG_FILE", "config"));
  if (!config.ok()) return std::nullopt;
  return IniSetting(*config, profile == "default" ? profile : "profile " + profile, name);
}

Result<std::shared_ptr<CredentialSource>> FindCredentials(const S3Options& options, const Surroundings& around,
                                                          std::shared_ptr<HttpTransport> transport,
                                                          std::shared_ptr<Clock> clock) {
  if (!options.access_key.empty() || !options.secret_key.empty() || !options.session_token.empty()) {
    return NewSource(
        true, [options, around] { return FromReferences(options, around); }, clock);
  }
  const std::string profile = ProfileName(options, around);
  // A profile that the settings name goes before the environment.
  if (options.profile.empty() && around.env("AWS_ACCESS_KEY_ID")) {
    return NewSource(
        false, [around] { return FromEnvironment(around); }, clock);
  }
  if (!options.profile.empty() || around.env("AWS_PROFILE") || HasProfile(profile, around)) {
    return NewSource(
        true, [profile, around] { return FromProfile(profile, around); }, clock);
  }
  if (HasContainerEndpoint(around)) {
    return NewSource(
        true, [=] { return FetchFromContainer(around, *transport, *clock); }, clock);
  }
  auto machine = NewSource(
      true, [=] { return FetchFromMachine(around, *transport, *clock); }, clock);
  if (machine.ok()) return machine;
  return Status::Invalid("no credentials for S3: set $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY, a profile in " +
                         HomeFile(around, "AWS_SHARED_CREDENTIALS_FILE", "credentials") +
                         ", or access_key= and secret_key= to env:NAME or file:PATH (the machine has none: " +
                         std::string(machine.status().message()) + ")");
}

}  // namespace tarn::s3
