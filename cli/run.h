// Runs one parsed command line in a context that is set up: the part that the client and the server share.
#pragma once

#include "cli/app.h"
#include "cli/context.h"

namespace tarn::cli {

// Prints what is to be printed, runs what is to be run; the exit code. `context.lake` is set for verbs that need one.
int RunParsed(Context& context, const Parsed& parsed);

// "tarn rm -r /a": for the log and for those who find the lake in use.
std::string CommandText(const std::vector<std::string>& args);

// The columns of the terminal `fd`, or 80.
unsigned ColumnsOf(int fd);

}  // namespace tarn::cli
