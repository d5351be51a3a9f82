// The contract suite over the local backend, on both rungs of its read ladder. The io_uring rung needs a kernel
// and a container that allow it; where they do not, only the other rung can run.
#include "backends/local/uring.h"
#include "tests/contract/backend_contract.h"
#include "tests/local/local_store.h"

namespace tarn::test {
namespace {

std::vector<ContractParam> Rungs() {
  std::vector<ContractParam> rungs = {
      {"Pread", [] { return std::make_unique<LocalStore>(false, "pread (io_uring: switched off by the caller)"); }}};
  if (local::WhyNoUring().empty()) {
    rungs.push_back({"IoUring", [] { return std::make_unique<LocalStore>(true, "io_uring"); }});
  }
  return rungs;
}

INSTANTIATE_TEST_SUITE_P(Local, BackendContract, testing::ValuesIn(Rungs()), ContractParamName);

}  // namespace
}  // namespace tarn::test
