// Errors of the local backend as people read them: what was tried, where, why not, what to do. For backends/local.
#pragma once

#include <string>
#include <string_view>

#include "tarn/status.h"

namespace tarn::local {

// "cannot <action> <path>: <why>: <next step>" with the code that errno `error` (> 0) means.
Status FileError(int error, std::string_view action, const std::string& path);

// The range [offset, offset + wanted) is not in a file of `size` bytes.
Status PastTheEnd(const std::string& path, uint64_t size, uint64_t offset, size_t wanted);

}  // namespace tarn::local
