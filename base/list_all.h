// A list of blobs that leaves no page out.
#pragma once

#include <string_view>
#include <vector>

#include "tarn/sdk/backend.h"

namespace tarn {

Result<std::vector<BlobInfo>> ListAll(Backend& backend, std::string_view prefix);

}  // namespace tarn
