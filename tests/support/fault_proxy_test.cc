// The fault proxy between a raw client and a small server, both in this process: every fault, every way to end a
// body, and bytes of either side that are no HTTP.
#include "tests/support/fault_proxy.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "tests/support/fault_proxy_http.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr milliseconds kForever =
    std::chrono::hours(1);  // a test that waited for it would fail by its own time limit

// Listens on loopback and gives each connection to `serve` on a thread.
class Listener {
 public:
  explicit Listener(std::function<void(HttpStream*)> serve) : serve_(std::move(serve)) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, SOMAXCONN), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    sockets_.Add(fd_);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~Listener() {
    sockets_.ShutAll();
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    sockets_.Close(fd_);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  void AwaitEnded(size_t connections) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ >= connections; });
  }

 private:
  void Accept() {
    for (int fd = 0; (fd = accept(fd_, nullptr, nullptr)) >= 0;) {
      if (!sockets_.Add(fd)) return;
      threads_.emplace_back([this, fd] {
        {
          HttpStream stream(fd, &sockets_);
          serve_(&stream);
        }
        std::lock_guard lock(mutex_);
        ++ended_;
        changed_.notify_all();
      });
    }
  }

  const std::function<void(HttpStream*)> serve_;
  SocketSet sockets_;
  int fd_ = -1;
  uint16_t port_ = 0;
  std::mutex mutex_;  // guards ended_
  std::condition_variable changed_;
  size_t ended_ = 0;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

struct Message {
  HttpHead head;
  std::string body;
  bool whole = false;
};

// What is left of a body; `whole` says whether it came to its end.
void ReadBody(HttpStream* from, Framing framing, Message* message) {
  BodyReader reader(from, framing);
  for (;;) {
    const Result<std::string> piece = reader.Next();
    message->whole = piece.ok();
    if (!piece.ok() || piece->empty()) return;
    message->body += *piece;
  }
}

// Keeps what is PUT, and answers GET with it, in several ways. Targets: "/chunked" and "/until-close" are about the
// framing of the answer, "/204" and "/304" have none, "/continue" begins with a 100, "/close" ends the connection.
class SmallServer {
 public:
  std::string url() const { return listener_.url(); }
  void AwaitEnded(size_t connections) { listener_.AwaitEnded(connections); }

  // "PUT /a text" a request.
  std::vector<std::string> seen() {
    std::lock_guard lock(mutex_);
    return seen_;
  }
  void AwaitSeen(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return seen_.size() >= count; });
  }
  void Store(const std::string& target, std::string body) {
    std::lock_guard lock(mutex_);
    stored_[target] = std::move(body);
  }
  void AnswerWith(std::string bytes) {  // from now on, whatever is asked
    std::lock_guard lock(mutex_);
    raw_ = std::move(bytes);
  }

 private:
  void Serve(HttpStream* stream) {
    for (;;) {
      const Result<std::string> text = stream->ReadHeadText();
      if (!text.ok()) return;
      const Result<HttpHead> head = ParseRequestHead(*text);
      if (!head.ok()) return;
      Message request{*head, "", false};
      const Result<Framing> framing = RequestFraming(*head);
      if (!framing.ok()) return;
      ReadBody(stream, *framing, &request);
      if (!request.whole || !Answer(request, stream)) return;
    }
  }

  bool Answer(const Message& request, HttpStream* stream) {
    const std::string method = request.head.method();
    const std::string target = request.head.target();
    std::string body;
    std::string raw;
    {
      std::lock_guard lock(mutex_);
      seen_.push_back(method + " " + target + " " + request.body);
      changed_.notify_all();
      if (method == "PUT") stored_[target] = request.body;
      if (method != "PUT") body = stored_[target];
      raw = raw_;
    }
    if (!raw.empty()) return stream->Send(raw).ok() && false;
    const std::string length = "Content-Length: " + std::to_string(body.size()) + "\r\n";
    std::string answer = "HTTP/1.1 200 OK\r\n" + length + "\r\n" + (method == "HEAD" ? "" : body);
    if (target == "/204" || target == "/304") answer = "HTTP/1.1 " + target.substr(1) + " No\r\n" + length + "\r\n";
    if (target == "/continue") answer = "HTTP/1.1 100 Continue\r\n\r\n" + answer;
    if (target == "/until-close") answer = "HTTP/1.1 200 OK\r\n\r\n" + body;
    if (target == "/chunked") {
      answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\n" + body.substr(0, 3) + "\r\n1\r\n" +
               body.substr(3, 1) + "\r\n0\r\nX-Sum: 7\r\n\r\n";
    }
    return stream->Send(answer).ok() && target != "/until-close" && target != "/close";
  }

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::vector<std::string> seen_;
  std::map<std::string, std::string> stored_;
  std::string raw_;
  Listener listener_{[this](HttpStream* stream) { Serve(stream); }};
};

// One connection to the proxy.
class Client {
 public:
  explicit Client(const std::string& url) {
    fd_ = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    sockets_.Add(fd_);
    stream_ = std::make_unique<HttpStream>(fd_, &sockets_);
  }

  void Send(const std::string& method, const std::string& target, const std::string& body = "",
            const std::string& fields = "") {
    const std::string length = method == "PUT" ? "Content-Length: " + std::to_string(body.size()) + "\r\n" : "";
    SendRaw(method + " " + target + " HTTP/1.1\r\nHost: x\r\n" + length + fields + "\r\n" + body);
  }
  void SendRaw(const std::string& bytes) { (void)stream_->Send(bytes); }
  void SendNoMore() { shutdown(fd_, SHUT_WR); }

  // A status of 0 when the connection was closed instead.
  Message Read(const std::string& method = "GET") {
    Message answer;
    const Result<std::string> text = stream_->ReadHeadText();
    if (!text.ok()) return answer;
    const Result<HttpHead> head = ParseAnswerHead(*text);
    EXPECT_TRUE(head.ok()) << *text;
    if (!head.ok()) return answer;
    answer.head = *head;
    const Result<Framing> framing = AnswerFraming(*head, method);
    EXPECT_TRUE(framing.ok()) << *text;
    if (framing.ok() && head->status() >= 200) ReadBody(stream_.get(), *framing, &answer);
    return answer;
  }
  Message Ask(const std::string& method, const std::string& target, const std::string& body = "",
              const std::string& fields = "") {
    Send(method, target, body, fields);
    return Read(method);
  }
  std::string ReadAll() {
    std::string all;
    for (std::string piece; stream_->Read(4096, &piece).ok();) all += piece;
    return all;
  }

 private:
  SocketSet sockets_;
  int fd_ = -1;
  std::unique_ptr<HttpStream> stream_;
};

class FaultProxyTest : public ::testing::Test {
 protected:
  void SetUp() override { StartProxy(1); }
  void StartProxy(uint64_t seed) {
    auto started = FaultProxy::Start({.upstream = server.url(), .seed = seed});
    ASSERT_TRUE(started.ok()) << started.status().ToString();
    proxy = *std::move(started);
  }
  Message Ask(const std::string& method, const std::string& target, const std::string& body = "") {
    return Client(proxy->endpoint()).Ask(method, target, body);
  }

  SmallServer server;
  std::unique_ptr<FaultProxy> proxy;
};

TEST_F(FaultProxyTest, PassesAndCounts) {
  Client client(proxy->endpoint());
  EXPECT_EQ(client.Ask("PUT", "/a?x=1", "text").head.status(), 200);
  const Message answer = client.Ask("GET", "/a?x=1", "", "Range: bytes=0-9\r\n");
  EXPECT_EQ(answer.body, "text");
  EXPECT_TRUE(answer.whole);
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a?x=1 text", "GET /a?x=1 "));

  const std::vector<ProxiedRequest> seen = proxy->TakeRequests();
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0].method, "PUT");
  EXPECT_EQ(seen[0].target, "/a?x=1");
  EXPECT_EQ(seen[0].range, "");
  EXPECT_EQ(seen[0].request_bytes, 4u);
  EXPECT_EQ(seen[0].answer_bytes, 0u);
  EXPECT_EQ(seen[1].range, "bytes=0-9");
  EXPECT_EQ(seen[1].request_bytes, 0u);
  EXPECT_EQ(seen[1].answer_bytes, 4u);
  for (const ProxiedRequest& r : seen) {
    EXPECT_EQ(r.fault, Fault::kNone);
    EXPECT_EQ(r.forwarded, 1);
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(r.upstream_status, 200);
    EXPECT_EQ(r.connection, 1u);  // kept alive
  }
  EXPECT_THAT(proxy->TakeRequests(), IsEmpty());
  EXPECT_EQ(Ask("GET", "/a?x=1").body, "text");
  EXPECT_EQ(proxy->TakeRequests().at(0).connection, 2u);
}

TEST_F(FaultProxyTest, EveryWayToEndABody) {
  server.Store("/chunked", "four");
  server.Store("/until-close", "to the end");
  server.Store("/close", "bye");
  Client client(proxy->endpoint());
  EXPECT_EQ(client.Ask("GET", "/chunked").body, "four");
  for (const char* target : {"/204", "/304", "/continue", "/nothing"}) {
    const Message answer = client.Ask("GET", target);
    EXPECT_TRUE(answer.whole) << target;
    EXPECT_EQ(answer.body, "") << target;
  }
  server.Store("/a", "text");
  const Message head = client.Ask("HEAD", "/a");
  EXPECT_EQ(*head.head.Find("content-length"), "4");
  EXPECT_EQ(head.body, "");
  EXPECT_EQ(client.Ask("GET", "/a").body, "text");
  EXPECT_EQ(client.Ask("GET", "/close").body, "bye");
  server.AwaitEnded(1);
  EXPECT_EQ(client.Ask("GET", "/a").body, "text");  // the server closed its side; the client need not know
  EXPECT_EQ(client.Ask("GET", "/until-close").body, "to the end");
  EXPECT_EQ(client.ReadAll(), "");  // and here it must
}

TEST_F(FaultProxyTest, TrailersAndChunksOfRequestsPass) {
  Client client(proxy->endpoint());
  client.SendRaw("PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
  client.SendRaw("3\r\ncde\r\n0\r\nX-Sum: 7\r\n\r\n");
  EXPECT_EQ(client.Read().head.status(), 200);
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a abcde"));
  server.Store("/chunked", "four");
  client.Send("GET", "/chunked", "", "Connection: close\r\n");
  EXPECT_THAT(client.ReadAll(), HasSubstr("0\r\nX-Sum: 7\r\n\r\n"));
}

TEST_F(FaultProxyTest, ExpectIsAnsweredHereAndNotPassedOn) {
  Client client(proxy->endpoint());
  client.SendRaw("PUT /a HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(client.Read().head.status(), 100);
  client.SendRaw("text");
  EXPECT_EQ(client.Read().head.status(), 200);
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a text"));
}

TEST_F(FaultProxyTest, LargeBodiesStream) {
  std::string large(5 << 20, 'x');
  for (size_t i = 0; i < large.size(); i += 1000) large[i] = static_cast<char>(i % 251);
  EXPECT_EQ(Ask("PUT", "/large", large).head.status(), 200);
  EXPECT_TRUE(Ask("GET", "/large").body == large);
  EXPECT_EQ(proxy->TakeRequests().at(1).answer_bytes, large.size());
}

TEST_F(FaultProxyTest, RulesTakeWhatTheySay) {
  const size_t second =
      proxy->AddRule({.fault = Fault::kRefuse, .method = "PUT", .target = "a/", .skip = 1, .times = 1});
  const size_t rest = proxy->AddRule({.fault = Fault::kRefuse, .target = "?list", .status = 500});
  std::vector<int> statuses;
  for (const char* target : {"/a/1", "/b/1", "/a/2", "/a/3", "/x?list"}) {
    statuses.push_back(Ask("PUT", target).head.status());
  }
  statuses.push_back(Ask("GET", "/a/1").head.status());
  EXPECT_THAT(statuses, ElementsAre(200, 200, 503, 200, 500, 200));
  EXPECT_EQ(proxy->Fired(second), 1u);
  EXPECT_EQ(proxy->Fired(rest), 1u);
  proxy->ClearRules();
  EXPECT_EQ(Ask("PUT", "/x?list").head.status(), 200);
  EXPECT_EQ(proxy->Fired(rest), 1u);
  const size_t later = proxy->AddRule({.fault = Fault::kRefuse});
  EXPECT_EQ(Ask("GET", "/").head.status(), 503);
  EXPECT_EQ(proxy->Fired(later), 1u);
}

TEST_F(FaultProxyTest, ChanceIsTheSeeds) {
  const auto run = [&](uint64_t seed) {
    StartProxy(seed);
    proxy->AddRule({.fault = Fault::kRefuse, .probability = 0.25});
    Client client(proxy->endpoint());
    std::string refused;
    for (int i = 0; i < 200; ++i) refused += client.Ask("GET", "/").head.status() == 503 ? 'x' : '.';
    return refused;
  };
  const std::string once = run(7);
  EXPECT_EQ(run(7), once);
  EXPECT_NE(run(8), once);
  const auto refused = std::count(once.begin(), once.end(), 'x');
  EXPECT_GT(refused, 25);  // 50 are expected; these are four standard deviations
  EXPECT_LT(refused, 75);
}

TEST_F(FaultProxyTest, CutRequest) {
  proxy->AddRule({.fault = Fault::kCutRequest, .times = 1});
  EXPECT_EQ(Ask("PUT", "/a", "text").head.status(), 0);
  EXPECT_THAT(server.seen(), IsEmpty());
  const ProxiedRequest request = proxy->TakeRequests().at(0);
  EXPECT_EQ(request.fault, Fault::kCutRequest);
  EXPECT_EQ(request.forwarded, 0);
  EXPECT_EQ(request.status, 0);
  EXPECT_EQ(request.request_bytes, 4u);
  EXPECT_EQ(Ask("PUT", "/a", "text").head.status(), 200);
}

TEST_F(FaultProxyTest, LoseAnswer) {
  proxy->AddRule({.fault = Fault::kLoseAnswer, .times = 1});
  EXPECT_EQ(Ask("PUT", "/a", "text").head.status(), 0);
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a text"));
  const ProxiedRequest request = proxy->TakeRequests().at(0);
  EXPECT_EQ(request.forwarded, 1);
  EXPECT_EQ(request.upstream_status, 200);
  EXPECT_EQ(request.status, 0);
}

TEST_F(FaultProxyTest, CutAnswer) {
  server.Store("/a", "0123456789");
  server.Store("/chunked", "four");
  proxy->AddRule({.fault = Fault::kCutAnswer, .bytes = 4});
  const Message answer = Ask("GET", "/a");
  EXPECT_EQ(answer.head.status(), 200);
  EXPECT_EQ(*answer.head.Find("Content-Length"), "10");
  EXPECT_EQ(answer.body, "0123");
  EXPECT_FALSE(answer.whole);
  EXPECT_EQ(proxy->TakeRequests().at(0).answer_bytes, 4u);
  EXPECT_FALSE(Ask("GET", "/chunked").whole);  // all of the content, and not its end
}

TEST_F(FaultProxyTest, TruncateAnswer) {
  server.Store("/a", "0123456789");
  server.Store("/chunked", "four");
  proxy->AddRule({.fault = Fault::kTruncateAnswer, .times = 2, .bytes = 2});
  proxy->AddRule({.fault = Fault::kTruncateAnswer, .times = 1, .bytes = 0});
  proxy->AddRule({.fault = Fault::kTruncateAnswer, .times = 1, .bytes = 100});
  Client client(proxy->endpoint());
  Message answer = client.Ask("GET", "/a");
  EXPECT_EQ(answer.body, "01");
  EXPECT_TRUE(answer.whole);
  answer = client.Ask("GET", "/chunked");
  EXPECT_EQ(answer.body, "fo");
  EXPECT_TRUE(answer.whole);
  for (const char* expected : {"", "0123456789", "0123456789"}) {
    answer = client.Ask("GET", "/a");
    EXPECT_EQ(answer.body, expected);
    EXPECT_TRUE(answer.whole);
  }
}

TEST_F(FaultProxyTest, CorruptRequestAndAnswer) {
  proxy->AddRule({.fault = Fault::kCorruptRequest, .method = "PUT", .bytes = 1});
  proxy->AddRule({.fault = Fault::kCorruptAnswer, .method = "GET", .target = "/a", .times = 1, .bytes = 1000});
  proxy->AddRule({.fault = Fault::kCorruptAnswer, .method = "GET", .target = "/chunked", .bytes = 3});
  EXPECT_EQ(Ask("PUT", "/a", "aaaa").head.status(), 200);
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a a`aa"));
  EXPECT_EQ(Ask("GET", "/a").body, "a`a`");
  EXPECT_EQ(Ask("GET", "/a").body, "a`aa");
  server.Store("/chunked", "aaaa");
  EXPECT_EQ(Ask("GET", "/chunked").body, "aaa`");
  EXPECT_EQ(Ask("PUT", "/empty").head.status(), 200);
}

TEST_F(FaultProxyTest, DelaysEnd) {
  proxy->AddRule({.fault = Fault::kDelayRequest, .times = 1, .delay = milliseconds(1)});
  proxy->AddRule({.fault = Fault::kDelayAnswer, .times = 1, .delay = milliseconds(1)});
  EXPECT_EQ(Ask("PUT", "/a", "text").head.status(), 200);
  EXPECT_EQ(Ask("GET", "/a").body, "text");
}

TEST_F(FaultProxyTest, ADelayedRequestIsNotSeenAndTheProxyDoesNotWaitForIt) {
  proxy->AddRule({.fault = Fault::kDelayRequest, .delay = kForever});
  Client client(proxy->endpoint());
  client.Send("PUT", "/a", "text");
  while (proxy->TakeRequests().empty()) std::this_thread::yield();
  proxy.reset();
  EXPECT_EQ(client.Read().head.status(), 0);
  EXPECT_THAT(server.seen(), IsEmpty());
}

TEST_F(FaultProxyTest, ADelayedAnswerIsNotHeardAndTheProxyDoesNotWaitForIt) {
  proxy->AddRule({.fault = Fault::kDelayAnswer, .delay = kForever});
  Client client(proxy->endpoint());
  client.Send("PUT", "/a", "text");
  server.AwaitSeen(1);
  proxy.reset();
  EXPECT_EQ(client.Read().head.status(), 0);
}

TEST_F(FaultProxyTest, DuplicateReachesTheServerTwice) {
  proxy->AddRule({.fault = Fault::kDuplicate, .times = 1});
  Client client(proxy->endpoint());
  EXPECT_EQ(client.Ask("PUT", "/a", "text").head.status(), 200);
  EXPECT_EQ(client.Ask("GET", "/a").body, "text");
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a text", "PUT /a text", "GET /a "));
  EXPECT_EQ(proxy->TakeRequests().at(0).forwarded, 2);
}

TEST_F(FaultProxyTest, ALateRequestArrivesAfterItsRefusal) {
  proxy->AddRule({.fault = Fault::kLate, .times = 1, .delay = milliseconds(1), .retry_after_seconds = 3});
  Client client(proxy->endpoint());
  const Message refused = client.Ask("PUT", "/a", "late");
  EXPECT_EQ(refused.head.status(), 503);
  EXPECT_EQ(*refused.head.Find("Retry-After"), "3");
  proxy->AwaitLate();
  EXPECT_THAT(server.seen(), ElementsAre("PUT /a late"));
  const ProxiedRequest request = proxy->TakeRequests().at(0);
  EXPECT_EQ(request.forwarded, 1);
  EXPECT_EQ(request.status, 503);
  EXPECT_EQ(request.upstream_status, 200);
  EXPECT_EQ(client.Ask("GET", "/a").body, "late");  // the connection went on
}

TEST_F(FaultProxyTest, ALateRequestIsGivenUpAtTheEnd) {
  proxy->AddRule({.fault = Fault::kLate, .delay = kForever});
  EXPECT_EQ(Ask("PUT", "/a", "late").head.status(), 503);
  proxy.reset();
  EXPECT_THAT(server.seen(), IsEmpty());
}

TEST_F(FaultProxyTest, RefusalsLookLikeS3) {
  const std::map<int, std::string> codes = {{500, "InternalError"}, {503, "SlowDown"}, {429, "TooManyRequests"}};
  Client client(proxy->endpoint());
  for (const auto& [status, code] : codes) {
    proxy->AddRule({.fault = Fault::kRefuse, .times = 2, .status = status, .retry_after_seconds = 0});
    const Message answer = client.Ask("PUT", "/a", "text");
    EXPECT_EQ(answer.head.status(), status);
    EXPECT_EQ(*answer.head.Find("Retry-After"), "0");
    EXPECT_THAT(answer.body, HasSubstr("<Code>" + code + "</Code>"));
    EXPECT_EQ(client.Ask("HEAD", "/a").head.status(), status);
  }
  EXPECT_THAT(server.seen(), IsEmpty());
}

TEST_F(FaultProxyTest, AServerThatIsDownLooksLikeOne) {
  auto down = FaultProxy::Start({.upstream = "http://127.0.0.1:1"});
  ASSERT_TRUE(down.ok());
  EXPECT_EQ(Client((*down)->endpoint()).Ask("GET", "/").head.status(), 0);
  EXPECT_EQ((*down)->TakeRequests().at(0).forwarded, 0);
}

TEST_F(FaultProxyTest, ManyAtOnce) {
  proxy->AddRule({.fault = Fault::kLoseAnswer, .probability = 0.1});
  proxy->AddRule({.fault = Fault::kLate, .probability = 0.1, .delay = milliseconds(1)});
  proxy->AddRule({.fault = Fault::kDuplicate, .probability = 0.1});
  std::vector<std::thread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([&, c] {
      for (int i = 0; i < 50; ++i) Ask("PUT", "/" + std::to_string(c) + "/" + std::to_string(i), "text");
    });
  }
  for (std::thread& client : clients) client.join();
  proxy->AwaitLate();
  size_t forwarded = 0;
  const std::vector<ProxiedRequest> requests = proxy->TakeRequests();
  for (const ProxiedRequest& r : requests) forwarded += static_cast<size_t>(r.forwarded);
  EXPECT_EQ(requests.size(), 400u);
  EXPECT_EQ(server.seen().size(), forwarded);
  EXPECT_GT(forwarded, 400u);
}

TEST_F(FaultProxyTest, ClientsThatSpeakNoHttpAreTurnedAway) {
  const std::string put = "PUT /a HTTP/1.1\r\n";
  const std::vector<std::string> bad = {"\r\n\r\n",
                                        "GET\r\n\r\n",
                                        "GET /a\r\n\r\n",
                                        "GET /a HTTP/2\r\n\r\n",
                                        "GET /a b HTTP/1.1\r\n\r\n",
                                        "G\x01T /a HTTP/1.1\r\n\r\n",
                                        "GET /a HTTP/1.1\r\nno colon\r\n\r\n",
                                        "GET /a HTTP/1.1\r\n: no name\r\n\r\n",
                                        put + "Content-Length: -1\r\n\r\n",
                                        put + "Content-Length: 99999999999999999999\r\n\r\n",
                                        put + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
                                        put + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                                        put + "Transfer-Encoding: gzip\r\n\r\n",
                                        put + "X: " + std::string(70000, 'x') + "\r\n\r\n",
                                        std::string(70000, 'x')};
  for (const std::string& bytes : bad) {
    Client client(proxy->endpoint());
    client.SendRaw(bytes);
    client.SendNoMore();
    EXPECT_THAT(client.ReadAll(), ::testing::AnyOf(::testing::StartsWith("HTTP/1.1 400"), IsEmpty())) << bytes;
  }
  EXPECT_THAT(proxy->TakeRequests(), IsEmpty());
  for (const char* chunk : {"x\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "2\r\nabc\r\n", "1"}) {
    Client client(proxy->endpoint());
    client.SendRaw(put + "Transfer-Encoding: chunked\r\n\r\n" + chunk);
    client.SendNoMore();
    EXPECT_EQ(client.ReadAll(), "") << chunk;
  }
  EXPECT_THAT(server.seen(), IsEmpty());
  EXPECT_EQ(Ask("GET", "/").head.status(), 200);
}

TEST_F(FaultProxyTest, ServersThatSpeakNoHttpAreA502) {
  for (const char* bytes : {"nonsense\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "HTTP/1.1 99 Low\r\n\r\n",
                            "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    server.AnswerWith(bytes);
    EXPECT_EQ(Ask("GET", "/").head.status(), 502) << bytes;
  }
  for (const char* bytes : {"H", "HTTP/1.1 200 OK\r\n"}) {
    server.AnswerWith(bytes);
    EXPECT_EQ(Ask("GET", "/").head.status(), 0) << bytes;
  }
  server.AnswerWith("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort");
  EXPECT_FALSE(Ask("GET", "/").whole);
  server.AnswerWith("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n");
  EXPECT_FALSE(Ask("GET", "/").whole);
}

// Bytes of a good message, some of them changed, taken out or doubled.
std::string Mutate(std::string bytes, SeededRandom* random) {
  for (uint64_t changes = 1 + random->Below(4); changes > 0 && !bytes.empty(); --changes) {
    const size_t at = random->Below(bytes.size());
    switch (random->Below(3)) {
      case 0: bytes[at] = static_cast<char>(random->Next()); break;
      case 1: bytes.erase(at, 1 + random->Below(8)); break;
      default: bytes.insert(at, bytes.substr(random->Below(bytes.size()), 8));
    }
  }
  return bytes;
}

TEST_F(FaultProxyTest, MutatedBytesOfEitherSideEndAConnectionAndNoMore) {
  SeededRandom random(20261121);
  const std::vector<std::string> requests = {
      "GET /a?b HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\n\r\n", "PUT /a HTTP/1.1\r\nContent-Length: 4\r\n\r\ntext",
      "PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n\r\n"};
  const std::vector<std::string> answers = {
      "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntext",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ntext\r\n0\r\n\r\n"};
  for (int i = 0; i < 600; ++i) {
    server.AnswerWith(Mutate(answers[random.Below(answers.size())], &random));
    proxy->ClearRules();
    proxy->AddRule(
        {.fault = static_cast<Fault>(random.Below(static_cast<uint64_t>(Fault::kRefuse) + 1)), .bytes = 2});
    Client client(proxy->endpoint());
    client.SendRaw(Mutate(requests[random.Below(requests.size())], &random));
    client.SendNoMore();
    (void)client.ReadAll();
  }
  proxy->AwaitLate();
  proxy->ClearRules();
  server.AnswerWith("");
  EXPECT_EQ(Ask("GET", "/").head.status(), 200);
}

TEST(FaultProxyStartTest, SaysWhatIsWrong) {
  for (const char* url :
       {"", "127.0.0.1:80", "https://127.0.0.1:80", "http://127.0.0.1", "http://:80", "http://a:80/b"}) {
    const auto started = FaultProxy::Start({.upstream = url});
    ASSERT_FALSE(started.ok()) << url;
    EXPECT_THAT(std::string(started.status().message()), HasSubstr("http://HOST:PORT"));
  }
  auto first = FaultProxy::Start({.upstream = "http://127.0.0.1:1"});
  ASSERT_TRUE(first.ok());
  const std::string url = (*first)->endpoint();
  const auto port = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  EXPECT_FALSE(FaultProxy::Start({.upstream = "http://127.0.0.1:1", .port = port}).ok());
}

TEST(FaultRuleTest, Parse) {
  const Result<FaultRule> rule = ParseFaultRule(
      "late,method=PUT,target=a/b=c,probability=0.5,skip=2,times=3,delay=40,bytes=5,status=429,retry-after=6");
  ASSERT_TRUE(rule.ok()) << rule.status().ToString();
  EXPECT_EQ(rule->fault, Fault::kLate);
  EXPECT_EQ(rule->method, "PUT");
  EXPECT_EQ(rule->target, "a/b=c");
  EXPECT_EQ(rule->probability, 0.5);
  EXPECT_EQ(rule->skip, 2u);
  EXPECT_EQ(rule->times, 3u);
  EXPECT_EQ(rule->delay, milliseconds(40));
  EXPECT_EQ(rule->bytes, 5u);
  EXPECT_EQ(rule->status, 429);
  EXPECT_EQ(rule->retry_after_seconds, 6);
  for (int i = 1; i <= static_cast<int>(Fault::kRefuse); ++i) {
    const Result<FaultRule> named = ParseFaultRule(FaultName(static_cast<Fault>(i)));
    ASSERT_TRUE(named.ok());
    EXPECT_EQ(named->fault, static_cast<Fault>(i));
  }
  for (const char* bad : {"", "none", "nonsense", "late,delay", "late,delay=", "late,delay=1x", "late,delay=-1",
                          "late,colour=red", "late,probability=2", "late,status=200", "late,method="}) {
    const Result<FaultRule> none = ParseFaultRule(bad);
    ASSERT_FALSE(none.ok()) << bad;
    EXPECT_EQ(none.status().message().find('\n'), std::string_view::npos);
  }
}

}  // namespace
}  // namespace tarn::test
