// Completes Components with the strategies that ship with Tarn. assemble.cc is the only file that names them.
#pragma once

#include <string>

#include "tarn/components.h"
#include "tarn/settings.h"
#include "tarn/status.h"

namespace tarn::kernel {

// Checks the settings (Invalid names the value and its limits) and fills every null member but the backend.
Result<Components> Assemble(const Settings& settings, Components components);
// A backend for a location (backends/location/location.h), with the system's clock and entropy.
// What the location says about settings is put into them.
Result<std::shared_ptr<Backend>> OpenLocation(Settings* settings, const std::string& location);

}  // namespace tarn::kernel
