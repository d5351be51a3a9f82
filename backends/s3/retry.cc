#include "backends/s3/retry.h"

#include <algorithm>
#include <string_view>

#include "backends/s3/encoding.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kMaxRetryAfterSeconds = 30;  // more would outlast most deadlines without an attempt

// Requests a second. A server that refuses fewer than these is not overloaded by us; retries with backoff do there.
constexpr double kSlowest = 20;
constexpr double kDecrease = 0.7;
constexpr uint64_t kBetweenDecreases = kSecond / 2;  // a burst of refusals is one event
constexpr double kIncrease = 0.1;                    // of the rate at the throttle, a second

constexpr size_t kSamples = 128;      // of latencies, for a size
constexpr size_t kFirstSamples = 32;  // before which a 95th percentile means nothing
constexpr double kHedgeShare = 0.05;
constexpr double kHedgeBurst = 10;

template <size_t N>
bool Among(std::string_view code, const std::string_view (&codes)[N]) {
  return std::find(std::begin(codes), std::end(codes), code) != std::end(codes);
}

}  // namespace

Verdict Judge(const HttpResponse& response, const S3Error& error) {
  static constexpr std::string_view kThrottling[] = {"SlowDown", "TooManyRequests", "Throttling",
                                                     "ThrottlingException", "RequestLimitExceeded"};
  static constexpr std::string_view kExpiring[] = {"ExpiredToken", "TokenRefreshRequired"};
  // Of 4xx: what the next attempt may mend. The 409s are conditional writes that met each other.
  static constexpr std::string_view kPassing[] = {
      "RequestTimeout",        "BadDigest",        "XAmzContentSHA256Mismatch",
      "IncompleteBody",        "OperationAborted", "ConditionalRequestConflict",
      "ConcurrentModification"};
  if (response.failure == HttpFailure::kTls || response.failure == HttpFailure::kTooLong) return Verdict::kFailed;
  if (response.failure != HttpFailure::kNone) return Verdict::kAgain;
  const int status = response.status;
  if (status >= 200 && status < 300) return Verdict::kDone;
  if (error.code == "RequestTimeTooSkewed") return Verdict::kSkewed;
  // The answer to a HEAD names no code, so any refusal may be this one.
  const bool unnamed_refusal = error.code.empty() && (status == 400 || status == 401 || status == 403);
  if (unnamed_refusal || Among(error.code, kExpiring)) return Verdict::kExpired;
  if (status == 503 || status == 429 || Among(error.code, kThrottling)) return Verdict::kThrottle;
  if (status == 408 || Among(error.code, kPassing)) return Verdict::kAgain;
  if (status == 501 || status == 505 || status == 507 || status < 500) return Verdict::kFailed;
  return Verdict::kAgain;
}

bool MayHaveHappened(const HttpResponse& response) {
  switch (response.failure) {
    case HttpFailure::kConnect:
    case HttpFailure::kTls: return false;
    case HttpFailure::kNone: return response.status < 400 || response.status >= 500 || response.status == 409;
    default: return true;
  }
}

uint64_t Backoff(const RetryPolicy& policy, int failed, uint64_t random) {
  uint64_t most = policy.first_backoff_nanos;
  for (int i = 1; i < failed && most < policy.most_backoff_nanos; ++i) most *= 2;
  return random % (std::min(most, policy.most_backoff_nanos) + 1);
}

uint64_t RetryAfter(const HttpResponse& response) {
  const auto seconds = ParseNumber(FindHeader(response.headers, "retry-after"));
  return seconds ? std::min(*seconds, kMaxRetryAfterSeconds) * kSecond : 0;
}

// --- RateLimit ---------------------------------------------------------------------------------------------

uint64_t RateLimit::Reserve(uint64_t now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (now - window_start_ >= kSecond) {
    measured_ = static_cast<double>(window_count_) * kSecond / static_cast<double>(now - window_start_);
    window_start_ = now;
    window_count_ = 0;
  }
  ++window_count_;
  Grow(now);
  if (rate_ == 0) return now;
  const uint64_t slot = std::max(now, next_slot_);
  next_slot_ = slot + static_cast<uint64_t>(kSecond / rate_);
  return slot;
}

void RateLimit::Throttled(uint64_t now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (rate_ != 0 && now - last_throttle_ < kBetweenDecreases) return;
  // What was sent in this second counts, too: a burst after silence has no second before it.
  const double sent = rate_ != 0 ? rate_ : std::max(measured_, static_cast<double>(window_count_));
  rate_ = std::max(kSlowest, sent * kDecrease);
  rate_at_throttle_ = std::max(kSlowest, sent);
  last_throttle_ = last_growth_ = now;
}

void RateLimit::Grow(uint64_t now) {
  if (rate_ == 0) return;
  rate_ += kIncrease * rate_at_throttle_ * static_cast<double>(now - last_growth_) / kSecond;
  last_growth_ = now;
  if (rate_ >= 2 * rate_at_throttle_) rate_ = 0;
}

bool RateLimit::limited() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return rate_ != 0;
}

// --- Hedger ------------------------------------------------------------------------------------------------

size_t Hedger::ClassOf(uint64_t bytes) {
  if (bytes <= 64 << 10) return 0;
  if (bytes <= 1 << 20) return 1;
  return bytes <= 8 << 20 ? 2 : 3;
}

uint64_t Hedger::DelayNanos(uint64_t bytes) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return classes_[ClassOf(bytes)].p95;
}

bool Hedger::TryHedge() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (budget_ < 1) return false;
  budget_ -= 1;
  return true;
}

void Hedger::Sent() {
  const std::lock_guard<std::mutex> lock(mutex_);
  budget_ = std::min(budget_ + kHedgeShare, kHedgeBurst);
}

void Hedger::Took(uint64_t bytes, uint64_t nanos) {
  const std::lock_guard<std::mutex> lock(mutex_);
  Class& of = classes_[ClassOf(bytes)];
  if (of.recent.size() < kSamples) {
    of.recent.push_back(nanos);
  } else {
    of.recent[of.next] = nanos;
  }
  of.next = (of.next + 1) % kSamples;
  // Sorting 128 numbers for each read would show; for every eighth it does not.
  if (of.recent.size() < kFirstSamples || of.next % 8 != 0) return;
  std::vector<uint64_t> sorted = of.recent;
  const size_t rank = sorted.size() * 95 / 100;
  std::nth_element(sorted.begin(), sorted.begin() + rank, sorted.end());
  of.p95 = std::max<uint64_t>(sorted[rank], 1);
}

}  // namespace tarn::s3
