// Each call of a workload on the backend fails in turn, with and without its effect: the writer is poisoned, stays
// quiet from then on, and what was acknowledged before is there.
#include "tests/support/fault_backend.h"
#include "tests/wal/wal_fixture.h"

namespace tarn::wal {
namespace {

using test::CrashMode;
using test::Fault;
using test::FaultBackend;
using test::MemBackend;

// Runs until the first error and reports it.
class Workload {
 public:
  Status Run(Backend& backend, std::string_view store) {
    Result<std::unique_ptr<WalWriter>> opened = NewSegmentedWal()->Open(backend, store, 1);
    if (!opened.ok()) return opened.status();
    writer = std::move(opened).value();
    TARN_TRY(Append("none", Durability::kNone));
    TARN_TRY(Append("process", Durability::kProcess));
    TARN_TRY(Append("power", Durability::kPower));
    TARN_TRY(Append(std::string(300 << 10, 'l'), Durability::kNone));
    TARN_TRY(writer->Rotate().status());
    acknowledged = appended.size();
    TARN_TRY(Append("second segment", Durability::kProcess));
    TARN_TRY(writer->Sync());
    TARN_TRY(Append("before close", Durability::kNone));
    TARN_TRY(writer->Close());
    acknowledged = appended.size();
    return Status::Ok();
  }

  std::unique_ptr<WalWriter> writer;
  std::vector<std::string> appended;  // the last may have failed
  size_t acknowledged = 0;            // at least at kProcess

 private:
  Status Append(std::string payload, Durability level) {
    appended.push_back(std::move(payload));
    TARN_TRY(writer->Append(appended.back(), level));
    if (level != Durability::kNone) acknowledged = appended.size();
    return Status::Ok();
  }
};

class WalFaultTest : public WalFixture {
 protected:
  void FailCall(uint64_t n, bool effect_happens) {
    SCOPED_TRACE("call " + std::to_string(n) + (effect_happens ? " (done, but reported as failed)" : ""));
    const auto disk = std::make_shared<MemBackend>();
    FaultBackend faulty(disk);
    faulty.Arm({.at_call = n, .error = Status::Io("injected"), .effect_happens = effect_happens});
    Workload workload;
    const Status failed = workload.Run(faulty, kStore);
    ASSERT_EQ(failed.code(), Code::kIo);
    ASSERT_EQ(faulty.fired(), 1u);
    if (workload.writer != nullptr) {
      const uint64_t calls = faulty.calls();
      EXPECT_EQ(workload.writer->Append("later", Durability::kPower).ToString(), failed.ToString());
      EXPECT_EQ(workload.writer->Sync().ToString(), failed.ToString());
      EXPECT_EQ(workload.writer->Rotate().status().ToString(), failed.ToString());
      EXPECT_EQ(workload.writer->Release(1).ToString(), failed.ToString());
      EXPECT_EQ(workload.writer->Close().ToString(), failed.ToString());
      EXPECT_EQ(faulty.calls(), calls) << "a poisoned writer touched the device";
    }
    const Replayed replayed = ReplayOf(*disk->CrashClone(n, CrashMode::kProcessKill));
    ASSERT_TRUE(replayed.status.ok()) << replayed.status.ToString();
    ASSERT_GE(replayed.payloads.size(), workload.acknowledged);
    ASSERT_LE(replayed.payloads.size(), workload.appended.size());
    for (size_t i = 0; i < replayed.payloads.size(); ++i) EXPECT_TRUE(replayed.payloads[i] == workload.appended[i]);
    // The next writer works on what was left behind.
    ASSERT_TRUE(strategy_->Open(*disk, kStore, replayed.end.next_segment).ok());
  }
};

TEST_F(WalFaultTest, EveryFailingCallPoisonsTheWriter) {
  FaultBackend counting(std::make_shared<MemBackend>());
  Workload whole;
  ASSERT_TRUE(whole.Run(counting, kStore).ok());
  ASSERT_GT(counting.calls(), 12u);
  for (uint64_t n = 1; n <= counting.calls(); ++n) {
    for (const bool effect_happens : {false, true}) ASSERT_NO_FATAL_FAILURE(FailCall(n, effect_happens));
  }
}

TEST_F(WalFaultTest, AnUnreadableLogIsAnErrorAndNotAnEmptyLog) {
  Workload workload;
  ASSERT_TRUE(workload.Run(*disk_, kStore).ok());
  FaultBackend faulty(disk_);
  ASSERT_TRUE(ReplayOf(faulty).status.ok());
  const uint64_t calls = faulty.calls();
  ASSERT_GE(calls, 5u);
  for (uint64_t n = 1; n <= calls; ++n) {
    faulty.Arm({.at_call = n, .error = Status::Unavailable("injected")});
    EXPECT_EQ(ReplayOf(faulty).status.code(), Code::kUnavailable) << "call " << n;
  }
}

TEST_F(WalFaultTest, AFailedReleaseCanBeRepeatedAndHarmsNothing) {
  FaultBackend faulty(disk_);
  const auto writer = strategy_->Open(faulty, kStore, 1).value();
  ASSERT_TRUE(writer->Append("one", Durability::kPower).ok());
  ASSERT_TRUE(writer->Rotate().ok());
  ASSERT_TRUE(writer->Append("two", Durability::kPower).ok());
  ASSERT_TRUE(writer->Rotate().ok());
  const uint64_t bytes = writer->live_bytes();
  faulty.Arm({.at_call = 2});
  EXPECT_EQ(writer->Release(3).code(), Code::kIo);
  EXPECT_EQ(writer->live_bytes(), bytes) << "they count until all of them are gone";
  ASSERT_TRUE(writer->Append("three", Durability::kPower).ok());
  EXPECT_EQ(Replay(2).payloads, (std::vector<std::string>{"two", "three"}));
  ASSERT_TRUE(writer->Release(3).ok());
  EXPECT_EQ(writer->live_bytes(), BytesOf(3).size());
  EXPECT_EQ(disk_->List("wal/", "", 10).value().blobs.size(), 1u);
}

// A segment that vanishes between the listing and its opening was released by a live writer.
TEST_F(WalFaultTest, ASegmentReleasedDuringReplayIsUnavailable) {
  ASSERT_TRUE(OpenAt(1)->Append("one", Durability::kPower).ok());
  FaultBackend faulty(disk_);
  faulty.Arm({.at_call = 1, .error = Status::NotFound("gone"), .only = [](const test::Call& call) {
                return call.op == test::Op::kOpen;
              }});
  EXPECT_EQ(ReplayOf(faulty).status.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace tarn::wal
