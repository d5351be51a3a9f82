// What the connections of a fault proxy share: rules, log, threads and sockets. For fault_proxy*.cc.
//
// Threads: all calls from any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/fault_proxy.h"
#include "tests/support/fault_proxy_http.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

// A request in the log; to be changed by ProxyCore::Note().
using Noted = std::shared_ptr<ProxiedRequest>;

class ProxyCore : public std::enable_shared_from_this<ProxyCore> {
 public:
  // `host` and `port` of the server.
  ProxyCore(FaultProxy::Options options, std::string host, std::string port);

  // What stands behind the calls of FaultProxy.
  Status Listen();
  void Stop();
  uint16_t port() const { return port_; }
  size_t AddRule(FaultRule rule);
  uint64_t Fired(size_t rule);
  void ClearRules();
  std::vector<ProxiedRequest> TakeRequests();
  void AwaitLate();

  // What connections ask for.
  SocketSet* sockets() { return &sockets_; }
  Result<int> ConnectUpstream();
  // The rule that takes this request, or one with Fault::kNone.
  FaultRule Choose(const std::string& method, const std::string& target);
  Noted Begin(ProxiedRequest request);
  void Note(const Noted& request, const std::function<void(ProxiedRequest&)>& change);
  // False, and at once: the proxy stops.
  bool Wait(std::chrono::milliseconds time);
  // On a thread that Stop() waits for; AwaitLate() as well if it is `late`.
  void Spawn(bool late, std::function<void()> body);

 private:
  struct ActiveRule {
    FaultRule rule;
    uint64_t taken = 0;
    uint64_t fired = 0;
  };

  void Accept(int listener);

  const FaultProxy::Options options_;
  const std::string host_;
  const std::string service_;
  SocketSet sockets_;
  uint16_t port_ = 0;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  int threads_ = 0;
  int late_threads_ = 0;
  SeededRandom random_;
  std::vector<ActiveRule> rules_;
  size_t first_active_ = 0;  // of rules_; those before it were cleared
  std::deque<Noted> log_;
};

// Reads requests from `client`, a socket in core->sockets(), and sees to each of them, until one side has enough.
// `number`: which connection of a client this is.
void ServeConnection(ProxyCore* core, int client, uint64_t number);

}  // namespace tarn::test
