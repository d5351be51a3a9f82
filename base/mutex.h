// Mutex, MutexLock: std::mutex with the annotations that clang's -Wthread-safety checks (preset "clang-tsa").
#pragma once

#include <mutex>

#if defined(__clang__)
#define TARN_ATTR(x) __attribute__((x))
#else
#define TARN_ATTR(x)
#endif
#define CAPABILITY(x) TARN_ATTR(capability(x))
#define SCOPED_CAPABILITY TARN_ATTR(scoped_lockable)
#define GUARDED_BY(x) TARN_ATTR(guarded_by(x))
#define PT_GUARDED_BY(x) TARN_ATTR(pt_guarded_by(x))
#define REQUIRES(...) TARN_ATTR(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) TARN_ATTR(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) TARN_ATTR(acquire_capability(__VA_ARGS__))
#define RELEASE(...) TARN_ATTR(release_capability(__VA_ARGS__))
#define NO_THREAD_SAFETY_ANALYSIS TARN_ATTR(no_thread_safety_analysis)

namespace tarn {

class CAPABILITY("mutex") Mutex {
 public:
  void Lock() ACQUIRE() { mutex_.lock(); }
  void Unlock() RELEASE() { mutex_.unlock(); }
  // For Scheduler::Await and condition variables, which release and retake it inside.
  std::mutex& native() { return mutex_; }

 private:
  std::mutex mutex_;
};

class SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) ACQUIRE(mutex) : mutex_(mutex) { mutex_.Lock(); }
  ~MutexLock() RELEASE() { mutex_.Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace tarn
