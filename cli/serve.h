// Server: lets other commands work on a lake that this process holds (a mount, for hours). It listens in the
// session's place (session_place.h), takes requests from the same user or root, and runs their verbs on its own Lake
// with the client's descriptors (wire.h).
//
// Threads: one poll loop and kWorkers workers, from a scheduler of its own. The loop accepts, watches the clients
// (one that hangs up cancels its verb) and the process's signals; it never waits for a verb. More requests than
// workers queue. Stop() cancels what runs and waits for it.
//
// Invariants: 1. a Lake call is only made on a worker; 2. no worker lives when Stop() has returned; 3. the socket's
// file exists only while the lake's lock is held.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cli/local_fs.h"
#include "lake/lake.h"

namespace tarn::cli {

class Server {
 public:
  struct Hooks {
    // Called on the loop's thread when SIGINT, SIGTERM or SIGHUP arrives. REQUIRES: these are blocked in every
    // thread of the process (BlockSignals before the first thread starts).
    std::function<void()> on_signal;
    // Called on a worker after a verb, before its client hears that it is done: waits until others see its changes.
    std::function<void()> settle;
  };
  // Listens in `place`; `lake_directory` is empty for a lake in a bucket.
  static Result<std::unique_ptr<Server>> Start(lake::Lake& lake, const std::string& place,
                                               const std::string& lake_directory, Hooks hooks);
  ~Server();  // Stop()
  void Stop();
  static void BlockSignals();

 private:
  struct Client {
    UniqueFd socket;
    std::atomic<bool> cancelled{false};
    std::atomic<bool> finished{false};
  };

  Server(lake::Lake& lake, std::string place, std::string lake_directory, Hooks hooks);
  bool Turn();  // one turn of the poll loop; false when it is over
  void Accept();
  void Serve(Client& client);
  int RunRequest(Client& client);
  void Wake();

  lake::Lake& lake_;
  const std::string place_, lake_directory_;
  const Hooks hooks_;
  UniqueFd listener_, wake_, signals_;
  std::vector<std::shared_ptr<Client>> clients_;  // the loop's own
  std::atomic<bool> stopping_{false};

  std::mutex mutex_;  // guards the two below
  bool loop_over_ = false;
  size_t serving_ = 0;
  std::shared_ptr<Scheduler> scheduler_;  // last: its threads end before the rest goes
};

}  // namespace tarn::cli
