// The contract suite over two sides in memory: what the tiered backend promises to its host.
#include "backends/tiered/tiered.h"
#include "tests/contract/backend_contract.h"
#include "tests/support/mem_backend.h"

namespace tarn::test {
namespace {

class TieredStore final : public ContractStore {
 public:
  explicit TieredStore(MemOptions far) : far_(std::make_shared<MemBackend>(far)) {}
  std::shared_ptr<Backend> Open() override {
    auto tiered = tiered::OpenTiered(far_, near_);
    EXPECT_TRUE(tiered.ok()) << tiered.status().ToString();
    return tiered.ok() ? *tiered : nullptr;
  }

 private:
  const std::shared_ptr<MemBackend> far_;
  const std::shared_ptr<MemBackend> near_ = std::make_shared<MemBackend>();
};

// The same with every table wanted near.
class NearStore final : public ContractStore {
 public:
  std::shared_ptr<Backend> Open() override {
    std::shared_ptr<Backend> tiered = inner_.Open();
    const auto lock = tiered->features().locks->TryLock("lock", "the stock is taken");
    for (const char* name : {"table/1", "table/2"}) tiered->features().placement->Prefer(name, Place::kNear);
    return tiered;
  }

 private:
  TieredStore inner_{{.append = false, .locks = false}};
};

INSTANTIATE_TEST_SUITE_P(Tiered, BackendContract,
                         testing::Values(ContractParam{"Bucket",
                                                       [] {
                                                         return std::make_unique<TieredStore>(
                                                             MemOptions{.append = false, .locks = false});
                                                       }},
                                         ContractParam{"WithoutQueues",
                                                       [] {
                                                         return std::make_unique<TieredStore>(MemOptions{
                                                             .append = false, .locks = false, .queues = false});
                                                       }},
                                         ContractParam{"Copies", [] { return std::make_unique<NearStore>(); }}),
                         ContractParamName);

}  // namespace
}  // namespace tarn::test
