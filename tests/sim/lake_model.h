// LakeModel: what a lake must show while it lives, and what a crash may leave of it. For lake_world.
//
// The head is a ModelFs. Below it is the stored state as of the last moment that surely survives power loss, and the
// list of commits since, each a function on the stored state. A crash leaves the stored state after some prefix of
// that list: a power cut any, a mere kill not less than what was acknowledged. Bytes that were written and not
// flushed are in the head only. Where the lake may flush by itself (its budget of dirty bytes is small), a write also
// notes a *version*: from here on, until the next flush that surely happened, the file may be stored like this.
//
// Threads: one.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "tests/lake/model_fs.h"

namespace tarn::test {

class LakeModel {
 public:
  struct Stored {
    lake::ModelFs fs;
    lake::ModelFs::Versions versions;
    std::vector<std::string> log;  // commands
    lake::Ino in_flight = 0;       // number of the inode that the last commit would make
  };
  using Commit = std::function<void(Stored&)>;

  // The head as callers change it. Whoever changes it says what is committed.
  lake::ModelFs head;
  std::vector<std::string> log;

  // A commit that is in progress or was made. Until Acknowledge it may be missing even after a kill.
  void Add(Commit commit) { commits_.push_back(std::move(commit)); }
  void Acknowledge() { acknowledged_ = commits_.size(); }
  // The commits that were not acknowledged did not happen.
  void Withdraw() { commits_.resize(acknowledged_); }
  // Everything so far was acknowledged and survives power loss.
  void Synced();

  // The file has bytes that no row has, perhaps.
  void Dirtied(lake::Ino ino);
  void Cleaned(lake::Ino ino) { std::erase(dirty_, ino); }
  bool dirty(lake::Ino ino) const { return std::find(dirty_.begin(), dirty_.end(), ino) != dirty_.end(); }
  // From now on it may be stored as the head has it.
  void AddVersion(lake::Ino ino);
  // It is stored as the head has it.
  void AddFlush(lake::Ino ino);
  // It is stored as `fs` has it, and clean.
  void AddStore(lake::Ino ino, const lake::ModelFs& fs);
  // Each dirty file is stored as the head has it, one after the other: from the one that has been dirty longest, or
  // in an order that only the lake knows.
  void AddFlushOfAll(bool order_known);
  // Each dirty file may be stored as the head has it, or not.
  void AddVersionsOfAll();

  // The process has ended and the next one shows `found` and `found_log`. Returns what is wrong with that, or
  // nothing, and goes on from it. `in_flight`: where a new inode would be named that the last commit makes.
  struct Place {
    lake::Ino parent = 0;
    std::string name;
  };
  std::string Recover(lake::ModelFs found, const std::vector<std::string>& found_log, bool power,
                      const Place& in_flight);
  // What a process beside this one would read now: all commits, no dirty bytes.
  std::string DifferenceBeside(const lake::ModelFs& found) const;

 private:
  static std::string Difference(const Stored& state, const lake::ModelFs& found,
                                const std::vector<std::string>& found_log);

  Stored stored_;
  std::vector<Commit> commits_;
  size_t acknowledged_ = 0;
  std::vector<lake::Ino> dirty_;  // in the order in which they became dirty
};

}  // namespace tarn::test
