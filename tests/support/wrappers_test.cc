// The wrappers at work: faults that fire, power that goes, traces and overlapping reads.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/support/crash_backend.h"
#include "tests/support/fault_backend.h"
#include "tests/support/mem_backend.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

// Touches every kind of call once. Returns the first error.
Status Workload(Backend& backend) {
  TARN_ASSIGN(auto lock, backend.features().locks->TryLock("lock", "me"));
  TARN_ASSIGN(auto log, backend.features().append->CreateAppend("wal/1"));
  TARN_TRY(log->Append("12345"));
  TARN_TRY(log->Sync());
  TARN_ASSIGN(auto writer, backend.Create("table/1"));
  TARN_TRY(writer->Append("abc"));
  TARN_TRY(writer->Finish());
  TARN_ASSIGN(auto put, backend.PutIfAbsent("manifest/1", "m"));
  if (put != PutOutcome::kCreated) return Status::Invalid("manifest/1 was there");
  TARN_ASSIGN(auto reader, backend.Open("table/1"));
  char out[2];
  TARN_TRY(reader->Read(1, out));
  auto queue = backend.features().queues->NewReadQueue();
  ReadRequest request{reader.get(), 0, out};
  queue->Submit(&request);
  if (queue->Wait().size() != 1) return Status::Invalid("the read was lost");
  TARN_TRY(request.status);
  TARN_ASSIGN(auto page, backend.List("", "", 10));
  if (page.blobs.size() != 3) return Status::Invalid("wrong list");
  TARN_TRY(backend.features().space->Space().status());
  return backend.Delete("wal/1");
}

TEST(FaultBackend, FailsEachCallOfAWorkload) {
  FaultBackend probe(std::make_shared<MemBackend>());
  ASSERT_TRUE(Workload(probe).ok());
  const uint64_t calls = probe.calls();
  EXPECT_EQ(calls, 15u);
  for (const bool effect_happens : {false, true}) {
    for (uint64_t n = 1; n <= calls; ++n) {
      FaultBackend faulty(std::make_shared<MemBackend>());
      faulty.Arm({.at_call = n, .error = Status::Unavailable("injected"), .effect_happens = effect_happens});
      const Status status = Workload(faulty);
      EXPECT_EQ(status.code(), Code::kUnavailable) << "call " << n << ": " << status.ToString();
      EXPECT_EQ(faulty.fired(), 1u);
    }
  }
}

TEST(FaultBackend, OnceForeverAndSelected) {
  FaultBackend faulty(std::make_shared<MemBackend>());
  faulty.Arm({.at_call = 2, .error = Status::NoSpace("full"), .only = [](const Call& c) {
                return c.op == Op::kPutIfAbsent;
              }});
  EXPECT_TRUE(faulty.PutIfAbsent("a", "1").ok());
  EXPECT_TRUE(faulty.List("", "", 1).ok());
  EXPECT_EQ(faulty.PutIfAbsent("b", "1").status().code(), Code::kNoSpace);
  EXPECT_TRUE(faulty.PutIfAbsent("b", "1").ok());
  faulty.Arm({.forever = true});
  EXPECT_EQ(faulty.Delete("a").code(), Code::kIo);
  EXPECT_EQ(faulty.Open("a").status().code(), Code::kIo);
  EXPECT_EQ(faulty.fired(), 2u);
  faulty.Disarm();
  EXPECT_TRUE(faulty.Delete("a").ok());
}

TEST(FaultBackend, TheEffectMayHappenAlthoughItFailed) {
  auto mem = std::make_shared<MemBackend>();
  FaultBackend faulty(mem);
  faulty.Arm({.error = Status::Unavailable("answer lost"), .effect_happens = true});
  EXPECT_EQ(faulty.PutIfAbsent("m", "1").status().code(), Code::kUnavailable);
  EXPECT_EQ(*mem->Contents("m"), "1");
}

TEST(FaultBackend, FilesStayFailedAfterAnInjectedError) {
  auto mem = std::make_shared<MemBackend>();
  FaultBackend faulty(mem);
  auto log = faulty.CreateAppend("wal/1");
  faulty.Arm({.only = [](const Call& c) { return c.op == Op::kLogSync; }});
  ASSERT_TRUE((*log)->Append("1").ok());
  EXPECT_EQ((*log)->Sync().code(), Code::kIo);
  EXPECT_EQ((*log)->Sync().code(), Code::kIo);
  EXPECT_EQ((*log)->Append("2").code(), Code::kIo);
  EXPECT_EQ(*mem->Contents("wal/1"), "1");
  auto writer = faulty.Create("t");
  faulty.Arm({.only = [](const Call& c) { return c.op == Op::kBlobAppend; }});
  EXPECT_EQ((*writer)->Append("1").code(), Code::kIo);
  EXPECT_EQ((*writer)->Finish().code(), Code::kIo);
  EXPECT_EQ(mem->Contents("t").status().code(), Code::kNotFound);
}

TEST(CrashBackend, CutsThePowerAtEachEffect) {
  CrashBackend probe(std::make_shared<MemBackend>());
  ASSERT_TRUE(Workload(probe).ok());
  const uint64_t effects = probe.effects();
  EXPECT_EQ(effects, 7u);
  EXPECT_EQ(probe.survivor(), nullptr);
  std::vector<size_t> blobs_after;
  for (uint64_t n = 1; n <= effects; ++n) {
    auto disk = std::make_shared<MemBackend>();
    CrashBackend machine(disk);
    machine.CrashAt(n, 1, CrashMode::kDropUnsynced);
    EXPECT_EQ(Workload(machine).code(), Code::kIo);
    ASSERT_NE(machine.survivor(), nullptr);
    EXPECT_EQ(machine.List("", "", 1).status().code(), Code::kIo) << "nothing works without power";
    blobs_after.push_back(machine.survivor()->List("", "", 10)->blobs.size());
    if (n > 1) {
      EXPECT_EQ(*machine.survivor()->Contents("wal/1"), n <= 3 ? "" : "12345") << "effect 3 is the sync";
    }
    EXPECT_TRUE(machine.survivor()->TryLock("lock", "next").ok());
  }
  EXPECT_THAT(blobs_after, testing::ElementsAre(0, 1, 1, 1, 1, 2, 3));
}

TEST(CrashBackend, CrashNowKeepsTheFirstSurvivor) {
  CrashBackend machine(std::make_shared<MemBackend>());
  ASSERT_TRUE(machine.PutIfAbsent("a", "1").ok());
  machine.CrashNow(1, CrashMode::kDropUnsynced);
  const auto first = machine.survivor();
  machine.CrashNow(2, CrashMode::kDropUnsynced);
  EXPECT_EQ(machine.survivor(), first);
  EXPECT_EQ(*first->Contents("a"), "1");
}

TEST(TraceBackend, OneLineAnEffectInOrder) {
  TraceBackend trace(std::make_shared<MemBackend>());
  ASSERT_TRUE(Workload(trace).ok());
  EXPECT_THAT(trace.TakeLines(),
              testing::ElementsAre("lock lock", "create-append wal/1", "append wal/1 5", "sync wal/1",
                                   "create table/1", "append table/1 3", "finish table/1",
                                   "put-if-absent manifest/1 1", "open table/1", "read table/1 1 2",
                                   "submit table/1 0 2", "complete table/1 0 2", "list", "space", "delete wal/1"));
  EXPECT_EQ(trace.Delete("wal/1").code(), Code::kNotFound);
  EXPECT_THAT(trace.TakeLines(), testing::ElementsAre("delete wal/1 -> not found"));
  TraceBackend changes(std::make_shared<MemBackend>(), {.sizes = false, .lookups = false});
  ASSERT_TRUE(Workload(changes).ok());
  EXPECT_THAT(
      changes.TakeLines(),
      testing::ElementsAre("lock lock", "create-append wal/1", "append wal/1 *", "sync wal/1", "create table/1",
                           "append table/1 *", "finish table/1", "put-if-absent manifest/1 *", "delete wal/1"));
}

TEST(TraceBackend, CountsReadsInFlight) {
  TraceBackend trace(std::make_shared<MemBackend>());
  ASSERT_TRUE(trace.PutIfAbsent("x", std::string(100, 'x')).ok());
  auto reader = trace.Open("x");
  char out[64];
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*reader)->Read(0, out).ok());
  EXPECT_EQ(trace.max_reads_in_flight(), 1u);

  auto queue = trace.NewReadQueue();
  std::vector<ReadRequest> requests(5);
  for (auto& request : requests) {
    request = {reader->get(), 0, std::span(out).subspan(0, 1)};
    queue->Submit(&request);
  }
  for (size_t back = 0; back < requests.size();) back += queue->Wait().size();
  EXPECT_EQ(trace.max_reads_in_flight(), 5u);

  Rendezvous all_here(64);
  trace.SetReadHook([&](const Call&) { EXPECT_TRUE(all_here.Arrive()); });
  std::vector<std::thread> threads;
  for (int i = 0; i < 64; ++i) {
    threads.emplace_back([&, i] { EXPECT_TRUE((*reader)->Read(i, std::span(out).subspan(i, 1)).ok()); });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(trace.max_reads_in_flight(), 64u);
}

}  // namespace
}  // namespace tarn::test
