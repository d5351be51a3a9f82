// RepairSource: the damaged store's backend as repair sees it. It refuses every change, so the damaged store is not
// touched whatever the code above does; and bytes that the device cannot read are read as zeros, so that one bad
// sector costs no more than the records in it. Zeros never verify: everything above is held against a checksum.
//
// Threads: as the backend below.
#pragma once

#include <memory>
#include <string>

#include "tarn/sdk/backend.h"

namespace tarn::kernel {

class RepairSource final : public Backend {
 public:
  explicit RepairSource(Backend& damaged) : damaged_(damaged) {}

  const BackendInfo& info() const override { return damaged_.info(); }
  BackendFeatures features() override { return {}; }
  Result<std::unique_ptr<BlobReader>> Open(std::string_view name) override;
  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override { return Refuse(name); }
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view) override { return Refuse(name); }
  Status Delete(std::string_view name) override { return Refuse(name); }
  Result<ListPage> List(std::string_view prefix, std::string_view after, size_t limit) override {
    return damaged_.List(prefix, after, limit);
  }

 private:
  static Status Refuse(std::string_view name) {
    return Status::Invalid(std::string(name) + ": the damaged store is only read; this is a bug of repair");
  }
  Backend& damaged_;
};

// Everything below `prefix`, over all pages.
Result<std::vector<BlobInfo>> ListBlobs(Backend& backend, std::string_view prefix);

}  // namespace tarn::kernel
