// An HTTP/1.1 proxy between a client and one server that makes the network as bad as a test wants it: for the S3
// backend and whatever else speaks HTTP. It listens on loopback; the client takes endpoint() for the server's
// address.
//
//   auto proxy = FaultProxy::Start({.upstream = server.endpoint});
//   (*proxy)->AddRule({.fault = Fault::kLoseAnswer, .method = "PUT", .target = "manifest/", .times = 1});
//   ... the client, at (*proxy)->endpoint() ...
//   for (const ProxiedRequest& r : (*proxy)->TakeRequests()) { ... }
//
// What passes stays as it is, byte for byte, with these exceptions: "Expect: 100-continue" is answered here and not
// passed on, and chunks may be cut anew. So signatures stay true, those over the field Host included.
//
// What is closed is closed in good order (FIN), behind the bytes that were sent. Note that libcurl repeats a request
// by itself, and tells nobody, when a connection that it uses again is closed before the first byte of the answer,
// unless the request is an upload (CURLOPT_UPLOAD): then TakeRequests() has two.
//
// Threads: all calls from any. Each connection has a thread of its own; delays are real time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/status.h"

namespace tarn::test {

class ProxyCore;  // fault_proxy_core.h

enum class Fault : uint8_t {
  kNone,            // passes
  kCutRequest,      // the connection is closed, and the server never hears of the request
  kLoseAnswer,      // the server does what was asked, then the connection is closed instead of an answer
  kCutAnswer,       // the connection is closed behind `bytes` bytes of the body
  kTruncateAnswer,  // the body ends after `bytes` bytes, and the head says that this is right
  kCorruptRequest,  // the lowest bit of byte `bytes` of the body is flipped, or of the last one; chunked bodies that
  kCorruptAnswer,   //   are shorter stay whole
  kDelayRequest,    // `delay` before the server hears of it
  kDelayAnswer,     // `delay` before the client hears the answer
  kDuplicate,       // the server gets it twice, one after the other; the client gets the second answer
  kLate,            // the client is refused now, and the server gets the request `delay` later
  kRefuse,          // answered with `status`; the server never hears of it
};

// The first rule that takes a request decides what befalls it. A rule takes it when method and target fit, chance
// wants it, and it is one of the `times` after the first `skip` of those.
struct FaultRule {
  Fault fault = Fault::kNone;
  std::string method;  // empty: any
  std::string target;  // a part of path and query as they were sent; empty: any
  double probability = 1;
  uint64_t skip = 0;
  uint64_t times = UINT64_MAX;
  std::chrono::milliseconds delay{0};
  uint64_t bytes = 0;
  int status = 503;              // of kRefuse and kLate: 500 InternalError, 503 SlowDown, 429 TooManyRequests, ...
  int retry_after_seconds = -1;  // of kRefuse and kLate: the field Retry-After; none when negative
};

// A rule as scripts write it: the fault, then what differs from the defaults.
//   "lose-answer,method=PUT,target=manifest/,skip=2,times=1"     "delay-request,probability=0.02,delay=200"
// Faults: cut-request lose-answer cut-answer truncate-answer corrupt-request corrupt-answer delay-request
// delay-answer duplicate late refuse. Invalid: names the word that is wrong.
Result<FaultRule> ParseFaultRule(std::string_view text);
std::string_view FaultName(Fault fault);

// What passed, in the order in which the heads arrived. Numbers are noted before the client can see what they count.
struct ProxiedRequest {
  std::string method;
  std::string target;  // path and query
  std::string range;   // the field Range; empty: none
  Fault fault = Fault::kNone;
  int forwarded = 0;           // how often the server got it: 0, 1 or 2
  int status = 0;              // what the client was told; 0: nothing (so far)
  int upstream_status = 0;     // what the server said, last
  uint64_t request_bytes = 0;  // of the body that came from the client
  uint64_t answer_bytes = 0;   // of the body that went to the client
  uint64_t connection = 0;     // of the client; the first is 1
};

class FaultProxy {
 public:
  struct Options {
    std::string upstream;     // "http://127.0.0.1:8000"
    uint16_t port = 0;        // to listen on; 0: any
    uint64_t seed = 1;        // of chance
    size_t keep = 1'000'000;  // requests that TakeRequests() can know of; then the oldest are forgotten
  };

  // Invalid: no http URL with host and port. Otherwise the error of the socket. The server need not run yet; while it
  // does not, connections are closed as if it were the server.
  static Result<std::unique_ptr<FaultProxy>> Start(Options options);

  // Closes every connection, gives up what is late or delayed, and waits for its threads.
  ~FaultProxy();

  std::string endpoint() const;  // "http://127.0.0.1:43210"

  // Behind the earlier ones; returns a number for Fired().
  size_t AddRule(FaultRule rule);
  uint64_t Fired(size_t rule) const;
  // From now on all pass; the numbers of the rules stay theirs.
  void ClearRules();

  // Those since the last call, those under way as far as they have come.
  std::vector<ProxiedRequest> TakeRequests();

  // Returns when every late request has reached the server and been answered.
  void AwaitLate();

 private:
  explicit FaultProxy(std::shared_ptr<ProxyCore> core) : core_(std::move(core)) {}
  std::shared_ptr<ProxyCore> core_;  // shared with its threads, one of which may let it go last
};

}  // namespace tarn::test
