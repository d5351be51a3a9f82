#include "tests/faults/store_sweep.h"

#include <iostream>

namespace tarn::test {
namespace {

struct Point {
  StoreImages& images;
  const StoreOperation& operation;
  size_t kind = 0;
  uint64_t nth = 0;  // 0: the rehearsal
};

// A device that was full while a table or blob was written is no reason to stop: only the log and the manifest are.
bool MustStayWritable(const Point& point, Ground& ground) {
  const bool full = point.images.grounds().kinds()[point.kind].starts_with("NoSpace");
  return point.operation.reads_only || (full && !ground.hit_log() && !ground.hit_publish());
}

// The store after the fault, in the process that met it.
void ExpectStillServing(const Point& point, StoreStage& stage, const Status& status) {
  stage.ExpectReads(false);
  if (point.operation.start == Start::kOpenReadOnly || point.operation.name == "OpenReadOnly") return;
  const std::vector<Change> probe = {{Change::What::kPut, "default", "probe", "1"}};
  const Status first = stage.Write(probe, Durability::kPower);
  if (first.ok()) {
    stage.ExpectReads(false);
    if (status.ok()) return;
    const Status again = point.operation.run(stage);
    EXPECT_TRUE(again.ok()) << "the store is healthy, but trying again fails: " << again.ToString();
    return;
  }
  EXPECT_FALSE(MustStayWritable(point, stage.ground())) << "the store need not have stopped: " << first.ToString();
  EXPECT_NE(first.message().find("read-only until it is reopened"), std::string_view::npos) << first.ToString();
  EXPECT_EQ(stage.ground().Objection(point.kind, first), "") << first.ToString();
  EXPECT_EQ(ObjectionToForm(first), "") << first.ToString();
  if (!status.ok()) {
    EXPECT_EQ(status.code(), first.code());
    EXPECT_NE(status.message().find("read-only"), std::string_view::npos)
        << "the first error does not say what has happened to the store: " << status.ToString();
  }
  const std::string text = first.ToString();
  EXPECT_EQ(stage.db().Put("more", "2").ToString(), text);
  EXPECT_EQ(stage.db().SyncWal().ToString(), text) << "a later sync was believed";
  EXPECT_EQ(stage.db().Flush().ToString(), text);
  EXPECT_EQ(stage.db().CreateFamily("late").status().ToString(), text);
  EXPECT_EQ(stage.db().DropNamedSnapshot("old").ToString(), text);
  stage.ExpectReads(false);
}

// Returns how many calls were counted, and adds up how many failed.
uint64_t Run(const Point& point, uint64_t* fired) {
  std::string leftovers;
  uint64_t calls = 0;
  {
    StoreStage stage(point.images, point.operation.start);
    Ground& ground = stage.ground();
    ground.Arm(point.kind, point.nth);
    const Status status = point.operation.run(stage);
    calls = ground.calls();
    const bool hit = ground.fired() > 0;
    *fired += ground.fired();
    EXPECT_EQ(hit, point.nth != 0) << "the operation makes other calls than on its rehearsal";
    if (!hit) {
      EXPECT_TRUE(status.ok()) << status.ToString();
    }
    if (!status.ok()) {
      EXPECT_EQ(ground.Objection(point.kind, status), "") << status.ToString();
      EXPECT_EQ(ObjectionToForm(status), "") << status.ToString();
    }
    const bool serving = stage.is_open() && point.operation.name != "Close";
    if (serving) stage.ExpectReads(true);
    ground.Disarm();
    if (point.operation.check) point.operation.check(stage, status);
    if (serving) ExpectStillServing(point, stage, status);
    const uint64_t seed = point.nth * 31 + point.kind;
    for (const Ending ending : ground.endings()) {
      if (ending == Ending::kDestroyed) continue;
      SCOPED_TRACE(ending == Ending::kKilled ? "after a kill" : "after a power cut");
      stage.ExpectAfter(ending, seed);
    }
    stage.Close();
    {
      SCOPED_TRACE("after it was closed");
      stage.ExpectAfter(Ending::kDestroyed, seed);
    }
    leftovers = ground.Leftovers();
  }
  EXPECT_EQ(leftovers, "");
  return calls;
}

}  // namespace

void SweepStore(StoreImages& images, const StoreOperation& operation, uint64_t limit) {
  uint64_t points = 0, fired = 0, most_calls = 0;
  for (size_t kind = 0; kind < images.grounds().kinds().size(); ++kind) {
    const uint64_t calls = Run({images, operation, kind, 0}, &fired);
    most_calls = std::max(most_calls, calls);
    for (const uint64_t nth : PointsOf(calls, limit, kind)) {
      SCOPED_TRACE(operation.name + ": " + images.grounds().kinds()[kind] + " at call " + std::to_string(nth) +
                   " of " + std::to_string(calls));
      Run({images, operation, kind, nth}, &fired);
      ++points;
      if (testing::Test::HasFailure()) return;
    }
    if (testing::Test::HasFailure()) return;
  }
  std::cout << operation.name << ": " << most_calls << " calls, " << points << " points, " << fired << " faults\n";
}

}  // namespace tarn::test
