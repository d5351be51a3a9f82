// RunCursor: one cursor over the tables of a run, which are disjoint and in order, so only one is open at a time.
#pragma once

#include <memory>

#include "kernel/read_engine.h"
#include "kernel/scan_source.h"
#include "kernel/version.h"

namespace tarn::kernel {

// `fill_cache` false: the cache is left as it is (merges, one-time scans). The engine outlives the cursor; the
// run is kept alive by it.
std::unique_ptr<Cursor> NewRunCursor(RunRef run, ReadEngine& engine, bool fill_cache);

}  // namespace tarn::kernel
