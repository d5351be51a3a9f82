#include "tests/support/fault_proxy.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <thread>

#include "tests/support/fault_proxy_core.h"

namespace tarn::test {
namespace {

void SetNoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // or a small answer waits 40 ms for its acknowledgement
}

Status SocketError(const std::string& what) { return Status::FromErrno(errno, "fault proxy: cannot " + what); }

}  // namespace

Result<std::unique_ptr<FaultProxy>> FaultProxy::Start(Options options) {
  constexpr std::string_view kScheme = "http://";
  std::string_view address = options.upstream;
  const bool http = address.starts_with(kScheme);
  if (http) address.remove_prefix(kScheme.size());
  if (address.ends_with('/')) address.remove_suffix(1);
  const size_t colon = address.rfind(':');
  if (!http || colon == address.npos || colon == 0 || colon + 1 == address.size() ||
      address.find('/') != address.npos) {
    return Status::Invalid("no address of a server: '" + options.upstream + "'; write http://HOST:PORT");
  }
  std::string host(address.substr(0, colon));
  std::string port(address.substr(colon + 1));
  auto core = std::make_shared<ProxyCore>(std::move(options), std::move(host), std::move(port));
  TARN_TRY(core->Listen());
  return std::unique_ptr<FaultProxy>(new FaultProxy(std::move(core)));
}

FaultProxy::~FaultProxy() { core_->Stop(); }
std::string FaultProxy::endpoint() const { return "http://127.0.0.1:" + std::to_string(core_->port()); }
size_t FaultProxy::AddRule(FaultRule rule) { return core_->AddRule(std::move(rule)); }
uint64_t FaultProxy::Fired(size_t rule) const { return core_->Fired(rule); }
void FaultProxy::ClearRules() { core_->ClearRules(); }
std::vector<ProxiedRequest> FaultProxy::TakeRequests() { return core_->TakeRequests(); }
void FaultProxy::AwaitLate() { core_->AwaitLate(); }

ProxyCore::ProxyCore(FaultProxy::Options options, std::string host, std::string port)
    : options_(std::move(options)), host_(std::move(host)), service_(std::move(port)), random_(options_.seed) {}

Status ProxyCore::Listen() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return SocketError("make a socket");
  sockets_.Add(fd);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(options_.port);
  socklen_t size = sizeof address;
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, SOMAXCONN) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const Status error = SocketError("listen on 127.0.0.1:" + std::to_string(options_.port));
    sockets_.Close(fd);
    return error;
  }
  port_ = ntohs(address.sin_port);
  Spawn(false, [this, fd] { Accept(fd); });
  return Status::Ok();
}

void ProxyCore::Accept(int listener) {
  // A failed accept is the end, or a want of descriptors that passes.
  constexpr std::chrono::milliseconds kPause{10};
  uint64_t connections = 0;
  for (bool goes_on = true; goes_on;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) {
      goes_on = Wait(kPause);
    } else if (sockets_.Add(fd)) {
      SetNoDelay(fd);
      Spawn(false, [this, fd, number = ++connections] { ServeConnection(this, fd, number); });
    }
  }
  sockets_.Close(listener);
}

void ProxyCore::Spawn(bool late, std::function<void()> body) {
  {
    std::lock_guard lock(mutex_);
    ++threads_;
    late_threads_ += late ? 1 : 0;
  }
  std::thread([self = shared_from_this(), late, body = std::move(body)] {
    body();
    std::lock_guard lock(self->mutex_);
    --self->threads_;
    self->late_threads_ -= late ? 1 : 0;
    self->changed_.notify_all();
  }).detach();
}

void ProxyCore::Stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  sockets_.ShutAll();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return threads_ == 0; });
}

void ProxyCore::AwaitLate() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return late_threads_ == 0; });
}

bool ProxyCore::Wait(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return !changed_.wait_for(lock, time, [&] { return stopping_; });
}

Result<int> ProxyCore::ConnectUpstream() {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host_.c_str(), service_.c_str(), &hints, &found) != 0) {
    return Status::Unavailable("no address of " + host_);
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, &freeaddrinfo);
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
    if (fd < 0 || !sockets_.Add(fd)) continue;
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
      SetNoDelay(fd);
      return fd;
    }
    sockets_.Close(fd);
  }
  return Status::Unavailable("nobody answers at " + host_ + ":" + service_);
}

size_t ProxyCore::AddRule(FaultRule rule) {
  std::lock_guard lock(mutex_);
  rules_.push_back({std::move(rule)});
  return rules_.size() - 1;
}

uint64_t ProxyCore::Fired(size_t rule) {
  std::lock_guard lock(mutex_);
  return rules_.at(rule).fired;
}

void ProxyCore::ClearRules() {
  std::lock_guard lock(mutex_);
  first_active_ = rules_.size();
}

FaultRule ProxyCore::Choose(const std::string& method, const std::string& target) {
  constexpr double kOne = 9007199254740992.0;  // 2^53: what a double can count
  std::lock_guard lock(mutex_);
  for (size_t i = first_active_; i < rules_.size(); ++i) {
    ActiveRule& active = rules_[i];
    const FaultRule& rule = active.rule;
    if (!rule.method.empty() && rule.method != method) continue;
    if (target.find(rule.target) == std::string::npos) continue;
    if (rule.probability < 1 && static_cast<double>(random_.Next() >> 11) >= rule.probability * kOne) continue;
    const uint64_t nth = active.taken++;
    if (nth < rule.skip || nth - rule.skip >= rule.times) continue;
    ++active.fired;
    return rule;
  }
  return {};
}

Noted ProxyCore::Begin(ProxiedRequest request) {
  Noted noted = std::make_shared<ProxiedRequest>(std::move(request));
  std::lock_guard lock(mutex_);
  log_.push_back(noted);
  if (log_.size() > options_.keep) log_.pop_front();
  return noted;
}

void ProxyCore::Note(const Noted& request, const std::function<void(ProxiedRequest&)>& change) {
  std::lock_guard lock(mutex_);
  change(*request);
}

std::vector<ProxiedRequest> ProxyCore::TakeRequests() {
  std::lock_guard lock(mutex_);
  std::vector<ProxiedRequest> requests;
  for (const Noted& noted : log_) requests.push_back(*noted);
  log_.clear();
  return requests;
}

}  // namespace tarn::test
