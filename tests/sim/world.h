// World: one simulated life of a store or a lake, driven step by step from a seed. The contract between the runner
// (tests/sim/runner) and what is simulated (store_world, lake_world).
//
// A schedule is a list of step numbers. Step n draws all its chance from SeededRandom(StepSeed(seed, n)), and the
// world itself only from SeededRandom(seed) while it is made. So a step can be taken out of a schedule without
// changing what the others roll, and that is how a failing seed is shrunk: the runner drops steps while the
// failure stays.
//
// The world compares everything the engine answers with a model. After a crash the model says which states are
// allowed; an error is allowed only where a fault was injected (or an earlier fault left the store read-only).
//
// Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "tests/support/sim_effects.h"

namespace tarn::test {

// What a run did. Counted where it happens; nothing is estimated.
struct Tally {
  uint64_t operations = 0;  // calls on the public API: a get, a write, one move of an iterator, a lake call
  uint64_t crashes = 0;     // power cuts and kills, also those inside a recovery
  uint64_t recoveries = 0;  // opens after a crash or a fault that ended in a serving store
  std::map<std::string, uint64_t> faults;  // injected and met by the engine, by kind: "io", "no space", "rot", ...
  uint64_t digest = 0;  // of everything the engine did to its storage, in order: equal for equal seeds

  void Add(const Tally& other);
};

// Gets one line for each step, crash, fault and recovery. Null: silence, and no text is made.
using Narrator = std::function<void(const std::string& line)>;

struct WorldOptions {
  uint64_t seed = 1;
  Narrator narrate;
};

class World {
 public:
  virtual ~World() = default;
  // REQUIRES: failure() is empty.
  virtual void Step(SeededRandom& random) = 0;
  // The checks of a life's end: everything is where the model says, verified to the last block.
  virtual void End() = 0;
  // What went wrong first, in one line; empty while all is well.
  virtual const std::string& failure() const = 0;
  virtual const Tally& tally() const = 0;
};

// "store", "files", "object", "lake"...: the name on the command line.
struct WorldKind {
  std::string name;
  std::string about;  // one line for --help
  std::function<std::unique_ptr<World>(const WorldOptions&)> make;
};

inline uint64_t StepSeed(uint64_t seed, uint64_t step) {
  return SeededRandom(seed ^ (step * 0x9e3779b97f4a7c15)).Next();
}

}  // namespace tarn::test
