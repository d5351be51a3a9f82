// How many letters two words are apart: for messages that guess which name was meant.
#pragma once

#include <cstddef>
#include <string_view>

namespace tarn {

// Letters to insert, delete or replace (V. Levenshtein, 1966), in time and memory of the product and the length.
size_t EditDistance(std::string_view a, std::string_view b);

}  // namespace tarn
