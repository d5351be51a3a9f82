// The spike behind docs/rfcs/0001-io-model.md: one point read, written three ways over the same blocks.
//
// A read walks three blocks (top index -> index -> data): look the block up in a hash table, search it, descend.
//   blocking   plain code; a miss is a pread inside the lookup
//   machine    an explicit state machine; a miss hands the wanted block number to the driver and returns
//   coroutine  C++20; a miss suspends. Once as a single coroutine, once cut in three nested ones (read -> table ->
//              block) as layered code would be, each with frames from operator new and from a free list
//
// Cached: ns and allocations a read (operator new is counted). Cold: one thread, O_DIRECT, random data blocks, the
// index cached: pread one by one, io_uring with `--depth` reads in flight driven by machines and by coroutines, and
// `--depth` threads of plain code for comparison.
//
//   build/bin/io_model                      256 MiB file in the working directory, removed at the end
//   build/bin/io_model --blocks 4096 --reads 2000 --seconds 0.05      what ctest runs
//
// Every read is checked against the value the file was built from, so a wrong answer ends the run with status 1.
#include <liburing.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/spike/tree.h"

static std::atomic<uint64_t> g_allocations{0};

// noinline, or g++ 12 sees through one of the pair only and warns of a mismatch.
[[gnu::noinline]] void* operator new(size_t size) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* p = std::malloc(size)) return p;
  std::abort();
}
[[gnu::noinline]] void operator delete(void* p) noexcept { std::free(p); }
[[gnu::noinline]] void operator delete(void* p, size_t) noexcept { std::free(p); }

namespace tarn::spike {
namespace {

// (a) ------------------------------------------------------------------------------------------------ blocking

uint64_t BlockingRead(const Tree& tree, Node* buffer, uint64_t key) {
  uint64_t at = tree.top;
  for (int level = 0; level < 3; ++level) {
    const Node* node = tree.cache->Lookup(at);
    if (node == nullptr) {
      const auto offset = static_cast<off_t>(at * kBlockBytes);
      if (pread(tree.fd, buffer, kBlockBytes, offset) != static_cast<ssize_t>(kBlockBytes)) Die("pread", errno);
      node = buffer;
    }
    at = SearchNode(*node, key);
  }
  return at;
}

// (b) ------------------------------------------------------------------------------------------- state machine

class Probe {
 public:
  enum class Step : uint8_t { kDone, kNeedBlock };
  void Start(const Tree& tree, uint64_t key) {
    key_ = key;
    at_ = tree.top;
    level_ = 0;
  }
  Step Run(const Tree& tree) {
    while (level_ < 3) {
      const Node* node = supplied_ != nullptr ? std::exchange(supplied_, nullptr) : tree.cache->Lookup(at_);
      if (node == nullptr) return Step::kNeedBlock;
      at_ = SearchNode(*node, key_);
      ++level_;
    }
    return Step::kDone;
  }
  uint64_t wanted() const { return at_; }
  void Supply(const Node* node) { supplied_ = node; }
  uint64_t value() const { return at_; }
  uint64_t key() const { return key_; }

 private:
  const Node* supplied_ = nullptr;
  uint64_t key_ = 0, at_ = 0;
  int level_ = 3;
};

// (c) ----------------------------------------------------------------------------------------------- coroutines

// Frames either from operator new or from a per-size free list: the best a custom allocator could do.
struct HeapFrames {
  static void* Take(size_t size) { return ::operator new(size); }
  static void Give(void* p, size_t) { ::operator delete(p); }
};
struct PooledFrames {
  static inline void* lists[16] = {};
  static void* Take(size_t size) {
    void*& head = lists[size / 64];
    if (head == nullptr) return ::operator new((size / 64 + 1) * 64);
    return std::exchange(head, *static_cast<void**>(head));
  }
  static void Give(void* p, size_t size) { *static_cast<void**>(p) = std::exchange(lists[size / 64], p); }
};

template <typename Frames>
class Task {
 public:
  struct promise_type {
    uint64_t value = 0;
    std::coroutine_handle<> parent;
    static void* operator new(size_t size) { return Frames::Take(size); }
    static void operator delete(void* p, size_t size) { Frames::Give(p, size); }
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_never initial_suspend() noexcept { return {}; }  // cached reads then finish without a resume
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> h) noexcept {
        return h.promise().parent ? h.promise().parent : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    void return_value(uint64_t v) { value = v; }
    void unhandled_exception() { std::abort(); }
  };

  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  ~Task() {
    if (handle_) handle_.destroy();
  }
  bool done() const { return handle_.done(); }
  uint64_t value() const { return handle_.promise().value; }
  bool await_ready() const { return handle_.done(); }
  void await_suspend(std::coroutine_handle<> parent) { handle_.promise().parent = parent; }
  uint64_t await_resume() const { return handle_.promise().value; }

 private:
  std::coroutine_handle<promise_type> handle_;
};

// One read in flight: where a miss parks the coroutine, and the block it waits for.
struct Parked {
  std::coroutine_handle<> handle;
  uint64_t wanted = 0;
  Node* buffer = nullptr;
};
struct BlockAwaiter {
  const Tree& tree;
  Parked& parked;
  uint64_t block;
  const Node* node = nullptr;
  bool await_ready() { return (node = tree.cache->Lookup(block)) != nullptr; }
  void await_suspend(std::coroutine_handle<> handle) {
    parked.handle = handle;
    parked.wanted = block;
  }
  const Node* await_resume() { return node != nullptr ? node : parked.buffer; }
};

template <typename Frames>
Task<Frames> FlatRead(const Tree& tree, Parked& parked, uint64_t key) {
  uint64_t at = tree.top;
  for (int level = 0; level < 3; ++level) {
    const Node* node = co_await BlockAwaiter{tree, parked, at};
    at = SearchNode(*node, key);
  }
  co_return at;
}
template <typename Frames>
Task<Frames> NestedBlock(const Tree& tree, Parked& parked, uint64_t block, uint64_t key) {
  const Node* node = co_await BlockAwaiter{tree, parked, block};
  co_return SearchNode(*node, key);
}
template <typename Frames>
Task<Frames> NestedTable(const Tree& tree, Parked& parked, uint64_t key) {
  uint64_t at = tree.top;
  for (int level = 0; level < 3; ++level) at = co_await NestedBlock<Frames>(tree, parked, at, key);
  co_return at;
}
template <typename Frames>
Task<Frames> NestedRead(const Tree& tree, Parked& parked, uint64_t key) {
  co_return co_await NestedTable<Frames>(tree, parked, key);
}

// ----------------------------------------------------------------------------------------------------- measuring

double Seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
void Expect(uint64_t key, uint64_t value) {
  if (value == ValueOf(key)) return;
  std::fprintf(stderr, "io_model: key %llu has the wrong value\n", static_cast<unsigned long long>(key));
  std::exit(1);
}
struct Random {
  uint64_t state;
  uint64_t Next() {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  }
};

// The best of five passes, as noise only ever adds.
template <typename Read>
void MeasureCached(const char* name, const Options& options, uint64_t keys, Read read) {
  double best = 1e9;
  uint64_t allocations = 0;
  for (int pass = 0; pass < 5; ++pass) {
    Random random{88172645463325252ull};
    const uint64_t before = g_allocations.load();
    const double start = Seconds();
    for (uint64_t i = 0; i < options.reads; ++i) {
      const uint64_t key = random.Next() % keys;
      Expect(key, read(key));
    }
    best = std::min(best, Seconds() - start);
    allocations = g_allocations.load() - before;
  }
  const double n = static_cast<double>(options.reads);
  std::printf("cached  %-28s %8.1f ns/read  %6.2f allocations/read\n", name, best / n * 1e9, allocations / n);
}

void CachedRows(const Options& options, const Tree& tree) {
  const uint64_t keys = tree.hot.size() * kFanout;
  Probe probe;
  Parked parked;
  Node* buffer = NewBuffer();
  MeasureCached("blocking", options, keys, [&](uint64_t key) { return BlockingRead(tree, buffer, key); });
  std::free(buffer);
  MeasureCached("state machine", options, keys, [&](uint64_t key) {
    probe.Start(tree, key);
    if (probe.Run(tree) != Probe::Step::kDone) Die("a cached read missed", 0);
    return probe.value();
  });
  MeasureCached("coroutine, one, heap", options, keys,
                [&](uint64_t key) { return FlatRead<HeapFrames>(tree, parked, key).value(); });
  MeasureCached("coroutine, one, pooled", options, keys,
                [&](uint64_t key) { return FlatRead<PooledFrames>(tree, parked, key).value(); });
  MeasureCached("coroutine, nested, heap", options, keys,
                [&](uint64_t key) { return NestedRead<HeapFrames>(tree, parked, key).value(); });
  MeasureCached("coroutine, nested, pooled", options, keys,
                [&](uint64_t key) { return NestedRead<PooledFrames>(tree, parked, key).value(); });
}

void PrintCold(const char* name, uint64_t reads, double seconds, double in_flight) {
  std::printf("cold    %-28s %8.0f reads/s  %6.1f in flight on average\n", name, reads / seconds, in_flight);
}

void ColdBlocking(const Options& options, const Tree& tree, unsigned threads) {
  std::atomic<uint64_t> reads{0};
  std::vector<std::thread> workers;
  const double start = Seconds();
  for (unsigned t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      Random random{1234567 + t};
      Node* buffer = NewBuffer();
      while (Seconds() - start < options.seconds) {
        const uint64_t key = random.Next() % (tree.data_blocks * kFanout);
        Expect(key, BlockingRead(tree, buffer, key));
        reads.fetch_add(1, std::memory_order_relaxed);
      }
      std::free(buffer);
    });
  }
  for (std::thread& worker : workers) worker.join();
  const std::string name = threads == 1 ? "pread, 1 thread" : "pread, " + std::to_string(threads) + " threads";
  PrintCold(name.c_str(), reads.load(), Seconds() - start, threads);
}

// One ring, `depth` slots. A slot is asked for its next miss, and told when the bytes are there.
template <typename SlotType>
void ColdRing(const char* name, const Options& options, const Tree& tree) {
  io_uring ring;
  const unsigned flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
  const int error = io_uring_queue_init(options.depth, &ring, flags);
  if (error < 0) {
    std::printf("cold    %-28s not measured: io_uring is refused here (%s)\n", name, std::strerror(-error));
    return;
  }
  Random random{424242};
  uint64_t reads = 0, flying = 0, waits = 0;
  double in_flight = 0;
  std::vector<SlotType> slots(options.depth);
  const double start = Seconds();
  bool feeding = true;
  auto feed = [&](SlotType* slot) {  // runs reads until one misses; cached ones end at once
    while (feeding && !slot->Begin(tree, random.Next() % (tree.data_blocks * kFanout))) {
      slot->Check();
      ++reads;
    }
    if (!feeding) return;
    io_uring_sqe* sqe = io_uring_get_sqe(&ring);
    io_uring_prep_read(sqe, tree.fd, slot->buffer(), kBlockBytes, slot->wanted() * kBlockBytes);
    io_uring_sqe_set_data(sqe, slot);
    ++flying;
  };
  for (SlotType& slot : slots) feed(&slot);
  while (flying > 0) {
    in_flight += static_cast<double>(flying);
    ++waits;
    if (io_uring_submit_and_wait(&ring, 1) < 0) Die("io_uring_submit_and_wait", errno);
    feeding = Seconds() - start < options.seconds;
    io_uring_cqe* done[256];
    const unsigned n = io_uring_peek_batch_cqe(&ring, done, 256);
    for (unsigned i = 0; i < n; ++i) {
      auto* slot = static_cast<SlotType*>(io_uring_cqe_get_data(done[i]));
      if (done[i]->res != static_cast<int>(kBlockBytes)) Die("read", done[i]->res < 0 ? -done[i]->res : EIO);
      --flying;
      slot->Resume(tree);
      slot->Check();
      ++reads;
      feed(slot);
    }
    io_uring_cq_advance(&ring, n);
  }
  PrintCold(name, reads, Seconds() - start, in_flight / static_cast<double>(waits));
  io_uring_queue_exit(&ring);
}

class ProbeSlot {
 public:
  ~ProbeSlot() { std::free(buffer_); }
  bool Begin(const Tree& tree, uint64_t key) {  // true: it misses
    probe_.Start(tree, key);
    return probe_.Run(tree) == Probe::Step::kNeedBlock;
  }
  void Resume(const Tree& tree) {
    probe_.Supply(buffer_);
    probe_.Run(tree);
  }
  void Check() { Expect(probe_.key(), probe_.value()); }
  uint64_t wanted() const { return probe_.wanted(); }
  Node* buffer() { return buffer_; }

 private:
  Probe probe_;
  Node* buffer_ = NewBuffer();
};

class CoroutineSlot {
 public:
  CoroutineSlot() { parked_.buffer = NewBuffer(); }
  ~CoroutineSlot() { std::free(parked_.buffer); }
  bool Begin(const Tree& tree, uint64_t key) {
    key_ = key;
    task_ = std::make_unique<Task<PooledFrames>>(NestedRead<PooledFrames>(tree, parked_, key));
    return !task_->done();
  }
  void Resume(const Tree&) { parked_.handle.resume(); }
  void Check() { Expect(key_, task_->value()); }
  uint64_t wanted() const { return parked_.wanted; }
  Node* buffer() { return parked_.buffer; }

 private:
  Parked parked_;
  std::unique_ptr<Task<PooledFrames>> task_;
  uint64_t key_ = 0;
};

}  // namespace

static Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (value != nullptr && flag == "--blocks")
      options.blocks = std::strtoull(value, nullptr, 10);
    else if (value != nullptr && flag == "--reads")
      options.reads = std::strtoull(value, nullptr, 10);
    else if (value != nullptr && flag == "--seconds")
      options.seconds = std::strtod(value, nullptr);
    else if (value != nullptr && flag == "--depth")
      options.depth = static_cast<unsigned>(std::atoi(value));
    else if (value != nullptr && flag == "--file")
      options.file = value;
    else
      options.blocks = 0;
  }
  if (options.blocks < 2048 || options.blocks > kFanout * kFanout || options.depth < 1 || options.depth > 256) {
    std::fprintf(stderr,
                 "usage: io_model [--blocks 2048..65536] [--reads N] [--seconds S] [--depth 1..256] "
                 "[--file F]\n");
    std::exit(2);
  }
  return options;
}

static void Run(const Options& options) {
  {
    const Tree tree = MakeTree(options, 1024);
    CachedRows(options, tree);
    close(tree.fd);
  }
  const Tree tree = MakeTree(options, 0);
  std::printf("file    %llu MiB, %s\n", static_cast<unsigned long long>(options.blocks * kBlockBytes >> 20),
              tree.direct ? "O_DIRECT" : "through the page cache: this filesystem refuses O_DIRECT");
  ColdBlocking(options, tree, 1);
  ColdBlocking(options, tree, options.depth);
  ColdRing<ProbeSlot>("io_uring, state machines", options, tree);
  ColdRing<CoroutineSlot>("io_uring, nested coroutines", options, tree);
  close(tree.fd);
}

}  // namespace tarn::spike

int main(int argc, char** argv) {
  tarn::spike::Run(tarn::spike::Parse(argc, argv));
  return 0;
}
