// What calls do when requests fail: sent again, slowed down, hedged, given up; on an S3 in memory and in virtual
// time.
#include "backends/s3/calls.h"

#include <gtest/gtest.h>

#include "backends/s3/client.h"
#include "tests/s3/mem_store.h"

namespace tarn::test {
namespace {

using s3::Body;
using s3::Call;
using s3::Client;
using s3::HttpFailure;
using s3::HttpRequest;

constexpr uint64_t kSecond = 1'000'000'000;

class CallsTest : public testing::Test {
 protected:
  CallsTest() {
    caller_ = std::make_shared<s3::Caller>();
    caller_->endpoint = *s3::FindEndpoint(world_.options, world_.Around());
    caller_->credentials = *s3::FindCredentials(world_.options, world_.Around(), world_.server, world_.clock);
    caller_->transport = world_.server;
    caller_->clock = world_.clock;
    caller_->entropy = world_.entropy;
    caller_->signer = std::make_unique<s3::Signer>("us-east-1");
    client_ = std::make_unique<Client>(caller_, true);
    EXPECT_TRUE(client_->PutIfAbsent("k", std::make_shared<const std::string>("0123456789")).ok());
    world_.server->TakeLog();
    for (auto& count : caller_->requests) count = 0;
  }
  // One ranged GET of the ten bytes.
  Call Get() {
    Call call = Client::RangedGet("k", "", 0, 10);
    s3::Run(caller_.get(), &call);
    return call;
  }
  uint64_t Gets() const { return caller_->requests[static_cast<size_t>(s3::Verb::kGet)]; }
  void AlwaysAnswer(s3::HttpResponse answer) {
    world_.server->SetPlan([=](const HttpRequest&, uint64_t) { return Plan{Plan::What::kRefuse, answer}; });
  }

  MemWorld world_;
  std::shared_ptr<s3::Caller> caller_;
  std::unique_ptr<Client> client_;
};

TEST_F(CallsTest, PassingFailuresAreRetried) {
  s3::HttpResponse timeout;
  timeout.failure = HttpFailure::kConnect;
  for (const Plan& plan :
       {Plan{Plan::What::kLoseRequest}, Plan{Plan::What::kLoseAnswer},
        Plan{Plan::What::kRefuse, ErrorAnswer(500, "InternalError")},
        Plan{Plan::What::kRefuse, ErrorAnswer(503, "SlowDown")},
        Plan{Plan::What::kRefuse, ErrorAnswer(429, "TooManyRequests")}, Plan{Plan::What::kRefuse, timeout}}) {
    const uint64_t before = Gets(), retries = caller_->retries;
    Befall(world_.server.get(), Method("GET"), 1, plan);
    const Call call = Get();
    EXPECT_TRUE(call.status.ok()) << call.status.ToString();
    EXPECT_EQ(call.response.body, "0123456789");
    EXPECT_EQ(Gets() - before, 2u);
    EXPECT_EQ(caller_->retries - retries, 1u);
  }
  EXPECT_EQ(caller_->throttles, 2u);
}

TEST_F(CallsTest, LastingFailuresAreNot) {
  for (const auto& [status, code] :
       {std::pair<int, const char*>{403, "AccessDenied"}, {404, "NoSuchKey"}, {400, "X"}}) {
    const uint64_t before = Gets();
    AlwaysAnswer(ErrorAnswer(status, code));
    const Call call = Get();
    EXPECT_FALSE(call.status.ok());
    EXPECT_EQ(call.error.http_status, status);
    EXPECT_EQ(call.error.code, code);
    EXPECT_EQ(Gets() - before, 1u);
  }
}

TEST_F(CallsTest, EveryCallEnds) {
  AlwaysAnswer(ErrorAnswer(500, "InternalError"));
  const uint64_t begin = world_.clock->MonotonicNanos();
  Call call = Get();
  EXPECT_EQ(call.status.code(), Code::kUnavailable) << call.status.ToString();
  EXPECT_LE(world_.clock->MonotonicNanos() - begin, 61 * kSecond);
  EXPECT_GE(Gets(), 10u) << "it gave up long before its deadline";
  // A server that takes the request and says nothing: attempts have deadlines of their own.
  world_.server->SetPlan([](const HttpRequest&, uint64_t) {
    Plan silent;
    silent.delay_nanos = 3600 * kSecond;
    return silent;
  });
  const uint64_t again = world_.clock->MonotonicNanos(), gets = Gets();
  call = Get();
  EXPECT_EQ(call.status.code(), Code::kUnavailable) << call.status.ToString();
  EXPECT_LE(world_.clock->MonotonicNanos() - again, 61 * kSecond);
  EXPECT_GE(Gets() - gets, 4u);
}

TEST_F(CallsTest, RetryAfterIsHonoured) {
  Befall(world_.server.get(), Method("GET"), 1,
         {Plan::What::kRefuse, ErrorAnswer(503, "SlowDown", "", {{"retry-after", "7"}})});
  const uint64_t begin = world_.clock->MonotonicNanos();
  EXPECT_TRUE(Get().status.ok());
  EXPECT_GE(world_.clock->MonotonicNanos() - begin, 7 * kSecond);
}

TEST_F(CallsTest, ShortAnswersAreBroken) {
  s3::HttpResponse cut = ErrorAnswer(206, "");
  cut.body = "01234";
  Befall(world_.server.get(), Method("GET"), 1, {Plan::What::kRefuse, cut});
  const Call call = Get();
  EXPECT_TRUE(call.status.ok()) << call.status.ToString();
  EXPECT_EQ(call.response.body, "0123456789");
  EXPECT_EQ(Gets(), 2u);
}

TEST_F(CallsTest, TheServersClockIsLearnt) {
  // The wall of VirtualClock began on 2023-11-14; this server lives a day later.
  world_.server->SetPlan([](const HttpRequest& request, uint64_t) {
    const std::string date(s3::FindHeader(request.headers, "x-amz-date"));
    if (date.starts_with("20231115")) return Plan();
    return Plan{Plan::What::kRefuse,
                ErrorAnswer(403, "RequestTimeTooSkewed", "", {{"date", "Wed, 15 Nov 2023 23:00:00 GMT"}})};
  });
  EXPECT_TRUE(Get().status.ok());
  EXPECT_EQ(Gets(), 2u);
  EXPECT_TRUE(Get().status.ok());
  EXPECT_EQ(Gets(), 3u) << "what was learnt is kept";
  AlwaysAnswer(ErrorAnswer(403, "RequestTimeTooSkewed", "", {{"date", "Wed, 15 Nov 2023 23:00:00 GMT"}}));
  const Call call = Get();
  EXPECT_EQ(call.status.code(), Code::kInvalid);
  EXPECT_NE(call.status.message().find("clock"), std::string_view::npos) << call.status.ToString();
  EXPECT_EQ(Gets(), 5u);
}

TEST_F(CallsTest, ThrottlesSlowAllCallsDown) {
  Befall(world_.server.get(), Method("GET"), 50, {Plan::What::kRefuse, ErrorAnswer(503, "SlowDown")});
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(Get().status.ok());
  EXPECT_TRUE(caller_->rate.limited());
  const uint64_t begin = world_.clock->MonotonicNanos();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(Get().status.ok());
  EXPECT_GE(world_.clock->MonotonicNanos() - begin, kSecond / 4) << "they were sent as fast as before";
}

TEST_F(CallsTest, HedgeWinsAgainstASlowFirst) {
  const auto slow = [](uint64_t delay) {
    Plan plan;
    plan.delay_nanos = delay;
    return plan;
  };
  world_.server->SetPlan([&](const HttpRequest&, uint64_t) { return slow(kSecond / 1000); });
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(Get().status.ok());
  EXPECT_EQ(caller_->hedges, 0u);
  Befall(world_.server.get(), Method("GET"), 1, slow(5 * kSecond));
  const uint64_t begin = world_.clock->MonotonicNanos();
  EXPECT_TRUE(Get().status.ok());
  EXPECT_LT(world_.clock->MonotonicNanos() - begin, kSecond / 10);
  EXPECT_EQ(caller_->hedges, 1u);
  EXPECT_EQ(caller_->hedges_won, 1u);
  // Switched off, the same call waits.
  caller_->hedge = false;
  Befall(world_.server.get(), Method("GET"), 1, slow(5 * kSecond));
  const uint64_t second = world_.clock->MonotonicNanos();
  EXPECT_TRUE(Get().status.ok());
  EXPECT_GE(world_.clock->MonotonicNanos() - second, 5 * kSecond);
  EXPECT_EQ(caller_->hedges, 1u);
}

// Who starts reads, works on something else, and looks much later, is not late because of the server.
TEST_F(CallsTest, AnswersThatWaitForTheirOwnerAreNotSlow) {
  world_.server->SetPlan([](const HttpRequest&, uint64_t) {
    Plan plan;
    plan.delay_nanos = kSecond / 1000;
    return plan;
  });
  s3::CallQueue queue(caller_.get());
  for (int i = 0; i < 200; ++i) {
    Call call = Client::RangedGet("k", "", 0, 10);
    queue.Start(&call);
    world_.clock->Advance(kSecond);
    ASSERT_EQ(queue.Wait().size(), 1u);
    ASSERT_TRUE(call.status.ok());
  }
  EXPECT_EQ(caller_->hedges, 0u);
  EXPECT_LT(caller_->hedger.DelayNanos(10), kSecond / 100) << "the time until somebody looked was counted";
}

TEST_F(CallsTest, HedgesAreFew) {
  // Half of all GETs are slow: that is no tail, and must not double the load.
  world_.server->SetPlan([](const HttpRequest&, uint64_t nth) {
    Plan plan;
    plan.delay_nanos = nth % 40 < 20 ? kSecond / 1000 : kSecond / 10;
    return plan;
  });
  for (int i = 0; i < 2000; ++i) ASSERT_TRUE(Get().status.ok());
  EXPECT_LE(caller_->hedges, 100u);
}

TEST_F(CallsTest, ManyInFlightFromOneThread) {
  world_.server->SetPlan([](const HttpRequest&, uint64_t nth) {
    Plan plan;
    plan.delay_nanos = kSecond / 1000 * (1 + nth % 7);
    if (nth % 10 == 0) plan.what = Plan::What::kLoseAnswer;
    return plan;
  });
  std::vector<Call> calls(100);
  s3::CallQueue queue(caller_.get());
  for (Call& call : calls) {
    call = Client::RangedGet("k", "", 0, 10);
    queue.Start(&call);
  }
  size_t back = 0;
  for (std::vector<Call*> done; !(done = queue.Wait()).empty();) back += done.size();
  EXPECT_EQ(back, calls.size());
  for (const Call& call : calls) EXPECT_TRUE(call.status.ok()) << call.status.ToString();
}

TEST_F(CallsTest, NoSecretInAnyError) {
  AlwaysAnswer(ErrorAnswer(418, "Teapot", "you sent hunter2-secret"));
  const Call call = Get();
  EXPECT_EQ(call.status.message().find("hunter2"), std::string_view::npos) << call.status.ToString();
  EXPECT_NE(call.status.message().find("***"), std::string_view::npos) << call.status.ToString();
  EXPECT_EQ(call.error.message.find("hunter2"), std::string::npos);
  world_.server->SetPlan([](const HttpRequest& request, uint64_t) {
    for (const auto& [name, value] : request.headers) EXPECT_EQ(value.find("hunter2"), std::string::npos) << name;
    EXPECT_EQ(request.url.find("hunter2"), std::string::npos);
    return Plan();
  });
  EXPECT_TRUE(Get().status.ok());
}

TEST_F(CallsTest, ErrorsNameWhatWhereAndTheNextStep) {
  struct Case {
    int status;
    const char* code;
    Code means;
    const char* next;
  };
  for (const Case& one :
       {Case{403, "SignatureDoesNotMatch", Code::kInvalid, "correct the credentials in the environment"},
        {403, "InvalidAccessKeyId", Code::kInvalid, "correct the credentials in the environment"},
        {400, "ExpiredToken", Code::kInvalid, "get a new one for the environment"},
        {403, "AccessDenied", Code::kInvalid, "allow it for the user of the environment"},
        {404, "NoSuchBucket", Code::kNotFound, "no bucket bucket at http://mem (404 NoSuchBucket): create"},
        {403, "QuotaExceeded", Code::kNoSpace, "raise the quota"},
        {501, "NotImplemented", Code::kUnsupported, "use one"}}) {
    AlwaysAnswer(ErrorAnswer(one.status, one.code));
    const Call call = Get();
    EXPECT_EQ(call.status.code(), one.means) << call.status.ToString();
    EXPECT_NE(call.status.message().find(one.next), std::string_view::npos) << call.status.ToString();
    EXPECT_NE(call.status.message().find("cannot read s3://bucket/k: "), std::string_view::npos);
    EXPECT_EQ(call.status.message().find('\n'), std::string_view::npos);
  }
  AlwaysAnswer(ErrorAnswer(301, "PermanentRedirect", "", {{"x-amz-bucket-region", "eu-north-1"}}));
  EXPECT_NE(Get().status.message().find("set region=eu-north-1 (now us-east-1)"), std::string_view::npos);
}

}  // namespace
}  // namespace tarn::test
