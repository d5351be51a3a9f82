// BlobStorage: blobs in memory under a simulated process. Three kinds of SimStorage:
//
//   mem     a disk. Calls fail (io_error), fail although they happened (io_after), or meet a full disk (no_space).
//   object  a bucket for the blobs; append files and locks are on a local disk beside it. Its requests are throttled
//           before the effect, or lose their answer after it. A PUT may be delivered twice, so that a conditional
//           one meets itself; and one that timed out may land at any later time, perhaps in the life of another
//           process. It is then still conditional: it takes no name that is taken.
//   bucket  the same bucket, and nothing beside it: no append files, no locks.
//
// Ignored by all: short_transfer (there are no files). By mem: throttle, lost_answer, duplicate, late. By the others:
// io_error, io_after and no_space, except for append files.
//
// What a crash leaves is MemBackend's business (tests/support/mem_backend.h). The effect at which the machine stops
// happens or does not, by the seed; the caller hears Io either way.
#pragma once

#include <memory>

#include "tests/sim/storage.h"

namespace tarn::test {

std::unique_ptr<SimStorage> MakeMemStorage(uint64_t seed);
std::unique_ptr<SimStorage> MakeObjectStorage(uint64_t seed);
std::unique_ptr<SimStorage> MakeBucketStorage(uint64_t seed);

}  // namespace tarn::test
