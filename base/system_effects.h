// The real clock, entropy and scheduler: what production stores use. The only home of std::thread, clocks and
// random devices outside backends/.
#pragma once

#include <memory>

#include "tarn/sdk/effects.h"

namespace tarn {

std::shared_ptr<Clock> SystemClock();
std::shared_ptr<Entropy> SystemEntropy();
// `threads` workers (at least 1). Destroying it waits for running quanta; queued tasks are dropped, so owners
// Await the end of their tasks first.
std::shared_ptr<Scheduler> NewThreadScheduler(uint32_t threads);

// Sets the worker's name for ps, top and gdb; cut to 15 bytes.
void NameThisThread(const char* name);

}  // namespace tarn
