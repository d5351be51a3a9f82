// The contract suite over the local backend, on both rungs of its read ladder, through the page cache and past it.
// The io_uring rung needs a kernel and a container that allow it; where they do not, only the other rung can run.
#include "backends/local/uring.h"
#include "tests/contract/backend_contract.h"
#include "tests/local/local_store.h"

namespace tarn::test {
namespace {

std::vector<ContractParam> Rungs() {
  std::vector<ContractParam> rungs;
  const auto add = [&rungs](const char* name, local::LocalOptions options, const char* engine) {
    rungs.push_back({name, [=] { return std::make_unique<LocalStore>(options, engine); }});
  };
  constexpr const char* kSwitchedOff = "pread (io_uring: switched off by the caller)";
  add("Pread", {.allow_io_uring = false}, kSwitchedOff);
  add("PreadDirect", {.direct_reads = true, .allow_io_uring = false}, kSwitchedOff);
  if (local::WhyNoUring().empty()) {
    add("IoUring", {}, "io_uring");
    add("IoUringDirect", {.direct_reads = true}, "io_uring");
  }
  return rungs;
}

INSTANTIATE_TEST_SUITE_P(Local, BackendContract, testing::ValuesIn(Rungs()), ContractParamName);

}  // namespace
}  // namespace tarn::test
