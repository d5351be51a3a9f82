#include "kernel/pool_read_queue.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace tarn::kernel {
namespace {
constexpr uint32_t kMinThreads = 64;
constexpr uint32_t kMaxThreads = 256;
}  // namespace

ReadPool::ReadPool(uint32_t parallel_reads)
    : threads_(std::clamp(parallel_reads, kMinThreads, kMaxThreads), "tarn-read") {}

PoolReadQueue::~PoolReadQueue() { CHECK(in_flight_ == 0); }

void PoolReadQueue::Submit(ReadRequest* request) {
  pool_.Run([this, request] {
    request->status = request->blob->Read(request->offset, request->out);
    // Notified under the mutex: once the owner has seen the last request it may destroy this queue.
    std::lock_guard lock(mutex_);
    done_.push_back(request);
    arrived_.notify_one();
  });
  ++in_flight_;  // now that it was taken: there may have been no memory for it
}

std::vector<ReadRequest*> PoolReadQueue::Wait() {
  std::vector<ReadRequest*> done;
  if (in_flight_ == 0) return done;
  std::unique_lock lock(mutex_);
  arrived_.wait(lock, [this] { return !done_.empty(); });
  done.swap(done_);
  in_flight_ -= done.size();
  return done;
}

}  // namespace tarn::kernel
