// Golden files: text that a test produced once, was read by a person, and must stay as it is. For tests.
//
// They live in tests/golden/<name>. Run the test with TARN_REWRITE_GOLDEN=1 to write them anew, then read the
// difference before you commit it.
#pragma once

#include <string>
#include <string_view>

namespace tarn::test {

// Empty when `text` equals the golden file (or was written to it), else what to tell the person.
std::string GoldenMismatch(const std::string& name, std::string_view text);

}  // namespace tarn::test
