// What the adapters share. For the files of this folder only; everyone else includes bench/engine.h.
//
// An adapter is one file: a class that implements Engine, and a function that returns its EngineKind. Adapters do not
// know each other, and one whose library is absent is not compiled (CMakeLists.txt).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "bench/engine.h"

namespace tarn::bench {

EngineKind TarnKind();
EngineKind RocksdbKind();
EngineKind LeveldbKind();
EngineKind LmdbKind();
EngineKind WiredtigerKind();

void MakeDir(const std::string& dir);  // with its parents; Dies when it cannot
// Between two looks at an engine that offers nothing to wait on: 10 ms, which nobody notices after a run of seconds
// and which leaves the processor to the compaction that is waited for.
void PauseBetweenPolls();
std::string Size(uint64_t bytes);  // "32 MiB", "4 KiB", "511 B": the largest unit that divides it

// One T for each thread that asks, owned here and destroyed with this object: how LMDB and WiredTiger want their read
// transactions and sessions kept. The thread's last answer is remembered, so asking again costs one comparison.
// Threads: any. A T of a thread that ended is handed to the next one that gets the same thread id.
template <class T>
class PerThread {
 public:
  template <class Make>  // std::unique_ptr<T>()
  T& Get(const Make& make) {
    static thread_local uint64_t owner = 0;  // ids begin with 1 and are never used twice
    static thread_local T* mine = nullptr;
    if (owner != id_) {
      const std::lock_guard lock(mutex_);
      std::unique_ptr<T>& slot = slots_[std::this_thread::get_id()];
      if (slot == nullptr) slot = make();
      mine = slot.get();
      owner = id_;
    }
    return *mine;
  }
  void Clear() {  // REQUIRES: nobody uses any of them, or asks again
    slots_.clear();
  }

 private:
  inline static std::atomic<uint64_t> next_id_{1};
  const uint64_t id_ = next_id_.fetch_add(1);
  std::mutex mutex_;  // guards slots_
  std::map<std::thread::id, std::unique_ptr<T>> slots_;
};

}  // namespace tarn::bench
