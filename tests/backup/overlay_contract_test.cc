// The contract suite of backends over the overlay: of two stores the top takes every write, and base has blobs that
// are not listed, or were deleted.
#include "backends/overlay/overlay.h"
#include "tests/contract/backend_contract.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {
namespace {

class OverlayStore final : public ContractStore {
 public:
  explicit OverlayStore(MemOptions options) : top_(std::make_shared<MemBackend>(options)) {
    for (const char* name : {"a", "t/1", "unlisted"}) EXPECT_TRUE(base_->PutIfAbsent(name, "of base").ok());
    const auto first = Open();
    for (const BlobInfo& blob : listed_) EXPECT_TRUE(first->Delete(blob.name).ok());
  }
  std::shared_ptr<Backend> Open() override { return overlay::OpenOverlay(top_, base_, listed_).value(); }

 private:
  const std::shared_ptr<MemBackend> top_;
  const std::shared_ptr<MemBackend> base_ = std::make_shared<MemBackend>();
  const std::vector<BlobInfo> listed_{{"a", 7}, {"t/1", 7}};
};

ContractParam Param(const char* name, MemOptions options) {
  return {name, [=] { return std::make_unique<OverlayStore>(options); }};
}

INSTANTIATE_TEST_SUITE_P(Overlay, BackendContract,
                         testing::Values(Param("OnADisk", {}),
                                         Param("OnABucket", {.append = false, .locks = false, .queues = false})),
                         ContractParamName);

}  // namespace
}  // namespace tarn::test
