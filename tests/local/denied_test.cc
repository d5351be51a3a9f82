// The contract suite over the local backend in a process where seccomp denies io_uring, although the options
// allow it: the ladder must step down by itself and say why.
#include <cerrno>
#include <cstdio>

#include "tests/contract/backend_contract.h"
#include "tests/local/deny_io_uring.h"
#include "tests/local/local_store.h"

namespace tarn::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Denied, BackendContract,
                         testing::Values(ContractParam{"Seccomp",
                                                       [] {
                                                         return std::make_unique<LocalStore>(
                                                             local::LocalOptions{},
                                                             "pread (io_uring: Operation not permitted)");
                                                       }}),
                         ContractParamName);

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!tarn::test::DenyIoUring(EPERM)) {
    std::perror("cannot install a seccomp filter");
    return 1;
  }
  return RUN_ALL_TESTS();
}
