// Bytes that change at rest, for every SimStorage: which file, where, and how.
//
//   bit rot            one to four bits of one byte
//   misdirected write  bytes that are right elsewhere, in this file or another one, stand here
//   lost write         some sectors were never written: zeros
//   truncated          the tail is missing
//
// Threads: one.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/storage.h"

namespace tarn::test {

// The bytes of a storage's files, past everything that a process sees. Reading a file that is not there gives
// nothing; writing one does nothing.
struct RotAccess {
  std::function<std::string(const std::string& name)> read;
  std::function<void(const std::string& name, std::string bytes)> write;
};

// Damages one of the files, so that its bytes surely differ. Nothing when no attempt did. The mend puts the bytes
// back that were damaged, and leaves alone what was appended meanwhile.
std::optional<Damage> MakeRot(uint64_t seed, const std::vector<std::string>& names, const RotAccess& access);

}  // namespace tarn::test
