// ServeLoop: the threads that read the kernel's requests and answer them. Instead of fuse_session_loop_mt, which
// other threads cannot wake without sending signals.
//
// A thread is added when a request arrives and nobody is left to wait for the next one, up to a limit; so a quiet
// mount keeps to a few warm threads. A thread that waits for a request can be cancelled there (pthread_cancel), and
// nowhere else: that is how Stop reaches it. What it is working on it finishes.
//
// Threads: Run on one; Stop on any, at any time, more than once.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "fuse/libfuse.h"

namespace tarn::fuse {

class ServeLoop {
 public:
  ServeLoop(fuse_session* session, size_t most_threads) : session_(session), most_threads_(most_threads) {}
  // Returns when the file system was unmounted or Stop was called, and no thread lives. 0, or the errno of what
  // ended the session.
  int Run();
  void Stop();

 private:
  void Work();
  bool Receive(struct fuse_buf* request);
  bool AddThread();  // REQUIRES: mutex_ is held
  void End(int error);

  fuse_session* const session_;
  const size_t most_threads_;
  std::mutex mutex_;  // everything below; not held while a request is served
  std::condition_variable over_changed_;
  std::vector<std::thread> threads_;
  size_t waiting_ = 0;  // threads that wait for a request, or are about to
  bool over_ = false;
  int error_ = 0;
};

}  // namespace tarn::fuse
