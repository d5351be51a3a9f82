// Content of the files that `tarn bench mount` makes: a function of a seed and an offset, so that any part of a file
// can be made and checked by itself. The bytes look random: nothing is gained by compressing them, and equal blocks
// do not occur, so what is measured is not the lake's saving of them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "cli/context.h"

namespace tarn::cli {

// The bytes of file `seed` from `offset` on. REQUIRES: offset is a multiple of 8.
void FillContent(uint64_t seed, uint64_t offset, std::span<char> out);
// A seed of its own for each `part` of what `seed` stands for.
uint64_t SeedOf(uint64_t seed, uint64_t part);

Status WriteContent(const std::string& path, uint64_t seed, uint64_t size);
// An error that names the file and the first offset where it is not what WriteContent writes.
Status CheckContent(const std::string& path, uint64_t seed, uint64_t size);

// `files` small files (0 to 16 KiB, 6 KiB in the mean), 64 in a directory, below `top`, which is made.
Status MakeTree(const Context& context, const std::string& top, uint64_t seed, uint64_t files);
// The names below `top`, without it and without what is called `except`.
Result<uint64_t> CountTree(const std::string& top, const std::string& except);
// OK when both trees hold the same names, types, sizes, bytes and symbolic links.
Status SameTree(const Context& context, const std::string& left, const std::string& right, const std::string& except);

}  // namespace tarn::cli
