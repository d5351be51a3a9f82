#include "kernel/background.h"

#include <algorithm>

#include "base/assert.h"
#include "kernel/constants.h"
#include "kernel/merge_jobs.h"
#include "kernel/run_cursor.h"

namespace tarn::kernel {
namespace {

// Errors that pass without reopening: nothing was half done, and trying again is safe.
bool Passing(const Status& status) { return status.code() == Code::kNoSpace || status.code() == Code::kUnavailable; }

// A table was there under the number that the job took: where no lock keeps writers apart, a fenced one's may land
// late.
bool NameTaken(const Status& status) { return status.code() == Code::kBusy; }

void BuryAll(Store& store, const std::vector<TableMeta>& tables) {
  for (const TableMeta& table : tables) store.graveyard->Bury(table.number);
}

// How many full memtable sets may wait for their flush: half of the memory budget, the active set included.
size_t MaxWaiting(const Store& store) {
  const uint64_t fits = store.settings.memory_bytes / 2 / std::max<uint64_t>(store.memtable_bytes(), 1);
  return std::clamp<size_t>(fits, 2, 8) - 1;
}

size_t Waiting(const Store& store) { return store.Pin().view->mems.size() - 1; }

}  // namespace

// Writes the oldest memtable set into tables, one family after the other, and publishes them as one step.
class Background::FlushTask {
 public:
  explicit FlushTask(Background& owner) : owner_(owner) {}

  bool Step() {
    if (owner_.stopping()) return End({}, true);
    if (mem_ == nullptr) Prepare();
    while (at_ < jobs_.size()) {
      if (jobs_[at_].second->Step(kQuantumBytes)) return true;
      if (const Status status = jobs_[at_].second->status(); !status.ok()) {
        if (NameTaken(status) && ++renamed_ < kTableNameAttempts) return Again();
        if (!Passing(status)) owner_.store_.Fail(status);
        return End(status, true);
      }
      ++at_;
    }
    const Status published = Publish();
    return End(published, !published.ok() && !owner_.store_.failed());
  }

 private:
  // Not in the constructor: that runs on the writer's thread.
  void Prepare() {
    Store& store = owner_.store_;
    const std::shared_ptr<const ReadView> view = store.Pin().view;
    mem_ = view->mems.back();
    for (const auto& [id, part] : mem_->families()) {
      const FamilyVersion* family = view->version->Find(id);
      if (part->empty() || family == nullptr) continue;
      jobs_.emplace_back(id, NewFlushJob(store, id, *part, family->runs.empty()));
    }
  }
  Status Publish() {
    uint64_t first_wal = 0;
    std::vector<TableMeta> unwanted;
    TARN_TRY(owner_.store_.Edit(
        [&](ManifestRecord* delta, const ManifestState& state) {
          const std::shared_ptr<const ReadView> view = owner_.store_.Pin().view;
          CHECK(view->mems.size() >= 2 && view->mems.back() == mem_);
          first_wal = delta->first_wal = view->mems[view->mems.size() - 2]->first_wal();
          delta->last_sequence = std::max(delta->last_sequence, mem_->last_sequence());
          for (auto& [family, job] : jobs_) {
            if (!state.families().contains(family)) {  // dropped meanwhile
              unwanted.insert(unwanted.end(), job->outputs().begin(), job->outputs().end());
              continue;
            }
            if (job->outputs().empty()) continue;
            const uint64_t run = delta->next_run++;
            for (const TableMeta& meta : job->outputs()) delta->tables_added.push_back({family, 0, run, meta});
          }
          return Status();
        },
        mem_.get()));
    BuryAll(owner_.store_, unwanted);
    Statistics& stats = owner_.store_.stats;
    stats.Add(Counter::kFlushes);
    for (auto& [family, job] : jobs_) {
      for (const TableMeta& meta : job->outputs()) stats.Add(Counter::kFlushBytes, meta.file_bytes);
      stats.Add(Counter::kEntriesDropped, job->entries_dropped());
    }
    // The flush is done also when a segment could not be deleted: the log tries again after the next flush.
    const Status released = owner_.hooks_.release_wal(first_wal);
    (void)released;
    return {};
  }
  // From the beginning, with other numbers.
  bool Again() {
    for (auto& [family, job] : jobs_) BuryAll(owner_.store_, job->outputs());
    jobs_.clear();
    mem_.reset();
    at_ = 0;
    return true;
  }
  // Lets go of everything before it reports, because the store may be closed as soon as it has. `abandon`: no
  // record names the outputs. When that is in doubt they stay for recovery to decide.
  bool End(Status status, bool abandon) {
    for (auto& [family, job] : jobs_) {
      if (abandon) BuryAll(owner_.store_, job->outputs());
    }
    jobs_.clear();
    mem_.reset();
    owner_.FlushDone(status);
    return false;
  }

  Background& owner_;
  std::shared_ptr<MemSet> mem_;
  std::vector<std::pair<uint32_t, std::unique_ptr<MergeJob>>> jobs_;
  size_t at_ = 0;
  int renamed_ = 0;
};

// Executes one plan of one family.
class Background::CompactTask {
 public:
  CompactTask(Background& owner, uint32_t family, std::vector<RunRef> inputs, uint32_t output_level, bool bottom,
              std::vector<FamilyLevel> levels)
      : owner_(owner),
        family_(family),
        inputs_(std::move(inputs)),
        output_level_(output_level),
        bottom_(bottom),
        levels_(std::move(levels)) {}

  bool Step() {
    if (owner_.stopping()) return End({}, true);
    if (job_ == nullptr) {
      const Status prepared = Prepare();
      if (!prepared.ok()) return End(prepared, false);
    }
    if (job_->Step(kQuantumBytes)) return true;
    if (NameTaken(job_->status()) && ++renamed_ < kTableNameAttempts) {  // from the beginning, with other numbers
      BuryAll(owner_.store_, job_->outputs());
      job_.reset();
      return true;
    }
    if (!job_->status().ok()) {
      return End(owner_.store_.ExplainRead(job_->status(), owner_.store_.manifest_number()), true);
    }
    const Status published = Publish();
    return End(published, !published.ok() && !owner_.store_.failed());
  }

 private:
  Status Prepare() {
    MergePlace place = {.bottom = bottom_, .last_level = bottom_, .level = output_level_};
    for (const RunRef& run : inputs_) {
      for (const auto& table : run->tables) place.newest = std::max(place.newest, table->meta().max_sequence);
    }
    MergeSpec spec = NewMergeSpec(owner_.store_, family_, place);
    for (const RunRef& run : inputs_) {
      spec.inputs.push_back(NewRunCursor(run, *owner_.store_.reader, false));
      for (const auto& handle : run->tables) {
        if (handle->meta().range_deletions == 0) continue;
        TARN_ASSIGN(const Table* table, handle->Get());
        for (RangeTombstone& tombstone : table->range_tombstones().Clip("", "")) {
          spec.tombstones.push_back(std::move(tombstone));
        }
      }
    }
    job_ = std::make_unique<MergeJob>(*owner_.store_.parts.backend, std::move(spec));
    return {};
  }
  Status Publish() {
    bool dropped = false;
    TARN_TRY(owner_.store_.Edit([&](ManifestRecord* delta, const ManifestState& state) {
      dropped = !state.families().contains(family_);
      if (dropped) return Status();
      // The result takes the place of the newest input that was at its level; else it is the newest there.
      uint64_t run = 0;
      for (const RunRef& input : inputs_) {
        if (input->level == output_level_) run = std::max(run, input->id);
        for (const auto& table : input->tables) delta->tables_removed.push_back(table->meta().number);
      }
      if (run == 0) run = delta->next_run++;
      for (const TableMeta& meta : job_->outputs())
        delta->tables_added.push_back({family_, output_level_, run, meta});
      return Status();
    }));
    if (dropped) BuryAll(owner_.store_, job_->outputs());
    Statistics& stats = owner_.store_.stats;
    stats.Add(Counter::kCompactions);
    stats.Add(Counter::kEntriesDropped, job_->entries_dropped());
    stats.Add(Counter::kBlocksTakenOver, job_->blocks_taken_over());
    for (const RunRef& run : inputs_) stats.Add(Counter::kCompactionReadBytes, run->bytes);
    for (const TableMeta& meta : job_->outputs()) stats.Add(Counter::kCompactionWriteBytes, meta.file_bytes);
    return {};
  }
  // As FlushTask::End. By value: the status may be the job's own, which is freed here.
  bool End(Status status, bool abandon) {
    if (abandon && job_ != nullptr) BuryAll(owner_.store_, job_->outputs());
    job_.reset();  // lets go of cursors and, with the inputs, of tables that are obsolete now
    inputs_.clear();
    owner_.CompactionDone(levels_, status);
    return false;
  }

  Background& owner_;
  const uint32_t family_;
  std::vector<RunRef> inputs_;
  const uint32_t output_level_;
  const bool bottom_;
  const std::vector<FamilyLevel> levels_;
  std::unique_ptr<MergeJob> job_;
  int renamed_ = 0;
};

// Tells the backend where tables belong, one in a quantum: to bring one near may copy it.
class Background::PlaceTask {
 public:
  explicit PlaceTask(Background& owner) : owner_(owner) {}

  bool Step() {
    Store& store = owner_.store_;
    if (!looked_) advice_ = store.placer.Review(*store.Pin().view->version, store.visible());
    looked_ = true;
    if (at_ < advice_.size() && !owner_.stopping()) {
      store.placer.Say(advice_[at_++]);
      return true;
    }
    MutexLock lock(owner_.mutex_);
    looked_ = false;
    at_ = 0;
    owner_.placing_ = std::exchange(owner_.place_again_, false) && !owner_.stopping();
    store.parts.scheduler->Notify();
    return owner_.placing_;
  }

 private:
  Background& owner_;
  bool looked_ = false;
  std::vector<Placer::Advice> advice_;
  size_t at_ = 0;
};

Background::Background(Store& store, Hooks hooks) : store_(store), hooks_(std::move(hooks)) {}

void Background::Kick() {
  MutexLock lock(mutex_);
  UpdatePressure();
  StartFlush();
  StartCompactions();
  StartPlacing();
}

void Background::StartPlacing() {
  if (!store_.placer.active() || stopping()) return;
  place_again_ = placing_;
  if (placing_) return;
  placing_ = true;
  auto task = std::make_shared<PlaceTask>(*this);
  store_.parts.scheduler->Submit(Scheduler::Lane::kIdle, [task] { return task->Step(); });
}

void Background::StartFlush() {
  if (flushing_ || stopping() || store_.failed() || Waiting(store_) == 0) return;
  flushing_ = true;
  auto task = std::make_shared<FlushTask>(*this);
  store_.parts.scheduler->Submit(Scheduler::Lane::kFlush, [task] { return task->Step(); });
}

void Background::FlushDone(const Status& status) {
  store_.SweepGraveyard();
  MutexLock lock(mutex_);
  UpdatePressure();
  flushing_ = false;
  ++flush_attempts_;
  flush_status_ = status;
  flushed_before_ = store_.Pin().view->mems.back()->first_wal();
  if (status.ok()) {
    StartPlacing();
    if (!manual_) compaction_status_ = {};  // a compaction that failed may be tried again on the new shape
    StartFlush();
    StartCompactions();
  }
  store_.parts.scheduler->Notify();
}

void Background::StartCompactions() {
  if (stopping() || store_.failed() || manual_ || !compaction_status_.ok()) return;
  const std::shared_ptr<const Version> version = store_.Pin().view->version;
  while (compactions_ < store_.settings.background_threads && StartCompaction(*version)) {
  }
}

bool Background::StartCompaction(const Version& version) {
  for (const auto& [id, family] : version.families) {
    std::set<uint32_t> busy;
    for (const FamilyLevel& place : busy_) {
      if (place.family == id) busy.insert(place.level);
    }
    const std::optional<CompactionPlan> plan = store_.parts.compaction->Choose(family->View(busy));
    if (!plan.has_value()) continue;
    const uint32_t before = compactions_;
    Launch(id, *plan, version);
    if (compactions_ > before) return true;
  }
  return false;
}

// Refuses a plan that would break the order of ages: its inputs are contiguous in age, its output is not deeper
// than any older run, and it shares no level with a running compaction. Nor deeper than a manifest can say.
void Background::Launch(uint32_t family, const CompactionPlan& plan, const Version& version) {
  const std::vector<RunRef>& runs = version.Find(family)->runs;
  std::set<uint64_t> wanted;
  for (const auto& input : plan.inputs) wanted.insert(input.runs.begin(), input.runs.end());
  const auto is_wanted = [&](const RunRef& run) { return wanted.contains(run->id); };
  const auto begin = std::find_if(runs.begin(), runs.end(), is_wanted);
  const auto end = std::find_if_not(begin, runs.end(), is_wanted);
  std::vector<RunRef> inputs(begin, end);
  if (inputs.empty() || inputs.size() != wanted.size() || plan.output_level < inputs.back()->level) return;
  if (end != runs.end() && (*end)->level < plan.output_level) return;
  if (plan.output_level > kMaxLevel) return;
  std::set<FamilyLevel> levels = {{family, plan.output_level}};
  for (const RunRef& run : inputs) levels.insert({family, run->level});
  for (const FamilyLevel& level : levels) {
    if (busy_.contains(level)) return;
  }
  busy_.insert(levels.begin(), levels.end());
  ++compactions_;
  auto task = std::make_shared<CompactTask>(*this, family, std::move(inputs), plan.output_level, end == runs.end(),
                                            std::vector<FamilyLevel>(levels.begin(), levels.end()));
  store_.parts.scheduler->Submit(Scheduler::Lane::kCompact, [task] { return task->Step(); });
}

void Background::CompactionDone(const std::vector<FamilyLevel>& levels, const Status& status) {
  store_.SweepGraveyard();
  MutexLock lock(mutex_);
  UpdatePressure();
  for (const FamilyLevel& level : levels) busy_.erase(level);
  --compactions_;
  compaction_status_ = status;
  if (status.ok()) StartPlacing();
  StartCompactions();
  store_.parts.scheduler->Notify();
}

void Background::UpdatePressure() {
  const std::shared_ptr<const ReadView> view = store_.Pin().view;
  uint64_t debt = 0;
  for (const auto& [id, family] : view->version->families) debt += store_.parts.compaction->Debt(family->View({}));
  const double reference = kReferenceMemtables * static_cast<double>(store_.memtable_bytes());
  const double compaction = static_cast<double>(debt) / reference;
  const double flush = static_cast<double>(view->mems.size() - 1) / static_cast<double>(MaxWaiting(store_));
  hooks_.set_pressure(std::max(compaction, flush));
}

bool Background::MemoryIsShort() const { return Waiting(store_) >= MaxWaiting(store_); }

Status Background::WaitForRoom() {
  if (!MemoryIsShort()) return {};
  MutexLock lock(mutex_);
  const uint64_t attempts = flush_attempts_;
  StartFlush();
  store_.parts.scheduler->Await(mutex_.native(), [&]() NO_THREAD_SAFETY_ANALYSIS {
    return !MemoryIsShort() || Halted() || (flush_attempts_ > attempts && !flush_status_.ok());
  });
  if (!MemoryIsShort()) return {};
  TARN_TRY(WhyHalted());
  return flush_status_;
}

Status Background::WaitForFlushes() {
  // Sets that writers start from here on are not waited for, or there would be no end under steady writes.
  const uint64_t first_unwanted = store_.Pin().view->mems.front()->first_wal();
  MutexLock lock(mutex_);
  const uint64_t attempts = flush_attempts_;
  const auto done = [&]() NO_THREAD_SAFETY_ANALYSIS {
    return flushed_before_ >= first_unwanted || (Waiting(store_) == 0 && !flushing_);
  };
  StartFlush();
  store_.parts.scheduler->Await(mutex_.native(), [&]() NO_THREAD_SAFETY_ANALYSIS {
    return done() || Halted() || (flush_attempts_ > attempts && !flush_status_.ok());
  });
  if (done()) return {};
  TARN_TRY(WhyHalted());
  return flush_status_;
}

bool Background::Halted() const { return store_.failed() || stopping(); }

Status Background::WhyHalted() const {
  TARN_TRY(store_.error());
  return stopping() ? Status::Invalid("the store was closed meanwhile; open it again") : Status();
}

Status Background::CompactAll() {
  {
    MutexLock lock(mutex_);
    const auto my_turn = [&]() NO_THREAD_SAFETY_ANALYSIS { return !manual_ || Halted(); };
    store_.parts.scheduler->Await(mutex_.native(), my_turn);
    TARN_TRY(WhyHalted());
    manual_ = true;
  }
  Status status;
  const std::shared_ptr<const Version> version = store_.Pin().view->version;
  for (const auto& [id, family] : version->families) {
    status = CompactFamily(id);
    if (!status.ok()) break;
  }
  MutexLock lock(mutex_);
  manual_ = false;
  StartCompactions();
  store_.parts.scheduler->Notify();
  return status;
}

Status Background::CompactFamily(uint32_t family) {
  MutexLock lock(mutex_);
  const auto idle = [&]() NO_THREAD_SAFETY_ANALYSIS { return compactions_ == 0 || Halted(); };
  store_.parts.scheduler->Await(mutex_.native(), idle);
  TARN_TRY(WhyHalted());
  const std::shared_ptr<const Version> version = store_.Pin().view->version;
  const FamilyVersion* now = version->Find(family);
  if (now == nullptr || now->runs.empty()) return {};
  CompactionPlan plan;
  for (const RunRef& run : now->runs) plan.inputs.push_back({run->level, {run->id}});
  plan.output_level = std::max(1u, now->runs.back()->level);
  compaction_status_ = {};
  Launch(family, plan, *version);
  store_.parts.scheduler->Await(mutex_.native(), idle);
  TARN_TRY(WhyHalted());
  return compaction_status_;
}

void Background::Stop() {
  MutexLock lock(mutex_);
  stopping_.store(true, std::memory_order_relaxed);
  store_.parts.scheduler->Notify();
  store_.parts.scheduler->Await(
      mutex_.native(), [&]() NO_THREAD_SAFETY_ANALYSIS { return !flushing_ && compactions_ == 0 && !placing_; });
}

}  // namespace tarn::kernel
