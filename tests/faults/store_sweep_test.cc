// Every public operation of the store, with each of its backend calls failing in turn in seven ways. See
// store_sweep.h for what is asserted.
//
// The short form takes about kPoints calls of each operation and kind. TARN_FAULTS=full takes them all; TARN_SEED
// moves the short form's sample.
#include "tests/faults/store_sweep.h"

#include <gtest/gtest.h>

namespace tarn::test {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kPoints = 6;
#else
constexpr uint64_t kPoints = 50;
#endif

class StoreSweep : public testing::TestWithParam<StoreOperation> {};

TEST_P(StoreSweep, EachCallFailsInTurn) {
  StoreImages images(NewMemGrounds());
  SweepStore(images, GetParam(), kPoints);
}

INSTANTIATE_TEST_SUITE_P(Operations, StoreSweep, testing::ValuesIn(StoreOperations()),
                         [](const auto& operation) { return operation.param.name; });

}  // namespace
}  // namespace tarn::test
