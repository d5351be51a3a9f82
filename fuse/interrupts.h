// Interruptible: a request that waits for storage, and whose program may want to leave meanwhile.
//
// A process in a FUSE call cannot be killed before the call was answered. When a signal arrives the kernel tells the
// file system so. Here the call is then answered with EINTR at once, if the signal means "leave": SIGKILL, SIGINT,
// SIGTERM, SIGQUIT or SIGHUP. Others (a timer, a child's end) interrupt no call on any local file system, and
// programs are not prepared for it. What was under way goes on until storage's deadline, and its result is dropped.
//
// Only for requests that change nothing the kernel remembers: of an abandoned mkdir nobody could say what it did.
//
//   Interruptible waiting(req);
//   const auto attr = view_.GetAttr(ino);   // may take long
//   if (waiting.GivenUp()) return;          // answered
//   fuse_reply_...(req, ...);
//
// Threads: one, beside libfuse's, which calls OnInterrupt while it holds the request's lock.
#pragma once

#include <sys/types.h>

#include <atomic>

#include "fuse/libfuse.h"

namespace tarn::fuse {

class Interruptible {
 public:
  explicit Interruptible(fuse_req_t req);
  Interruptible(const Interruptible&) = delete;
  Interruptible& operator=(const Interruptible&) = delete;
  // Whether the request is answered already; if not, it is the caller's to answer. Called once, and always.
  bool GivenUp();

 private:
  static void OnInterrupt(fuse_req_t req, void* self);

  const fuse_req_t req_;
  bool too_early_ = false;             // this thread's: the interrupt came before the constructor
  std::atomic<bool> answered_{false};  // by whoever sets it
};

// Whether a signal is pending that ends the thread `tid`, or that tells it to leave. False for one in another pid
// namespace, of which nothing is known.
bool WantsToLeave(pid_t tid);

}  // namespace tarn::fuse
