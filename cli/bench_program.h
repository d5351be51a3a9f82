// Other programs that `tarn bench mount` runs: git, tar, rm, fio. Each runs in a process group of its own, which ends
// with the verb when the user gives up, and without the user's configuration of git or language.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace tarn::cli {

bool HaveProgram(const std::string& name);  // in PATH

// Runs it in `directory` until it ends; what it wrote to standard output. An error when it does not exit with 0, with
// the last line that it wrote to standard error. `scratch` is a directory for its output.
Result<std::string> RunProgram(const Context& context, const std::vector<std::string>& argv,
                               const std::string& directory, const std::string& scratch);

}  // namespace tarn::cli
