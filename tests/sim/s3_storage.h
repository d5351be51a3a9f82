// S3Storage: the bucket as the store will meet it. The S3 backend itself (backends/s3), retries, hedges and all, on a
// server in memory (tests/s3/mem_s3.h), under a simulated process. So what is simulated is the network and the
// server:
//
//   throttle     503 SlowDown, sometimes with Retry-After; one in eight begins an outage of up to 40 requests, which
//   is
//                longer than retries last
//   lost_answer  of requests that change something: carried out, and the connection breaks, or the answer comes later
//                than anybody waits for it
//   late         a PUT or DELETE is refused or broken off, and carried out up to 60 requests later, perhaps in the
//   life
//                of another process
//   duplicate    a PUT is carried out twice, and the second answer is heard
//
// The other rates are ignored. A crash cuts the process off from the server: the request at which it comes is carried
// out, or not, or late. Nothing that the server acknowledged is lost, by whatever mode. Rot changes bytes, and no
// lengths. The opening of the backend is left undisturbed: Mount() cannot fail (tests/s3/backend_test.cc is about
// it).
#pragma once

#include <memory>

#include "tests/sim/storage.h"

namespace tarn::test {

std::unique_ptr<SimStorage> MakeS3Storage(uint64_t seed);

}  // namespace tarn::test
