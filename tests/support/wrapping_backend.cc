#include "tests/support/wrapping_backend.h"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "tarn/sdk/blob_name.h"

namespace tarn::test {
namespace {
// What a Result holds until its effect has run.
Status NotRun() { return Status::Io("the effect did not run"); }
}  // namespace

class WrappingBackend::Reader final : public BlobReader {
 public:
  Reader(WrappingBackend* owner, std::string_view name, std::unique_ptr<BlobReader> inner)
      : owner_(owner), name_(name), inner_(std::move(inner)) {}
  uint64_t size() const override { return inner_->size(); }
  uint64_t identity() const override { return inner_->identity(); }
  Status Read(uint64_t offset, std::span<char> out) const override {
    return owner_->Around({Op::kRead, name_, offset, out.size()}, [&] { return inner_->Read(offset, out); });
  }
  const std::string& name() const { return name_; }
  const BlobReader* inner() const { return inner_.get(); }

 private:
  WrappingBackend* const owner_;
  const std::string name_;
  const std::unique_ptr<BlobReader> inner_;
};

class WrappingBackend::Writer final : public BlobWriter {
 public:
  Writer(WrappingBackend* owner, std::string_view name, std::unique_ptr<BlobWriter> inner)
      : owner_(owner), name_(name), inner_(std::move(inner)) {}
  Status Append(std::string_view bytes) override {
    TARN_TRY(failure_);
    return failure_ =
               owner_->Around({Op::kBlobAppend, name_, 0, bytes.size()}, [&] { return inner_->Append(bytes); });
  }
  Status Finish() override {
    TARN_TRY(failure_);
    return failure_ = owner_->Around({Op::kFinish, name_}, [&] { return inner_->Finish(); });
  }

 private:
  WrappingBackend* const owner_;
  const std::string name_;
  const std::unique_ptr<BlobWriter> inner_;
  Status failure_;
};

class WrappingBackend::Appender final : public AppendFile {
 public:
  Appender(WrappingBackend* owner, std::string_view name, std::unique_ptr<AppendFile> inner)
      : owner_(owner), name_(name), inner_(std::move(inner)) {}
  Status Append(std::string_view bytes) override {
    TARN_TRY(failure_);
    return failure_ = owner_->Around({Op::kLogAppend, name_, 0, bytes.size()}, [&] { return inner_->Append(bytes); });
  }
  Status Sync() override {
    TARN_TRY(failure_);
    return failure_ = owner_->Around({Op::kLogSync, name_}, [&] { return inner_->Sync(); });
  }

 private:
  WrappingBackend* const owner_;
  const std::string name_;
  const std::unique_ptr<AppendFile> inner_;
  Status failure_;
};

// The inner queue sees requests of our own, because the blobs of the caller's are wrappers.
class WrappingBackend::Queue final : public ReadQueue {
 public:
  Queue(WrappingBackend* owner, std::unique_ptr<ReadQueue> inner) : owner_(owner), inner_(std::move(inner)) {}

  void Submit(ReadRequest* request) override {
    auto flight = std::make_unique<Flight>();
    flight->outer = request;
    const auto* wrapper = dynamic_cast<const Reader*>(request->blob);
    if (wrapper != nullptr) flight->name = wrapper->name();
    flight->inner.blob = wrapper != nullptr ? wrapper->inner() : request->blob;
    flight->inner.offset = request->offset;
    flight->inner.out = request->out;
    Flight* const key = flight.get();
    bool started = false;
    const Status seen = owner_->Around({Op::kSubmit, key->name, request->offset, request->out.size()}, [&] {
      started = true;
      key->inner.context = key;
      flights_.emplace(key, std::move(flight));
      inner_->Submit(&key->inner);
      return Status::Ok();
    });
    if (started) {
      key->lie = seen;
    } else {
      request->status = seen;
      refused_.push_back(request);
    }
  }

  std::vector<ReadRequest*> Wait() override {
    if (!refused_.empty()) return std::exchange(refused_, {});
    std::vector<ReadRequest*> done;
    for (ReadRequest* inner : inner_->Wait()) {
      const auto it = flights_.find(static_cast<Flight*>(inner->context));
      const Flight& flight = *it->second;
      ReadRequest* outer = flight.outer;
      outer->status = owner_->Around({Op::kComplete, flight.name, outer->offset, outer->out.size()},
                                     [&] { return flight.lie.ok() ? inner->status : flight.lie; });
      done.push_back(outer);
      flights_.erase(it);
    }
    return done;
  }

 private:
  struct Flight {
    ReadRequest inner;
    ReadRequest* outer = nullptr;
    std::string name;
    Status lie;  // an error that the caller shall see although the read was started
  };

  WrappingBackend* const owner_;
  const std::unique_ptr<ReadQueue> inner_;
  std::unordered_map<Flight*, std::unique_ptr<Flight>> flights_;
  std::vector<ReadRequest*> refused_;
};

BackendFeatures WrappingBackend::features() {
  const BackendFeatures inner = inner_->features();
  BackendFeatures features;
  if (inner.append != nullptr) features.append = this;
  if (inner.locks != nullptr) features.locks = this;
  if (inner.queues != nullptr) features.queues = this;
  if (inner.space != nullptr) features.space = this;
  if (inner.bulk != nullptr) features.bulk = this;
  return features;
}

Result<std::unique_ptr<BlobReader>> WrappingBackend::Open(std::string_view name) {
  Result<std::unique_ptr<BlobReader>> result = NotRun();
  TARN_TRY(Around({Op::kOpen, name}, [&] { return (result = inner_->Open(name)).status(); }));
  return std::unique_ptr<BlobReader>(std::make_unique<Reader>(this, name, std::move(*result)));
}

Result<std::unique_ptr<BlobWriter>> WrappingBackend::Create(std::string_view name) {
  Result<std::unique_ptr<BlobWriter>> result = NotRun();
  TARN_TRY(Around({Op::kCreate, name}, [&] { return (result = inner_->Create(name)).status(); }));
  return std::unique_ptr<BlobWriter>(std::make_unique<Writer>(this, name, std::move(*result)));
}

Result<PutOutcome> WrappingBackend::PutIfAbsent(std::string_view name, std::string_view bytes) {
  Result<PutOutcome> result = NotRun();
  TARN_TRY(Around({Op::kPutIfAbsent, name, 0, bytes.size()},
                  [&] { return (result = inner_->PutIfAbsent(name, bytes)).status(); }));
  return result;
}

Status WrappingBackend::Delete(std::string_view name) {
  return Around({Op::kDelete, name}, [&] { return inner_->Delete(name); });
}

Result<ListPage> WrappingBackend::List(std::string_view prefix, std::string_view after, size_t limit) {
  Result<ListPage> result = NotRun();
  TARN_TRY(Around({Op::kList, prefix}, [&] { return (result = inner_->List(prefix, after, limit)).status(); }));
  return result;
}

Result<std::unique_ptr<AppendFile>> WrappingBackend::CreateAppend(std::string_view name) {
  Result<std::unique_ptr<AppendFile>> result = NotRun();
  TARN_TRY(Around({Op::kCreateAppend, name},
                  [&] { return (result = inner_->features().append->CreateAppend(name)).status(); }));
  return std::unique_ptr<AppendFile>(std::make_unique<Appender>(this, name, std::move(*result)));
}

Result<std::unique_ptr<Lock>> WrappingBackend::TryLock(std::string_view name, std::string_view holder) {
  Result<std::unique_ptr<Lock>> result = NotRun();
  TARN_TRY(
      Around({Op::kLock, name}, [&] { return (result = inner_->features().locks->TryLock(name, holder)).status(); }));
  return result;
}

std::unique_ptr<ReadQueue> WrappingBackend::NewReadQueue() {
  auto inner = inner_->features().queues->NewReadQueue();
  if (inner == nullptr) return nullptr;
  return std::make_unique<Queue>(this, std::move(inner));
}

Result<SpaceInfo> WrappingBackend::Space() {
  Result<SpaceInfo> result = NotRun();
  TARN_TRY(Around({Op::kSpace, ""}, [&] { return (result = inner_->features().space->Space()).status(); }));
  return result;
}

Status WrappingBackend::DeleteAll(std::span<const std::string> names) {
  for (const std::string& name : names) TARN_TRY(CheckBlobName(name));
  std::vector<std::string> halves[2];
  for (const std::string& name : names) halves[std::hash<std::string>()(name) >> 5 & 1].push_back(name);
  Status first_error;
  for (const auto& half : halves) {
    if (half.empty()) continue;
    const Status deleted = Around({Op::kDeleteMany, half.front(), 0, half.size()},
                                  [&] { return inner_->features().bulk->DeleteAll(half); });
    if (first_error.ok()) first_error = deleted;
  }
  return first_error;
}

}  // namespace tarn::test
