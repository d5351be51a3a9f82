// Repair, of a whole store and of a damaged one, with each backend call below it failing in turn in seven ways: calls
// on the damaged store and on the fresh one alike.
//
// After each fault: repair handed on the fault's own error, or it said OK and its promise (tarn/repair.h) holds, a
// fault of the damaged store's device being one more damage. The damaged store is byte for byte what it was. What an
// error left in the target is refused by the next repair, with what to do; and a repair into an empty target is
// right.
//
// The short form takes about kPoints calls of each kind; TARN_FAULTS=full takes all of them, TARN_SEED moves the
// sample.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/faults/ground.h"
#include "tests/faults/store_stage.h"
#include "tests/repair/repair_fixture.h"

namespace tarn::test {
namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kPoints = 2;
#else
constexpr uint64_t kPoints = 120;
#endif

const std::vector<std::string> kFamilies = {"default", "other"};

MemBackend& InMemory(const std::shared_ptr<Backend>& backend) { return dynamic_cast<MemBackend&>(*backend); }

Result<RepairReport> RepairInto(Backend& damaged, std::shared_ptr<Backend> target) {
  return Repair(damaged, FaultSettings(), SimParts(std::move(target), 7));
}

class RepairSweep : public testing::Test {
 protected:
  // The store of the other sweeps, cut off with a log tail; `damage` may change its files.
  void Prepare(const std::function<void(Files*)>& damage) {
    StoreImages images(NewMemGrounds());
    Files files = FilesOf(InMemory(images.grounds().FromImage("crashed")->After(Ending::kDestroyed, 0)));
    original_ = MomentsOf(**OpenSim(BackendOf(files), FaultSettings()));
    damage(&files);
    for (const auto& [name, bytes] : files) ASSERT_TRUE(grounds_->Workshop()->PutIfAbsent(name, bytes).ok());
    grounds_->Keep("damaged");
    files_ = FilesOf(InMemory(grounds_->Workshop()));
  }

  // The target holds what the guarantee says.
  void ExpectWhole(Repaired repaired, std::shared_ptr<Backend> target) {
    Settings settings = FaultSettings();
    settings.create_if_missing = false;
    const auto survivor = InMemory(target).CrashClone(1, CrashMode::kDropUnsynced);
    const auto db = OpenSim(survivor, settings);
    ASSERT_TRUE(db.ok()) << db.status().ToString();
    EXPECT_TRUE((*db)->Verify().ok());
    repaired.moments = MomentsOf(**db);
    ExpectGuarantee(original_, kFamilies, repaired, "repaired");
  }

  // nth 0: counts the calls.
  uint64_t Run(size_t kind, uint64_t nth) {
    const auto ground = grounds_->FromImage("damaged");
    const auto damaged = ground->Store(false).value();
    const auto target = ground->Target().value();
    ground->Arm(kind, nth);
    Repaired repaired;
    repaired.report = RepairInto(*damaged, target);
    const uint64_t calls = ground->calls();
    fired_ += ground->fired();
    EXPECT_EQ(ground->fired() > 0, nth != 0) << "repair makes other calls than on its rehearsal";
    ground->Disarm();
    EXPECT_EQ(FilesOf(InMemory(ground->After(Ending::kDestroyed, 0))), files_) << "the damaged store was changed";
    if (repaired.report.ok()) {
      ExpectWhole(std::move(repaired), ground->TargetAfter());
      return calls;
    }
    ++errors_;
    const Status& error = repaired.report.status();
    EXPECT_EQ(ground->Objection(kind, error), "") << error.ToString();
    EXPECT_EQ(ObjectionToForm(error), "") << error.ToString();
    const bool nothing_there = FilesOf(InMemory(ground->TargetAfter())).empty();
    const auto again = RepairInto(*damaged, target);
    EXPECT_EQ(again.ok(), nothing_there) << again.status().ToString();
    if (!nothing_there) {
      EXPECT_EQ(again.status().code(), Code::kInvalid);
      EXPECT_NE(again.status().message().find("delete what an unfinished repair left"), std::string_view::npos)
          << again.status().ToString();
    }
    Repaired anew;
    const auto empty = ground->Target().value();
    anew.report = RepairInto(*damaged, empty);
    ExpectWhole(std::move(anew), ground->TargetAfter());
    return calls;
  }

  void Sweep() {
    uint64_t most_calls = 0, points = 0;
    for (size_t kind = 0; kind < grounds_->kinds().size() && !HasFailure(); ++kind) {
      const uint64_t calls = Run(kind, 0);
      most_calls = std::max(most_calls, calls);
      for (const uint64_t nth : PointsOf(calls, kPoints, kind)) {
        SCOPED_TRACE(grounds_->kinds()[kind] + " at call " + std::to_string(nth) + " of " + std::to_string(calls));
        Run(kind, nth);
        ++points;
        if (HasFailure()) return;
      }
    }
    std::cout << most_calls << " calls, " << points << " points, " << fired_ << " faults, " << errors_ << " errors\n";
    EXPECT_GT(errors_, 0u);
  }

  const std::unique_ptr<Grounds> grounds_ = NewMemGrounds();
  Moments original_;
  Files files_;
  uint64_t fired_ = 0, errors_ = 0;
};

TEST_F(RepairSweep, OfAWholeStore) {
  Prepare([](Files*) {});
  Sweep();
}

TEST_F(RepairSweep, OfAStoreWithoutAManifest) {
  Prepare([](Files* files) {
    std::erase_if(*files, [](const auto& file) { return file.first.starts_with("manifest/"); });
  });
  Sweep();
}

TEST_F(RepairSweep, OfTablesWithoutFooters) {
  Prepare([](Files* files) {
    for (auto& [name, bytes] : *files) {
      if (name.starts_with("table/")) bytes.replace(bytes.size() - 30, 20, 20, '\0');
    }
  });
  Sweep();
}

}  // namespace
}  // namespace tarn::test
