#include "tests/sim/s3_storage.h"

#include <string>
#include <utility>
#include <vector>

#include "backends/s3/s3_internal.h"
#include "base/assert.h"
#include "base/hash.h"
#include "tests/s3/mem_s3.h"
#include "tests/sim/rot.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

using s3::HttpExchange;
using s3::HttpFailure;
using s3::HttpRequest;
using s3::HttpResponse;

constexpr uint64_t kMillion = 1'000'000;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kOutageOneIn = 8, kLongestOutage = 40, kLatest = 60;
constexpr uint64_t kSlowest = 20'000'000;              // of an answer that is heard; slow enough to be hedged
constexpr uint64_t kUnheard = 3600 * kSecond;          // behind every deadline
constexpr uint64_t kOperationDeadline = 10 * kSecond;  // some ten attempts

HttpResponse Broken() {
  HttpResponse response;
  response.failure = HttpFailure::kBroken;
  response.why = "the connection was closed";
  return response;
}

bool Changes(const HttpRequest& request) { return request.method != "GET" && request.method != "HEAD"; }

class S3Storage final : public SimStorage {
 public:
  explicit S3Storage(uint64_t seed)
      : chance_(seed),
        fault_chance_(seed),
        clock_(std::make_shared<VirtualClock>()),
        server_(std::make_shared<MemS3>(clock_)) {
    server_->SetPlan([this](const HttpRequest& request, uint64_t) { return PlanFor(request); });
  }

  std::shared_ptr<Backend> Mount() override;
  void Crash(uint64_t seed, CrashMode mode) override;
  void CrashAfter(uint64_t effects) override { effects_left_ = effects; }
  bool stopped() const override { return stopped_; }
  void SetFaults(uint64_t seed, const FaultRates& rates) override {
    fault_chance_ = SeededRandom(seed);
    rates_ = rates;
    outage_ = 0;
  }
  std::optional<Damage> Rot(uint64_t seed) override;
  const std::map<std::string, uint64_t>& faults() const override {
    if (server_->late_done() > 0) faults_["late PUT landed"] = server_->late_done();
    return faults_;
  }
  uint64_t digest() const override { return digest_; }

 private:
  class Wire;
  class WireQueue;

  bool Passes(const HttpRequest& request);
  Plan PlanFor(const HttpRequest& request);
  Plan Misfortune(const HttpRequest& request);
  Plan Throttled();
  Plan Late(HttpResponse answer);
  bool Draw(uint32_t rate) { return rate != 0 && fault_chance_.Below(kMillion) < rate; }

  SeededRandom chance_;        // of processes and crashes
  SeededRandom fault_chance_;  // of faults
  FaultRates rates_;
  const std::shared_ptr<VirtualClock> clock_;
  const std::shared_ptr<MemS3> server_;
  std::weak_ptr<Backend> mounted_;
  std::shared_ptr<Wire> wire_;  // of the process that has it mounted
  std::optional<Plan> last_;    // of the request at which the process stops
  uint64_t outage_ = 0;         // requests that it still lasts
  uint64_t effects_left_ = 0;
  bool stopped_ = false, undisturbed_ = false;
  mutable std::map<std::string, uint64_t> faults_;
  uint64_t digest_ = 0;
};

// What a process has to the server, until it dies.
class S3Storage::Wire final : public s3::HttpTransport {
 public:
  explicit Wire(S3Storage* storage) : storage_(storage), server_(storage->server_), clock_(storage->clock_) {}
  std::unique_ptr<s3::HttpQueue> NewQueue() override;
  void Cut() { storage_ = nullptr; }
  bool Passes(const HttpRequest& request) { return storage_ != nullptr && storage_->Passes(request); }
  uint64_t now() const { return clock_->MonotonicNanos(); }

 private:
  S3Storage* storage_;  // null: this process is dead
  const std::shared_ptr<MemS3> server_;
  const std::shared_ptr<VirtualClock> clock_;
};

class S3Storage::WireQueue final : public s3::HttpQueue {
 public:
  WireQueue(Wire* wire, std::unique_ptr<s3::HttpQueue> server) : wire_(wire), server_(std::move(server)) {}
  void Start(std::shared_ptr<HttpExchange> exchange) override {
    if (wire_->Passes(exchange->request)) return server_->Start(std::move(exchange));
    exchange->response = Broken();
    exchange->ended_nanos = wire_->now();
    ended_.push_back(std::move(exchange));
  }
  void Cancel(const std::shared_ptr<HttpExchange>& exchange) override {
    std::erase(ended_, exchange);
    server_->Cancel(exchange);
  }
  std::vector<std::shared_ptr<HttpExchange>> Wait(uint64_t until_nanos) override {
    return ended_.empty() ? server_->Wait(until_nanos) : std::exchange(ended_, {});
  }

 private:
  Wire* const wire_;
  const std::unique_ptr<s3::HttpQueue> server_;
  std::vector<std::shared_ptr<HttpExchange>> ended_;
};

std::unique_ptr<s3::HttpQueue> S3Storage::Wire::NewQueue() {
  return std::make_unique<WireQueue>(this, server_->NewQueue());
}

std::shared_ptr<Backend> S3Storage::Mount() {
  if (std::shared_ptr<Backend> mounted = mounted_.lock()) return mounted;
  wire_ = std::make_shared<Wire>(this);
  s3::S3Options options;
  options.bucket = "bucket";
  options.prefix = "p";
  options.endpoint = "http://mem";
  options.deadline_nanos = kOperationDeadline;
  s3::Surroundings around;
  around.env = [](const std::string& name) -> std::optional<std::string> {
    return name == "AWS_ACCESS_KEY_ID" || name == "AWS_SECRET_ACCESS_KEY" ? std::optional<std::string>("simulated")
                                                                          : std::nullopt;
  };
  around.read_file = [](const std::string&) -> Result<std::string> { return Status::NotFound("no files here"); };
  undisturbed_ = true;
  const auto opened =
      s3::OpenS3With(options, {clock_, std::make_shared<SeededEntropy>(chance_.Next()), wire_, std::move(around)});
  undisturbed_ = false;
  CHECK(opened.ok());
  mounted_ = *opened;
  return *opened;
}

void S3Storage::Crash(uint64_t, CrashMode) {
  if (wire_ != nullptr) wire_->Cut();
  mounted_.reset();
  stopped_ = false;
  effects_left_ = 0;
  outage_ = 0;
}

// False: the process has stopped, and its requests go nowhere.
bool S3Storage::Passes(const HttpRequest& request) {
  if (stopped_) return false;
  if (undisturbed_ || effects_left_ == 0 || !Changes(request) || --effects_left_ > 0) return true;
  stopped_ = true;
  if (chance_.OneIn(3)) return false;
  last_.emplace();
  last_->what = chance_.OneIn(2) ? Plan::What::kLoseAnswer : Plan::What::kLate;
  last_->answer = Broken();
  last_->later = static_cast<int>(1 + chance_.Below(kLatest));
  return true;
}

Plan S3Storage::PlanFor(const HttpRequest& request) {
  const Plan plan = last_.has_value() ? *std::exchange(last_, std::nullopt)
                    : undisturbed_    ? Plan()
                                      : Misfortune(request);
  const std::string told = request.method + request.url + std::to_string(static_cast<int>(plan.what)) +
                           std::to_string(request.body == nullptr ? 0 : request.body->size());
  digest_ = (digest_ ^ Hash64(told)) * 0x9e3779b97f4a7c15ull;
  return plan;
}

Plan S3Storage::Misfortune(const HttpRequest& request) {
  if (outage_ > 0) {
    --outage_;
    ++faults_["throttled"];
    return Throttled();
  }
  if (Draw(rates_.throttle)) {
    ++faults_["throttled"];
    if (fault_chance_.OneIn(kOutageOneIn)) {
      ++faults_["outage"];
      outage_ = 1 + fault_chance_.Below(kLongestOutage);
    }
    return Throttled();
  }
  const bool put = request.method == "PUT";
  if ((put || request.method == "DELETE") && Draw(rates_.late)) {
    ++faults_["late PUT"];
    return Late(fault_chance_.OneIn(2) ? Broken() : ErrorAnswer(500, "InternalError"));
  }
  Plan plan;
  plan.delay_nanos = fault_chance_.Below(kSlowest);
  if (Changes(request) && Draw(rates_.lost_answer)) {
    ++faults_["lost answer"];
    if (fault_chance_.OneIn(2)) {
      plan.what = Plan::What::kLoseAnswer;
    } else {
      plan.delay_nanos = kUnheard;
    }
  } else if (put && Draw(rates_.duplicate)) {
    ++faults_["duplicate PUT"];
    plan.what = Plan::What::kTwice;
  }
  return plan;
}

Plan S3Storage::Throttled() {
  Plan plan;
  plan.what = Plan::What::kRefuse;
  s3::HttpHeaders headers;
  if (fault_chance_.OneIn(4)) headers.emplace_back("retry-after", "1");
  plan.answer = ErrorAnswer(503, "SlowDown", "", std::move(headers));
  return plan;
}

Plan S3Storage::Late(HttpResponse answer) {
  Plan plan;
  plan.what = Plan::What::kLate;
  plan.answer = std::move(answer);
  plan.later = static_cast<int>(1 + fault_chance_.Below(kLatest));
  return plan;
}

std::optional<Damage> S3Storage::Rot(uint64_t seed) {
  const std::string prefix = "p/";
  std::vector<std::string> names;
  for (const std::string& key : server_->Keys()) {
    if (!key.starts_with(prefix + "TARN-S3/") && !server_->Contents(key).empty()) {
      names.push_back(key.substr(prefix.size()));
    }
  }
  const auto key = [prefix](const std::string& name) { return prefix + name; };
  RotAccess access{
      .read = [server = server_, key](const std::string& name) { return server->Contents(key(name)); },
      .write = [server = server_, key](const std::string& name,
                                       std::string bytes) { server->Corrupt(key(name), std::move(bytes)); }};
  std::optional<Damage> damage = MakeRot(seed, names, access);
  if (!damage.has_value() || damage->what != "truncated") return damage;
  damage->mend();
  return std::nullopt;
}

}  // namespace

std::unique_ptr<SimStorage> MakeS3Storage(uint64_t seed) { return std::make_unique<S3Storage>(seed); }

}  // namespace tarn::test
