#include "cli/serve.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/system_effects.h"
#include "cli/app.h"
#include "cli/context.h"
#include "cli/run.h"
#include "cli/text.h"
#include "cli/wire.h"

namespace tarn::cli {
namespace {

constexpr uint32_t kWorkers = 8;
constexpr size_t kMaxClients = 256;  // beyond that new ones wait in the socket's queue
constexpr int kRequestSeconds = 10;  // a client that connects and says nothing
constexpr size_t kFixedPolls = 3;    // listener, wake, signals

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, signal);
  return set;
}

}  // namespace

void Server::BlockSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Server::Server(lake::Lake& lake, std::string place, std::string lake_directory, Hooks hooks)
    : lake_(lake), place_(std::move(place)), lake_directory_(std::move(lake_directory)), hooks_(std::move(hooks)) {}

Result<std::unique_ptr<Server>> Server::Start(lake::Lake& lake, const std::string& place,
                                              const std::string& lake_directory, Hooks hooks) {
  std::unique_ptr<Server> server(new Server(lake, place, lake_directory, std::move(hooks)));
  const sigset_t set = StopSignals();
  server->signals_ = UniqueFd(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  server->wake_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!server->signals_.ok() || !server->wake_.ok())
    return LocalError(errno, "server", "cannot make its descriptors");
  TARN_ASSIGN(server->listener_, ListenIn(place));
  server->scheduler_ = NewThreadScheduler(kWorkers + 1);
  Server* self = server.get();
  // The first lane: the loop is never behind a queue of requests.
  self->scheduler_->Submit(Scheduler::Lane::kFlush, [self] { return self->Turn(); });
  return server;
}

Server::~Server() { Stop(); }

void Server::Stop() {
  if (scheduler_ == nullptr) return;
  stopping_.store(true);
  Wake();
  {
    std::unique_lock<std::mutex> lock(mutex_);
    scheduler_->Await(mutex_, [this] { return loop_over_ && serving_ == 0; });
  }
  scheduler_.reset();
  RemoveSocket(place_);
}

void Server::Wake() {
  const uint64_t one = 1;
  // A full counter wakes the loop as well.
  static_cast<void>(write(wake_.get(), &one, sizeof one) == sizeof one);
}

bool Server::Turn() {
  std::vector<struct pollfd> polls = {{clients_.size() < kMaxClients ? listener_.get() : -1, POLLIN, 0},
                                      {wake_.get(), POLLIN, 0},
                                      {signals_.get(), POLLIN, 0}};
  for (const auto& client : clients_) {
    // A client that has given up is not asked again.
    polls.push_back({client->cancelled.load() ? -1 : client->socket.get(), POLLRDHUP, 0});
  }
  if (poll(polls.data(), polls.size(), -1) > 0) {
    uint64_t count;
    while (read(wake_.get(), &count, sizeof count) > 0) {
    }
    struct signalfd_siginfo info;
    bool asked = false;
    while (read(signals_.get(), &info, sizeof info) > 0) asked = true;
    if (asked) hooks_.on_signal();
    for (size_t i = 0; i < clients_.size(); ++i) {
      if (polls[kFixedPolls + i].revents != 0) clients_[i]->cancelled.store(true);
    }
    if (polls[0].revents != 0) Accept();
  }
  std::erase_if(clients_, [](const auto& client) { return client->finished.load(); });
  if (!stopping_.load()) return true;
  for (const auto& client : clients_) client->cancelled.store(true);
  listener_.reset();
  const std::lock_guard<std::mutex> lock(mutex_);
  loop_over_ = true;
  scheduler_->Notify();
  return false;
}

void Server::Accept() {
  UniqueFd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!socket.ok()) return;  // it hung up meanwhile; or no descriptor is free, and it is tried again
  const struct timeval patience = {kRequestSeconds, 0};
  if (setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) return;
  auto client = std::make_shared<Client>();
  client->socket = std::move(socket);
  clients_.push_back(client);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++serving_;
  }
  scheduler_->Submit(Scheduler::Lane::kCompact, [this, client] {
    Serve(*client);
    return false;
  });
}

void Server::Serve(Client& client) {
  const int code = RunRequest(client);
  hooks_.settle();
  if (code >= 0) {
    // A client that no longer listens needs no answer.
    static_cast<void>(SendReply(client.socket.get(), code).ok());
  }
  shutdown(client.socket.get(), SHUT_RDWR);
  client.finished.store(true);
  Wake();
  const std::lock_guard<std::mutex> lock(mutex_);
  --serving_;
  scheduler_->Notify();
}

// The exit code; negative when there is nobody to tell it to.
int Server::RunRequest(Client& client) {
  auto peer = PeerOf(client.socket.get());
  if (!peer.ok() || (peer->uid != geteuid() && peer->uid != 0)) return -1;
  auto request = ReceiveRequest(client.socket.get());
  if (!request.ok()) return -1;
  Context context(request->in.get(), request->out.get(), request->err.get(), &client.cancelled, true);
  context.caller.uid = peer->uid;
  context.caller.gid = peer->gid;
  context.caller.who = WhoIs(peer->uid);
  context.caller.command = CommandText(request->args);
  context.caller.cwd_fd = request->cwd.get();
  context.caller.width = ColumnsOf(request->err.get());
  context.location = request->location;
  context.lake_directory = lake_directory_;
  context.lake = &lake_;
  Parsed parsed = CommandLine().Parse(request->args);
  if (parsed.invocation.has_value() && parsed.invocation->needs == Needs::kNothing) {
    return Conclude(context, parsed.verb, Status::Invalid("does not work on a lake in use; run it by itself"));
  }
  return RunParsed(context, parsed);
}

}  // namespace tarn::cli
