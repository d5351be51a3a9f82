// The memtable as one would write it on paper: a std::map under a mutex. For tests that compare strategies: it is
// slow, and obviously right.
//
// Threads: any, as the contract of tarn/sdk/memtable.h says; all take the one lock.
#pragma once

#include <memory>

#include "tarn/sdk/memtable.h"

namespace tarn::test {

std::shared_ptr<MemtableStrategy> NewReferenceMemtable();

}  // namespace tarn::test
