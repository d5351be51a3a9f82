// The reference memtable under the contract of all memtables.
#include "tests/support/reference_memtable.h"

#include "tests/contract/memtable_contract.h"

namespace tarn::contract {

INSTANTIATE_TEST_SUITE_P(Reference, MemtableContract,
                         testing::Values(MemtableContractParam{"reference", test::NewReferenceMemtable}));

}  // namespace tarn::contract
