// The S3 backend on the real server through a network that fails: what is lost, cut, changed, delayed, repeated, or
// comes late.
#include <barrier>

#include "tests/s3/proxied_server.h"

namespace tarn::test {
namespace {

using s3::S3Backend;
using s3::Verb;

class S3ServerProxyTest : public ProxiedServerTest {
 protected:
  // Through the proxy; proved before any rule, and nothing recorded.
  std::shared_ptr<S3Backend> Open() {
    s3::S3Options options = ServerOptions(server, OwnPrefix());
    options.endpoint = proxy_->endpoint();
    options.part_bytes = 5 << 20;
    auto backend = OpenOnServer(server, options);
    EXPECT_TRUE(backend.ok()) << backend.status().ToString();
    proxy_->TakeRequests();
    return backend.ok() ? *backend : nullptr;
  }
};

std::string Bytes(size_t n) {
  std::string out(n, '\0');
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<char>(i * 2654435761u >> 13);
  return out;
}

Status Write(Backend& backend, const std::string& name, std::string_view bytes) {
  TARN_ASSIGN(auto writer, backend.Create(name));
  TARN_TRY(writer->Append(bytes));
  return writer->Finish();
}

Result<std::string> ReadAll(Backend& backend, const std::string& name) {
  TARN_ASSIGN(const auto reader, backend.Open(name));
  std::string out(reader->size(), '?');
  TARN_TRY(reader->Read(0, out));
  return out;
}

TEST_F(S3ServerProxyTest, AColdPointReadIsOneRangedGet) {
  const auto backend = Open();
  ASSERT_TRUE(Write(*backend, "table", Bytes(1 << 20)).ok());
  const auto reader = backend->Open("table");
  ASSERT_TRUE(reader.ok());
  proxy_->TakeRequests();
  std::string block(4096, '?');
  ASSERT_TRUE((*reader)->Read(8192, block).ok());
  EXPECT_TRUE(block == Bytes(1 << 20).substr(8192, 4096));
  const auto requests = proxy_->TakeRequests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].method, "GET");
  EXPECT_EQ(requests[0].range, "bytes=8192-12287");
  EXPECT_EQ(requests[0].answer_bytes, 4096u);
}

// Each fault once, on each method that it can befall: everything succeeds, and the bytes are right.
TEST_F(S3ServerProxyTest, EachFaultIsOvercome) {
  const auto backend = Open();
  const std::string bytes = Bytes(300'000);
  int n = 0;
  for (const char* rule : {"cut-request", "lose-answer", "cut-answer,bytes=1000", "truncate-answer,bytes=1000",
                           "corrupt-request", "duplicate", "late,delay=20", "refuse,status=500", "refuse,status=503",
                           "refuse,status=429", "refuse,status=502", "delay-answer,delay=50"}) {
    for (const char* method : {"PUT", "HEAD", "GET", "DELETE"}) {
      const std::string name = "f/" + std::to_string(++n);
      auto parsed = ParseFaultRule(std::string(rule) + ",times=1,method=" + method + ",target=" + name);
      ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
      proxy_->AddRule(*parsed);
      const Status written = Write(*backend, name, bytes);
      EXPECT_TRUE(written.ok()) << rule << " " << method << ": " << written.ToString();
      proxy_->AwaitLate();
      backend->Open(name).status().ok();  // from here on it is asked for
      const auto read = ReadAll(*backend, name);
      EXPECT_TRUE(read.ok()) << rule << " " << method << ": " << read.status().ToString();
      EXPECT_TRUE(read.ok() && *read == bytes) << rule << " " << method;
      const Status deleted = backend->Delete(name);
      EXPECT_TRUE(deleted.ok()) << rule << " " << method << ": " << deleted.ToString();
      proxy_->AwaitLate();
      EXPECT_EQ(backend->Open(name).status().code(), Code::kNotFound) << rule << " " << method;
      proxy_->ClearRules();
    }
  }
}

TEST_F(S3ServerProxyTest, MultipartOnABadNetwork) {
  const auto backend = Open();
  for (const char* rule : {"cut-request", "lose-answer", "refuse", "corrupt-request", "duplicate", "cut-answer"}) {
    auto parsed = ParseFaultRule(std::string(rule) + ",probability=0.2");
    ASSERT_TRUE(parsed.ok());
    proxy_->AddRule(*parsed);
    const std::string bytes = Bytes((17 << 20) + 5);
    const Status written = Write(*backend, std::string("big-") + rule, bytes);
    EXPECT_TRUE(written.ok()) << rule << ": " << written.ToString();
    const auto read = ReadAll(*backend, std::string("big-") + rule);
    EXPECT_TRUE(read.ok()) << rule << ": " << read.status().ToString();
    EXPECT_TRUE(read.ok() && *read == bytes) << rule;
    proxy_->ClearRules();
  }
  EXPECT_TRUE(EmptyStore(*backend).ok());
}

// Two writers, each on its own connections, race for 200 names while answers are lost, writes come late, and the
// server is busy.
TEST_F(S3ServerProxyTest, RaceOfTwoWritersHasOneWinnerEach) {
  constexpr int kRounds = 200;
  const std::shared_ptr<S3Backend> writers[2] = {Open(), Open()};
  for (const char* rule : {"lose-answer,probability=0.1,method=PUT", "late,delay=30,probability=0.05,method=PUT",
                           "cut-request,probability=0.05", "refuse,status=500,probability=0.05",
                           "duplicate,probability=0.05", "delay-answer,delay=5,probability=0.1"}) {
    auto parsed = ParseFaultRule(rule);
    ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
    proxy_->AddRule(*parsed);
  }
  std::vector<Result<PutOutcome>> told[2];
  std::barrier both(2);
  const auto race = [&](int me) {
    for (int round = 0; round < kRounds; ++round) {
      both.arrive_and_wait();
      told[me].push_back(writers[me]->PutIfAbsent("m/" + std::to_string(round), "writer " + std::to_string(me)));
    }
  };
  std::thread other(race, 1);
  race(0);
  other.join();
  proxy_->ClearRules();
  proxy_->AwaitLate();
  for (int round = 0; round < kRounds; ++round) {
    const auto stored = ReadAll(*writers[0], "m/" + std::to_string(round));
    ASSERT_TRUE(stored.ok()) << stored.status().ToString();
    int winners = 0;
    for (int me = 0; me < 2; ++me) {
      ASSERT_TRUE(told[me][round].ok()) << told[me][round].status().ToString();
      const bool won = *told[me][round] == PutOutcome::kCreated;
      winners += won ? 1 : 0;
      EXPECT_EQ(won, *stored == "writer " + std::to_string(me)) << "round " << round << " writer " << me;
    }
    EXPECT_EQ(winners, 1) << "round " << round;
  }
  EXPECT_GT(writers[0]->stats().retries + writers[1]->stats().retries, 0u);
  EXPECT_TRUE(EmptyStore(*writers[0]).ok());
}

TEST_F(S3ServerProxyTest, SlowReadsAreHedged) {
  const auto backend = Open();
  ASSERT_TRUE(Write(*backend, "x", Bytes(1 << 20)).ok());
  const auto reader = backend->Open("x");
  ASSERT_TRUE(reader.ok());
  proxy_->AddRule(*ParseFaultRule("delay-request,delay=300,probability=0.02,method=GET"));
  std::string block(4096, '?');
  for (int i = 0; i < 400; ++i) ASSERT_TRUE((*reader)->Read(i * 1000, block).ok());
  const s3::S3Stats stats = backend->stats();
  EXPECT_GT(stats.hedges, 0u);
  EXPECT_GT(stats.hedges_won, 0u);
  EXPECT_LE(stats.hedges, 400 / 20 + 10u) << "more than one second GET for twenty";
  EXPECT_TRUE(backend->Delete("x").ok());
}

TEST_F(S3ServerProxyTest, AServerThatThrottlesIsNotPressed) {
  const auto backend = Open();
  proxy_->AddRule(*ParseFaultRule("refuse,status=503,retry-after=1,times=3,method=PUT"));
  EXPECT_TRUE(Write(*backend, "x", "bytes").ok());
  const s3::S3Stats stats = backend->stats();
  EXPECT_EQ(stats.throttles, 3u);
  EXPECT_EQ(stats.retries, 3u);
  EXPECT_TRUE(backend->Delete("x").ok());
}

}  // namespace
}  // namespace tarn::test
