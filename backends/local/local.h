// The local disk backend: blobs are files below one directory. For kernel/assemble.cc and for tests.
#pragma once

#include <memory>
#include <string>

#include "tarn/sdk/backend.h"

namespace tarn::local {

struct LocalOptions {
  bool create = true;          // make the directory (and its parents' last component) when it is missing
  bool read_only = false;      // write nothing; a lock keeps writers out but leaves no holder's line
  bool direct_reads = false;   // past the page cache, where the filesystem can
  bool allow_io_uring = true;  // false forces the fallback; the tests and `tarn doctor` use it
};

// Errors: NotFound (missing and !create), Invalid (a file where the directory should be, not readable, not
// writable), each naming the path and the next step.
Result<std::shared_ptr<Backend>> OpenLocal(const std::string& directory, const LocalOptions& options = {});

}  // namespace tarn::local
