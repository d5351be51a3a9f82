// The private door to the local backend: opens it over any FileOps. For backends/local and its tests.
#pragma once

#include <memory>
#include <string>

#include "backends/local/file_ops.h"
#include "backends/local/local.h"

namespace tarn::local {

Result<std::shared_ptr<Backend>> OpenLocalWith(std::shared_ptr<FileOps> ops, const std::string& directory,
                                               const LocalOptions& options);

}  // namespace tarn::local
