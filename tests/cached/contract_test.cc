// The contract suite over a cache in front of a store in memory: everything is cached, in little room.
#include "tests/cached/cached_fixture.h"
#include "tests/contract/backend_contract.h"

namespace tarn::test {
namespace {

// Every open but the first that is alive finds the cache in use, as another process would.
class CachedStore final : public ContractStore {
 public:
  explicit CachedStore(bool disk_queues) : disk_(std::make_shared<MemBackend>(MemOptions{.queues = disk_queues})) {}
  std::shared_ptr<Backend> Open() override {
    cached::CacheOptions options;
    options.limit_bytes = 256 << 10;
    options.reserve_bytes = 0;
    options.extent_bytes = 512;
    options.segment_bytes = 8192;
    options.prefix = "";
    auto opened = cached::OpenCached(remote_, std::shared_ptr<Backend>(disk_), options);
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    return opened.ok() ? *opened : nullptr;
  }

 private:
  const std::shared_ptr<MemBackend> remote_ = std::make_shared<MemBackend>();
  const std::shared_ptr<MemBackend> disk_;
};

INSTANTIATE_TEST_SUITE_P(Cached, BackendContract,
                         testing::Values(ContractParam{"Queues", [] { return std::make_unique<CachedStore>(true); }},
                                         ContractParam{"NoQueues",
                                                       [] { return std::make_unique<CachedStore>(false); }}),
                         ContractParamName);

}  // namespace
}  // namespace tarn::test
