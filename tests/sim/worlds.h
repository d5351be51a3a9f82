// The registry of worlds: every kind that tarn-sim and the tests know.
#pragma once

#include <string_view>
#include <vector>

#include "tests/sim/world.h"

namespace tarn::test {

const std::vector<WorldKind>& Worlds();
// Null when there is none of that name.
const WorldKind* FindWorld(std::string_view name);

}  // namespace tarn::test
