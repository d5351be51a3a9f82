// kill_store: a store under four writers, killed with SIGKILL again and again, and judged after each death.
//
//   kill_store [--kills N] [--seed S] [--dir DIRECTORY]      defaults: TARN_KILLS, else 20; TARN_SEED, else any
//
// One store lives through many kills; one in 25 begins afresh. Kills come (1) while the writers work, after a random
// number of operations has returned, at whatever each thread is doing; (2) inside of DB::Open, before or after a
// random change to its backend, so recoveries are cut too; (3) inside of DB::Close, likewise. What survives is
// checked by store_oracle.h through a store opened for reading only (so that the next child recovers) or for writing.
// A seed repeats settings, operations and the places of (2) and (3); when a signal of (1) hits is up to the machine.
//
// Exit: 0, or 1 with the seed, the kill and the first difference; the store is left where it is then.
#include <signal.h>

#include <chrono>
#include <cinttypes>
#include <cstdio>
#include <filesystem>

#include "backends/local/local.h"
#include "tests/kill/arguments.h"
#include "tests/kill/child.h"
#include "tests/kill/store_oracle.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

namespace fs = std::filesystem;

// Kills its own process at one of the calls that change the store.
class KillingBackend final : public WrappingBackend {
 public:
  explicit KillingBackend(std::shared_ptr<Backend> inner) : WrappingBackend(std::move(inner)) {}
  // Counts from here, and dies at call `at`.
  void Arm(uint64_t at, bool after) {
    after_ = after;
    calls_ = 0;
    at_ = at;
  }

 protected:
  Status Around(const Call& call, const Effect& effect) override {
    const bool now = ChangesStore(call.op) && ++calls_ == at_.load();
    if (now && !after_) raise(SIGKILL);
    const Status status = effect();
    if (now) raise(SIGKILL);
    return status;
  }

 private:
  std::atomic<uint64_t> calls_{0};
  std::atomic<uint64_t> at_{0};
  std::atomic<bool> after_{false};
};

enum class Moment : int { kWork, kOpen, kClose };

class KillStore {
 public:
  KillStore(uint64_t seed, std::string directory)
      : seed_(seed), random_(seed), directory_(std::move(directory)), oracle_(seed) {}

  Status Run(uint64_t kills) {
    const auto begun = std::chrono::steady_clock::now();
    for (uint64_t number = 1; kills_[0] + kills_[1] + kills_[2] < kills; ++number) {
      if (random_.OneIn(25)) StartAfresh();
      TARN_TRY(Round(number).Annotate("kill " + std::to_string(number)));
      if (number % 50 == 0) Tell(begun);
    }
    Tell(begun);
    return {};
  }
  uint64_t acknowledged() const { return acknowledged_; }

 private:
  void StartAfresh() {
    fs::remove_all(directory_);
    oracle_.Forget();
  }

  // One life and death of the store.
  Status Round(uint64_t number) {
    ledger_->Begin(number, oracle_.counts());
    const uint64_t what = random_.Below(10);
    const Moment moment = what < 6 ? Moment::kWork : what < 8 ? Moment::kOpen : Moment::kClose;
    // Few calls change a store in an open, fewer in a close. Beyond the last it dies when it is done, or not at all.
    const uint64_t at = 1 + random_.Below(moment == Moment::kOpen ? 16 : 8);
    const bool after = random_.OneIn(2);
    const Settings settings = SomeSettings(random_);
    Workload::Options options;
    options.seed = seed_;
    options.word_after = random_.OneIn(4) ? 1 + random_.Below(10) : 1 + random_.Below(400);
    options.stop_at_word = moment == Moment::kClose;
    Child child([&](int word) {
      options.word = word;
      const Status status = Live(settings, options, moment, at, after);
      if (!status.ok()) ledger_->Fail(status.ToString());
      return status.ok() ? 0 : 1;
    });
    if (moment == Moment::kWork && child.AwaitWord()) child.Kill();
    const int ended = child.Wait();
    if (ended == 1) return Status::Io(std::string("the store failed: ") + ledger_->error.data());
    if (ended != -SIGKILL && (ended != 0 || moment != Moment::kClose)) {
      return Status::Io("the child ended by itself with " + std::to_string(ended));
    }
    if (ended == 0) {
      ++closed_;
    } else {
      ++kills_[static_cast<int>(moment)];
    }
    return Judge();
  }

  // In the child.
  Status Live(const Settings& settings, const Workload::Options& options, Moment moment, uint64_t at, bool after) {
    if (moment == Moment::kWork) {
      TARN_ASSIGN(const Session session, StartSession(DB::Open(settings, directory_)));
      TARN_TRY(Workload(session, *ledger_, options).Run());
      return Status::Io("all operations ran out before the kill");
    }
    TARN_ASSIGN(std::shared_ptr<Backend> local, local::OpenLocal(directory_));
    Components components;
    const auto killing = std::make_shared<KillingBackend>(std::move(local));
    components.backend = killing;
    if (moment == Moment::kOpen) killing->Arm(at, after);
    TARN_ASSIGN(const Session session, StartSession(DB::Open(settings, std::move(components))));
    if (moment == Moment::kOpen) raise(SIGKILL);
    TARN_TRY(Workload(session, *ledger_, options).Run());
    killing->Arm(at, after);
    TARN_TRY(session.db->Close());
    ledger_->Synced(ledger_->Returned());
    return {};
  }

  Status Judge() {
    const Bounds bounds = Bounds::AfterKill(*ledger_);
    for (int w = 0; w < kWriters; ++w) acknowledged_ += bounds.least[w] - ledger_->first[w];
    Settings settings = SomeSettings(random_);
    settings.read_only = !random_.OneIn(3);  // then the next child recovers
    Result<std::unique_ptr<DB>> opened = DB::Open(settings, directory_);
    if (settings.read_only && opened.status().code() == Code::kNotFound) {  // killed before there was a store
      settings.read_only = false;
      opened = DB::Open(settings, directory_);
    }
    TARN_TRY(opened.status());
    const std::unique_ptr<DB> db = std::move(opened).value();
    TARN_TRY(oracle_.Check(*db, *ledger_, bounds));
    oracle_.Adopt();
    return settings.read_only ? Status() : db->Close();
  }

  void Tell(std::chrono::steady_clock::time_point begun) const {
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const uint64_t kills = kills_[0] + kills_[1] + kills_[2];
    std::printf("%" PRIu64 " kills (%" PRIu64 " at work, %" PRIu64 " in open, %" PRIu64 " in close), %" PRIu64
                " closed whole; %" PRIu64 " operations owed, none missing; %.1f kills/s\n",
                kills, kills_[0], kills_[1], kills_[2], closed_, acknowledged_, static_cast<double>(kills) / seconds);
    std::fflush(stdout);
  }

  const uint64_t seed_;
  SeededRandom random_;
  const std::string directory_;
  StoreOracle oracle_;
  Shared<Ledger> ledger_;
  std::array<uint64_t, 3> kills_{};  // by moment
  uint64_t closed_ = 0;
  uint64_t acknowledged_ = 0;
};

int Main(int argc, char** argv) {
  const auto arguments = ParseArguments(argc, argv, {"--kills", "TARN_KILLS", 20});
  if (!arguments.has_value()) return 2;
  const std::string& directory = arguments->directory;
  fs::remove_all(directory);
  fs::create_directories(directory);
  KillStore test(arguments->seed, directory + "/store");
  Status status = test.Run(arguments->count);
  if (status.ok() && test.acknowledged() < 10 * arguments->count) {
    status = Status::Invalid("only " + std::to_string(test.acknowledged()) + " operations: this proved nothing");
  }
  if (!status.ok()) {
    std::fprintf(stderr, "FAILED: %s\nThe store is left in %s\n", status.ToString().c_str(), directory.c_str());
    return 1;
  }
  fs::remove_all(directory);
  return 0;
}

}  // namespace
}  // namespace tarn::test

int main(int argc, char** argv) { return tarn::test::Main(argc, argv); }
