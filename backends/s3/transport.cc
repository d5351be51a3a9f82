#include "backends/s3/transport.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "backends/s3/encoding.h"

namespace tarn::s3 {

std::string_view FindHeader(const HttpHeaders& headers, std::string_view name) {
  for (const auto& [key, value] : headers) {
    if (key == name) return value;
  }
  return {};
}

namespace {

constexpr long kConnectMillis = 3000;         // a SYN lost once is sent again after 1 s, twice after 3 s
constexpr long kReceiveBytes = 128 << 10;     // of one callback; curl's 16 KiB cost a fifth of a large GET
constexpr long kSendBytes = 256 << 10;        // of one write
constexpr size_t kMaxHeaderBytes = 64 << 10;  // of an answer; S3's have about 1 KiB
constexpr int kPollMillis = 1000;             // nothing depends on it: wakeups come through curl_multi_wakeup
constexpr uint64_t kMaxWaitNanos = 3600ull * 1'000'000'000;

using Exchange = std::shared_ptr<HttpExchange>;

// Where finished exchanges of one queue wait for their owner.
struct Mailbox {
  std::mutex mutex;  // guards done and live
  std::condition_variable arrived;
  std::vector<Exchange> done;
  std::unordered_set<const HttpExchange*> live;  // started, and neither returned nor cancelled

  void Deliver(Exchange exchange) {
    {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!live.contains(exchange.get())) return;
      done.push_back(std::move(exchange));
    }
    arrived.notify_one();
  }
};

// One exchange under way inside curl. Only the engine's thread touches it.
struct Transfer {
  Exchange exchange;
  std::shared_ptr<Mailbox> mailbox;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  size_t header_bytes = 0;
  bool too_long = false;
  char error[CURL_ERROR_SIZE] = {};

  ~Transfer() {
    curl_easy_cleanup(easy);
    curl_slist_free_all(headers);
  }
};

size_t OnHeader(char* bytes, size_t one, size_t n, void* data) {
  auto* transfer = static_cast<Transfer*>(data);
  const std::string_view line(bytes, one * n);
  HttpResponse& response = transfer->exchange->response;
  if (line.starts_with("HTTP/")) response.headers.clear();  // those before were of a 100 Continue or of a proxy
  transfer->header_bytes += line.size();
  if (transfer->header_bytes > kMaxHeaderBytes) return 0;
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  const size_t first = line.find_first_not_of(" \t", colon + 1), last = line.find_last_not_of(" \t\r\n");
  response.headers.emplace_back(std::move(name), first <= last ? line.substr(first, last - first + 1) : "");
  return line.size();
}

size_t OnBody(char* bytes, size_t one, size_t n, void* data) {
  auto* transfer = static_cast<Transfer*>(data);
  std::string& body = transfer->exchange->response.body;
  const uint64_t most = transfer->exchange->request.max_answer_bytes;
  if (body.size() + one * n > most) {
    transfer->too_long = true;
    return 0;
  }
  if (body.empty()) {
    const auto length = ParseNumber(FindHeader(transfer->exchange->response.headers, "content-length"));
    if (length && *length <= most) body.reserve(*length);
  }
  body.append(bytes, one * n);
  return one * n;
}

void SetMethod(CURL* easy, const HttpRequest& request) {
  const bool has_body = request.body != nullptr || request.method == "PUT" || request.method == "POST";
  if (request.method == "HEAD") {
    curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
  } else if (has_body) {
    // As a POST of memory that is not copied: curl then rewinds it by itself when it has to send it again.
    const bool empty = request.body == nullptr || request.body->empty();
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(empty ? 0 : request.body->size()));
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, empty ? "" : request.body->data());
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  } else {
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
}

void SetHeaders(Transfer* transfer) {
  // Not those that curl would add: unsigned, and with Expect a round trip more.
  for (const char* dropped : {"Expect:", "Accept:", "Content-Type:"}) {
    transfer->headers = curl_slist_append(transfer->headers, dropped);
  }
  for (const auto& [name, value] : transfer->exchange->request.headers) {
    const std::string line = value.empty() ? name + ";" : name + ": " + value;
    transfer->headers = curl_slist_append(transfer->headers, line.c_str());
  }
  curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

void Fail(HttpResponse* response, HttpFailure failure, std::string why) {
  response->failure = failure;
  response->why = std::move(why);
}

void Conclude(Transfer* transfer, CURLcode code) {
  HttpResponse& response = transfer->exchange->response;
  curl_off_t began = 0;  // when the request began to be sent; 0: it did not
  curl_easy_getinfo(transfer->easy, CURLINFO_PRETRANSFER_TIME_T, &began);
  std::string why = transfer->error[0] != '\0' ? transfer->error : curl_easy_strerror(code);
  std::replace(why.begin(), why.end(), '\n', ' ');
  long status = 0;
  curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
  response.status = static_cast<int>(status);
  if (transfer->too_long)
    return Fail(&response, HttpFailure::kTooLong, "the answer is longer than what was asked for");
  switch (code) {
    case CURLE_OK: return;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR: return Fail(&response, HttpFailure::kConnect, std::move(why));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM: return Fail(&response, HttpFailure::kTls, std::move(why));
    case CURLE_OPERATION_TIMEDOUT:
      return Fail(&response, began == 0 ? HttpFailure::kConnect : HttpFailure::kDeadline, std::move(why));
    default: return Fail(&response, HttpFailure::kBroken, std::move(why));
  }
}

class CurlTransport final : public HttpTransport {
 public:
  CurlTransport(TransportOptions options, std::shared_ptr<Clock> clock)
      : options_(std::move(options)), clock_(std::move(clock)), multi_(curl_multi_init()) {
    if (multi_ == nullptr) return;
    const long connections = options_.connections;
    curl_multi_setopt(multi_, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
    curl_multi_setopt(multi_, CURLMOPT_MAXCONNECTS, connections);
    curl_multi_setopt(multi_, CURLMOPT_PIPELINING, static_cast<long>(CURLPIPE_NOTHING));
  }
  ~CurlTransport() override {
    if (thread_.joinable()) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        stop_ = true;
      }
      curl_multi_wakeup(multi_);
      thread_.join();
    }
    if (multi_ != nullptr) curl_multi_cleanup(multi_);
  }

  bool StartThread() {
    if (multi_ == nullptr) return false;
    // The thread inherits the mask: signals are the program's business, and a closed TLS connection must not end it
    // with SIGPIPE.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      thread_ = std::thread([this] { Loop(); });
    } catch (const std::system_error&) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread_.joinable();
  }

  std::unique_ptr<HttpQueue> NewQueue() override;

  void Post(Exchange exchange, std::shared_ptr<Mailbox> mailbox) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      starts_.emplace_back(std::move(exchange), std::move(mailbox));
    }
    curl_multi_wakeup(multi_);
  }
  void PostCancel(Exchange exchange) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      cancels_.push_back(std::move(exchange));
    }
    curl_multi_wakeup(multi_);
  }
  Clock& clock() { return *clock_; }

 private:
  using Start = std::pair<Exchange, std::shared_ptr<Mailbox>>;

  void Loop() {
    for (bool stop = false; !stop;) {
      std::vector<Start> starts;
      std::vector<Exchange> cancels;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        starts.swap(starts_);
        cancels.swap(cancels_);
        stop = stop_;
      }
      for (auto& [exchange, mailbox] : starts) Begin(std::move(exchange), std::move(mailbox));
      for (const Exchange& exchange : cancels) Forget(exchange.get());
      int running = 0;
      curl_multi_perform(multi_, &running);
      DeliverFinished();
      if (!stop) curl_multi_poll(multi_, nullptr, 0, kPollMillis, nullptr);
    }
    while (!transfers_.empty()) Forget(transfers_.begin()->first);
  }

  void Begin(Exchange exchange, std::shared_ptr<Mailbox> mailbox) {
    auto transfer = std::make_unique<Transfer>();
    transfer->exchange = std::move(exchange);
    transfer->mailbox = std::move(mailbox);
    transfer->easy = curl_easy_init();
    if (transfer->easy == nullptr || !Prepare(transfer.get()) ||
        curl_multi_add_handle(multi_, transfer->easy) != CURLM_OK) {
      Fail(&transfer->exchange->response, HttpFailure::kConnect, "no memory for a request");
      return transfer->mailbox->Deliver(transfer->exchange);
    }
    transfers_.emplace(transfer->exchange.get(), std::move(transfer));
  }

  bool Prepare(Transfer* transfer) {
    CURL* easy = transfer->easy;
    const HttpRequest& request = transfer->exchange->request;
    const uint64_t now = clock_->MonotonicNanos();
    const uint64_t left = request.deadline_nanos > now ? request.deadline_nanos - now : 0;
    const long millis = static_cast<long>(std::clamp<uint64_t>(left / 1'000'000, 1, 1u << 30));
    bool good = curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str()) == CURLE_OK;
    good &= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, millis);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, std::min(millis, kConnectMillis));
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, kReceiveBytes);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, kSendBytes);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, OnHeader);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, OnBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    if (!options_.ca_file.empty()) curl_easy_setopt(easy, CURLOPT_CAINFO, options_.ca_file.c_str());
    if (request.direct) curl_easy_setopt(easy, CURLOPT_PROXY, "");
    SetMethod(easy, request);
    SetHeaders(transfer);
    return good;
  }

  void DeliverFinished() {
    int left = 0;
    while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      Transfer* transfer = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &transfer);
      Conclude(transfer, message->data.result);  // `message` dies with the handle
      Exchange exchange = transfer->exchange;
      const std::shared_ptr<Mailbox> mailbox = transfer->mailbox;
      Forget(exchange.get());
      exchange->ended_nanos = clock_->MonotonicNanos();
      mailbox->Deliver(std::move(exchange));
    }
  }

  void Forget(const HttpExchange* exchange) {
    const auto found = transfers_.find(exchange);
    if (found == transfers_.end()) return;
    curl_multi_remove_handle(multi_, found->second->easy);
    transfers_.erase(found);
  }

  const TransportOptions options_;
  const std::shared_ptr<Clock> clock_;
  CURLM* const multi_;  // used by the thread; others only wake it
  std::unordered_map<const HttpExchange*, std::unique_ptr<Transfer>> transfers_;  // the thread's
  std::mutex mutex_;  // guards starts_, cancels_ and stop_
  std::vector<Start> starts_;
  std::vector<Exchange> cancels_;
  bool stop_ = false;
  std::thread thread_;
};

class CurlQueue final : public HttpQueue {
 public:
  explicit CurlQueue(CurlTransport* transport) : transport_(transport), mailbox_(std::make_shared<Mailbox>()) {}
  ~CurlQueue() override {
    for (const auto& [raw, exchange] : started_) transport_->PostCancel(exchange);
    const std::lock_guard<std::mutex> lock(mailbox_->mutex);
    mailbox_->live.clear();
    mailbox_->done.clear();
  }

  void Start(Exchange exchange) override {
    {
      const std::lock_guard<std::mutex> lock(mailbox_->mutex);
      mailbox_->live.insert(exchange.get());
    }
    started_.emplace(exchange.get(), exchange);
    transport_->Post(std::move(exchange), mailbox_);
  }
  void Cancel(const Exchange& exchange) override {
    {
      const std::lock_guard<std::mutex> lock(mailbox_->mutex);
      mailbox_->live.erase(exchange.get());
      std::erase(mailbox_->done, exchange);
    }
    started_.erase(exchange.get());
    transport_->PostCancel(exchange);
  }
  std::vector<Exchange> Wait(uint64_t until_nanos) override {
    std::vector<Exchange> done;
    {
      std::unique_lock<std::mutex> lock(mailbox_->mutex);
      const uint64_t now = transport_->clock().MonotonicNanos();
      const uint64_t left = until_nanos > now ? std::min(until_nanos - now, kMaxWaitNanos) : 0;
      mailbox_->arrived.wait_for(lock, std::chrono::nanoseconds(left), [&] { return !mailbox_->done.empty(); });
      done.swap(mailbox_->done);
      for (const Exchange& exchange : done) mailbox_->live.erase(exchange.get());
    }
    for (const Exchange& exchange : done) started_.erase(exchange.get());
    return done;
  }

 private:
  CurlTransport* const transport_;
  const std::shared_ptr<Mailbox> mailbox_;
  std::unordered_map<const HttpExchange*, Exchange> started_;
};

std::unique_ptr<HttpQueue> CurlTransport::NewQueue() { return std::make_unique<CurlQueue>(this); }

}  // namespace

Result<std::shared_ptr<HttpTransport>> NewCurlTransport(const TransportOptions& options,
                                                        std::shared_ptr<Clock> clock) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  auto transport = std::make_shared<CurlTransport>(options, std::move(clock));
  if (global != CURLE_OK || !transport->StartThread()) {
    return Status::Unavailable(
        "cannot start the thread for HTTP: free memory or raise the limit of threads (ulimit -u)");
  }
  return std::shared_ptr<HttpTransport>(std::move(transport));
}

}  // namespace tarn::s3
