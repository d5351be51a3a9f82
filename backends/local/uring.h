// The io_uring rung of the read ladder. For backends/local; liburing is confined to uring.cc.
#pragma once

#include <memory>
#include <string>

#include "tarn/sdk/backend.h"

namespace tarn::local {

// Whether this process may use io_uring: empty = yes, else why not ("Operation not permitted").
std::string WhyNoUring();

// A queue with its own ring, or null when none can be set up (see WhyNoUring; also out of descriptors or memory).
std::unique_ptr<ReadQueue> NewUringQueue();

}  // namespace tarn::local
