#include "kernel/follow.h"

#include <algorithm>

#include "kernel/constants.h"
#include "kernel/engine.h"
#include "kernel/held_snapshot.h"

namespace tarn::kernel {
namespace {

bool SameFamilies(const ManifestState& manifest, const MemSet& mem) {
  return std::equal(manifest.families().begin(), manifest.families().end(), mem.families().begin(),
                    mem.families().end(), [](const auto& a, const auto& b) { return a.first == b.first; });
}

Status Again() { return Status::Unavailable("the store's writer moved on while it was read; catch up again"); }

}  // namespace

std::shared_ptr<MemSet> NewMemSetFor(Store& store, const ManifestState& manifest, uint64_t first_wal) {
  std::vector<uint32_t> families;
  for (const auto& [id, name] : manifest.families()) families.push_back(id);
  return std::make_shared<MemSet>(*store.parts.memtable, families, first_wal, &store.budget);
}

Status Follower::OpenTables(const Store& store, const Version& version) {
  if (store.parts.backend->info().latency == LatencyClass::kNetwork) return {};
  for (const auto& [id, family] : version.families) {
    for (const RunRef& run : family->runs) {
      for (const auto& table : run->tables) TARN_TRY(table->Get().status());
    }
  }
  return {};
}

Status Follower::CatchUp() {
  MutexLock lock(mutex_);
  for (int attempt = 0;; ++attempt) {
    const Status step = Step();
    if (step.ok() || attempt == kOpenAttempts) return step;
    // Only what the writer deleted, or has not published yet, can be another way the next time.
    const Code code = step.code();
    if (code != Code::kCorruption && code != Code::kUnavailable && code != Code::kNotFound) return step;
    const Result<bool> newer = manifest_.HasNewer();
    if (!newer.ok() || !*newer) return step;
  }
}

bool Follower::MovedOn(uint64_t view) {
  MutexLock lock(mutex_);
  if (manifest_.state().last().number != view) return true;
  const Result<bool> newer = manifest_.HasNewer();
  return newer.ok() && *newer;
}

Status Follower::Step() {
  TARN_TRY(manifest_.LoadNewer());
  const ManifestState& state = manifest_.state();
  if (state.store_id() != store_.store_id()) {
    return Status::Invalid("another store is in the place of the one that was opened; open it again");
  }
  std::shared_ptr<MemSet> mem = mem_;
  ReplayedLog log = log_;
  TARN_TRY(ReplayNew(&mem, &log));
  if (log.manifest > state.last().number) {
    TARN_ASSIGN(const bool newer, manifest_.HasNewer());
    return newer ? Again() : CheckManifestIsNewest(state, log);
  }
  const Sequence last = std::max(state.last().last_sequence, log.last_sequence);
  if (last < store_.visible()) {
    return Status::Invalid("the writer has lost what was read here before it was power-safe; open the store again");
  }
  if (state.last().number != store_.manifest_number()) {
    const std::shared_ptr<const ReadView> before = store_.Pin().view;
    TARN_ASSIGN(auto version, BuildVersion(state, before->version.get(), *store_.parts.backend, store_.graveyard));
    TARN_TRY(OpenTables(store_, *version));
    store_.MoveTo(state, std::move(version), mem, last);
  } else {
    store_.Show(last);
  }
  mem->ChargeGrowth();
  store_.cache.Shrink();
  mem_ = std::move(mem);
  log_ = log;
  return {};
}

Status Follower::ReplayNew(std::shared_ptr<MemSet>* mem, ReplayedLog* log) {
  const ManifestState& state = manifest_.state();
  WalStrategy& wal = *store_.parts.wal;
  Backend& backend = *store_.parts.backend;
  const uint64_t first_wal = state.last().first_wal;
  if (!log->lost && (*mem)->first_wal() == first_wal && SameFamilies(state, **mem)) {
    return ReplayMore(wal, backend, state, mem->get(), log);
  }
  *mem = NewMemSetFor(store_, state, first_wal);
  TARN_ASSIGN(*log, ReplayLog(wal, backend, state, mem->get(), store_.settings.accept_lost_log));
  return {};
}

Status Engine::CatchUp() {
  TARN_TRY(Usable());
  return follower_ == nullptr ? Status() : follower_->CatchUp();
}

uint64_t Engine::ViewFor(const Snapshot* snapshot) const {
  const auto* held = HeldSnapshot::ViewOf(snapshot);
  return held == nullptr ? store_->manifest_number() : (*held)->manifest;
}

bool Engine::CaughtUpAfter(uint64_t view, Status* failed) {
  if (follower_ == nullptr || !follower_->MovedOn(view)) return false;
  const Status caught_up = follower_->CatchUp();
  if (!caught_up.ok()) *failed = caught_up;
  return caught_up.ok();
}

}  // namespace tarn::kernel
