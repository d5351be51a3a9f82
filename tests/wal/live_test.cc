// Replay of a log on a disk while its writer goes on: at each call of the replay he seals the segment that is read,
// or appends to it. Nothing that was acknowledged before is missing, and nothing is taken for damage.
#include "backends/local/local.h"
#include "tests/local/temp_directory.h"
#include "tests/support/interrupted.h"
#include "tests/wal/wal_fixture.h"

namespace tarn::wal {
namespace {

class LiveLog : public WalFixture {};

TEST_F(LiveLog, AWriterGoesOnAtEachCall) {
  for (const std::string what : {"rotate", "append", "rotate twice", "close"}) {
    bool reached = true;
    for (int at = 1; reached; ++at) {
      const test::TempDirectory directory;
      const auto disk = local::OpenLocal(directory.path(), {}).value();
      auto writer = strategy_->Open(*disk, kStore, 1).value();
      for (const char* payload : {"one", "two"}) ASSERT_TRUE(writer->Append(payload, Durability::kPower).ok());
      const auto interrupted = std::make_shared<test::Interrupted>(disk, at, [&] {
        if (what == "append") {
          ASSERT_TRUE(writer->Append("three", Durability::kProcess).ok());
        } else if (what == "close") {
          ASSERT_TRUE(writer->Close().ok());
        } else {
          ASSERT_TRUE(writer->Rotate().ok());
        }
        if (what == "rotate twice") {
          ASSERT_TRUE(writer->Rotate().ok());
        }
      });
      const Replayed replayed = ReplayOf(*interrupted);
      reached = interrupted->reached();
      ASSERT_TRUE(replayed.status.ok()) << what << " at call " << at << ": " << replayed.status.ToString();
      ASSERT_GE(replayed.payloads.size(), 2u) << what << " at call " << at;
    }
  }
}

}  // namespace
}  // namespace tarn::wal
