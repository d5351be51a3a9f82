#include "tests/sim/lake_world.h"

#include <algorithm>
#include <cstring>

namespace tarn::test {
namespace {

constexpr size_t kPatterns = 4;  // few different contents, so that blocks are shared
constexpr size_t kPatternBytes = 600'000;
constexpr uint64_t kMostBytes = 2 << 20;  // in all files together, so that comparing them stays cheap

const std::string& PatternSource(size_t which) {
  static const std::vector<std::string> sources = [] {
    std::vector<std::string> made(kPatterns);
    for (size_t i = 0; i < kPatterns; ++i) {
      SeededRandom random(i + 1);
      while (made[i].size() < kPatternBytes) {
        const uint64_t word = random.Next();
        made[i].append(reinterpret_cast<const char*>(&word), sizeof word);
      }
    }
    return made;
  }();
  return sources[which];
}

}  // namespace

void LakeWorld::DrawActions(SeededRandom& random) {
  actions_ = {
      {"create", 60, &LakeWorld::DoCreate},
      {"mkdir", 25, &LakeWorld::DoMakeDir},
      {"symlink", 10, &LakeWorld::DoSymlink},
      {"link", 20, &LakeWorld::DoLink},
      {"unlink", 45, &LakeWorld::DoUnlink},
      {"rmdir", 15, &LakeWorld::DoRemoveDir},
      {"rmtree", 5, &LakeWorld::DoRemoveTree},
      {"rename", 50, &LakeWorld::DoRename},
      {"setxattr", 25, &LakeWorld::DoSetXattr},
      {"removexattr", 10, &LakeWorld::DoRemoveXattr},
      {"setattr", 25, &LakeWorld::DoSetAttr},
      {"write", 150, &LakeWorld::DoWrite},
      {"truncate", 30, &LakeWorld::DoTruncate},
      {"punch", 15, &LakeWorld::DoPunch},
      {"open", 20, &LakeWorld::DoOpen},
      {"release", 20, &LakeWorld::DoRelease},
      {"flush", 40, &LakeWorld::DoFlush},
      {"sync", 10, &LakeWorld::DoSync},
      {"sync all", 6, &LakeWorld::DoSyncAll},
      {"stage", 5, &LakeWorld::DoStage},
      {"publish", 6, &LakeWorld::DoPublish},
      {"drop stage", 3, &LakeWorld::DoDropStage},
      {"append log", 4, &LakeWorld::DoAppendLog},
      {"create snapshot", 3, &LakeWorld::DoCreateSnapshot},
      {"drop snapshot", 2, &LakeWorld::DoDropSnapshot},
      {"maintain", 2, &LakeWorld::DoMaintain},
      {"lookup", 60, &LakeWorld::DoLookup},
      {"getattr", 60, &LakeWorld::DoGetAttr},
      {"readdir", 40, &LakeWorld::DoReadDir},
      {"read", 120, &LakeWorld::DoRead},
      {"seek", 15, &LakeWorld::DoSeek},
      {"readlink", 10, &LakeWorld::DoReadLink},
      {"getxattr", 30, &LakeWorld::DoGetXattr},
      {"read log", 4, &LakeWorld::DoReadLog},
      {"usage", 6, &LakeWorld::DoUsage},
      {"read snapshot", 2, &LakeWorld::DoReadSnapshot},
      {"compare", 2, &LakeWorld::DoCompare},
      {"check", 1, &LakeWorld::DoCheck},
      {"open beside", 1, &LakeWorld::DoBeside},
      {"reopen", 1, &LakeWorld::DoReopen},
      {"kill", 1, &LakeWorld::DoKill},
      {"power cut", 1, &LakeWorld::DoPowerCut},
      {"arm", 3, &LakeWorld::DoArm},
      {"faults", 8, &LakeWorld::DoFaults},
      {"rot", 1, &LakeWorld::DoRot},
  };
  // Each world has calls that it makes often, seldom or never; but it creates and writes, and it dies.
  for (Action& action : actions_) {
    const bool needed = action.run == &LakeWorld::DoCreate || action.run == &LakeWorld::DoWrite ||
                        action.run == &LakeWorld::DoArm || action.run == &LakeWorld::DoSyncAll;
    const uint64_t dice = random.Below(8);
    action.weight *= needed || dice < 5 ? 2 : dice == 5 ? 8 : dice == 6 ? 1 : 0;
    total_weight_ += action.weight;
  }
}

void LakeWorld::DrawSettings(SeededRandom& random) {
  Settings& settings = options_.settings;
  settings.memory_bytes = 8ull << 20;
  settings.memtable_bytes = 64ull << 10 << random.Below(5);
  settings.table_bytes = 64ull << 10 << random.Below(5);
  settings.block_bytes = 512u << random.Below(4);
  settings.size_ratio = static_cast<uint32_t>(2 + random.Below(4));
  settings.compression = random.OneIn(2) ? Compression::kNone : Compression::kLz4;
  settings.last_level_compression = random.OneIn(4) ? Compression::kZstd : settings.compression;
  settings.filter_bits_per_key = random.OneIn(4) ? 0 : 10;
  settings.durability = static_cast<Durability>(random.Below(3));  // the lake says what it wants with each write
  flushes_by_itself_ = random.OneIn(3);
  options_.dirty_bytes = flushes_by_itself_ ? 200'000 + random.Below(400'000) : 64ull << 20;
  most_nodes_ = 8u << random.Below(4);
  const auto rate = [&random](uint32_t most) {
    return random.OneIn(2) ? 0 : static_cast<uint32_t>(1 + random.Below(most));
  };
  rates_ = {
      .io_error = rate(60'000), .io_after = rate(60'000), .no_space = rate(60'000), .short_transfer = rate(200'000)};
}

LakeWorld::LakeWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage)
    : narrate_(options.narrate), storage_(std::move(storage)), clock_(std::make_shared<VirtualClock>()) {
  SeededRandom random(options.seed);
  DrawActions(random);
  DrawSettings(random);
  random_ = &random;
  if (random.OneIn(3)) CutInit();
  if (failure_.empty() && lake_ == nullptr) {
    auto made = lake::Lake::Init(Parts(), options_);
    if (!made.ok()) Fail("init: " + made.status().ToString());
    if (made.ok()) lake_ = std::move(*made);
  }
  random_ = nullptr;
}

LakeWorld::~LakeWorld() = default;

std::unique_ptr<World> MakeLakeWorld(const WorldOptions& options, std::unique_ptr<SimStorage> storage) {
  return std::make_unique<LakeWorld>(options, std::move(storage));
}

Components LakeWorld::Parts() {
  scheduler_ = std::make_shared<SimScheduler>(random_->Next());
  Components parts;
  parts.backend = storage_->Mount();
  parts.clock = clock_;
  parts.entropy = std::make_shared<SeededEntropy>(++lives_);
  parts.scheduler = scheduler_;
  return parts;
}

void LakeWorld::Step(SeededRandom& random) {
  random_ = &random;
  if (lake_ == nullptr) return Fail("there is no lake");
  const uint64_t faults_before = FaultCount();
  uint64_t dice = random.Below(total_weight_);
  const Action* action = actions_.data();
  while (dice >= action->weight) dice -= action++->weight;
  if (narrate_) Say(action->name);
  faults_at_call_ = faults_before;
  (this->*action->run)();
  if (random.OneIn(4)) scheduler_->RunOne();
  if (failure_.empty() && storage_->stopped()) EndLife(AnyMode());
  if (failure_.empty() && (reopen_now_ || (must_reopen_ && random.OneIn(3)))) DoReopen();
  if (fault_steps_ > 0 && --fault_steps_ == 0) QuietFaults();
  if (FaultCount() != faults_before) {
    const uint64_t rot = tally_.faults["rot"];
    tally_.faults = storage_->faults();
    tally_.faults["rot"] = rot;
  }
  tally_.digest = storage_->digest();
  random_ = nullptr;
}

void LakeWorld::Fail(const std::string& what) {
  if (failure_.empty()) failure_ = what;
}

void LakeWorld::Say(const std::string& line) {
  if (narrate_) narrate_(line);
}

uint64_t LakeWorld::FaultCount() const {
  uint64_t count = 0;
  for (const auto& [kind, times] : storage_->faults()) count += times;
  return count;
}

void LakeWorld::Note(const Status& status, const char* what) {
  if (narrate_) Say(std::string("  ") + what + " -> " + status.ToString());
}

bool LakeWorld::Excused(const Status& status) const {
  const Code code = status.code();
  if (code != Code::kIo && code != Code::kNoSpace && code != Code::kUnavailable) return false;
  return storage_->stopped() || FaultCount() != faults_at_open_;
}

bool LakeWorld::Expect(const Status& status, int wanted, const char* what) {
  ++tally_.operations;
  if (status.ok() ? wanted == 0 : wanted != 0 && status.os_error() == wanted && !Excused(status)) return true;
  if (!status.ok() && Excused(status)) {
    Note(status, what);
    return false;
  }
  Fail(std::string(what) + " answers '" + status.ToString() + "', wanted errno " + std::to_string(wanted));
  return false;
}

void LakeWorld::ExpectSame(bool same, const char* what, const std::string& detail) {
  if (!same) Fail(std::string(what) + " differs from the model" + (detail.empty() ? "" : ": " + detail));
}

lake::Ino LakeWorld::AnyInode() {
  if (random_->OneIn(60)) return 12'345'678'901;
  auto at = model_.head.nodes().begin();
  std::advance(at, random_->Below(model_.head.nodes().size()));
  return at->first;
}

lake::Ino LakeWorld::AnyFile() {
  Ino ino = AnyInode();
  for (int tries = 0; tries < 6; ++tries) {
    const auto found = model_.head.nodes().find(ino);
    if (found != model_.head.nodes().end() && found->second.is_regular()) break;
    ino = AnyInode();
  }
  return ino;
}

lake::Ino LakeWorld::AnyDir() {
  Ino ino = AnyInode();
  for (int tries = 0; tries < 6; ++tries) {
    const auto found = model_.head.nodes().find(ino);
    if (found != model_.head.nodes().end() && found->second.is_dir()) break;
    ino = AnyInode();
  }
  return ino;
}

std::string LakeWorld::AnyName() { return std::string(1, static_cast<char>('a' + random_->Below(8))); }

// A name that is taken in that directory, mostly.
std::string LakeWorld::AnyEntry(Ino dir) {
  const auto found = model_.head.nodes().find(dir);
  if (found == model_.head.nodes().end() || found->second.entries.empty() || random_->OneIn(10)) return AnyName();
  auto at = found->second.entries.begin();
  std::advance(at, random_->Below(found->second.entries.size()));
  return at->first;
}

uint64_t LakeWorld::AnyOffset() {
  switch (random_->Below(24)) {
    case 0: return random_->Below(3) * lake::kBlockBytes;
    case 1: return lake::kInlineBytes - 2 + random_->Below(4);
    case 2: return lake::kBlockBytes - 2 + random_->Below(4);
    case 3: return random_->Below(300'000);
    default: return random_->Below(3000);
  }
}

std::string LakeWorld::AnyBytes() {
  uint64_t all = 0;
  for (const auto& [ino, node] : model_.head.nodes()) all += node.content->size();
  const uint64_t dice = all > kMostBytes ? 9 : random_->Below(60);
  const size_t size = dice == 0   ? random_->Below(280'000)
                      : dice < 3  ? random_->Below(80'000)
                      : dice < 10 ? random_->Below(10'000)
                                  : random_->Below(1000);
  return random_->OneIn(8) ? std::string(size, '\0') : Pattern(size);
}

std::string LakeWorld::Pattern(size_t size) {
  return PatternSource(random_->Below(kPatterns)).substr(random_->Below(2) * 4096, size);
}

}  // namespace tarn::test
