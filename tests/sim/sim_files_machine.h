// The state of SimFiles: inodes, directories, what is not durable yet, and the rolls of the dice. For sim_files.cc
// (calls) and sim_files_crash.cc (what is left of it).
//
// Invariants:
//   1. Undoing `unsynced` from the last to the first turns `bytes` into what is durable, except that writes marked
//      kSynced are durable too. They stay in the list only behind a dropped one, because the undo goes through them.
//   2. Applying all of `changes` to `durable` gives `entries`.
#pragma once

#include <string>
#include <vector>

#include "tests/sim/sim_files.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

struct SimNode;
using SimNodeRef = std::shared_ptr<SimNode>;

struct UnsyncedWrite {
  enum class State : uint8_t { kDirty, kSynced, kDropped } state = State::kDirty;
  uint64_t offset = 0, length = 0;  // of length 0: the file grew or shrank
  uint64_t old_size = 0;            // of the file
  std::string overwritten;          // what was there before, as far as the file reached
};

struct NameChange {
  enum class Kind : uint8_t { kAdd, kRemove, kRename } kind = Kind::kAdd;
  std::string name;
  std::string new_name;  // kRename only
  SimNodeRef node;
  uint64_t order = 0;  // among all changes of the machine
};

using SimEntries = std::map<std::string, SimNodeRef, std::less<>>;

// What one change leaves of a directory. A rename may leave the old name beside the new one.
void Apply(const NameChange& change, bool keep_old_name, SimEntries* entries);

struct SimNode {
  const uint64_t number;
  const local::FileKind kind;

  // Files.
  std::string bytes;  // what a process reads
  std::vector<UnsyncedWrite> unsynced;
  bool has_dropped = false;         // some of `unsynced` are kDropped
  bool quiet = false;               // its sizes stay out of the digest
  const void* locked_by = nullptr;  // the open file that has the flock

  // Directories.
  SimEntries entries, durable;
  std::vector<NameChange> changes;

  SimNode(uint64_t n, local::FileKind k) : number(n), kind(k) {}
  bool is_dir() const { return kind == local::FileKind::kDirectory; }
};

struct SimFiles::Machine {
  SimNodeRef slash;  // the root of all
  std::string root;  // what Rot may damage is below it
  uint64_t next_number = 1;
  uint64_t next_order = 1, committed_order = 0;  // changes up to it are durable in kOrdered
  uint64_t epoch = 0;                            // raised by each crash; a process of an older one is dead
  uint64_t digest = 0, effects = 0;
  uint64_t stop_in = 0;  // effects until the machine stops, 0: never
  bool stopped = false, is_quiet = false, windows = true;
  FaultRates rates;
  SeededRandom random{0};
  std::map<std::string, uint64_t> faults;

  SimNodeRef NewNode(local::FileKind kind) { return std::make_shared<SimNode>(next_number++, kind); }
  // The node at a path, or null with *error set to ENOENT or ENOTDIR.
  SimNodeRef Find(std::string_view path, int* error) const;
  void Mix(uint64_t word) {
    digest = (digest ^ word) * 0x9e3779b97f4a7c15;
    digest ^= digest >> 29;
  }
};

}  // namespace tarn::test
