// Requests to S3 with everything that goes wrong on the way: signed, retried, slowed down, hedged. For client.cc and
// reader.cc.
//
// A call is one question to S3 and comes back once, with a 2xx answer or the error that a person should read. Its
// owner's thread drives it: timers and retries advance inside Wait. So there is no thread here, and a simulator that
// owns clock, entropy and transport decides everything.
//
// Threads: Caller any, shared by all queues of a backend; a CallQueue one at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/s3/answers.h"
#include "backends/s3/credentials.h"
#include "backends/s3/errors.h"
#include "backends/s3/retry.h"
#include "backends/s3/s3.h"
#include "backends/s3/signer.h"
#include "backends/s3/transport.h"
#include "tarn/sdk/effects.h"
#include "tarn/status.h"

namespace tarn::s3 {

// Where the bucket is. An object's URL is scheme://host + path_prefix + encoded key.
struct Endpoint {
  std::string scheme, host;  // the host with its port, unless that is the scheme's own
  std::string path_prefix;   // "/" or "/bucket/"
  std::string bucket, region;
};

struct Call {
  // The question.
  Verb verb = Verb::kGet;
  std::string_view action;  // for errors: "read", "write", ...
  std::string key;          // empty: the bucket itself
  Query query;
  HttpHeaders headers;
  std::shared_ptr<const std::string> body;
  uint64_t answer_bytes = 0;  // at most; the attempt's deadline grows with it
  bool exact = false;         // a 2xx answer with another number of bytes was cut on its way
  bool hedge = false;
  uint64_t most_nanos = UINT64_MAX;  // for all attempts, where that is less than the policy's
  void* context = nullptr;           // the caller's, untouched

  // The answer, when it came back.
  Status status;  // OK: 2xx
  HttpResponse response;
  S3Error error;                   // when not 2xx
  bool may_have_happened = false;  // not OK, or OK only at a second attempt: an attempt may have taken effect
};

// What all calls of a backend share.
struct Caller {
  Endpoint endpoint;
  RetryPolicy policy;
  bool hedge = true;
  std::shared_ptr<HttpTransport> transport;
  std::shared_ptr<CredentialSource> credentials;
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Entropy> entropy;
  std::unique_ptr<Signer> signer;

  RateLimit rate;
  Hedger hedger;
  std::atomic<int64_t> clock_offset_seconds{0};  // of the server, learnt when it refuses ours
  std::array<std::atomic<uint64_t>, kVerbs> requests{};
  std::atomic<uint64_t> bytes_sent{0}, bytes_received{0}, retries{0}, throttles{0}, hedges{0}, hedges_won{0};

  uint64_t Random();
  Place PlaceOf(const std::string& key, const std::string& credentials_from) const;
};

class CallQueue {
 public:
  explicit CallQueue(Caller* caller);
  ~CallQueue();  // gives up what is in flight
  // `call` stays where it is until it comes back. Blocks only where credentials have to be fetched anew.
  void Start(Call* call);
  // At least one call while any is in flight; empty when none is.
  std::vector<Call*> Wait();
  size_t in_flight() const { return flights_.size(); }

 private:
  struct Flight;
  void LaunchDue(uint64_t now);
  void Launch(Flight* flight, uint64_t now);
  void MaybeHedge(Flight* flight, uint64_t now);
  std::shared_ptr<HttpExchange> Send(Flight* flight, uint64_t now);
  uint64_t NextTimer() const;
  void Collect(uint64_t until_nanos);
  void Arrived(const std::shared_ptr<HttpExchange>& exchange, uint64_t now);
  bool Retry(Flight* flight, const HttpResponse& response, Verdict verdict, uint64_t now);
  void Finish(Flight* flight, HttpResponse response, Status status);
  void Sweep();

  Caller* const caller_;
  std::unique_ptr<HttpQueue> http_;
  std::vector<std::unique_ptr<Flight>> flights_;
  std::vector<Call*> finished_;
};

// One call, alone.
void Run(Caller* caller, Call* call);

}  // namespace tarn::s3
