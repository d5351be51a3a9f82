// Replay of a log on a disk while its writer goes on: at each call of the replay he seals the segment that is read,
// or appends to it, or goes on where he stood in the middle of that. Nothing that was acknowledged before is missing,
// and nothing is taken for damage.
#include <atomic>
#include <future>
#include <thread>

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

// The writer stops before his call number `stop`, the replay runs up to its call number `at`, the writer goes on to
// the end, and then the replay does.
TEST_F(LiveLog, AWriterStandsInTheMiddleOfEachCall) {
  bool stopped = true;
  for (int stop = 1; stopped; ++stop) {
    bool reached = true;
    for (int at = 1; reached; ++at) {
      const test::TempDirectory directory;
      const std::shared_ptr<Backend> disk = local::OpenLocal(directory.path(), {}).value();
      std::atomic<size_t> acknowledged{0};
      std::promise<void> stands, go_on;
      const auto pausing = std::make_shared<test::Interrupted>(disk, stop, [&] {
        stands.set_value();
        go_on.get_future().wait();
      });
      std::thread writing([&] {
        auto writer = strategy_->Open(*pausing, kStore, 1).value();
        for (const char* payload : {"one", "two"}) {
          ASSERT_TRUE(writer->Append(payload, Durability::kProcess).ok());
          ++acknowledged;
        }
        ASSERT_TRUE(writer->Rotate().ok());
        ASSERT_TRUE(writer->Append("three", Durability::kProcess).ok());
        if (!pausing->reached()) stands.set_value();
      });
      const auto finish = [&] {
        go_on.set_value();
        writing.join();
      };
      stands.get_future().wait();
      const size_t before = acknowledged;
      const auto interrupted = std::make_shared<test::Interrupted>(disk, at, finish);
      const Replayed replayed = ReplayOf(*interrupted);
      reached = interrupted->reached();
      if (!reached) finish();
      stopped = pausing->reached();
      ASSERT_TRUE(replayed.status.ok()) << stop << ", " << at << ": " << replayed.status.ToString();
      ASSERT_GE(replayed.payloads.size(), before) << stop << ", " << at;
    }
  }
}

}  // namespace
}  // namespace tarn::wal
