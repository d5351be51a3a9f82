// ThisThread: a name for the calling thread that no later one gets. std::thread::id and gettid() are used again, and
// a thread that inherits one is not the thread that a ring, or a test, means.
#pragma once

#include <atomic>
#include <cstdint>

namespace tarn {

inline uint64_t ThisThread() {
  static std::atomic<uint64_t> threads{0};
  thread_local const uint64_t mine = threads.fetch_add(1, std::memory_order_relaxed) + 1;
  return mine;
}

}  // namespace tarn
