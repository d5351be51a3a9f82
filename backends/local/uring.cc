// Reads through io_uring: one ring for each queue, owned by one thread.
//
// A request is in exactly one place: waiting_ (accepted, no slot yet), a slot (with the kernel) or done_ (to be
// handed back). Submit takes a slot while one of the 64 is free, and tells the kernel of every 16th
// read at once and of the others at the latest in Wait; a completion starts the next.
//
// Invariants:
//   1. At most kDepth reads are with the kernel. The submission queue has kDepth entries and the completion
//      queue twice that, so neither can overflow.
//   2. The kernel writes into a caller's buffer only while its request is in a slot. The destructor waits for
//      the slots to empty, so memory is safe even under a caller that breaks the contract.
//   3. A short read goes back for the rest. A read that makes no progress is done by pread instead, which
//      blocks but ends: nothing spins.
//
// The ring is set up for a single issuer where the kernel knows that (6.1): completions then run only when the
// owner asks, without interrupting it. The owner may change only while nothing is in flight; the ring is then
// made anew, because the kernel bound it to the thread that made it.
#include "backends/local/uring.h"

#include <liburing.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <system_error>
#include <utility>
#include <vector>

#include "backends/local/completion.h"
#include "backends/local/errors.h"
#include "backends/local/files.h"

namespace tarn::local {
namespace {

constexpr unsigned kDepth = 64;                 // an NVMe drive gains little beyond 32 reads in flight
constexpr unsigned kBatch = 16;                 // submissions that share one system call
constexpr size_t kMaxTransferBytes = 1u << 30;  // a submission holds 32 bits of length

// Our own mistakes and kernels that break their word: going on would let the kernel write into freed memory.
[[noreturn]] void Die(const char* what, int error) {
  std::fprintf(stderr, "tarn: io_uring read queue: %s (errno %d)\n", what, error);
  std::abort();
}

// Names the calling thread. Never reused, unlike pthread_self() and gettid(), which a new thread may inherit from
// a dead one while the kernel still tells the two apart.
uint64_t ThisThread() {
  static std::atomic<uint64_t> threads{0};
  thread_local const uint64_t mine = ++threads;
  return mine;
}

// 0 or -errno.
int SetUpRing(io_uring* ring) {
  // From the best to what every kernel with io_uring knows; an unknown flag is EINVAL.
  constexpr unsigned kFlags[] = {
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
    0
  };
  int result = -EINVAL;
  for (const unsigned flags : kFlags) {
    io_uring_params params;
    std::memset(&params, 0, sizeof(params));
    params.flags = flags;
    result = io_uring_queue_init_params(kDepth, ring, &params);
    if (result != -EINVAL) break;
  }
  if (result < 0) return result;
  io_uring_probe* probe = io_uring_get_probe_ring(ring);
  const bool can_read = probe != nullptr && io_uring_opcode_supported(probe, IORING_OP_READ);
  io_uring_free_probe(probe);
  if (can_read) return 0;
  io_uring_queue_exit(ring);
  return -ENOSYS;
}

class UringQueue final : public ReadQueue {
 public:
  UringQueue() {
    for (unsigned i = 0; i < kDepth; ++i) free_.push_back(i);
  }
  ~UringQueue() override {
    while (in_flight() > 0) Reap(true);
    if (has_ring_) io_uring_queue_exit(&ring_);
  }
  int Init() {
    const int result = SetUpRing(&ring_);
    has_ring_ = result == 0;
    owner_ = ThisThread();
    return result;
  }

  void Submit(ReadRequest* request) override {
    const auto* file = dynamic_cast<const FileReader*>(request->blob);
    if (file == nullptr) {
      // Not one of our blobs (a wrapper around one): it knows how to read itself.
      Finish(request, request->blob->Read(request->offset, request->out));
      return;
    }
    const Status range = file->CheckRange(request->offset, request->out.size());
    if (!range.ok() || request->out.empty()) {
      Finish(request, range);
      return;
    }
    if (!BecomeOwner()) {
      Finish(request, file->Read(request->offset, request->out));
      return;
    }
    waiting_.push_back(request);
    StartWaiting();
    if (io_uring_sq_ready(&ring_) >= kBatch) Enter(0);  // Wait() enters for the rest
  }

  std::vector<ReadRequest*> Wait() override {
    if (in_flight() > 0) {
      if (!BecomeOwner()) Die("the ring vanished while reads were in flight", 0);
      Reap(done_.empty());
      while (done_.empty()) Reap(true);  // what came back were short reads
    }
    return std::exchange(done_, {});
  }

 private:
  struct Slot {
    ReadRequest* request = nullptr;
    const FileReader* file = nullptr;
    ReadProgress progress;
    uint64_t begin = 0;  // what is read: the request's place and buffer,
    std::span<char> to;
    AlignedRead aligned;  // or, for a direct file, these
  };

  unsigned in_flight() const { return kDepth - static_cast<unsigned>(free_.size()); }

  // False when this thread can have no ring, which only happens while nothing is in flight.
  bool BecomeOwner() {
    if (has_ring_ && owner_ == ThisThread()) return true;
    if (in_flight() > 0) Die("used from a second thread while reads are in flight", 0);
    if (has_ring_) io_uring_queue_exit(&ring_);
    has_ring_ = false;
    return Init() == 0;
  }

  void Finish(ReadRequest* request, Status status) {
    request->status = std::move(status);
    done_.push_back(request);
  }

  void StartWaiting() {
    while (!waiting_.empty() && !free_.empty()) {
      const unsigned index = free_.back();
      free_.pop_back();
      ReadRequest* const next = waiting_.front();
      Slot& slot = slots_[index];
      slot.request = next;
      slot.file = static_cast<const FileReader*>(next->blob);
      slot.progress = {.wanted = next->out.size()};
      slot.begin = next->offset;
      slot.to = next->out;
      if (slot.file->direct()) {
        slot.aligned.Start(next->offset, next->out.size(), slot.file->direct_bytes());
        slot.begin = slot.aligned.begin();
        slot.to = {slot.aligned.data(), slot.aligned.size()};
        slot.progress.wanted = slot.aligned.needed();
      }
      waiting_.pop_front();
      Queue(index);
    }
  }

  // Puts the rest of a slot's read into the submission queue. Enter() shows it to the kernel.
  void Queue(unsigned index) {
    const Slot& slot = slots_[index];
    io_uring_sqe* sqe = io_uring_get_sqe(&ring_);
    if (sqe == nullptr) Die("the submission queue overflowed", 0);  // see invariant 1
    const size_t done = slot.progress.done;
    io_uring_prep_read(sqe, slot.file->fd(), slot.to.data() + done,
                       static_cast<unsigned>(std::min(slot.to.size() - done, kMaxTransferBytes)), slot.begin + done);
    io_uring_sqe_set_data64(sqe, index);
  }

  // Submits what is queued and waits for `wanted` completions. What the kernel has no memory for now stays
  // queued and is submitted by the next call.
  void Enter(unsigned wanted) {
    const int result = io_uring_submit_and_wait(&ring_, wanted);
    if (result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM) return;
    Die("io_uring_enter failed", -result);
  }

  // Takes in what has completed; with `block`, waits until something has.
  void Reap(bool block) {
    Enter(block ? 1 : 0);
    io_uring_cqe* cqe = nullptr;
    bool again = false;
    while (io_uring_peek_cqe(&ring_, &cqe) == 0) {
      const auto index = static_cast<unsigned>(io_uring_cqe_get_data64(cqe));
      const int result = cqe->res;
      io_uring_cqe_seen(&ring_, cqe);
      again |= Complete(index, result);
    }
    StartWaiting();
    if (again || io_uring_sq_ready(&ring_) > 0) Enter(0);
  }

  // Returns true when the slot's read goes on.
  bool Complete(unsigned index, int result) {
    Slot& slot = slots_[index];
    ReadRequest* request = slot.request;
    Completion completion = Advance(&slot.progress, result);
    const bool direct = slot.file->direct();
    // The rest of a direct read is no aligned one.
    if (completion == Completion::kAgain && direct && slot.progress.done > 0) completion = Completion::kPlainRead;
    if (completion == Completion::kAgain) {
      Queue(index);
      return true;
    }
    const size_t done = direct ? 0 : slot.progress.done;  // of the caller's buffer
    const uint64_t at = request->offset + done;
    const std::span<char> rest = completion == Completion::kWhole ? std::span<char>() : request->out.subspan(done);
    Status status;
    if (completion == Completion::kWhole && direct) {
      slot.aligned.CopyTo(request->out);
    } else if (completion == Completion::kPlainRead) {
      status = slot.file->Read(at, rest);
    } else if (completion == Completion::kEndOfFile) {
      status = PastTheEnd(slot.file->path(), at, at, rest.size());  // it shrank since it was opened
    } else if (completion == Completion::kFailed) {
      status = FileError(-result, "read", slot.file->path());
    }
    Finish(request, std::move(status));
    slot.request = nullptr;
    free_.push_back(index);
    return false;
  }

  io_uring ring_;
  bool has_ring_ = false;
  uint64_t owner_ = 0;  // of the ring
  std::array<Slot, kDepth> slots_;
  std::vector<unsigned> free_;  // indexes of empty slots
  std::deque<ReadRequest*> waiting_;
  std::vector<ReadRequest*> done_;
};

}  // namespace

std::string WhyNoUring() {
  io_uring ring;
  const int result = SetUpRing(&ring);
  if (result < 0) return std::generic_category().message(-result);
  io_uring_queue_exit(&ring);
  return {};
}

std::unique_ptr<ReadQueue> NewUringQueue() {
  auto queue = std::make_unique<UringQueue>();
  if (queue->Init() < 0) return nullptr;
  return queue;
}

}  // namespace tarn::local
