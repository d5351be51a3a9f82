// The k-way merge: one cursor over many, in internal key order. Equal internal keys do not occur.
// Errors of any input end the merge: a merge that cannot read everything shows nothing.
#pragma once

#include <memory>
#include <vector>

#include "tarn/sdk/cursor.h"

namespace tarn {

// With one input, returns that input itself; with none, an empty cursor.
std::unique_ptr<Cursor> NewMergingCursor(std::vector<std::unique_ptr<Cursor>> inputs);

}  // namespace tarn
