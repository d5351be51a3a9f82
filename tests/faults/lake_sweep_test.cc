// Every public operation of the lake, with each backend call below it failing in turn in seven ways.
//
// After each fault: the step said OK and the lake looks as on the rehearsal, or it handed on the fault's own error
// and the lake looks as before the step or as after it. Reads are right or an error while the fault lasts, and right
// once it is gone, without reopening. If the store did not have to stop (an operation that only reads never stops
// it), the rest of the operation succeeds when it is tried again. Then a new process opens the lake: nothing
// acknowledged is lost, nothing is half done, and a deep check is clean.
//
// Nothing is cached, so each row that an operation looks up is a call (tests/support/starving_memtable.h). The short
// form takes about kPoints calls of each operation and kind; TARN_FAULTS=full takes all of them, TARN_SEED moves the
// sample.
#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>

#include "tests/faults/lake_stage.h"

namespace tarn::test {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kPoints = 1;
#else
constexpr uint64_t kPoints = 12;
#endif

// What the rehearsal of an operation saw.
struct Rehearsal {
  std::vector<Picture> pictures;  // before the first step, and after each
  std::string answers;
};

class LakeSweep : public testing::TestWithParam<LakeOperation> {
 protected:
  const std::vector<LakeStep>& steps() const { return GetParam().steps; }
  bool OpensLake() const { return GetParam().start != LakeStart::kOpen; }

  void Rehearse() {
    LakeStage stage(images_, GetParam().start);
    if (!OpensLake()) Look(stage);
    for (const LakeStep& step : steps()) {
      const Status done = step.run(stage);
      ASSERT_TRUE(done.ok()) << done.ToString();
      if (GetParam().name == "Close" && &step == &steps().back()) {
        rehearsal_.pictures.push_back(rehearsal_.pictures.back());
        continue;
      }
      Look(stage);
    }
    if (OpensLake()) rehearsal_.pictures.insert(rehearsal_.pictures.begin(), rehearsal_.pictures.back());
    rehearsal_.answers = stage.answers();
  }
  void Look(LakeStage& stage) {
    const auto picture = PictureOf(*stage.lake);
    ASSERT_TRUE(picture.ok()) << picture.status().ToString();
    rehearsal_.pictures.push_back(*picture);
  }

  // The lake shows one of the pictures first..last; which one, or -1.
  int Match(const Picture& seen, size_t first, size_t last) const {
    for (size_t i = last + 1; i-- > first;) {
      if (rehearsal_.pictures[i] == seen) return static_cast<int>(i);
    }
    std::string other;
    for (const auto& [path, told] : rehearsal_.pictures[last]) {
      const auto there = seen.find(path);
      if (there == seen.end() || there->second != told) other += path + " ";
    }
    ADD_FAILURE() << "the lake is in none of the states " << first << " to " << last << "; it differs in " << other;
    return -1;
  }

  uint64_t Run(size_t kind, uint64_t nth);
  void ExpectRecovery(LakeStage& stage, size_t kind, size_t done, const Status& status);
  void ExpectAfter(Ground& ground, Ending ending, size_t first, size_t last);

  LakeImages images_;
  Rehearsal rehearsal_;
  uint64_t fired_ = 0;
};

// In the process that met the fault, once it is gone. `done` steps said OK; the next one did not, unless all did.
void LakeSweep::ExpectRecovery(LakeStage& stage, size_t kind, size_t done, const Status& status) {
  const size_t last = std::min(done + 1, steps().size());
  const auto seen = PictureOf(*stage.lake);
  ASSERT_TRUE(seen.ok()) << "reads did not recover: " << seen.status().ToString();
  const int at = Match(*seen, done, last);
  const Status synced = stage.lake->db().SyncWal();
  if (!synced.ok()) {
    EXPECT_FALSE(GetParam().reads_only) << "a read broke the lake: " << synced.ToString();
    EXPECT_NE(synced.message().find("read-only until it is reopened"), std::string_view::npos) << synced.ToString();
    EXPECT_EQ(stage.lake->MakeDir(lake::kRootIno, "no", 0700, {}).status().ToString(), synced.ToString());
    EXPECT_EQ(stage.ground().Objection(kind, synced), "") << synced.ToString();
    return;
  }
  if (status.ok() || at != static_cast<int>(done)) return;
  for (size_t i = done; i < steps().size(); ++i) {
    const Status again = steps()[i].run(stage);
    ASSERT_TRUE(again.ok()) << "the store is healthy, but trying again fails: " << again.ToString();
  }
  if (GetParam().name == "Close") return;
  const auto whole = PictureOf(*stage.lake);
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  Match(*whole, steps().size(), steps().size());
}

void LakeSweep::ExpectAfter(Ground& ground, Ending ending, size_t first, size_t last) {
  SCOPED_TRACE(ending == Ending::kDestroyed ? "after it was closed"
               : ending == Ending::kKilled  ? "after a kill"
                                            : "after a power cut");
  const auto opened = OpenLakeOn(ground.After(ending, first + 77), 5);
  if (!opened.ok() && GetParam().start == LakeStart::kNothing && first == 0) {  // Init was interrupted
    EXPECT_TRUE(opened.status().code() == Code::kNotFound || opened.status().code() == Code::kInvalid)
        << opened.status().ToString();
    return;
  }
  ASSERT_TRUE(opened.ok()) << "does not open again: " << opened.status().ToString();
  const auto seen = PictureOf(**opened);
  ASSERT_TRUE(seen.ok()) << seen.status().ToString();
  Match(*seen, first, last);
  const auto report = (*opened)->Check(true, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->problems, std::vector<std::string>());
  const Status closed = (*opened)->Close();
  EXPECT_TRUE(closed.ok()) << closed.ToString();
}

// nth 0: counts the calls.
uint64_t LakeSweep::Run(size_t kind, uint64_t nth) {
  LakeStage stage(images_, GetParam().start);
  Ground& ground = stage.ground();
  ground.Arm(kind, nth);
  Status status;
  size_t done = 0, kill_floor = 0, power_floor = 0;
  for (; done < steps().size(); ++done) {
    status = steps()[done].run(stage);
    if (!status.ok()) break;
    if (steps()[done].lasts != Lasts::kNot) kill_floor = done + 1;
    if (steps()[done].lasts == Lasts::kThroughPowerCut) power_floor = done + 1;
  }
  const uint64_t calls = ground.calls();
  fired_ += ground.fired();
  EXPECT_EQ(ground.fired() > 0, nth != 0) << "the operation makes other calls than on its rehearsal";
  if (!status.ok()) {
    EXPECT_EQ(ground.Objection(kind, status), "") << status.ToString();
    EXPECT_EQ(ObjectionToForm(status), "") << status.ToString();
  } else {
    EXPECT_EQ(stage.answers(), rehearsal_.answers) << "a wrong answer in place of an error";
  }
  const size_t last = std::min(done + 1, steps().size());
  const bool closing = GetParam().name == "Close" && done + 1 >= steps().size();
  const bool serving = stage.lake != nullptr && !closing;
  if (serving) {
    const auto seen = PictureOf(*stage.lake);
    if (seen.ok()) Match(*seen, done, last);
  }
  ground.Disarm();
  // The tail of the stage, made before the operation, may go with a power cut; then the operation is gone as well.
  if (power_floor > 0) ExpectAfter(ground, Ending::kPowerLost, power_floor, last);
  ExpectAfter(ground, Ending::kKilled, kill_floor, last);
  if (serving) ExpectRecovery(stage, kind, done, status);
  bool closed = false;
  if (stage.lake != nullptr) closed = stage.lake->Close().ok();
  stage.lake.reset();
  ExpectAfter(ground, Ending::kDestroyed, closed && !closing ? done : kill_floor, steps().size());
  return calls;
}

TEST_P(LakeSweep, EachCallFailsInTurn) {
  Rehearse();
  if (HasFatalFailure()) return;
  uint64_t points = 0, most_calls = 0;
  const auto& kinds = images_.grounds().kinds();
  for (size_t kind = 0; kind < kinds.size() && !HasFailure(); ++kind) {
    const uint64_t calls = Run(kind, 0);
    most_calls = std::max(most_calls, calls);
    // A single failing call is what tells most, so of these nearly all are made.
    for (const uint64_t nth : PointsOf(calls, kind == 0 ? kPoints * 7 : kPoints, kind)) {
      SCOPED_TRACE(GetParam().name + ": " + kinds[kind] + " at call " + std::to_string(nth) + " of " +
                   std::to_string(calls));
      Run(kind, nth);
      ++points;
      if (HasFailure()) return;
    }
  }
  std::cout << GetParam().name << ": " << most_calls << " calls, " << points << " points, " << fired_ << " faults\n";
}

INSTANTIATE_TEST_SUITE_P(Operations, LakeSweep, testing::ValuesIn(LakeOperations()),
                         [](const auto& operation) { return operation.param.name; });

}  // namespace
}  // namespace tarn::test
