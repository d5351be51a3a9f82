#include "fuse/serve_loop.h"

#include <pthread.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

#include "base/system_effects.h"

namespace tarn::fuse {
namespace {

struct RequestBuffer : fuse_buf {
  RequestBuffer() : fuse_buf{} {}
  RequestBuffer(const RequestBuffer&) = delete;
  RequestBuffer& operator=(const RequestBuffer&) = delete;
  ~RequestBuffer() { std::free(mem); }  // libfuse allocates it at the first request
};

}  // namespace

bool ServeLoop::AddThread() {
  try {
    threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {
    return false;  // the machine has no room for another thread
  }
  ++waiting_;
  return true;
}

int ServeLoop::Run() {
  std::vector<std::thread> threads;
  {
    std::unique_lock lock(mutex_);
    if (!over_ && !AddThread()) return EAGAIN;
    over_changed_.wait(lock, [this] { return over_; });
    for (std::thread& thread : threads_) pthread_cancel(thread.native_handle());
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  std::lock_guard lock(mutex_);
  return error_;
}

void ServeLoop::Stop() { End(0); }

void ServeLoop::End(int error) {
  fuse_session_exit(session_);
  std::lock_guard lock(mutex_);
  if (!over_) error_ = error;
  over_ = true;
  over_changed_.notify_all();
}

// The one place where a thread may be cancelled. False: the session is over.
bool ServeLoop::Receive(struct fuse_buf* request) {
  int size;
  do {
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
    size = fuse_session_receive_buf(session_, request);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  } while (size == -EINTR || size == -EAGAIN);
  if (size <= 0) End(-size);
  return size > 0;
}

void ServeLoop::Work() {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
  NameThisThread("tarn-fuse");
  RequestBuffer request;
  while (Receive(&request)) {
    {
      std::lock_guard lock(mutex_);
      // A failure to add one only means that the next request waits for this one.
      if (--waiting_ == 0 && !over_ && threads_.size() < most_threads_) AddThread();
    }
    fuse_session_process_buf(session_, &request);
    std::lock_guard lock(mutex_);
    if (over_) return;
    ++waiting_;
  }
}

}  // namespace tarn::fuse
