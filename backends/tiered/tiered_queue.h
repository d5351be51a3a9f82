// Reading a blob that may have a copy: near where that reads, else far. For tiered_backend.cc.
#pragma once

#include <memory>
#include <string>

#include "backends/tiered/near_copies.h"

namespace tarn::tiered {

// Threads: any.
class TieredReader final : public BlobReader {
 public:
  TieredReader(std::shared_ptr<NearCopies> copies, std::string_view name, std::unique_ptr<BlobReader> far,
               NearCopies::Opened near)
      : copies_(std::move(copies)), name_(name), far_(std::move(far)), near_(std::move(near)) {}
  uint64_t size() const override { return far_->size(); }
  uint64_t identity() const override { return far_->identity(); }
  Status Read(uint64_t offset, std::span<char> out) const override;

  // The copy while it is to be read, else null.
  const BlobReader* near() const {
    return near_.blob != nullptr && near_.usable->load(std::memory_order_acquire) ? near_.blob.get() : nullptr;
  }
  const BlobReader* far() const { return far_.get(); }
  // The copy did not read.
  void GiveUpNear() const { copies_->Drop(name_, /*failed=*/true); }
  CopyCounts& counts() const { return copies_->counts; }

 private:
  const std::shared_ptr<NearCopies> copies_;
  const std::string name_;
  const std::unique_ptr<BlobReader> far_;
  const NearCopies::Opened near_;
};

// Reads of copies go through `near`, others through `far`.
std::unique_ptr<ReadQueue> NewTieredQueue(std::unique_ptr<ReadQueue> near, std::unique_ptr<ReadQueue> far);

}  // namespace tarn::tiered
