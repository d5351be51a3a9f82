// RepairSource: the damaged store's backend as repair sees it. It refuses every change, so the damaged store is not
// touched whatever the code above does; and bytes that the device cannot read are read as zeros, so that one bad
// sector costs no more than the records in it. Zeros never verify: everything above is held against a checksum. But
// at the end of a log they look like space that nothing was written to; so it is kept where they are.
//
// Threads: one at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

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

  // What the device did not give back so far: by blob and offset, how many bytes.
  using Unreadable = std::map<std::pair<std::string, uint64_t>, uint64_t>;
  const Unreadable& unreadable() const { return unreadable_; }

 private:
  static Status Refuse(std::string_view name) {
    return Status::Invalid(std::string(name) + ": the damaged store is only read; this is a bug of repair");
  }
  Backend& damaged_;
  Unreadable unreadable_;
};

}  // namespace tarn::kernel
