// Random operations against the model, plain and with crashes. A failure prints its seed; replay it with
//   TARN_SEED=<seed> TARN_OPS=<operations> model_test
// ./check runs at least a million operations here.
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/model/model_run.h"

namespace tarn::test {
namespace {

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

void RunSeeds(uint64_t first, uint64_t count, bool crashes) {
  const uint64_t only = FromEnvironment("TARN_SEED", 0);
  const uint64_t operations = FromEnvironment("TARN_OPS", 25000);
  uint64_t done = 0, crashed = 0;
  for (uint64_t seed = only != 0 ? only : first; count > 0; ++seed, --count) {
    ModelRun run({.seed = seed, .operations = operations, .crashes = crashes});
    run.Run();
    ASSERT_EQ(run.failure(), "");
    done += run.operations();
    crashed += run.crashes();
    if (only != 0) break;
  }
  std::printf("%llu operations, %llu crashes, seeds from %llu\n", static_cast<unsigned long long>(done),
              static_cast<unsigned long long>(crashed), static_cast<unsigned long long>(only != 0 ? only : first));
}

TEST(Model, PlainA) { RunSeeds(1, 10, false); }
TEST(Model, PlainB) { RunSeeds(101, 10, false); }
TEST(Model, CrashesA) { RunSeeds(201, 10, true); }
TEST(Model, CrashesB) { RunSeeds(301, 10, true); }

}  // namespace
}  // namespace tarn::test
