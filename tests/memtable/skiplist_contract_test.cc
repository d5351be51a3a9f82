// The reference memtable under the contract of all memtables.
#include "memtable/builtin.h"
#include "tests/contract/memtable_contract.h"

namespace tarn::contract {

INSTANTIATE_TEST_SUITE_P(SkipList, MemtableContract,
                         testing::Values(MemtableContractParam{"skiplist", [] { return NewSkipListStrategy(301); }}));

}  // namespace tarn::contract
