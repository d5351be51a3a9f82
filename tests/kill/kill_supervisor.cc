#include "tests/kill/kill_supervisor.h"

#include <signal.h>

#include <atomic>
#include <cinttypes>
#include <cstdio>

#include "tests/kill/child.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

// Beyond the last change of an open or a close the process dies when it is done, or not at all. An opening changes
// the store seldom, a closing more seldom; work never ceases to.
constexpr uint64_t kChangesOfWork = 120, kChangesOfOpen = 16, kChangesOfClose = 8;

// What changes the store, for people.
std::string_view NameOf(Op op) {
  switch (op) {
    case Op::kBlobAppend: return "the writing";
    case Op::kFinish: return "the publication";
    case Op::kPutIfAbsent: return "the put-if-absent";
    case Op::kDelete: return "the deletion";
    case Op::kCreateAppend: return "the creation";
    case Op::kLogAppend: return "an append";
    case Op::kLogSync: return "a sync";
    default: return "a read";
  }
}

// Kills its own process at one of the calls that change the store, and says at which.
class KillingBackend final : public WrappingBackend {
 public:
  KillingBackend(std::shared_ptr<Backend> inner, Ledger& ledger)
      : WrappingBackend(std::move(inner)), ledger_(ledger) {}
  // Counts from here, and dies at call `at`.
  void Arm(uint64_t at, bool after) {
    after_ = after;
    calls_ = 0;
    at_ = at;
  }

 protected:
  Status Around(const Call& call, const Effect& effect) override {
    const bool now = ChangesStore(call.op) && ++calls_ == at_.load();
    if (now) {
      ledger_.Fail(std::string(NameOf(call.op)) + " of " + std::string(call.name.substr(0, call.name.find('/'))));
    }
    if (now && !after_) raise(SIGKILL);
    const Status status = effect();
    if (now) raise(SIGKILL);
    return status;
  }

 private:
  Ledger& ledger_;
  std::atomic<uint64_t> calls_{0};
  std::atomic<uint64_t> at_{0};
  std::atomic<bool> after_{false};
};

}  // namespace

KillStore::KillStore(uint64_t seed, KillPlace& place) : seed_(seed), random_(seed), place_(place), oracle_(seed) {}

Status KillStore::Run(uint64_t wanted) {
  const auto begun = std::chrono::steady_clock::now();
  for (uint64_t number = 1; kills() < wanted; ++number) {
    if (random_.OneIn(25)) {
      TARN_TRY(place_.StartAfresh());
      oracle_.Forget();
    }
    TARN_TRY(Round(number).Annotate("kill " + std::to_string(number)));
    if (number % 50 == 0) Tell(begun);
  }
  Tell(begun);
  if (acknowledged_ >= 10 * wanted) return {};
  return Status::Invalid("only " + std::to_string(acknowledged_) + " operations: this proved nothing");
}

// One life and death of the store.
Status KillStore::Round(uint64_t number) {
  ledger_->Begin(number, oracle_.counts());
  constexpr Moment kDraw[] = {Moment::kWork, Moment::kWork, Moment::kWork, Moment::kWork,  Moment::kCall,
                              Moment::kCall, Moment::kOpen, Moment::kOpen, Moment::kClose, Moment::kClose};
  const Moment moment = kDraw[random_.Below(std::size(kDraw))];
  const uint64_t at = 1 + random_.Below(moment == Moment::kOpen    ? kChangesOfOpen
                                        : moment == Moment::kClose ? kChangesOfClose
                                                                   : kChangesOfWork);
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
    if (ledger_->error[0] != 0) ++calls_[ledger_->error.data()];
  }
  return Judge();
}

// In the child.
Status KillStore::Live(const Settings& settings, const Workload::Options& options, Moment moment, uint64_t at,
                       bool after) {
  TARN_ASSIGN(std::shared_ptr<Backend> inner, place_.Open(false));
  const auto killing = std::make_shared<KillingBackend>(std::move(inner), *ledger_);
  Components components;
  components.backend = killing;
  if (moment == Moment::kOpen) killing->Arm(at, after);
  TARN_ASSIGN(const Session session, StartSession(DB::Open(settings, std::move(components))));
  if (moment == Moment::kOpen) raise(SIGKILL);
  if (moment == Moment::kCall) killing->Arm(at, after);
  TARN_TRY(Workload(session, *ledger_, options).Run());
  if (moment != Moment::kClose) return Status::Io("all operations ran out before the kill");
  killing->Arm(at, after);
  TARN_TRY(session.db->Close());
  ledger_->Synced(ledger_->Returned());
  return {};
}

Status KillStore::Judge() {
  const Bounds bounds = Bounds::AfterKill(*ledger_);
  for (int w = 0; w < kWriters; ++w) acknowledged_ += bounds.least[w] - ledger_->first[w];
  Settings settings = SomeSettings(random_);
  settings.read_only = !random_.OneIn(3);  // then the next child recovers
  const auto open = [&]() -> Result<std::unique_ptr<DB>> {
    Components components;
    TARN_ASSIGN(components.backend, place_.Open(settings.read_only));
    return DB::Open(settings, std::move(components));
  };
  Result<std::unique_ptr<DB>> opened = open();
  if (settings.read_only && opened.status().code() == Code::kNotFound) {  // killed before there was a store
    settings.read_only = false;
    opened = open();
  }
  TARN_TRY(opened.status());
  const std::unique_ptr<DB> db = std::move(opened).value();
  TARN_TRY(oracle_.Check(*db, *ledger_, bounds));
  oracle_.Adopt();
  return settings.read_only ? Status() : db->Close();
}

void KillStore::Tell(std::chrono::steady_clock::time_point begun) const {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  std::printf("%" PRIu64 " kills (%" PRIu64 " at work, %" PRIu64 " at a call of it, %" PRIu64 " in open, %" PRIu64
              " in close), %" PRIu64 " closed whole; %" PRIu64 " operations owed, none missing; %.1f kills/s\n",
              kills(), kills_[0], kills_[1], kills_[2], kills_[3], closed_, acknowledged_,
              static_cast<double>(kills()) / seconds);
  for (const auto& [call, times] : calls_) std::printf("  %4" PRIu64 " at %s\n", times, call.c_str());
  std::fflush(stdout);
}

}  // namespace tarn::test
