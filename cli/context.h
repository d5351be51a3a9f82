// Context: everything a verb may touch of the world around it. Every verb is written against it, because a verb
// runs in one of two places: in the process the user started, or inside the process that holds the lake (serve.h),
// on behalf of a client whose descriptors and working directory were passed over a socket.
//
// So verbs never use std::cout, exit(), chdir() or the process's own descriptors 0..2; local paths are resolved
// against caller.cwd_fd; loops ask Check() whether the user has given up.
//
// Threads: a Context belongs to the thread that runs its verb; only the cancel flag is shared.
#pragma once

#include <fmt/format.h>
#include <sys/types.h>

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "lake/lake.h"

namespace tarn::cli {

// What scripts may rely on; documented in docs/cli.md.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitNotFound = 3,
  kExitBusy = 4,
  kExitCorruption = 5,
  kExitNoSpace = 6,
  kExitInterrupted = 130,
  kExitPipe = 141,
};
int ExitCodeOf(const Status& status);

// A buffered writer on a descriptor it does not own. The first error sticks and is reported by Flush().
class Output {
 public:
  // With a cancel flag, writing to a reader that has stopped gives up when the flag is raised.
  explicit Output(int fd, const std::atomic<bool>* cancelled = nullptr);
  void Write(std::string_view bytes);
  template <typename... Args>
  void Print(fmt::format_string<Args...> format, Args&&... args) {
    Write(fmt::format(format, std::forward<Args>(args)...));
  }
  Status Flush();
  const Status& status() const { return status_; }
  bool terminal() const { return terminal_; }

 private:
  void Drain(std::string_view bytes);

  int fd_;
  const std::atomic<bool>* cancelled_;
  bool terminal_ = false;
  size_t piece_ = 0;  // largest single write; 0: no limit
  std::string buffer_;
  Status status_;
};

struct Caller {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string who;      // user@host
  std::string command;  // the command line, for the lake's log
  int in_fd = 0;
  int cwd_fd = -1;      // local paths are relative to it
  unsigned width = 80;  // columns of the terminal
};

class Context {
 public:
  Context(int in_fd, int out_fd, int err_fd, const std::atomic<bool>* cancelled, bool served);

  Output out, err;
  Caller caller;
  std::string location;         // the lake as the user named it ($TARN_LAKE or --lake); empty: not given
  bool lake_was_named = false;  // by --lake in this very command
  lake::Lake* lake = nullptr;   // set for verbs that work on an open lake
  std::string lake_directory;   // its directory, absolute
  bool quiet = false;
  std::shared_ptr<Clock> clock;

  // Not OK when the user gave up, or nobody reads the output any more. Every loop of a verb asks.
  Status Check() const;
  // The lake now (empty name), or as of a snapshot. Lives as long as the context.
  Result<lake::View*> ViewAt(const std::string& snapshot);
  // Before the lake is closed.
  void DropViews() { snapshot_view_.reset(); }
  // Appends the command's record to the lake's log.
  Status Record(uint64_t files, uint64_t bytes);
  lake::LogRecord LogRecordOf(uint64_t files, uint64_t bytes) const;
  bool served() const { return served_; }

 private:
  const std::atomic<bool>* cancelled_;
  bool served_;
  std::unique_ptr<lake::View> snapshot_view_;
};

// Flushes the output, prints the one error line there may be, and returns the exit code.
int Conclude(Context& context, const std::string& verb, Status status);

// The error of a lake call with the path a person knows it by.
Status At(std::string_view path, const Status& status);
// "<path>: <strerror>; <next>" with the code and number of `error`.
Status LocalError(int error, std::string_view path, std::string_view next);

// "user@host" for a user of this machine.
std::string WhoIs(uid_t uid);

}  // namespace tarn::cli
