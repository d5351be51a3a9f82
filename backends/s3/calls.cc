#include "backends/s3/calls.h"

#include <algorithm>
#include <utility>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kErrorBytes = 64 << 10;  // an <Error> beside, or in place of, what was asked for

std::string_view MethodOf(Verb verb) {
  switch (verb) {
    case Verb::kGet:
    case Verb::kList: return "GET";
    case Verb::kHead: return "HEAD";
    case Verb::kPut:
    case Verb::kCopy:
    case Verb::kUploadPart: return "PUT";
    case Verb::kDelete:
    case Verb::kAbortUpload: return "DELETE";
    default: return "POST";
  }
}

bool IsSuccess(const HttpResponse& response) {
  return response.failure == HttpFailure::kNone && response.status >= 200 && response.status < 300;
}

}  // namespace

std::string_view VerbName(Verb verb) {
  static constexpr std::array<std::string_view, kVerbs> kNames = {
      "GET",         "HEAD", "PUT",           "LIST",        "DELETE",
      "DELETE-MANY", "COPY", "CREATE-UPLOAD", "UPLOAD-PART", "COMPLETE-UPLOAD",
      "ABORT-UPLOAD"};
  return kNames[static_cast<size_t>(verb)];
}

uint64_t Caller::Random() {
  char bytes[8];
  entropy->Fill(bytes);
  uint64_t out = 0;
  for (const char c : bytes) out = out << 8 | static_cast<unsigned char>(c);
  return out;
}

Place Caller::PlaceOf(const std::string& key, const std::string& credentials_from) const {
  constexpr size_t kShown = 300;  // of a key, in a line for people
  const std::string shown = key.size() <= kShown ? key : key.substr(0, kShown) + "...";
  return {"s3://" + endpoint.bucket + (key.empty() ? "" : "/" + shown), endpoint.scheme + "://" + endpoint.host,
          endpoint.bucket, endpoint.region, credentials_from};
}

// A call on its way. `start_at` != 0: it waits until then for its next attempt; else an exchange is under way.
struct CallQueue::Flight {
  Call* call = nullptr;
  uint64_t deadline = 0;
  uint64_t start_at = 0;
  bool has_slot = false;  // the rate limit let the waiting attempt pass
  uint64_t sent_at = 0;
  uint64_t hedge_at = 0;  // 0: no second GET will be sent
  std::shared_ptr<HttpExchange> first, second;
  Credentials credentials;  // of the last attempt
  int failures = 0;
  bool knows_clock = false, renewed = false;  // what is tried once
  bool may_have_happened = false;
  HttpResponse last;  // the last failure
  bool done = false;  // it is in finished_, and swept away soon
};

CallQueue::CallQueue(Caller* caller) : caller_(caller), http_(caller->transport->NewQueue()) {}
CallQueue::~CallQueue() = default;

void CallQueue::Start(Call* call) {
  const uint64_t now = caller_->clock->MonotonicNanos();
  auto flight = std::make_unique<Flight>();
  flight->call = call;
  flight->deadline = now + std::min(caller_->policy.total_nanos, call->most_nanos);
  flight->start_at = now;
  flight->last.failure = HttpFailure::kDeadline;
  flight->last.why = "the server throttles, and it was not our turn in time";
  flights_.push_back(std::move(flight));
  Launch(flights_.back().get(), now);
}

std::vector<Call*> CallQueue::Wait() {
  Sweep();
  while (finished_.empty() && !flights_.empty()) {
    Collect(0);  // first: for what has arrived meanwhile no timer is due
    LaunchDue(caller_->clock->MonotonicNanos());
    if (finished_.empty()) Collect(NextTimer());
    Sweep();
  }
  return std::exchange(finished_, {});
}

void CallQueue::Collect(uint64_t until_nanos) {
  for (const auto& exchange : http_->Wait(until_nanos)) Arrived(exchange, caller_->clock->MonotonicNanos());
}

void CallQueue::LaunchDue(uint64_t now) {
  for (const auto& flight : flights_) {
    if (flight->done) continue;
    if (flight->start_at != 0 && flight->start_at <= now) Launch(flight.get(), now);
    if (flight->hedge_at != 0 && flight->hedge_at <= now) MaybeHedge(flight.get(), now);
  }
}

uint64_t CallQueue::NextTimer() const {
  uint64_t next = UINT64_MAX;
  for (const auto& flight : flights_) {
    if (flight->start_at != 0) next = std::min(next, flight->start_at);
    if (flight->hedge_at != 0) next = std::min(next, flight->hedge_at);
  }
  return next;
}

void CallQueue::Launch(Flight* flight, uint64_t now) {
  if (!flight->has_slot) {
    flight->start_at = caller_->rate.Reserve(now);
    flight->has_slot = true;
  }
  if (flight->start_at >= flight->deadline) {
    return Finish(flight, flight->last, Status::Ok());  // worded there
  }
  if (flight->start_at > now) return;
  Result<Credentials> credentials = caller_->credentials->Get();
  if (!credentials.ok()) return Finish(flight, {}, credentials.status());
  flight->credentials = std::move(*credentials);
  flight->start_at = 0;
  flight->has_slot = false;
  flight->sent_at = now;
  if (flight->failures > 0) ++caller_->retries;
  flight->first = Send(flight, now);
  if (!flight->call->hedge || !caller_->hedge) return;
  caller_->hedger.Sent();
  const uint64_t delay = caller_->hedger.DelayNanos(flight->call->answer_bytes);
  flight->hedge_at = delay == 0 ? 0 : now + delay;
}

void CallQueue::MaybeHedge(Flight* flight, uint64_t now) {
  flight->hedge_at = 0;
  // A server that throttles is not helped by a second request.
  if (caller_->rate.limited() || !caller_->hedger.TryHedge()) return;
  ++caller_->hedges;
  flight->second = Send(flight, now);
}

std::shared_ptr<HttpExchange> CallQueue::Send(Flight* flight, uint64_t now) {
  const Call& call = *flight->call;
  const Endpoint& endpoint = caller_->endpoint;
  auto exchange = std::make_shared<HttpExchange>();
  HttpRequest& request = exchange->request;
  const std::string path = endpoint.path_prefix + PercentEncode(call.key, false);
  const std::string query = CanonicalQuery(call.query);
  request.method = MethodOf(call.verb);
  request.url = endpoint.scheme + "://" + endpoint.host + path + (query.empty() ? "" : "?" + query);
  request.headers = call.headers;
  request.body = call.body;
  request.max_answer_bytes = call.answer_bytes + kErrorBytes;
  const uint64_t bytes = call.answer_bytes + (call.body ? call.body->size() : 0);
  const double pace = static_cast<double>(caller_->policy.bytes_a_second) / 1e9;
  const uint64_t attempt = caller_->policy.attempt_nanos + static_cast<uint64_t>(static_cast<double>(bytes) / pace);
  request.deadline_nanos = std::min(now + attempt, flight->deadline);
  const uint64_t unix_seconds = caller_->clock->WallNanos() / 1'000'000'000 + caller_->clock_offset_seconds;
  caller_->signer->Sign(flight->credentials, unix_seconds, request.method, endpoint.host, path, query,
                        call.body ? std::string_view(*call.body) : std::string_view(), &request.headers);
  exchange->context = flight;
  ++caller_->requests[static_cast<size_t>(call.verb)];
  caller_->bytes_sent += call.body ? call.body->size() : 0;
  http_->Start(exchange);
  return exchange;
}

void CallQueue::Arrived(const std::shared_ptr<HttpExchange>& exchange, uint64_t now) {
  auto* flight = static_cast<Flight*>(exchange->context);
  if (flight->done || (exchange != flight->first && exchange != flight->second)) return;
  const bool is_hedge = exchange == flight->second;
  (is_hedge ? flight->second : flight->first) = nullptr;
  const std::shared_ptr<HttpExchange> other = is_hedge ? flight->first : flight->second;
  HttpResponse response = std::move(exchange->response);
  const Call& call = *flight->call;
  caller_->bytes_received += response.body.size();
  if (IsSuccess(response) && call.exact && response.body.size() != call.answer_bytes) {
    response.failure = HttpFailure::kBroken;
    response.why =
        std::to_string(response.body.size()) + " bytes came instead of " + std::to_string(call.answer_bytes);
  }
  const bool answered = response.failure == HttpFailure::kNone;
  const Verdict verdict = Judge(response, answered ? ParseError(response) : S3Error());
  flight->may_have_happened |= MayHaveHappened(response);
  if (verdict == Verdict::kThrottle) {
    ++caller_->throttles;
    caller_->rate.Throttled(now);
  }
  const bool final = verdict == Verdict::kDone || verdict == Verdict::kFailed;
  if (!final && other != nullptr) return;  // the other one is the retry
  if (!final && Retry(flight, response, verdict, now)) return;
  if (other != nullptr) http_->Cancel(other);
  if (verdict == Verdict::kDone && call.hedge) {
    caller_->hedger.Took(call.answer_bytes, exchange->ended_nanos - flight->sent_at);
    if (is_hedge) ++caller_->hedges_won;
  }
  Finish(flight, std::move(response), Status::Ok());
}

// Whether there will be another attempt.
bool CallQueue::Retry(Flight* flight, const HttpResponse& response, Verdict verdict, uint64_t now) {
  uint64_t delay = 0;
  ++flight->failures;
  if (verdict == Verdict::kSkewed) {
    const auto server = ParseDate(FindHeader(response.headers, "date"));
    if (flight->knows_clock || !server) return false;
    flight->knows_clock = true;
    caller_->clock_offset_seconds =
        static_cast<int64_t>(*server) - static_cast<int64_t>(caller_->clock->WallNanos() / 1'000'000'000);
  } else if (verdict == Verdict::kExpired) {
    if (flight->renewed || !caller_->credentials->Refuse(flight->credentials)) return false;
    flight->renewed = true;
  } else {
    delay = std::max(Backoff(caller_->policy, flight->failures, caller_->Random()), RetryAfter(response));
  }
  if (now + delay >= flight->deadline) return false;
  flight->last = response;
  flight->hedge_at = 0;
  flight->start_at = now + delay;
  return true;
}

// `status` is OK where the response says what happened.
void CallQueue::Finish(Flight* flight, HttpResponse response, Status status) {
  Call* call = flight->call;
  call->status = std::move(status);
  call->error = {};
  call->may_have_happened = flight->may_have_happened;
  if (call->status.ok() && !IsSuccess(response)) {
    const Place place = caller_->PlaceOf(call->key, flight->credentials.from);
    if (response.failure == HttpFailure::kNone) {
      call->error = ParseError(response);
      for (std::string* words : {&call->error.code, &call->error.message, &call->error.region}) {
        *words = WithoutSecrets(std::move(*words), flight->credentials);
      }
      call->status = ServerError(call->error, call->action, place);
    } else {
      call->status = TransportError(response, call->action, place);
    }
  }
  call->response = std::move(response);
  flight->done = true;
  finished_.push_back(call);
}

void CallQueue::Sweep() {
  std::erase_if(flights_, [](const std::unique_ptr<Flight>& flight) { return flight->done; });
}

void Run(Caller* caller, Call* call) {
  CallQueue queue(caller);
  queue.Start(call);
  while (queue.Wait().empty()) {
  }
}

}  // namespace tarn::s3
