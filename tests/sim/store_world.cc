#include "tests/sim/store_world.h"

namespace tarn::test {
namespace {

// What a store says once it takes no more writes until it is reopened (kernel/store.cc).
constexpr std::string_view kReadOnlyWords = "read-only until it is reopened";
// And how many steps its user goes on reading until it does that.
constexpr uint64_t kReopenOneIn = 20;

}  // namespace

StoreWorld::StoreWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage)
    : options_(options),
      storage_(std::move(storage)),
      made_(options.seed),
      plan_(made_),
      keys_(plan_.shape, made_.Next()),
      model_(keys_) {
  settings_ = DrawSettings(made_);
  compaction_ = DrawCompaction(settings_, made_);
  Start(Ending::kClosed, false, made_);
}

StoreWorld::~StoreWorld() {
  LetGo();
  db_.reset();
}

void StoreWorld::Step(SeededRandom& random) {
  ++step_;
  if (random.OneIn(plan_.background_one_in)) {
    for (uint64_t quanta = 1 + random.Below(4); quanta > 0; --quanta) scheduler_->RunOne();
    if (storage_->stopped()) Die(random);
    if (!failure_.empty()) return;
  }
  StoreOp op = plan_.Draw(random);
  if (refuses_ && random.OneIn(kReopenOneIn)) op = StoreOp::kReopen;
  Say([&] { return "op " + std::to_string(step_) + ": " + std::string(StoreOpName(op)); });
  Run(op, random);
  if (failure_.empty() && storage_->stopped()) Die(random);
  Tell();
}

void StoreWorld::Run(StoreOp op, SeededRandom& random) {
  switch (op) {
    case StoreOp::kWrite: return Write(random);
    case StoreOp::kGet: return Get(random);
    case StoreOp::kMultiGet: return MultiGet(random);
    case StoreOp::kWalk: return ShortWalk(random);
    case StoreOp::kLongWalk: return LongWalk(random);
    case StoreOp::kTransaction: return Transactions(random);
    case StoreOp::kSnapshot: return Snapshots(random);
    case StoreOp::kNamedSnapshot: return NamedSnapshots(random);
    case StoreOp::kFamilies: return Families(random);
    case StoreOp::kSync: return Sync();
    case StoreOp::kFlush: return Flush(false);
    case StoreOp::kCompact: return Flush(true);
    case StoreOp::kBackground: scheduler_->RunAll(); return;
    case StoreOp::kVerify: return Verify();
    case StoreOp::kReadOnly: return ReadOnly();
    case StoreOp::kSecondOpen: return SecondOpen();
    case StoreOp::kCheckpoint: return Checkpoint();
    case StoreOp::kFacts: return Facts();
    case StoreOp::kReopen: return Reopen(random);
    case StoreOp::kKill: return Kill(random);
    case StoreOp::kArmCrash: storage_->CrashAfter(1 + random.Below(plan_.crash_effects)); return;
    case StoreOp::kFaults: return SwitchFaults(random);
    case StoreOp::kRot: return Rot(random);
    case StoreOp::kCount: return;
  }
}

void StoreWorld::End() {
  SeededRandom random(StepSeed(options_.seed, UINT64_MAX));
  faults_on_ = true;
  SwitchFaults(random);  // off, with a reopen
  for (int round = 0; round < 2 && failure_.empty(); ++round) {
    if (storage_->stopped()) Die(random);  // an armed crash may still come
    storage_->CrashAfter(0);
    if (failure_.empty()) Reopen(random);
    if (failure_.empty() && db_ != nullptr) Verify();
  }
  Tell();
}

void StoreWorld::Tell() {
  tally_.digest = storage_->digest();
  tally_.faults = storage_->faults();
  tally_.faults.insert(rot_.begin(), rot_.end());
}

void StoreWorld::Differ(const std::string& what) {
  if (failure_.empty()) failure_ = "op " + std::to_string(step_) + ": " + what;
}

uint64_t StoreWorld::InjectedFaults() const {
  uint64_t sum = 0;
  for (const auto& [kind, count] : storage_->faults()) sum += count;
  return sum;
}

uint64_t StoreWorld::LateRecords() const {
  const auto landed = storage_->faults().find("late PUT landed");
  return landed == storage_->faults().end() ? 0 : landed->second;
}

bool StoreWorld::FaultsMet() const { return InjectedFaults() != faults_before_; }

// A failing device or network never looks like damage, like an absent key, or like a mistake of the caller's.
bool StoreWorld::Excused(const Status& status) const {
  switch (status.code()) {
    case Code::kCorruption: return damaged_;
    case Code::kIo:
    case Code::kUnavailable:
    case Code::kNoSpace:
    case Code::kBusy: return storage_->stopped() || FaultsMet();
    // Nobody else writes here but the dead.
    case Code::kFenced: return LateRecords() != late_before_;
    default: return false;
  }
}

bool StoreWorld::Good(const Status& status, const char* what) {
  if (status.ok()) return true;
  if (!Excused(status)) Differ(std::string(what) + ": " + status.ToString());
  if (status.message().find(kReadOnlyWords) != std::string_view::npos) refuses_ = true;
  Say([&] { return std::string("  ") + what + " failed: " + status.ToString(); });
  return false;
}

std::unique_ptr<World> MakeStoreWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage) {
  return std::make_unique<StoreWorld>(options, std::move(storage));
}

}  // namespace tarn::test
