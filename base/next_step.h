// The next step that an error about damaged bytes of a store names. For whoever words such errors.
#pragma once

#include <string_view>

namespace tarn {

// Ends a message of Corruption.
inline constexpr std::string_view kRepairStep = "; run: tarn repair SOURCE TARGET";

}  // namespace tarn
