// The client's side of serve.h: hands a command line to the process that holds the lake and waits for its end.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "cli/local_fs.h"

namespace tarn::cli {

// The exit code of the verb, which has printed everything itself. When `cancelled` turns true (a signal) the server
// is told to give up, and its answer awaited. `place`: where the log of that process is (session_place.h).
Result<int> Forward(UniqueFd socket, const std::string& place, const std::vector<std::string>& args,
                    const std::string& location, int cwd_fd, const std::atomic<bool>& cancelled);

}  // namespace tarn::cli
