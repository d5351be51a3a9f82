// The contract suite over the memory backend, with all and with few features, and over each wrapper left alone.
#include "tests/contract/backend_contract.h"
#include "tests/support/crash_backend.h"
#include "tests/support/fault_backend.h"
#include "tests/support/mem_backend.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

using Wrap = std::function<std::shared_ptr<Backend>(std::shared_ptr<MemBackend>)>;

class MemStore final : public ContractStore {
 public:
  MemStore(MemOptions options, Wrap wrap) : mem_(std::make_shared<MemBackend>(options)), wrap_(std::move(wrap)) {}
  std::shared_ptr<Backend> Open() override { return wrap_(mem_); }

 private:
  const std::shared_ptr<MemBackend> mem_;
  const Wrap wrap_;
};

ContractParam Param(const char* name, Wrap wrap, MemOptions options = {}) {
  return {name, [=] { return std::make_unique<MemStore>(options, wrap); }};
}

std::shared_ptr<Backend> Bare(std::shared_ptr<MemBackend> mem) { return mem; }

INSTANTIATE_TEST_SUITE_P(
    Memory, BackendContract,
    testing::Values(Param("Mem", Bare),
                    Param("ObjectStoreLike", Bare, {.append = false, .locks = false, .queues = false, .bulk = true}),
                    Param("Crash", [](auto mem) { return std::make_shared<CrashBackend>(std::move(mem)); }),
                    Param("Fault", [](auto mem) { return std::make_shared<FaultBackend>(std::move(mem)); }),
                    Param("Trace", [](auto mem) { return std::make_shared<TraceBackend>(std::move(mem)); }),
                    Param("TraceOfFaultOfCrash",
                          [](auto mem) {
                            return std::make_shared<TraceBackend>(
                                std::make_shared<FaultBackend>(std::make_shared<CrashBackend>(std::move(mem))));
                          },
                          {.bulk = true})),
    ContractParamName);

}  // namespace
}  // namespace tarn::test
