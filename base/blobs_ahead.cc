#include "base/blobs_ahead.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tarn {
namespace {

constexpr size_t kMostAhead = 32;
constexpr uint64_t kMostBytesAhead = 32 << 20;
constexpr uint64_t kLargestAhead = 8 << 20;

// A blob of which all bytes have come. They are given out once, from front to back.
class Fetched final : public BlobReader {
 public:
  Fetched(std::unique_ptr<BlobReader> blob, std::string bytes) : blob_(std::move(blob)), bytes_(std::move(bytes)) {}
  uint64_t size() const override { return blob_->size(); }
  uint64_t identity() const override { return blob_->identity(); }
  Status Read(uint64_t offset, std::span<char> out) const override {
    if (offset != given_ || out.size() > bytes_.size() - given_) return blob_->Read(offset, out);
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    given_ += out.size();
    return Status::Ok();
  }

 private:
  const std::unique_ptr<BlobReader> blob_;
  const std::string bytes_;
  mutable uint64_t given_ = 0;
};

}  // namespace

// One blob ahead. `done` without `blob`: it could not be opened, or is too large.
struct BlobsAhead::Flight {
  std::string name, bytes;
  std::unique_ptr<BlobReader> blob;
  ReadRequest request;
  bool done = false;
};

BlobsAhead::BlobsAhead(Backend& backend, std::vector<std::string> names) : backend_(backend) {
  ReadQueueSource* const queues = backend.features().queues;
  if (names.empty() || queues == nullptr || backend.info().latency != LatencyClass::kNetwork) return;
  queue_ = queues->NewReadQueue();
  if (queue_ != nullptr) names_.assign(names.begin(), names.end());
}

BlobsAhead::~BlobsAhead() {
  while (!flights_.empty()) DropFront();
}

Result<std::unique_ptr<BlobReader>> BlobsAhead::Open(std::string_view name) {
  const auto is_it = [&](const std::unique_ptr<Flight>& flight) { return flight->name == name; };
  StartMore();
  const bool ahead = std::any_of(flights_.begin(), flights_.end(), is_it);
  if (!ahead) return backend_.Open(name);
  while (flights_.front()->name != name) DropFront();
  Flight& flight = *flights_.front();
  while (!flight.done) AwaitOne();
  std::unique_ptr<BlobReader> blob;
  if (flight.blob != nullptr && flight.request.status.ok()) {
    bytes_ahead_ -= flight.blob->size();
    blob = std::make_unique<Fetched>(std::move(flight.blob), std::move(flight.bytes));
  }
  DropFront();
  StartMore();
  if (blob == nullptr) return backend_.Open(name);
  return blob;
}

void BlobsAhead::StartMore() {
  while (!names_.empty() && flights_.size() < kMostAhead && bytes_ahead_ < kMostBytesAhead) {
    auto flight = std::make_unique<Flight>();
    flight->name = std::move(names_.front());
    names_.pop_front();
    Result<std::unique_ptr<BlobReader>> blob = backend_.Open(flight->name);
    if (blob.ok() && (*blob)->size() <= kLargestAhead) flight->blob = std::move(*blob);
    flight->done = flight->blob == nullptr;
    flights_.push_back(std::move(flight));
    Flight& started = *flights_.back();
    if (started.done) continue;
    started.bytes.resize(started.blob->size());
    bytes_ahead_ += started.bytes.size();
    started.request.blob = started.blob.get();
    started.request.out = started.bytes;
    started.request.context = &started;
    queue_->Submit(&started.request);
  }
}

void BlobsAhead::AwaitOne() {
  for (ReadRequest* request : queue_->Wait()) static_cast<Flight*>(request->context)->done = true;
}

void BlobsAhead::DropFront() {
  while (!flights_.front()->done) AwaitOne();
  if (flights_.front()->blob != nullptr) bytes_ahead_ -= flights_.front()->blob->size();
  flights_.pop_front();
}

}  // namespace tarn
