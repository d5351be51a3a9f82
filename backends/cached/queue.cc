// CachedQueue: many reads through the cache in flight from one thread.
//
// Each read first has its extents on the disk read, all at once, then, if something is missing, one request of the
// remote. The disk is waited for first, since it is a hundred times as fast; where its queue is refused (no
// io_uring), its reads are done one by one when the owner waits.
#include <algorithm>
#include <deque>
#include <unordered_map>

#include "backends/cached/reader.h"

namespace tarn::cached {
namespace {

class CachedQueue final : public ReadQueue {
 public:
  CachedQueue(Core* core, std::unique_ptr<ReadQueue> remote)
      : core_(core), remote_(std::move(remote)), disk_(core->cache->NewDiskQueue()) {}

  void Submit(ReadRequest* request) override {
    const auto* reader = dynamic_cast<const CachedReader*>(request->blob);
    if (reader == nullptr) {  // of a blob that is not cached
      ++remote_in_flight_;
      return remote_->Submit(request);
    }
    const size_t n = request->out.size();
    if (!core_->Serves(reader->size(), request->offset, n)) return PassThrough(request, *reader);
    auto task = std::make_unique<Task>();
    task->outer = request;
    task->plan =
        std::make_unique<ReadPlan>(core_, *reader, request->offset, request->out, reader->Again(request->offset, n));
    Task* const started = task.get();
    tasks_[started] = std::move(task);
    std::vector<ReadPlan::DiskRead>& reads = started->plan->disk_reads();
    started->disk_left = reads.size();
    for (size_t i = 0; i < reads.size(); ++i) StartDisk(started, &reads[i]);
    if (reads.empty()) Missing(started);
  }

  std::vector<ReadRequest*> Wait() override {
    while (done_.empty() && WaitForOne()) continue;
    return std::exchange(done_, {});
  }

 private:
  struct Task {
    ReadRequest* outer;
    std::unique_ptr<ReadPlan> plan;
    size_t disk_left = 0;
  };
  // A request to the remote. Either for tasks, or for a read that passes through.
  struct Fetch {
    const CachedReader* reader;
    std::string bytes;
    ReadRequest request;
    std::vector<Task*> waiters;
    ReadRequest* outer = nullptr;
    bool shared = false;  // later tasks may join
  };
  struct DiskFlight {
    ReadPlan::DiskRead* read;
    Task* task;
  };

  // False: nothing is in flight.
  bool WaitForOne() {
    if (!disk_flights_.empty()) {
      std::vector<ReadRequest*> back;
      if (disk_ != nullptr) {
        back = disk_->Wait();
      } else {
        ReadRequest* const next = unread_.front();
        unread_.pop_front();
        next->status = next->blob->Read(next->offset, next->out);
        back = {next};
      }
      for (ReadRequest* request : back) DiskDone(request);
      return !back.empty();
    }
    if (remote_in_flight_ == 0) return false;
    const std::vector<ReadRequest*> back = remote_->Wait();
    remote_in_flight_ -= back.size();
    for (ReadRequest* request : back) RemoteDone(request);
    return !back.empty();
  }

  void StartDisk(Task* task, ReadPlan::DiskRead* read) {
    disk_flights_[&read->request] = {read, task};
    if (disk_ == nullptr) return unread_.push_back(&read->request);
    disk_->Submit(&read->request);
  }

  void DiskDone(ReadRequest* request) {
    const auto flight = disk_flights_.extract(request).mapped();
    flight.task->plan->Took(*flight.read);
    if (--flight.task->disk_left == 0) Missing(flight.task);
  }

  // The disk has given what it has.
  void Missing(Task* task) {
    if (task->plan->complete()) {
      ++core_->hits;
      return Finish(task, Status::Ok());
    }
    ++core_->misses;
    const uint64_t begin = task->plan->missing_begin();
    const size_t bytes = task->plan->missing_bytes();
    for (const auto& fetch : fetches_) {
      const uint64_t from = fetch->request.offset;
      const bool covers = from <= begin && begin + bytes <= from + fetch->bytes.size();
      const bool joins = fetch->shared && covers && fetch->reader->key() == task->plan->reader().key();
      if (joins && !task->plan->distrust()) return fetch->waiters.push_back(task);
    }
    auto fetch = std::make_unique<Fetch>();
    fetch->reader = &task->plan->reader();
    fetch->bytes.resize(bytes);
    fetch->request.offset = begin;
    fetch->request.out = fetch->bytes;
    fetch->waiters.push_back(task);
    fetch->shared = true;
    Start(std::move(fetch));
  }

  void PassThrough(ReadRequest* request, const CachedReader& reader) {
    auto fetch = std::make_unique<Fetch>();
    fetch->reader = &reader;
    fetch->request.offset = request->offset;
    fetch->request.out = request->out;
    fetch->outer = request;
    Start(std::move(fetch));
  }

  void Start(std::unique_ptr<Fetch> fetch) {
    ReadRequest* const request = &fetch->request;
    request->blob = &fetch->reader->remote();
    fetches_.push_back(std::move(fetch));
    ++remote_in_flight_;
    remote_->Submit(request);
  }

  void RemoteDone(ReadRequest* request) {
    const auto found = std::find_if(fetches_.begin(), fetches_.end(),
                                    [&](const std::unique_ptr<Fetch>& one) { return &one->request == request; });
    if (found == fetches_.end()) return done_.push_back(request);  // of a blob that is not cached
    const std::unique_ptr<Fetch> fetch = std::move(*found);
    fetches_.erase(found);
    if (fetch->outer != nullptr) {
      fetch->outer->status = request->status;
      return done_.push_back(fetch->outer);
    }
    if (request->status.ok()) core_->Keep(fetch->reader->key(), request->offset, fetch->bytes, core_->warm);
    for (Task* task : fetch->waiters) {
      if (request->status.ok()) task->plan->Fill(request->offset, fetch->bytes);
      Finish(task, request->status);
    }
  }

  void Finish(Task* task, const Status& status) {
    task->outer->status = status;
    done_.push_back(task->outer);
    tasks_.erase(task);
  }

  Core* const core_;
  const std::unique_ptr<ReadQueue> remote_, disk_;
  std::unordered_map<Task*, std::unique_ptr<Task>> tasks_;
  std::unordered_map<ReadRequest*, DiskFlight> disk_flights_;
  std::deque<ReadRequest*> unread_;  // of these, without a queue of the disk
  std::vector<std::unique_ptr<Fetch>> fetches_;
  size_t remote_in_flight_ = 0;  // with reads of blobs that are not cached
  std::vector<ReadRequest*> done_;
};

}  // namespace

std::unique_ptr<ReadQueue> NewCachedQueue(Core* core, std::unique_ptr<ReadQueue> remote) {
  return std::make_unique<CachedQueue>(core, std::move(remote));
}

}  // namespace tarn::cached
