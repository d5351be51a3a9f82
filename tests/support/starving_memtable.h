// A memtable that says it takes more memory than the store has, as soon as the row kBallast is in it. Nothing is left
// for the block cache then, so every lookup goes to the backend until the memtable is flushed: a test that fails the
// N-th call reaches each read of an operation, however small the store and however often it looks at one block.
//
// Threads: as the reference memtable, which it is otherwise.
#pragma once

#include <memory>
#include <string_view>

#include "tarn/sdk/memtable.h"

namespace tarn::test {

inline constexpr std::string_view kBallast = "\xff ballast";  // behind all that tests write

std::shared_ptr<MemtableStrategy> NewStarvingMemtable();

}  // namespace tarn::test
