// A lake in a rich state on a ground whose calls may fail. For the lake's sweep.
//
// What is right is not modelled here: the rehearsal of an operation, without faults, says what the lake looks like
// after each of its steps (tests/lake proves these against a model), and the faulty runs are held to that. The
// picture of a lake is everything a person can see: paths, modes, links, contents, attributes, the log, and each
// snapshot's tree. Inode numbers and times are left out, because an attempt that failed may use some up.
//
// Threads: one.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "lake/lake.h"
#include "tests/faults/ground.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {

using Picture = std::map<std::string, std::string>;  // path, or "@snapshot/path", or "#log id" -> what is there

Result<Picture> PictureOf(lake::Lake& lake);

// "closed": a tree with every kind of thing, two states of it (one under a snapshot). "crashed": cut off while a
// removed file was open and a stage half built, so that opening has something to take apart.
class LakeImages {
 public:
  LakeImages();
  Grounds& grounds() { return *grounds_; }

 private:
  const std::unique_ptr<Grounds> grounds_ = NewMemGrounds();
};

enum class LakeStart : uint8_t { kNothing, kClosed, kCrashed, kOpen };

class LakeStage {
 public:
  LakeStage(LakeImages& images, LakeStart start);

  Status Init();
  Status Open();
  // Numbers of the image's inodes, by path; looked up before the fault is armed.
  lake::Ino ino(const std::string& path) const { return inos_.at(path); }
  void Answer(const std::string& text) { answers_ += text + "\n"; }
  const std::string& answers() const { return answers_; }

  Ground& ground() { return *ground_; }
  std::unique_ptr<lake::Lake> lake;
  lake::Ino made = 0, area = 0;  // a file or directory, and a staging area, of an earlier step

 private:
  std::unique_ptr<Ground> ground_;
  std::map<std::string, lake::Ino> inos_;
  std::string answers_;
};

// Opens what a new process finds.
Result<std::unique_ptr<lake::Lake>> OpenLakeOn(std::shared_ptr<Backend> backend, uint64_t seed);

enum class Lasts : uint8_t { kNot, kThroughKill, kThroughPowerCut };

struct LakeStep {
  Lasts lasts = Lasts::kThroughKill;  // once it returned OK
  std::function<Status(LakeStage&)> run;
};

struct LakeOperation {
  std::string name;
  LakeStart start = LakeStart::kOpen;
  bool reads_only = false;
  std::vector<LakeStep> steps;
};
inline void PrintTo(const LakeOperation& operation, std::ostream* out) { *out << operation.name; }

const std::vector<LakeOperation>& LakeOperations();

}  // namespace tarn::test
