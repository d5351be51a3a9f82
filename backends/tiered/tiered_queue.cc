#include "backends/tiered/tiered_queue.h"

#include <unordered_map>
#include <utility>
#include <vector>

namespace tarn::tiered {
namespace {

// Each side sees requests of our own, because the blobs of the caller's are ours. Wait asks near first: a disk
// answers within what a round trip costs, and requests that are under way far go on meanwhile.
class TieredQueue final : public ReadQueue {
 public:
  TieredQueue(std::unique_ptr<ReadQueue> near, std::unique_ptr<ReadQueue> far)
      : near_(std::move(near)), far_(std::move(far)) {}

  void Submit(ReadRequest* request) override {
    auto flight = std::make_unique<Flight>();
    flight->outer = request;
    flight->reader = dynamic_cast<const TieredReader*>(request->blob);
    flight->inner.offset = request->offset;
    flight->inner.out = request->out;
    Flight* const key = flight.get();
    key->inner.context = key;
    flights_.emplace(key, std::move(flight));
    key->inner.blob = key->reader == nullptr ? request->blob : key->reader->near();
    if (key->inner.blob == nullptr) return SubmitFar(key);
    ++in_flight_near_;
    near_->Submit(&key->inner);
  }

  std::vector<ReadRequest*> Wait() override {
    std::vector<ReadRequest*> done;
    while (done.empty() && !flights_.empty()) {
      if (in_flight_near_ > 0) {
        for (ReadRequest* inner : near_->Wait()) NearBack(inner, &done);
      } else {
        for (ReadRequest* inner : far_->Wait()) Finish(inner, &done);
      }
    }
    return done;
  }

 private:
  struct Flight {
    ReadRequest inner;
    ReadRequest* outer = nullptr;
    const TieredReader* reader = nullptr;  // null: part of the log, near and nowhere else
  };

  void SubmitFar(Flight* flight) {
    flight->inner.blob = flight->reader->far();
    ++flight->reader->counts().far_reads;
    far_->Submit(&flight->inner);
  }
  void NearBack(ReadRequest* inner, std::vector<ReadRequest*>* done) {
    auto* const flight = static_cast<Flight*>(inner->context);
    --in_flight_near_;
    if (flight->reader == nullptr) return Finish(inner, done);
    if (!inner->status.ok()) {
      flight->reader->GiveUpNear();
      return SubmitFar(flight);
    }
    ++flight->reader->counts().near_reads;
    Finish(inner, done);
  }
  void Finish(ReadRequest* inner, std::vector<ReadRequest*>* done) {
    auto* const flight = static_cast<Flight*>(inner->context);
    flight->outer->status = inner->status;
    done->push_back(flight->outer);
    flights_.erase(flight);
  }

  const std::unique_ptr<ReadQueue> near_, far_;
  std::unordered_map<Flight*, std::unique_ptr<Flight>> flights_;
  size_t in_flight_near_ = 0;
};

}  // namespace

Status TieredReader::Read(uint64_t offset, std::span<char> out) const {
  if (const BlobReader* copy = near(); copy != nullptr) {
    if (copy->Read(offset, out).ok()) {
      ++counts().near_reads;
      return {};
    }
    // A range that no blob of this size has says nothing about the copy.
    if (offset <= size() && out.size() <= size() - offset) GiveUpNear();
  }
  ++counts().far_reads;
  return far_->Read(offset, out);
}

std::unique_ptr<ReadQueue> NewTieredQueue(std::unique_ptr<ReadQueue> near, std::unique_ptr<ReadQueue> far) {
  return std::make_unique<TieredQueue>(std::move(near), std::move(far));
}

}  // namespace tarn::tiered
