// Every public operation of the store on the real local backend, with each of its system calls failing in turn: EIO,
// ENOSPC, EMFILE, EROFS, EACCES, EINTR, and transfers that move less than was asked for. See store_sweep.h for what
// is asserted; besides, no descriptor stays open and no temporary file survives the next open.
//
// Reads go through pread here, on the store's pool, because FileOps does not see io_uring; its completions have
// uring_completion_test.cc. The short form takes about kPoints calls of each operation and kind; TARN_FAULTS=full
// takes all of them, TARN_SEED moves the sample.
#include <gtest/gtest.h>

#include "tests/faults/store_sweep.h"

namespace tarn::test {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kPoints = 2;
#else
constexpr uint64_t kPoints = 6;
#endif

class LocalSweep : public testing::TestWithParam<StoreOperation> {};

TEST_P(LocalSweep, EachSystemCallFailsInTurn) {
  StoreImages images(NewLocalGrounds());
  SweepStore(images, GetParam(), kPoints);
}

INSTANTIATE_TEST_SUITE_P(Operations, LocalSweep, testing::ValuesIn(StoreOperations()),
                         [](const auto& operation) { return operation.param.name; });

}  // namespace
}  // namespace tarn::test
