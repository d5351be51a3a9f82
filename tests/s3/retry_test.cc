// When a request is sent again, how fast, and when a second one is sent beside it.
#include "backends/s3/retry.h"

#include <gtest/gtest.h>

#include "tests/support/sim_effects.h"

namespace tarn::s3 {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

Verdict JudgeAnswer(int status, const std::string& code = "x") {
  HttpResponse response;
  response.status = status;
  S3Error error;
  error.http_status = status;
  error.code = code;
  return Judge(response, error);
}

Verdict JudgeFailure(HttpFailure failure) {
  HttpResponse response;
  response.failure = failure;
  return Judge(response, {});
}

TEST(JudgeTest, Answers) {
  for (const int status : {200, 204, 206}) EXPECT_EQ(JudgeAnswer(status), Verdict::kDone) << status;
  for (const int status : {301, 400, 403, 404, 409, 412, 416, 501, 505, 507}) {
    EXPECT_EQ(JudgeAnswer(status), Verdict::kFailed) << status;
  }
  for (const int status : {408, 500, 502, 504, 520}) EXPECT_EQ(JudgeAnswer(status), Verdict::kAgain) << status;
  for (const int status : {429, 503}) EXPECT_EQ(JudgeAnswer(status), Verdict::kThrottle) << status;
  EXPECT_EQ(JudgeAnswer(400, "RequestTimeout"), Verdict::kAgain);
  EXPECT_EQ(JudgeAnswer(400, "BadDigest"), Verdict::kAgain);
  EXPECT_EQ(JudgeAnswer(409, "ConditionalRequestConflict"), Verdict::kAgain);
  EXPECT_EQ(JudgeAnswer(409, "ConcurrentModification"), Verdict::kAgain);
  EXPECT_EQ(JudgeAnswer(400, "SlowDown"), Verdict::kThrottle);
  EXPECT_EQ(JudgeAnswer(403, "RequestTimeTooSkewed"), Verdict::kSkewed);
  EXPECT_EQ(JudgeAnswer(400, "ExpiredToken"), Verdict::kExpired);
  EXPECT_EQ(JudgeAnswer(403, ""), Verdict::kExpired) << "a HEAD that was refused names no code";
  EXPECT_EQ(JudgeAnswer(403, "AccessDenied"), Verdict::kFailed);
}

TEST(JudgeTest, Failures) {
  EXPECT_EQ(JudgeFailure(HttpFailure::kConnect), Verdict::kAgain);
  EXPECT_EQ(JudgeFailure(HttpFailure::kBroken), Verdict::kAgain);
  EXPECT_EQ(JudgeFailure(HttpFailure::kDeadline), Verdict::kAgain);
  EXPECT_EQ(JudgeFailure(HttpFailure::kTls), Verdict::kFailed);
  EXPECT_EQ(JudgeFailure(HttpFailure::kTooLong), Verdict::kFailed);
}

TEST(JudgeTest, WhatMayHaveHappened) {
  const auto answer = [](int status) {
    HttpResponse response;
    response.status = status;
    return MayHaveHappened(response);
  };
  for (const int status : {200, 409, 500, 503}) EXPECT_TRUE(answer(status)) << status;
  for (const int status : {403, 404, 412, 429}) EXPECT_FALSE(answer(status)) << status;
  HttpResponse response;
  response.failure = HttpFailure::kConnect;
  EXPECT_FALSE(MayHaveHappened(response));
  response.failure = HttpFailure::kBroken;
  EXPECT_TRUE(MayHaveHappened(response));
}

TEST(BackoffTest, GrowsIsBoundedAndHasFullJitter) {
  const RetryPolicy policy;
  EXPECT_EQ(Backoff(policy, 1, 0), 0u);
  for (int failed = 1; failed < 100; ++failed) {
    const uint64_t bound = failed > 7
                               ? policy.most_backoff_nanos
                               : std::min(policy.most_backoff_nanos, policy.first_backoff_nanos << (failed - 1));
    EXPECT_EQ(Backoff(policy, failed, bound), bound);
    EXPECT_EQ(Backoff(policy, failed, bound + 1), 0u) << failed;
  }
}

TEST(BackoffTest, RetryAfterIsObeyedWithinReason) {
  HttpResponse response;
  EXPECT_EQ(RetryAfter(response), 0u);
  for (const auto& [text, seconds] :
       {std::pair<const char*, uint64_t>{"3", 3}, {"0", 0}, {"86400", 30}, {"-1", 0}, {"soon", 0}}) {
    response.headers = {{"retry-after", text}};
    EXPECT_EQ(RetryAfter(response), seconds * kSecond) << text;
  }
}

// Sends at 200 a second for `seconds`; returns how many were let through in them.
int SendFor(RateLimit* rate, uint64_t* now, int seconds) {
  const uint64_t end = *now + seconds * kSecond;
  int sent = 0;
  while (*now < end) {
    *now = std::max(*now + kSecond / 200, rate->Reserve(*now));
    ++sent;
  }
  return sent;
}

TEST(RateLimitTest, FallsOnceForABurstAndGrowsBack) {
  RateLimit rate;
  uint64_t now = 5 * kSecond;
  EXPECT_NEAR(SendFor(&rate, &now, 3), 600, 2);
  EXPECT_FALSE(rate.limited());
  for (int i = 0; i < 50; ++i) rate.Throttled(now + i * 1'000'000);
  EXPECT_TRUE(rate.limited());
  EXPECT_NEAR(SendFor(&rate, &now, 1), 150, 15) << "70 % of 200, and a tenth of 200 more each second";
  rate.Throttled(now);
  EXPECT_NEAR(SendFor(&rate, &now, 1), 120, 15) << "fallen again";
  SendFor(&rate, &now, 20);
  EXPECT_FALSE(rate.limited()) << "twice the rate at the last throttle was fine";
}

TEST(RateLimitTest, NeverStops) {
  RateLimit rate;
  uint64_t now = kSecond;
  for (int i = 0; i < 100; ++i) {
    rate.Throttled(now);
    now += kSecond;
    EXPECT_LE(rate.Reserve(now), now + kSecond / 20);
  }
}

TEST(HedgerTest, KnowsTheTailOfEachSize) {
  Hedger hedger;
  EXPECT_EQ(hedger.DelayNanos(4096), 0u);
  for (int i = 0; i < 128; ++i) hedger.Took(4096, i % 20 == 0 ? 500 : 10 + i % 5);
  EXPECT_GE(hedger.DelayNanos(4096), 10u);
  EXPECT_LE(hedger.DelayNanos(4096), 500u);
  EXPECT_EQ(hedger.DelayNanos(4 << 20), 0u) << "another size";
  for (int i = 0; i < 256; ++i) hedger.Took(4096, 1000);
  EXPECT_EQ(hedger.DelayNanos(4096), 1000u) << "old latencies are forgotten";
}

TEST(HedgerTest, BudgetIsOneInTwenty) {
  Hedger hedger;
  EXPECT_FALSE(hedger.TryHedge());
  int hedges = 0;
  for (int i = 0; i < 1000; ++i) {
    hedger.Sent();
    hedges += hedger.TryHedge() ? 1 : 0;
  }
  EXPECT_NEAR(hedges, 50, 1);
  for (int i = 0; i < 100000; ++i) hedger.Sent();
  for (hedges = 0; hedger.TryHedge();) ++hedges;
  EXPECT_LE(hedges, 10) << "what was saved in quiet times is no storm later";
}

}  // namespace
}  // namespace tarn::s3
