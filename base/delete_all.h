// Deleting many blobs: by the backend's bulk delete where it has one, else one by one.
#pragma once

#include <span>
#include <string>

#include "tarn/sdk/backend.h"

namespace tarn {

// Until none of them is there any more; one that is missing is fine. Without bulk deletes they go in the order given,
// up to the first error. With them any may be gone after an error. Either way the call may be repeated.
// Threads: any.
Status DeleteAll(Backend& backend, std::span<const std::string> names);

}  // namespace tarn
