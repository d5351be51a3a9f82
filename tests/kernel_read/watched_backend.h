// A backend in memory whose reads a test can watch, hold back, spoil and fail, and tables in it.
//
// Reads are watched where they happen: in BlobReader::Read, or, when it hands out read queues, between Submit and
// Wait. Threads: any, once the hooks are set.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/this_thread.h"
#include "format/table.h"
#include "format/table_builder.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {

struct SeenRead {
  std::string blob;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

class WatchedBackend final : public Backend, public ReadQueueSource {
 public:
  explicit WatchedBackend(bool queues) : queues_(queues), info_(inner_.info()) {
    info_.latency = LatencyClass::kDisk;
  }

  void set_latency(LatencyClass latency) { info_.latency = latency; }
  // Called after each read with what it filled; may change the bytes, or fail the read.
  std::function<Status(const SeenRead&, std::span<char>)> hook;
  // No read ends before this many are in flight (or, so that a broken engine fails a test instead of hanging it,
  // before a minute has passed: then `gate_failed`).
  size_t gate = 0;
  bool gate_failed = false;
  // False: its queues find it an error when another thread goes on with reads in flight.
  bool may_move = true;

  std::vector<SeenRead> reads() const {
    std::lock_guard lock(mutex_);
    return reads_;
  }
  void Forget() {
    std::lock_guard lock(mutex_);
    reads_.clear();
    in_flight_at_wait.clear();
    peak_ = peak_bytes_ = 0;
  }
  size_t peak() const { return peak_; }
  uint64_t peak_bytes() const { return peak_bytes_; }
  size_t queues_made() const { return queues_made_; }
  std::vector<size_t> in_flight_at_wait;  // of queues, at each Wait

  const BackendInfo& info() const override { return info_; }
  BackendFeatures features() override { return {.queues = queues_ ? this : nullptr}; }
  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override {
    TARN_ASSIGN(auto reader, inner_.Open(name));
    return std::unique_ptr<BlobReader>(std::make_unique<Reader>(this, std::string(name), std::move(reader)));
  }
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override { return inner_.Create(name); }
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override {
    return inner_.PutIfAbsent(name, bytes);
  }
  Status Delete(std::string_view name) override { return inner_.Delete(name); }
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return inner_.List(prefix, after, limit);
  }
  std::unique_ptr<ReadQueue> NewReadQueue() override {
    ++queues_made_;
    return std::make_unique<Queue>(this);
  }
  bool MayMove() const override { return may_move; }

 private:
  class Reader final : public BlobReader {
   public:
    Reader(WatchedBackend* owner, std::string name, std::unique_ptr<BlobReader> inner)
        : owner_(owner), name_(std::move(name)), inner_(std::move(inner)) {}
    uint64_t size() const override { return inner_->size(); }
    Status Read(uint64_t offset, std::span<char> out) const override {
      owner_->Enter(out.size());
      if (!owner_->queues_) owner_->WaitForGate();
      Status status = inner_->Read(offset, out);
      const SeenRead seen{name_, offset, out.size()};
      if (status.ok() && owner_->hook) status = owner_->hook(seen, out);
      owner_->Leave(seen);
      return status;
    }

   private:
    WatchedBackend* const owner_;
    const std::string name_;
    const std::unique_ptr<BlobReader> inner_;
  };

  // First in, first out, one a Wait: the order is known, so a test can say what must be in flight when.
  class Queue final : public ReadQueue {
   public:
    explicit Queue(WatchedBackend* owner) : owner_(owner) {}
    ~Queue() override { EXPECT_TRUE(pending_.empty()); }
    void Submit(ReadRequest* request) override {
      CheckThread();
      pending_.push_back(request);
      bytes_ += request->out.size();
      std::lock_guard lock(owner_->mutex_);
      owner_->peak_ = std::max(owner_->peak_, pending_.size());
      owner_->peak_bytes_ = std::max(owner_->peak_bytes_, bytes_);
    }
    std::vector<ReadRequest*> Wait() override {
      if (pending_.empty()) return {};
      CheckThread();
      {
        std::lock_guard lock(owner_->mutex_);
        owner_->in_flight_at_wait.push_back(pending_.size());
      }
      ReadRequest* request = pending_.front();
      pending_.pop_front();
      bytes_ -= request->out.size();
      request->status = request->blob->Read(request->offset, request->out);
      return {request};
    }

   private:
    void CheckThread() {
      if (pending_.empty()) thread_ = ThisThread();
      EXPECT_TRUE(owner_->may_move || thread_ == ThisThread()) << "a second thread while reads are in flight";
    }

    WatchedBackend* const owner_;
    uint64_t thread_ = 0;  // that has reads in flight
    std::deque<ReadRequest*> pending_;
    uint64_t bytes_ = 0;
  };

  void Enter(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    ++now_;
    now_bytes_ += bytes;
    peak_ = std::max(peak_, now_);
    peak_bytes_ = std::max(peak_bytes_, now_bytes_);
    changed_.notify_all();
  }
  void WaitForGate() {
    std::unique_lock lock(mutex_);
    if (gate == 0) return;
    const auto open = [this] { return gate_open_ || now_ >= gate; };
    if (!changed_.wait_for(lock, std::chrono::minutes(1), open)) gate_failed = true;
    gate_open_ = true;
    changed_.notify_all();
  }
  void Leave(const SeenRead& seen) {
    std::lock_guard lock(mutex_);
    --now_;
    now_bytes_ -= seen.bytes;
    reads_.push_back(seen);
  }

  const bool queues_;
  std::atomic<size_t> queues_made_{0};
  MemBackend inner_;
  BackendInfo info_;
  mutable std::mutex mutex_;  // guards all below and what a test reads
  std::condition_variable changed_;
  std::vector<SeenRead> reads_;
  size_t now_ = 0, peak_ = 0;
  uint64_t now_bytes_ = 0, peak_bytes_ = 0;
  bool gate_open_ = false;
};

inline constexpr std::string_view kStoreId = "0123456789abcdef";

inline std::string KeyOf(uint64_t i) {
  std::string digits = std::to_string(i);
  return "key" + std::string(8 - digits.size(), '0') + digits;
}
// Does not compress, so blocks are as large as they look.
inline std::string ValueOf(uint64_t i, size_t bytes = 100) {
  std::string value = std::to_string(i) + "=";
  uint64_t x = i * 0x9e3779b97f4a7c15ull + 1;
  while (value.size() < bytes) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    value.push_back(static_cast<char>(x >> 56));
  }
  return value;
}

// Keys first .. first + count - 1, each with one version of sequence 10 + i.
inline std::shared_ptr<Table> MakeTable(Backend& backend, uint64_t number, uint64_t first, uint64_t count,
                                        size_t value_bytes = 100, uint32_t filter_bits = 10) {
  TableOptions options;
  options.compression = Compression::kNone;
  options.filter_bits_per_key = filter_bits;
  auto builder = TableBuilder::Create(backend, kStoreId, number, options);
  EXPECT_TRUE(builder.ok()) << builder.status().ToString();
  for (uint64_t i = first; i < first + count; ++i) {
    EXPECT_TRUE((*builder)->Add(MakeInternalKey(KeyOf(i), 10 + i, Kind::kPut), ValueOf(i, value_bytes)).ok());
  }
  const auto meta = (*builder)->Finish();
  EXPECT_TRUE(meta.ok()) << meta.status().ToString();
  auto table = Table::Open(backend, kStoreId, number, meta->file_bytes);
  EXPECT_TRUE(table.ok()) << table.status().ToString();
  return *table;
}

}  // namespace tarn::test
