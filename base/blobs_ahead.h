// Opens blobs that are read in a known order, with the bytes of the next ones on their way meanwhile: over a network
// a row of small blobs then costs few round trips instead of one or two for each. For the log's replay and the
// manifest.
//
// Only where the backend is far away (LatencyClass::kNetwork) and has a read queue; else Open is the backend's. Ahead
// are at most 32 blobs, and some 32 MiB; a blob larger than 8 MiB is read when it is asked for. What fails ahead is
// forgotten, and tried again when it is asked for: so errors are those of the backend's Open and Read.
//
// Threads: one at a time, also for each of the blobs handed out. They may outlive it.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/sdk/backend.h"

namespace tarn {

class BlobsAhead {
 public:
  // `names` in the order in which they will be opened. Nothing is asked for before the first Open.
  BlobsAhead(Backend& backend, std::vector<std::string> names);
  ~BlobsAhead();  // waits for what is in flight

  // As Backend::Open; what stands before `name` in the row is given up. A part of the blob that is read a second time
  // comes from the backend, so that damage on the way is not met again.
  Result<std::unique_ptr<BlobReader>> Open(std::string_view name);

 private:
  struct Flight;

  void StartMore();
  void AwaitOne();
  void DropFront();

  Backend& backend_;
  std::unique_ptr<ReadQueue> queue_;  // null: nothing is read ahead
  std::deque<std::string> names_;     // not started
  std::deque<std::unique_ptr<Flight>> flights_;
  uint64_t bytes_ahead_ = 0;
};

}  // namespace tarn
