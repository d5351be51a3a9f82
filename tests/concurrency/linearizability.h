// A checker of linearizability: could the calls that these threads made, with the answers they got, have happened
// one after the other, each at one moment between its invocation and its response? For tests; knows of no store.
//
// The object is a set of registers. An operation is atomic over all registers it names: at its moment it sees
// certain values and then writes others. That covers put, delete, get, compare-and-set, batches, range deletions,
// transactions and reads of many keys under one snapshot.
//
// The search is that of Wing and Gong ("Testing and Verifying Concurrent Objects", JPDC 1993) with the memory of
// Lowe ("Testing for Linearizability", CCPE 2017): a set of placed operations that led to a state already tried is
// not tried again. Locality cuts the work: registers that no operation ties together are checked apart.
//
// Threads: none of its own; pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tarn::test {

inline constexpr uint64_t kAbsent = 0;  // the value of a register nobody has written, or that was deleted

struct Cell {
  uint32_t key = 0;
  uint64_t value = kAbsent;
};

struct Operation {
  uint64_t invoke = 0, response = 0;  // of one counter that all threads share; invoke < response, all distinct
  std::vector<Cell> saw;              // what held at its moment, each key once
  std::vector<Cell> wrote;            // what it left, each key once
  std::string who;                    // for people: the thread and the call
};

// Empty when the history is linearizable from registers that are all absent. Otherwise the operations of the
// registers that are not, one line each in order of invocation, and how far the best attempt came.
std::string CheckLinearizable(const std::vector<Operation>& history);

}  // namespace tarn::test
