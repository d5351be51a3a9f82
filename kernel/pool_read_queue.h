// PoolReadQueue: many reads in flight over a backend that can only block (BlobReader::Read).
//
// The lower rung of the read ladder: a backend without a ReadQueue of its own, or one whose kernel forbids
// io_uring, gets this one, with the same results. Reads run on the threads of a ReadPool, which all queues of a
// store share and which starts a thread only when a read finds none idle.
//
// Threads: ReadPool: any. PoolReadQueue: one thread at a time; it must not be destroyed with reads in flight.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <vector>

#include "base/thread_pool.h"
#include "tarn/sdk/backend.h"

namespace tarn::kernel {

class ReadPool {
 public:
  // Room for `parallel_reads` (BackendInfo) reads at once, but at least 64, so that a MultiGet of 64 cold keys
  // waits once, and at most 256, because each is a thread.
  explicit ReadPool(uint32_t parallel_reads);
  void Run(std::function<void()> read) { threads_.Run(std::move(read)); }

 private:
  ThreadPool threads_;
};

class PoolReadQueue final : public ReadQueue {
 public:
  explicit PoolReadQueue(ReadPool& pool) : pool_(pool) {}
  ~PoolReadQueue() override;
  void Submit(ReadRequest* request) override;
  std::vector<ReadRequest*> Wait() override;

 private:
  ReadPool& pool_;
  size_t in_flight_ = 0;  // the owner thread's
  std::mutex mutex_;      // guards done_
  std::condition_variable arrived_;
  std::vector<ReadRequest*> done_;
};

}  // namespace tarn::kernel
