// When a request is sent again, how fast, and when a second one is sent beside it. For calls.cc. No I/O, no threads.
//
// Backoff: exponential with full jitter, after "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015); never
// before the server's Retry-After.
// Rate: additive increase, multiplicative decrease (Chiu and Jain, 1989) on requests a second. There is no limit
// until the first throttle. It halves at most once in half a second, grows by a tenth of the rate at the last
// throttle each second, and goes away at twice that rate. Hedge: after "The Tail at Scale" (Dean and Barroso, 2013):
// a second GET once the first is slower than 95 % of the last ones of its size; at most one for 20 GETs.
//
// Threads: RateLimit and Hedger any; the functions are pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "backends/s3/answers.h"
#include "backends/s3/transport.h"

namespace tarn::s3 {

struct RetryPolicy {
  uint64_t total_nanos = 60'000'000'000;    // of a call, with all its attempts
  uint64_t attempt_nanos = 10'000'000'000;  // of one attempt ...
  uint64_t bytes_a_second = 1 << 20;        // ... plus its bytes at this slow pace
  uint64_t first_backoff_nanos = 50'000'000;
  uint64_t most_backoff_nanos = 5'000'000'000;
};

enum class Verdict : uint8_t {
  kDone,      // 2xx
  kFailed,    // sending it again would end the same
  kAgain,     // after a backoff
  kThrottle,  // after a backoff, and slower from now on
  kSkewed,    // at once, with the server's clock
  kExpired,   // at once, with new credentials
};
// What an answer means. `error` is that of the response when its status is not 2xx.
Verdict Judge(const HttpResponse& response, const S3Error& error);

// Whether the server may have carried out what was answered (or not) so. 5xx says nothing: servers and proxies answer
// it to requests that take effect, some only later.
bool MayHaveHappened(const HttpResponse& response);

// Before attempt `failed` + 1, after `failed` failures (at least 1); `random` is uniform over 64 bits.
uint64_t Backoff(const RetryPolicy& policy, int failed, uint64_t random);
// The answer's Retry-After in seconds, as nanoseconds; at most half a minute; 0 without one.
uint64_t RetryAfter(const HttpResponse& response);

class RateLimit {
 public:
  // When the next request may start: now, or later. It counts as started then.
  uint64_t Reserve(uint64_t now);
  void Throttled(uint64_t now);
  bool limited() const;

 private:
  void Grow(uint64_t now);

  mutable std::mutex mutex_;  // guards all below
  double rate_ = 0;           // requests a second; 0: no limit
  double rate_at_throttle_ = 0;
  uint64_t last_throttle_ = 0, last_growth_ = 0, next_slot_ = 0;
  uint64_t window_start_ = 0, window_count_ = 0;  // what is sent, measured over a second
  double measured_ = 0;
};

class Hedger {
 public:
  // How long to wait for a GET of so many bytes before a second one; 0: not known yet.
  uint64_t DelayNanos(uint64_t bytes) const;
  // Takes one hedge from the budget.
  bool TryHedge();
  // A first GET of a call was sent, and one took so long.
  void Sent();
  void Took(uint64_t bytes, uint64_t nanos);

 private:
  static constexpr size_t kClasses = 4;  // sizes that behave alike: to 64 KiB, 1 MiB, 8 MiB, above
  struct Class {
    std::vector<uint64_t> recent;  // a ring
    size_t next = 0;
    uint64_t p95 = 0;
  };
  static size_t ClassOf(uint64_t bytes);

  mutable std::mutex mutex_;  // guards all below
  std::array<Class, kClasses> classes_;
  double budget_ = 0;
};

}  // namespace tarn::s3
