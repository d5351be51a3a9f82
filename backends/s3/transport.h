// HTTP/1.1 requests in flight, as objects that a thread starts and gets back. For calls.cc and metadata.cc; tests and
// the simulator put a server of their own behind these two classes. transport.cc is libcurl's only home.
//
// An exchange belongs to the transport from Start until Wait returns it; it is shared, so that a caller which lost
// interest (Cancel) may forget it while its bytes still drain. Nothing is retried or redirected here.
//
// The real transport: curl's multi interface on one thread, connections kept alive and shared by all queues, TLS
// verified, TCP_NODELAY, the URL's path sent as it is. It honours $http_proxy, $https_proxy and $no_proxy.
//
// Threads: HttpTransport any; an HttpQueue one at a time. Queues are destroyed before their transport.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tarn/sdk/effects.h"
#include "tarn/status.h"

namespace tarn::s3 {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;  // names in lower case

// The first header of that name, or "".
std::string_view FindHeader(const HttpHeaders& headers, std::string_view name);

struct HttpRequest {
  std::string method;                       // GET, HEAD, PUT, POST, DELETE
  std::string url;                          // absolute and encoded
  HttpHeaders headers;                      // besides Host and Content-Length
  std::shared_ptr<const std::string> body;  // null: none (PUT and POST then have an empty one)
  uint64_t deadline_nanos = 0;              // of Clock::MonotonicNanos
  uint64_t max_answer_bytes = 0;            // a longer body is refused
  bool direct = false;                      // past any proxy
};

enum class HttpFailure : uint8_t {
  kNone,      // there is an answer, whatever its status
  kConnect,   // nothing of the request was sent
  kTls,       // the server's certificate is not to be trusted; nothing was sent
  kBroken,    // cut, empty or no HTTP: what the server did is unknown
  kTooLong,   // more than was asked for
  kDeadline,  // what the server did is unknown
};

struct HttpResponse {
  HttpFailure failure = HttpFailure::kNone;
  std::string why;  // of a failure, for people: one line
  int status = 0;
  HttpHeaders headers;
  std::string body;
};

struct HttpExchange {
  HttpRequest request;
  HttpResponse response;
  uint64_t ended_nanos = 0;  // when it did, by the clock; its owner may look much later
  void* context = nullptr;   // the caller's, untouched
};

class HttpQueue {
 public:
  // Cancels what is in flight.
  virtual ~HttpQueue() = default;
  virtual void Start(std::shared_ptr<HttpExchange> exchange) = 0;
  // It will not come back. The server may carry it out all the same.
  virtual void Cancel(const std::shared_ptr<HttpExchange>& exchange) = 0;
  // What ended, in any order. Blocks for the first until the clock shows `until_nanos`; then there may be none.
  virtual std::vector<std::shared_ptr<HttpExchange>> Wait(uint64_t until_nanos) = 0;
};

class HttpTransport {
 public:
  virtual ~HttpTransport() = default;
  virtual std::unique_ptr<HttpQueue> NewQueue() = 0;
};

struct TransportOptions {
  uint32_t connections = 64;  // to one host; more requests wait their turn
  std::string ca_file;        // empty: the system's
};
// Unavailable when the system gives no thread or memory for it.
Result<std::shared_ptr<HttpTransport>> NewCurlTransport(const TransportOptions& options,
                                                        std::shared_ptr<Clock> clock);

}  // namespace tarn::s3
