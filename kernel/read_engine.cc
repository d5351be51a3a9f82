#include "kernel/read_engine.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/assert.h"
#include "base/next_step.h"
#include "base/this_thread.h"

namespace tarn::kernel {
namespace {

// A quarter of the memory budget may be in flight for point lookups.
constexpr uint64_t kInFlightShare = 4;
// Above 1 MiB a larger read gains nothing on disks or object stores; a merge of 32 runs, each with a window of
// 1/128, takes a quarter of the budget (more where single blocks are larger than windows, see scan_source.cc); below
// 64 KiB a disk is slower than it could be.
constexpr uint64_t kReadAheadMax = 1 << 20;
constexpr uint64_t kReadAheadMin = 64 << 10;
constexpr uint64_t kReadAheadShare = 128;
constexpr uint64_t kHintsShare = 128;  // of the budget, for hints where keys were found
// A ring costs some kernel memory; threads beyond so many share what is idle or make one for a call.
constexpr size_t kIdleQueuesMax = 16;

std::string PlaceOf(const Table& table, uint64_t offset) {
  return TableBlobName(table.number()) + " at offset " + std::to_string(offset);
}

uint64_t EndOf(BlockHandle handle) { return handle.offset + handle.stored_bytes; }

}  // namespace

// The reads of one RunProbes call. Lives on that call's stack.
class ReadEngine::ProbeDriver {
 public:
  explicit ProbeDriver(ReadEngine& engine) : engine_(engine), queue_(engine.TakeQueue()) {}
  // After an exception (no memory) reads may be under way into our buffers: they are waited for.
  ~ProbeDriver() {
    while (in_flight_ > 0) {
      const size_t back = queue_->Wait().size();
      if (back == 0) break;  // the rest had come back already when it was thrown
      in_flight_ -= std::min(back, in_flight_);
    }
    for (const auto& [place, fetch] : fetches_) {
      if (fetch != nullptr) engine_.in_flight_bytes_.fetch_sub(fetch->counted, std::memory_order_relaxed);
    }
    engine_.ReturnQueue(std::move(queue_));
  }

  // The probe stopped for a block: asks for it, or joins those who wait for it already.
  void Wait(TableProbe* probe) {
    const Table& table = *probe->table();
    const BlockHandle handle = probe->wanted();
    std::unique_ptr<Fetch>& fetch = fetches_[{table.number(), handle.offset}];
    if (fetch == nullptr) {
      fetch = std::make_unique<Fetch>();
      fetch->table = &table;
      fetch->handle = handle;
      fetch->waiters.push_back(probe);
      if (Status bad = engine_.CheckHandle(table, handle); !bad.ok()) {
        Finish(fetch.get(), std::move(bad));
      } else if (!Start(fetch.get(), in_flight_ == 0)) {
        held_.push_back(fetch.get());
      }
    } else {
      fetch->waiters.push_back(probe);
    }
  }

  // Until every probe that waits has ended.
  void Drain() {
    while (!fetches_.empty()) {
      const std::vector<ReadRequest*> done = queue_->Wait();
      CHECK(!done.empty());  // the contract of ReadQueue; without it this would spin for ever
      for (ReadRequest* request : done) Arrived(static_cast<Fetch*>(request->context));
      // The latest first: it belongs to a probe that is nearer to its end.
      while (!held_.empty() && Start(held_.back(), in_flight_ == 0)) held_.pop_back();
    }
  }

 private:
  struct Fetch {
    const Table* table = nullptr;
    BlockHandle handle;
    ReadRequest request;
    std::unique_ptr<char[]> bytes;
    MemoryCharge charge;
    std::vector<TableProbe*> waiters;
    uint64_t counted = 0;  // in in_flight_bytes_
    bool retried = false;
  };
  struct Place {
    uint64_t table, offset;
    bool operator==(const Place&) const = default;
  };
  struct PlaceHash {
    size_t operator()(const Place& place) const { return (place.table * 0x9e3779b97f4a7c15ull) ^ place.offset; }
  };

  // False: too much is in flight, over all threads. With `must` it starts anyway, so that this call gets on.
  bool Start(Fetch* fetch, bool must) {
    const uint64_t bytes = fetch->handle.stored_bytes;
    if (!engine_.CountInFlight(bytes)) {
      if (!must) return false;
      engine_.in_flight_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    }
    fetch->counted = bytes;
    fetch->charge = engine_.ChargeBuffer(bytes);
    fetch->bytes = std::make_unique_for_overwrite<char[]>(bytes);
    Submit(fetch);
    return true;
  }

  void Submit(Fetch* fetch) {
    fetch->request = {.blob = &fetch->table->blob(),
                      .offset = fetch->handle.offset,
                      .out = {fetch->bytes.get(), fetch->handle.stored_bytes},
                      .context = fetch};
    engine_.statistics_.Add(Counter::kReadRequests);
    engine_.statistics_.Add(Counter::kReadBytes, fetch->handle.stored_bytes);
    queue_->Submit(&fetch->request);
    ++in_flight_;
  }

  void Arrived(Fetch* fetch) {
    --in_flight_;
    const Table& table = *fetch->table;
    const BlockHandle handle = fetch->handle;
    const Status& read = fetch->request.status;
    Result<BlockRef> block = read.ok() ? table.DecodeBlock(handle, {fetch->bytes.get(), handle.stored_bytes})
                                       : read.Annotate("reading " + PlaceOf(table, handle.offset));
    if (read.ok() && !block.ok() && !fetch->retried) {
      fetch->retried = true;
      engine_.CountRetry(table);
      Submit(fetch);
      return;
    }
    engine_.in_flight_bytes_.fetch_sub(std::exchange(fetch->counted, 0), std::memory_order_relaxed);
    engine_.statistics_.Add(Counter::kBlockMisses);
    fetch->bytes.reset();
    fetch->charge = {};
    if (block.ok()) engine_.cache_.Insert(table.number(), handle.offset, *block);
    Finish(fetch, std::move(block));
  }

  // Hands the block, or the error, to all who wait for it; they go on, and may wait for other blocks.
  void Finish(Fetch* fetch, Result<BlockRef> block) {
    const std::vector<TableProbe*> waiters = std::move(fetch->waiters);
    fetches_.erase({fetch->table->number(), fetch->handle.offset});
    for (TableProbe* probe : waiters) {
      probe->Supply(block);
      if (probe->Run(engine_) == TableProbe::Step::kDone) {
        engine_.CountProbe(*probe);
      } else {
        Wait(probe);
      }
    }
  }

  ReadEngine& engine_;
  std::unique_ptr<ReadQueue> queue_;
  std::unordered_map<Place, std::unique_ptr<Fetch>, PlaceHash> fetches_;  // by place, so each is read once
  std::vector<Fetch*> held_;                                              // of these: not started yet
  size_t in_flight_ = 0;
};

ReadEngine::ReadEngine(Backend& backend, BlockCache& cache, Statistics& statistics)
    : backend_(backend),
      cache_(cache),
      statistics_(statistics),
      hints_(cache.budget().limit() / kHintsShare),
      hints_charge_(cache.budget(), hints_.memory_bytes()),
      pool_(backend.info().parallel_reads) {
  idle_queues_.reserve(kIdleQueuesMax);  // ReturnQueue is called by a destructor, which must not throw
}

ReadEngine::~ReadEngine() = default;

BlockRef ReadEngine::Lookup(const Table& table, BlockHandle handle) {
  BlockRef block = cache_.Lookup(table.number(), handle.offset);
  if (block != nullptr) statistics_.Add(Counter::kBlockHits);
  return block;
}

Result<BlockRef> ReadEngine::Load(const Table& table, BlockHandle handle) {
  if (BlockRef block = Lookup(table, handle); block != nullptr) return block;
  TARN_ASSIGN(BlockRef block, ReadBlock(table, handle));
  cache_.Insert(table.number(), handle.offset, block);
  return block;
}

void ReadEngine::Prefetch(const Table& table, std::span<const BlockHandle> handles) {
  uint64_t left = read_ahead_bytes();
  for (size_t first = 0; first < handles.size();) {
    const uint64_t begin = handles[first].offset;
    uint64_t end = begin;
    size_t next = first;
    while (next < handles.size() && handles[next].offset == end && EndOf(handles[next]) - begin <= left &&
           CheckHandle(table, handles[next]).ok() && !cache_.Contains(table.number(), end)) {
      end = EndOf(handles[next++]);
    }
    if (next == first) {  // here already, or more than the hint may cost
      if (handles[first].stored_bytes > left) return;
      ++first;
      continue;
    }
    const MemoryCharge charge = ChargeBuffer(end - begin);
    const auto bytes = std::make_unique_for_overwrite<char[]>(end - begin);
    if (!ReadBytes(table, begin, {bytes.get(), end - begin}).ok()) return;
    left -= end - begin;
    for (; first < next; ++first) {
      const BlockHandle handle = handles[first];
      Result<BlockRef> block = table.DecodeBlock(handle, {bytes.get() + handle.offset - begin, handle.stored_bytes});
      if (!block.ok()) continue;
      statistics_.Add(Counter::kBlockMisses);
      statistics_.Add(Counter::kBlocksPrefetched);
      cache_.Insert(table.number(), handle.offset, std::move(*block));
    }
  }
}

bool ReadEngine::RunCached(TableProbe& probe) {
  uint64_t hits = 0;
  while (!probe.done()) {
    BlockRef block = cache_.Peek(probe.table()->number(), probe.wanted().offset);
    if (block) {
      ++hits;
      probe.Digest(std::move(block));
    } else if (!probe.DropHint()) {
      break;
    }
  }
  statistics_.Add(Counter::kBlockHits, hits);
  if (probe.done()) CountProbe(probe);
  return probe.done();
}

// S. Chen, A. Ailamaki, P. Gibbons, T. Mowry, "Improving hash join performance through prefetching" (2004): group
// prefetching. Each loop waits for memory that the loop before it asked for.
void ReadEngine::PeekAll(std::span<TableProbe* const> probes, std::span<BlockRef> blocks) {
  for (const auto way : {BlockCache::Way::kBucket, BlockCache::Way::kEntry}) {
    for (const TableProbe* probe : probes) cache_.Prefetch(probe->table()->number(), probe->wanted().offset, way);
  }
  uint64_t hits = 0;
  for (size_t i = 0; i < probes.size(); ++i) {
    blocks[i] = cache_.Peek(probes[i]->table()->number(), probes[i]->wanted().offset);
    hits += static_cast<bool>(blocks[i]) ? 1 : 0;
  }
  for (size_t i = 0; i < probes.size(); ++i) {
    if (blocks[i]) probes[i]->Prefetch(*blocks[i]);
  }
  statistics_.Add(Counter::kBlockHits, hits);
}

// The partitions of an index stand together and are a hundredth of their table: when the first is wanted, one read of
// all of them is cheaper than one for each soon after. Not by a batch, whose reads go on beside each other.
void ReadEngine::PrefetchIndex(const Table& table) {
  if (!table.TakeIndexUnread()) return;
  if (BlockRef top = Lookup(table, table.index())) Prefetch(table, table.IndexPartitions(std::move(top)));
}

void ReadEngine::RunProbes(std::span<TableProbe* const> probes) {
  TableProbe* alone = nullptr;  // the first that waits; a driver pays off only when there is a second one
  std::optional<ProbeDriver> driver;
  for (TableProbe* probe : probes) {
    if (probe->Run(*this) == TableProbe::Step::kDone) {
      CountProbe(*probe);
    } else if (driver) {
      driver->Wait(probe);
    } else if (alone == nullptr) {
      alone = probe;
    } else {
      driver.emplace(*this);
      driver->Wait(alone);
      driver->Wait(probe);
    }
  }
  if (driver) {
    driver->Drain();
  } else if (alone != nullptr) {
    do {
      if (alone->wants_index()) PrefetchIndex(*alone->table());
      alone->Supply(Load(*alone->table(), alone->wanted()));
    } while (alone->Run(*this) != TableProbe::Step::kDone);
    CountProbe(*alone);
  }
}

void ReadEngine::RunProbe(TableProbe& probe) {
  TableProbe* one[] = {&probe};
  RunProbes(one);
}

uint64_t ReadEngine::read_ahead_bytes() const {
  return std::clamp(cache_.budget().limit() / kReadAheadShare, kReadAheadMin, kReadAheadMax);
}

MemoryCharge ReadEngine::ChargeBuffer(uint64_t bytes) {
  MemoryCharge charge(cache_.budget(), bytes);
  if (cache_.budget().over()) cache_.Shrink();
  return charge;
}

bool ReadEngine::CountInFlight(uint64_t bytes) {
  const uint64_t before = in_flight_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes <= cache_.budget().limit() / kInFlightShare) return true;
  in_flight_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

// Before memory is taken for it: a handle is bytes from disk, checksummed, but perhaps of a broken writer.
Status ReadEngine::CheckHandle(const Table& table, BlockHandle handle) const {
  const uint64_t size = table.blob().size();
  if (handle.offset <= size && handle.stored_bytes <= size - handle.offset) return Status::Ok();
  return Status::Corruption(PlaceOf(table, handle.offset) + ": a block of " + std::to_string(handle.stored_bytes) +
                            " bytes would end behind the end of the blob (" + std::to_string(size) + " bytes)" +
                            std::string(kRepairStep));
}

Status ReadEngine::ReadBytes(const Table& table, uint64_t offset, std::span<char> out) {
  statistics_.Add(Counter::kReadRequests);
  statistics_.Add(Counter::kReadBytes, out.size());
  const Status status = table.blob().Read(offset, out);
  return status.ok() ? status : status.Annotate("reading " + PlaceOf(table, offset));
}

Result<BlockRef> ReadEngine::ReadBlock(const Table& table, BlockHandle handle) {
  TARN_TRY(CheckHandle(table, handle));
  statistics_.Add(Counter::kBlockMisses);
  const MemoryCharge charge = ChargeBuffer(handle.stored_bytes);
  const auto bytes = std::make_unique_for_overwrite<char[]>(handle.stored_bytes);
  const std::span<char> out(bytes.get(), handle.stored_bytes);
  TARN_TRY(ReadBytes(table, handle.offset, out));
  Result<BlockRef> block = table.DecodeBlock(handle, {out.data(), out.size()});
  if (block.ok()) return block;
  CountRetry(table);
  TARN_TRY(ReadBytes(table, handle.offset, out));
  return table.DecodeBlock(handle, {out.data(), out.size()});
}

// What is damaged may be a copy of the table near by: the second read goes to the table itself.
void ReadEngine::CountRetry(const Table& table) {
  statistics_.Add(Counter::kReadRetries);
  Placement* const placement = backend_.features().placement;
  if (placement != nullptr) placement->Prefer(TableBlobName(table.number()), Place::kFar);
}

void ReadEngine::CountProbe(const TableProbe& probe) {
  if (probe.by_hint()) return statistics_.Add(Counter::kHintsFollowed);
  if (!probe.status().ok() || probe.table()->filter().stored_bytes == 0) return;
  statistics_.Add(probe.filtered()  ? Counter::kFilterNegatives
                  : probe.present() ? Counter::kFilterPositives
                                    : Counter::kFilterFalsePositives);
}

// A thread gets the queue back that it used last, because a ring is bound to its thread and is made anew when
// another one takes it. With as many idle queues as we keep, a new thread takes over the oldest.
std::unique_ptr<ReadQueue> ReadEngine::TakeQueue() {
  {
    MutexLock lock(mutex_);
    const auto mine = std::find_if(idle_queues_.begin(), idle_queues_.end(),
                                   [](const IdleQueue& idle) { return idle.thread == ThisThread(); });
    const bool full = idle_queues_.size() >= kIdleQueuesMax;
    if (const auto chosen = mine == idle_queues_.end() && full ? idle_queues_.begin() : mine;
        chosen != idle_queues_.end()) {
      std::unique_ptr<ReadQueue> queue = std::move(chosen->queue);
      idle_queues_.erase(chosen);
      return queue;
    }
  }
  return NewQueue(backend_.features().queues);
}

std::unique_ptr<ReadQueue> ReadEngine::NewMovingQueue() {
  ReadQueueSource* const source = backend_.features().queues;
  return NewQueue(source != nullptr && source->MayMove() ? source : nullptr);
}

std::unique_ptr<ReadQueue> ReadEngine::NewQueue(ReadQueueSource* source) {
  std::unique_ptr<ReadQueue> queue = source == nullptr ? nullptr : source->NewReadQueue();
  return queue == nullptr ? std::make_unique<PoolReadQueue>(pool_) : std::move(queue);
}

void ReadEngine::ReturnQueue(std::unique_ptr<ReadQueue> queue) {
  MutexLock lock(mutex_);
  if (idle_queues_.size() < kIdleQueuesMax) idle_queues_.push_back({ThisThread(), std::move(queue)});
}

}  // namespace tarn::kernel
