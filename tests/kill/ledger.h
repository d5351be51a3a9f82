// Ledger: what the writers of a store began and what the store promised them, in memory that two processes share.
//
// A child process works on a store (store_workload.h) and is killed, or its device is. Its supervisor then reads here
// what the store owes (store_oracle.h): the ledger is older than the child and outlives it.
//
// Each writer numbers its operations 1, 2, 3, ... over the whole life of a store. A *generation* is the part of that
// life between two deaths. Invariant: begun >= returned >= kept >= synced, for each writer.
//
// Positions: a test that logs its device (tests/power/block_log.h) counts the requests that reached it. The ledger
// then says at which count each operation began and at which it was known to be synced, so that one run can be judged
// at each moment of its past. Without such a device every position is 1.
#pragma once

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>

namespace tarn::test {

constexpr int kWriters = 4;
constexpr uint64_t kMostOperations = 8192;  // of one writer in one generation; the supervisors ask for far fewer
constexpr uint32_t kMostSnapshotEvents = 512;
enum Power : uint32_t { kOn, kCutting, kOff };

using Counts = std::array<uint64_t, kWriters>;

struct Ledger {
  struct Writer {
    std::atomic<uint64_t> begun;                                   // newest operation that was handed to the store
    std::atomic<uint64_t> returned;                                // newest one that the store said is done
    std::atomic<uint64_t> kept;                                    // newest one that has to survive a kill
    std::atomic<uint64_t> synced;                                  // newest one that has to survive a power cut
    std::array<std::atomic<uint64_t>, kMostOperations> begun_at;   // by operation - first - 1
    std::array<std::atomic<uint64_t>, kMostOperations> synced_at;  // 0: was not said to be synced
  };
  // A named snapshot "s<id>" made or dropped. Both are durable when they return.
  struct SnapshotEvent {
    uint64_t id;
    bool make;
    Counts least, most;              // what the snapshot may hold of each writer
    std::atomic<uint64_t> begun_at;  // 0: the event is not there
    std::atomic<uint64_t> done_at;   // 0: its outcome is unknown
  };

  // Begins a generation: everything up to `first` is certain.
  void Begin(uint64_t new_generation, const Counts& new_first) {
    generation = new_generation;
    first = new_first;
    for (int w = 0; w < kWriters; ++w) {
      Writer& writer = writers[w];
      for (std::atomic<uint64_t>* count : {&writer.begun, &writer.returned, &writer.kept, &writer.synced}) {
        *count = first[w];
      }
      for (auto& at : writer.begun_at) at = 0;
      for (auto& at : writer.synced_at) at = 0;
    }
    for (SnapshotEvent& event : events) event.begun_at = event.done_at = 0;
    event_count = 0;
    power = kOn;
    lies = 0;
    steps = 0;
    error[0] = 0;
  }

  // Where the device's log ends, counted from 1.
  uint64_t Position() const { return requests.load() + 1; }
  Counts Returned() const {
    Counts counts;
    for (int w = 0; w < kWriters; ++w) counts[w] = writers[w].returned;
    return counts;
  }
  Counts Begun() const {
    Counts counts;
    for (int w = 0; w < kWriters; ++w) counts[w] = writers[w].begun;
    return counts;
  }
  // All that had returned at these counts survives a power cut.
  void Synced(const Counts& counts) {
    for (int w = 0; w < kWriters; ++w) Synced(w, counts[w]);
  }
  void Synced(int w, uint64_t count) {
    if (power != kOn) return;
    Writer& writer = writers[w];
    if (count > first[w]) {
      uint64_t never = 0;
      writer.synced_at[count - first[w] - 1].compare_exchange_strong(never, Position());
    }
    Kept(w, count);
    Raise(writer.synced, count);
  }
  void Kept(int w, uint64_t count) { Raise(writers[w].kept, count); }
  void Fail(std::string_view what) {
    const size_t n = what.size() < error.size() - 1 ? what.size() : error.size() - 1;
    std::memcpy(error.data(), what.data(), n);
    error[n] = 0;
  }

  uint64_t generation;
  Counts first;
  std::array<Writer, kWriters> writers;
  std::array<SnapshotEvent, kMostSnapshotEvents> events;
  std::atomic<uint32_t> event_count;
  // The filesystem under the store. A sync that is on its way while ext4 is shut down may return success though its
  // journal was not written (48 of 200 cuts under one writer, Linux 6.18), which no disk whose power fails would do.
  // So what returns from kCutting on promises nothing; and what begins when it is kOff must not return success.
  std::atomic<uint32_t> power;
  std::atomic<uint64_t> lies;      // operations that did
  std::atomic<uint64_t> steps;     // operations that returned, of all writers
  std::atomic<uint64_t> requests;  // that reached the logged device; 0 without one
  std::array<char, 2000> error;    // of the child; empty: none

 private:
  static void Raise(std::atomic<uint64_t>& count, uint64_t to) {
    uint64_t now = count;
    while (now < to && !count.compare_exchange_weak(now, to)) {
    }
  }
};
static_assert(std::atomic<uint64_t>::is_always_lock_free);  // a lock would die with the child that holds it

// One T, zeroed, that this process shares with those that it forks.
template <typename T>
class Shared {
 public:
  Shared()
      : memory_(mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)) {
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~Shared() { munmap(memory_, sizeof(T)); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  T& operator*() { return *static_cast<T*>(memory_); }
  T* operator->() { return static_cast<T*>(memory_); }

 private:
  void* const memory_;
};

}  // namespace tarn::test
