// Runs what was asked for: for each workload, in each round, the engines one after another, each round begun by
// another one. So a slow minute of the machine meets all of them, and none is always the first after a pause.
#pragma once

#include <vector>

#include "bench/report/rows.h"

namespace tarn::bench {

// One row for each workload and engine, whatever happens: what failed, or was not reached because the user stopped
// the bench, has an error.
std::vector<Row> RunAll(const Options& options);

}  // namespace tarn::bench
