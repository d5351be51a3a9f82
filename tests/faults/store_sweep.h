// Runs one operation of the store with the fault at each of its calls in turn, and judges what follows. The same for
// every ground, so that the backend in memory and the local one are held to one standard.
//
// After each fault:
//   1. The operation said OK, and then its effect is there; or it handed on the fault's own error. Never a wrong
//      answer, an absent row or a short walk in place of an error.
//   2. Reads are right or an error while the fault lasts, and right as soon as it is gone, without reopening.
//   3. The store takes writes again, or every write returns one and the same error that says that it is read-only
//      and what to do. An operation that only reads, and a device that is full when a table is written, leave it
//      writable; then the operation itself succeeds when it is tried again.
//   4. A new process opens it and finds all that was acknowledged, and the operation's effect whole or not at all.
//   5. Nothing is left behind: no blob without a record, no temporary file, no descriptor.
#pragma once

#include <string>

#include "tests/faults/store_operations.h"

namespace tarn::test {

// About `limit` points for each kind of fault; all of them with TARN_FAULTS=full. Prints what was done.
void SweepStore(StoreImages& images, const StoreOperation& operation, uint64_t limit);

}  // namespace tarn::test
