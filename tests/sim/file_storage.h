// FileStorage: the local backend over a simulated filesystem (sim_files.h), as a disk under a simulated process.
//
// Effects are system calls: every write, sync, create, rename, link, unlink, mkdir and directory sync is one. Of
// the modes of a crash, kProcessKill keeps everything, kDropUnsynced loses all that was not synced, and kTornSubset
// is an adversarial reading of POSIX, or (one in four) ext4's ordered mode, as the seed says.
//
// Threads: one.
#pragma once

#include <memory>

#include "tests/sim/storage.h"

namespace tarn::test {

std::unique_ptr<SimStorage> MakeFileStorage(uint64_t seed);

}  // namespace tarn::test
