// How an input is mutated: as a whole, or one of its sections, and then resealed. Shared by libFuzzer's custom
// mutator and by the replay driver, which differ only in the mutation of plain bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "tests/fuzz/target.h"

namespace tarn::fuzz {

// Changes the bytes; the result has at most `most` of them.
using MutateBytes = std::function<void(std::string* bytes, size_t most)>;

// `seed` decides everything that `mutate` does not.
void Mutate(const Target& target, uint64_t seed, size_t most, const MutateBytes& mutate, std::string* input);

}  // namespace tarn::fuzz
