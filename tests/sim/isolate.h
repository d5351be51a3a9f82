// Runs in processes of their own, so that an abort, a deadlock or a hang of the engine is an outcome like any other:
// its text is how the process died and the last line that it wrote on stderr.
//
// Threads: one (it forks).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/sim/runner.h"

namespace tarn::test {

// Seen by both processes: what the child is doing, for when it dies.
struct Place {
  uint64_t world = 0;
  uint64_t seed = 0;
  uint64_t steps = 0;
};

class Child {
 public:
  using Send = std::function<void(const std::string& line)>;
  using Body = std::function<void(Place* place, const Send& send)>;

  explicit Child(const Body& body);  // forks; `body` runs in the child, which then ends
  ~Child();                          // kills it if it still runs
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int fd() const { return fd_; }  // readable when Take does not block
  // Lines that were sent since the last time. Empty together with ended() when there will be no more.
  std::vector<std::string> Take();
  bool ended() const { return pid_ < 0; }
  // How it died; empty when it did not. REQUIRES: ended()
  const std::string& death() const { return death_; }
  const Place& place() const { return *place_; }

 private:
  int pid_ = -1;
  int fd_ = -1;
  int stderr_ = -1;
  Place* place_ = nullptr;
  std::string pending_;  // the beginning of a line
  std::string death_;
};

std::string OutcomeToLine(const Outcome& outcome);
Outcome OutcomeFromLine(const std::string& line);

// RunWorld in a child.
Outcome RunIsolated(const WorldKind& kind, uint64_t seed, const Schedule& schedule);
// Before each life in a child: it is killed if this one does not end.
void LimitLife();

}  // namespace tarn::test
