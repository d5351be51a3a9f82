// Who we are to S3. For calls.cc (Get), s3_backend.cc (which source) and tests.
//
// The chain, first match wins: references in our settings; $AWS_ACCESS_KEY_ID and its kin; the shared credentials and
// config files with profiles; a container's endpoint (ECS, EKS); the machine's (EC2, IMDSv2 only; metadata.h).
// A reference is `env:NAME` or `file:PATH`. A literal is refused: settings are stored, listed and logged.
//
// A secret is a type of its own: it cannot be printed or concatenated, and is wiped when it goes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "tarn/sdk/effects.h"
#include "tarn/status.h"

namespace tarn::s3 {

class HttpTransport;
struct S3Options;

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret&) = default;
  ~Secret();
  const std::string& Reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  std::string value_;
};

struct Credentials {
  std::string access_key;  // an identifier, no secret
  Secret secret_key;
  Secret session_token;  // empty: none
  uint64_t expires = 0;  // in seconds since 1970; 0: never
  std::string from;      // for errors: "the environment (AWS_ACCESS_KEY_ID)"
};

// `text` with every secret of `credentials` replaced by "***": for words that come from a server.
std::string WithoutSecrets(std::string text, const Credentials& credentials);

// The process around us; a test brings its own.
struct Surroundings {
  std::function<std::optional<std::string>(const std::string& name)> env;
  std::function<Result<std::string>(const std::string& path)> read_file;  // NotFound; at most 1 MiB
};
Surroundings ProcessSurroundings();

// Threads: any.
class CredentialSource {
 public:
  virtual ~CredentialSource() = default;
  // From memory, unless they expire soon: then fetched first. While a fetch fails, old ones that are still good
  // serve.
  virtual Result<Credentials> Get() = 0;
  // The server says that these have expired. True when the next Get may bring others.
  virtual bool Refuse(const Credentials& credentials) = 0;
};

// `transport` and `clock`: for the two endpoints. Invalid when there are none, or a reference leads nowhere.
Result<std::shared_ptr<CredentialSource>> FindCredentials(const S3Options& options, const Surroundings& around,
                                                          std::shared_ptr<HttpTransport> transport,
                                                          std::shared_ptr<Clock> clock);

// `env:NAME` or `file:PATH` (last line break cut). Invalid, naming `setting` and never its value.
Result<Secret> Dereference(std::string_view setting, const std::string& reference, const Surroundings& around);

// One setting of the profile in the shared files (`credentials` wins over `config`), or nothing.
std::optional<std::string> ProfileSetting(const std::string& profile, std::string_view name,
                                          const Surroundings& around);
// $AWS_PROFILE, or "default".
std::string ProfileName(const S3Options& options, const Surroundings& around);

}  // namespace tarn::s3
