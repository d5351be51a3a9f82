#include "kernel/write_path.h"

#include <algorithm>

#include "base/assert.h"
#include "kernel/batch.h"
#include "kernel/constants.h"

namespace tarn::kernel {
namespace {

// kNone commits that an object log is still to get: an object of 8 MiB is as good as a larger one. A quarter of a
// memtable, because what is more than that is soon to be a table.
constexpr uint64_t kMaxGatheredBytes = 8 << 20, kGatheredShare = 4;

}  // namespace

struct WritePath::Writer {
  const WriteBatch* batch = nullptr;  // null: exclusive work
  Durability durability = Durability::kNone;
  const std::function<Status()>* alone = nullptr;  // validation or exclusive work: leads a group of its own
  Status status;
  bool done = false;
  std::condition_variable turn;
};

WritePath::WritePath(Store& store, std::unique_ptr<WalWriter> wal, Hooks hooks)
    : store_(store),
      hooks_(std::move(hooks)),
      objects_(store.parts.backend->features().append == nullptr),
      most_commits_(objects_ ? kCommitsPerSegment : UINT32_MAX),
      most_gathered_(std::min(kMaxGatheredBytes, store.memtable_bytes() / kGatheredShare)),
      wal_(std::move(wal)) {}

Status WritePath::Write(const WriteBatch& batch, Durability durability, const std::function<Status()>& validate) {
  Writer writer;
  writer.batch = &batch;
  writer.durability = durability;
  if (validate) writer.alone = &validate;
  return Enter(&writer);
}

Status WritePath::Exclusive(const std::function<Status()>& work) {
  Writer writer;
  writer.alone = &work;
  return Enter(&writer);
}

Status WritePath::Enter(Writer* writer) noexcept {
  std::vector<Writer*> group;
  {
    MutexLock lock(queue_mutex_);
    queue_.push_back(writer);
    std::unique_lock<std::mutex> waiting(queue_mutex_.native(), std::adopt_lock);
    while (!writer->done && queue_.front() != writer) writer->turn.wait(waiting);
    waiting.release();
    if (writer->done) return writer->status;
    group = TakeGroup(writer);
  }
  const Status status = Lead(group);
  MutexLock lock(queue_mutex_);
  for (Writer* member : group) {
    DCHECK(queue_.front() == member);
    queue_.pop_front();
    if (member == writer) continue;
    member->status = status;
    member->done = true;
    member->turn.notify_one();
  }
  if (!queue_.empty()) queue_.front()->turn.notify_one();
  return status;
}

std::vector<WritePath::Writer*> WritePath::TakeGroup(Writer* leader) {
  std::vector<Writer*> group;
  uint64_t bytes = 0;
  for (Writer* writer : queue_) {
    if (writer != leader && (writer->alone != nullptr || leader->alone != nullptr || bytes > kMaxGroupBytes)) break;
    group.push_back(writer);
    if (writer->batch != nullptr) bytes += writer->batch->bytes().size();
  }
  return group;
}

Status WritePath::Lead(const std::vector<Writer*>& group) {
  TARN_TRY(store_.error());
  if (group.front()->alone != nullptr) TARN_TRY((*group.front()->alone)());
  if (group.front()->batch == nullptr) return {};
  return CommitGroup(group);
}

Status WritePath::CommitGroup(const std::vector<Writer*>& group) {
  uint64_t bytes = 0, count = 0;
  Durability durability = Durability::kNone;
  for (const Writer* writer : group) {
    bytes += writer->batch->bytes().size();
    count += writer->batch->count();
    durability = std::max(durability, writer->durability);
  }
  if (const uint64_t sleep = pacer_.Pay(bytes); sleep > 0) {
    store_.parts.clock->SleepNanos(sleep);
    store_.stats.Add(Counter::kWriteDelayNanos, sleep);
  }
  if (mem_ == nullptr) mem_ = store_.Pin().view->mems.front();
  if (durability > Durability::kNone) TARN_TRY(FlushUnlogged());
  if (mem_->memory_bytes() >= store_.memtable_bytes() || commits_ >= most_commits_) {
    TARN_TRY(hooks_.wait_for_room());
    TARN_TRY(SwitchMemSet());
  }
  const Sequence first = store_.visible() + 1;
  TARN_TRY(AppendToLog(first, count, durability, group));
  if (count > 0) {
    AddToMemtables(first, first + count - 1, group);
    mem_->set_last_sequence(first + count - 1);
    mem_->ChargeGrowth();
    store_.cache.Shrink();
    store_.Show(first + count - 1);
  }
  commits_ += durability > Durability::kNone ? 1 : 0;
  store_.stats.Add(Counter::kWrites, group.size());
  store_.stats.Add(Counter::kWriteGroups);
  store_.stats.Add(Counter::kWrittenBytes, bytes);
  return {};
}

Status WritePath::AppendToLog(Sequence first, uint64_t count, Durability durability,
                              const std::vector<Writer*>& group) {
  payload_.clear();
  AppendPayloadHeader(&payload_, first, store_.manifest_number(), count);
  for (const Writer* writer : group) payload_.append(writer->batch->bytes());
  MutexLock lock(wal_mutex_);
  if (count == 0 && durability == Durability::kNone) return {};
  if (durability == Durability::kNone && objects_) {
    Gather();
    return {};
  }
  TARN_TRY(LogGathered());
  // An empty batch is logged too: it asks for the durability of what came before it.
  const Status logged = wal_->Append(payload_, durability);
  const uint64_t bytes = payload_.size();
  if (payload_.capacity() > 4 * kMaxGroupBytes) payload_ = std::string();  // do not keep one huge batch's memory
  TARN_TRY(LogFailed(logged));
  store_.stats.Add(Counter::kWalBytes, bytes);
  if (durability == Durability::kPower) {
    store_.stats.Add(Counter::kWalSyncs);
    store_.RaiseDurable(first + count - 1);
  }
  return {};
}

Status WritePath::LogFailed(const Status& status) {
  if (status.ok()) return {};
  store_.Fail(status);
  return store_.error();
}

// payload_ is not logged now.
void WritePath::Gather() {
  if (unlogged_) return;
  gathered_bytes_ += payload_.size();
  unlogged_ = gathered_bytes_ > most_gathered_;
  if (!unlogged_) return gathered_.push_back(payload_);
  gathered_.clear();
  gathered_bytes_ = 0;
}

Status WritePath::LogGathered() {
  for (const std::string& payload : gathered_) {
    TARN_TRY(LogFailed(wal_->Append(payload, Durability::kNone)));
    store_.stats.Add(Counter::kWalBytes, payload.size());
  }
  gathered_.clear();
  gathered_bytes_ = 0;
  return {};
}

Status WritePath::FlushUnlogged() {
  {
    MutexLock lock(wal_mutex_);
    if (!unlogged_) return {};
  }
  TARN_TRY(SwitchMemSet());
  TARN_TRY(hooks_.wait_for_flushes());
  MutexLock lock(wal_mutex_);
  unlogged_ = false;
  store_.RaiseDurable(store_.visible());
  return {};
}

void WritePath::AddToMemtables(Sequence first, Sequence last, const std::vector<Writer*>& group) {
  const bool tell_puts = store_.dead_ranges.Announce(last);
  Sequence sequence = first;
  for (const Writer* writer : group) {
    std::string_view bytes = writer->batch->bytes();
    BatchChange change;
    while (!bytes.empty()) {
      CHECK(NextChange(&bytes, &change));  // validated before it was queued
      // A family that was dropped meanwhile takes its data along.
      if (FamilyMem* family = mem_->Find(change.family)) family->Add(change.kind, sequence, change.key, change.value);
      if (tell_puts && change.kind == Kind::kPut) store_.dead_ranges.Forget(change.family, change.key);
      ++sequence;
    }
  }
}

std::shared_ptr<MemSet> WritePath::NewMemSet(uint64_t first_wal) {
  std::vector<uint32_t> families;
  const std::shared_ptr<const ReadView> view = store_.Pin().view;
  for (const auto& [id, family] : view->version->families) families.push_back(id);
  return std::make_shared<MemSet>(*store_.parts.memtable, families, first_wal, &store_.budget);
}

Status WritePath::SwitchMemSet() {
  const std::shared_ptr<MemSet> full = store_.Pin().view->mems.front();
  if (full->empty()) return {};
  uint64_t segment = 0;
  {
    MutexLock lock(wal_mutex_);
    TARN_TRY(LogGathered());
    Result<uint64_t> rotated = wal_->Rotate();
    TARN_TRY(LogFailed(rotated.status()));
    segment = *rotated;
    if (!unlogged_) store_.RaiseDurable(full->last_sequence());
  }
  Push(NewMemSet(segment));
  hooks_.memtable_switched();
  return {};
}

Status WritePath::RestartMemSet() {
  const std::shared_ptr<MemSet> current = store_.Pin().view->mems.front();
  if (!current->empty()) return SwitchMemSet();
  Push(NewMemSet(current->first_wal()));
  return {};
}

void WritePath::Push(std::shared_ptr<MemSet> fresh) {
  mem_ = fresh;
  commits_ = 0;
  store_.PushMemSet(std::move(fresh));
}

Status WritePath::SyncWal() {
  const Sequence appended = store_.visible();
  {
    MutexLock lock(wal_mutex_);
    TARN_TRY(store_.error());
    if (!unlogged_) {
      TARN_TRY(LogGathered());
      TARN_TRY(LogFailed(wal_->Sync()));
      store_.stats.Add(Counter::kWalSyncs);
      store_.RaiseDurable(appended);
      return {};
    }
  }
  return Exclusive([this] { return FlushUnlogged(); });
}

Status WritePath::ReleaseWal(uint64_t first_needed) {
  WalWriter* log = nullptr;
  {
    MutexLock lock(wal_mutex_);
    log = wal_.get();
  }
  return log->Release(first_needed);  // deleting takes its time, and commits go on beside it
}

Status WritePath::Close() {
  MutexLock lock(wal_mutex_);
  if (unlogged_) return Status::Busy("the store was closed while somebody wrote: what came last is not kept");
  TARN_TRY(LogGathered());
  TARN_TRY(wal_->Close());
  store_.RaiseDurable(store_.visible());
  return {};
}

uint64_t WritePath::wal_bytes() {
  MutexLock lock(wal_mutex_);
  return wal_->live_bytes();
}

Status ValidateBatch(const WriteBatch& batch, const Version& version, const Store& store) {
  if (batch.bytes().size() > kMaxBatchBytes) {
    return Status::Invalid("batch of " + std::to_string(batch.bytes().size()) +
                           " bytes is over the limit of 2 GiB; split it");
  }
  std::string_view bytes = batch.bytes();
  BatchChange change;
  while (!bytes.empty()) {
    CHECK(NextChange(&bytes, &change));  // WriteBatch builds nothing else
    const bool range = change.kind == Kind::kRangeDelete;
    if (change.key.size() > kMaxKeyBytes || (range && change.value.size() > kMaxKeyBytes)) {
      return Status::Invalid("key of " + std::to_string(change.key.size()) +
                             " bytes is over the limit of 64 KiB; keep it in the value");
    }
    if (change.value.size() > kMaxValueBytes) {
      return Status::Invalid("value of " + std::to_string(change.value.size()) +
                             " bytes is over the limit of 1 GiB; split it");
    }
    if (version.Find(change.family) == nullptr) return store.UnknownFamily(change.family);
  }
  return {};
}

}  // namespace tarn::kernel
