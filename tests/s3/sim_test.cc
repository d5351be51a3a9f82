// Two writers race for a row of names on an S3 that loses requests and answers, throttles, and lets writes come late.
// Each run is decided by its seed; TARN_S3_SIM_RUNS sets how many there are.
//
// What must hold: nobody wins a name that another one won; who was told `created` finds its bytes there at the end;
// who was told `exists` finds another's; who was told nothing (Io) finds any of these.
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

#include "tests/s3/mem_store.h"

namespace tarn::test {
namespace {

constexpr int kNames = 6;
constexpr int kWriters = 2;

Plan Misfortune(SeededRandom* random) {
  Plan plan;
  plan.delay_nanos = random->Below(20'000'000);
  switch (random->Below(12)) {
    case 0: plan.what = Plan::What::kLoseAnswer; break;
    case 1: plan.what = Plan::What::kLoseRequest; break;
    case 2: plan = {Plan::What::kRefuse, ErrorAnswer(503, "SlowDown")}; break;
    case 3: plan = {Plan::What::kRefuse, ErrorAnswer(500, "InternalError")}; break;
    case 4:
      plan = {Plan::What::kLate, ErrorAnswer(503, "SlowDown")};
      plan.later = static_cast<int>(1 + random->Below(8));
      break;
    case 5: plan.delay_nanos = 15'000'000'000; break;  // past the deadline of an attempt: carried out, not heard of
    default: break;
  }
  return plan;
}

std::string BytesOf(int writer, int name) {
  return "writer " + std::to_string(writer) + " name " + std::to_string(name);
}

// The writers' calls follow one another in a random order: a backend has no thread, so a run has one. The races that
// matter are of requests, and those that come late or are repeated meet the other writer's.
void RunOnce(uint64_t seed) {
  SeededRandom random(seed);
  MemWorld world(random.OneIn(3) ? Habits{.lost_race_status = 500, .lost_race_code = "UnknownError"} : Habits(),
                 seed);
  world.options.deadline_nanos = 20'000'000'000;
  std::vector<std::shared_ptr<s3::S3Backend>> writers;
  for (int i = 0; i < kWriters; ++i) writers.push_back(world.Must());
  world.server->SetPlan([&](const s3::HttpRequest&, uint64_t) { return Misfortune(&random); });
  std::map<int, std::map<int, Result<PutOutcome>>> told;
  for (int name = 0; name < kNames; ++name) {
    const int first = static_cast<int>(random.Below(kWriters));
    for (int i = 0; i < kWriters; ++i) {
      const int me = (first + i) % kWriters;
      told[name].emplace(me, writers[me]->PutIfAbsent("m/" + std::to_string(name), BytesOf(me, name)));
    }
  }
  world.server->SetPlan(nullptr);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(writers[0]->List("", "", 1).ok());  // what is late arrives now
  const auto judge = world.Must();
  for (const auto& [name, outcomes] : told) {
    const auto reader = judge->Open("m/" + std::to_string(name));
    std::string stored = "nothing";
    if (reader.ok()) {
      stored.resize((*reader)->size());
      ASSERT_TRUE((*reader)->Read(0, stored).ok());
    }
    for (const auto& [me, outcome] : outcomes) {
      if (!outcome.ok()) {
        EXPECT_EQ(outcome.status().code(), Code::kIo) << outcome.status().ToString();
      } else if (*outcome == PutOutcome::kCreated) {
        EXPECT_EQ(stored, BytesOf(me, name)) << "seed " << seed << ": what was acknowledged is lost";
      } else {
        EXPECT_NE(stored, BytesOf(me, name)) << "seed " << seed << ": its own success was called another's";
        EXPECT_NE(stored, "nothing") << "seed " << seed;
      }
    }
  }
}

TEST(S3SimTest, NobodyWinsTwiceAndNothingAcknowledgedIsLost) {
  const char* wanted = std::getenv("TARN_S3_SIM_RUNS");
  const uint64_t runs = wanted == nullptr ? 300 : std::strtoull(wanted, nullptr, 10);
  for (uint64_t seed = 1; seed <= runs && !testing::Test::HasFailure(); ++seed) RunOnce(seed);
}

}  // namespace
}  // namespace tarn::test
