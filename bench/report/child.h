// A child process: started, listened to, and ended when the user ends the bench.
//
// Threads: one. Children die with the parent, however it dies (PR_SET_PDEATHSIG), so a killed bench leaves no load on
// the machine behind.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace tarn::bench {

// From here on SIGINT and SIGTERM are only noted: StopSignal says which came (0: none), and RunChild kills its child.
void CatchStopSignals();
int StopSignal();

struct ChildOutcome {
  std::string out;    // all of its standard output
  std::string error;  // why it failed, in one line; empty when it ended with status 0
};

// Runs a program until its end. `tick` is called a few times a second meanwhile.
ChildOutcome RunChild(const std::vector<std::string>& command, const std::function<void()>& tick);

}  // namespace tarn::bench
