#include "kernel/store.h"

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include "base/assert.h"
#include "base/delete_all.h"
#include "kernel/constants.h"
#include "tarn/db.h"

namespace tarn::kernel {
namespace {

void RaiseTo(std::atomic<uint64_t>* value, uint64_t at_least) {
  uint64_t now = value->load(std::memory_order_relaxed);
  while (now < at_least && !value->compare_exchange_weak(now, at_least, std::memory_order_release)) {
  }
}

}  // namespace

Store::Store(const Settings& s, Components components)
    : settings(s),
      parts(std::move(components)),
      budget(s.memory_bytes),
      cache(&budget),
      placer(settings, parts.backend->features().placement),
      reader(std::make_unique<ReadEngine>(*parts.backend, cache, stats)),
      manifest_(*parts.backend) {}

Store::Pinned Store::Pin() const {
  MutexLock lock(view_mutex_);
  return {view_, visible_.load(std::memory_order_acquire)};
}

void Store::PushMemSet(std::shared_ptr<MemSet> fresh) {
  ReplaceView([&](const ReadView* before, ReadView* next) {
    next->version = before->version;
    next->mems = before->mems;
    if (!next->mems.empty() && next->mems.front()->empty()) next->mems.erase(next->mems.begin());
    next->mems.insert(next->mems.begin(), std::move(fresh));
  });
}

void Store::ReplaceView(const ChangeView& change) {
  // The last reference to a view may free memtables and tables: not under the lock, and not while a reader peeks.
  struct Past final : Reclaimer::Object {
    std::shared_ptr<const ReadView> view;
  };
  auto past = std::make_unique<Past>();
  auto next = std::make_shared<ReadView>();
  {
    MutexLock lock(view_mutex_);
    change(view_.get(), next.get());
    past->view = std::exchange(view_, std::move(next));
    current_.store(view_.get());
  }
  cache.reclaimer().Retire(past.release());
}

Status Store::Edit(const EditFn& edit, const MemSet* flushed) {
  MutexLock lock(manifest_mutex_);
  TARN_TRY(error());
  ManifestRecord delta = manifest_.NextStep();
  TARN_TRY(edit(&delta, manifest_.state()));
  delta.next_table = next_table_.load(std::memory_order_relaxed);
  const Sequence durable = durable_.load(std::memory_order_acquire);
  delta.durable_sequence = std::max({delta.durable_sequence, delta.last_sequence, durable});
  const std::vector<uint32_t> dropped = delta.families_dropped;
  std::unordered_set<uint64_t> removed(delta.tables_removed.begin(), delta.tables_removed.end());
  const Status published = manifest_.Publish(std::move(delta));
  if (!published.ok()) {
    if (published.code() != Code::kNoSpace || !manifest_.broken().ok()) Fail(published);
    return published;
  }
  manifest_number_.store(manifest_.state().last().number, std::memory_order_release);
  stats.Add(Counter::kManifestRecords);
  const std::shared_ptr<const ReadView> before = Pin().view;
  Result<std::shared_ptr<const Version>> version =
      BuildVersion(manifest_.state(), before->version.get(), *parts.backend, graveyard);
  if (!version.ok()) {
    Fail(version.status());
    return version.status();
  }
  for (const auto& [id, family] : before->version->families) {
    for (const RunRef& run : family->runs) {
      for (const auto& table : run->tables) {
        if (removed.contains(table->meta().number)) table->MarkObsolete();
      }
    }
  }
  InstallVersion(std::move(*version), flushed);
  for (uint32_t family : dropped) dead_ranges.DropFamily(family);
  return {};
}

void Store::InstallVersion(std::shared_ptr<const Version> version, const MemSet* flushed) {
  ReplaceView([&](const ReadView* before, ReadView* next) {
    next->version = std::move(version);
    next->mems = before->mems;
    std::erase_if(next->mems, [&](const auto& mem) { return mem.get() == flushed; });
  });
}

Status Store::InstallManifest(std::shared_ptr<MemSet> mem) {
  MutexLock lock(manifest_mutex_);
  TARN_ASSIGN(auto version, BuildVersion(manifest_.state(), nullptr, *parts.backend, graveyard));
  RaiseTableNumber(manifest_.state().last().next_table);
  manifest_number_.store(manifest_.state().last().number, std::memory_order_release);
  store_id_ = manifest_.state().store_id();
  ReplaceView([&](const ReadView*, ReadView* next) {
    next->version = std::move(version);
    next->mems.push_back(std::move(mem));
    next->manifest = manifest_number();
  });
  return {};
}

void Store::MoveTo(const ManifestState& state, std::shared_ptr<const Version> version, std::shared_ptr<MemSet> mem,
                   Sequence last) {
  MutexLock lock(manifest_mutex_);
  manifest_.Show(state);
  manifest_number_.store(state.last().number, std::memory_order_release);
  ReplaceView([&](const ReadView*, ReadView* next) {
    next->version = std::move(version);
    next->mems.push_back(std::move(mem));
    next->manifest = state.last().number;
    Show(last);  // before the view can be seen: its merges dropped what only earlier sequences see
  });
}

ManifestRecord Store::FullRecord(std::shared_ptr<const ReadView>* pinned) {
  MutexLock lock(manifest_mutex_);
  *pinned = Pin().view;
  return manifest_.state().Full(1);
}

ManifestState Store::Manifested() {
  MutexLock lock(manifest_mutex_);
  return manifest_.state();
}

void Store::RaiseTableNumber(uint64_t at_least) { RaiseTo(&next_table_, at_least); }

void Store::RaiseDurable(Sequence at_least) { RaiseTo(&durable_, at_least); }

Sequence Store::RegisterSnapshot() {
  MutexLock lock(snapshots_mutex_);
  const Sequence sequence = visible();
  snapshots_.insert(sequence);
  return sequence;
}

Store::Pinned Store::RegisterPinned() {
  Pinned now = Pin();
  MutexLock lock(snapshots_mutex_);
  snapshots_.insert(now.sequence);
  return now;
}

Result<Store::Pinned> Store::RegisterNamedSnapshot(std::string_view name) {
  MutexLock manifest_lock(manifest_mutex_);
  const auto& named = manifest_.state().snapshots();
  const auto it = named.find(std::string(name));
  if (it == named.end()) return Status::NotFound("no snapshot \"" + std::string(name) + "\"");
  Pinned moment = {Pin().view, it->second.sequence};  // the manifest's lock keeps the view that belongs to it
  MutexLock lock(snapshots_mutex_);
  snapshots_.insert(moment.sequence);
  return moment;
}

void Store::ReleaseSnapshot(Sequence sequence) {
  MutexLock lock(snapshots_mutex_);
  const auto it = snapshots_.find(sequence);
  CHECK(it != snapshots_.end());
  snapshots_.erase(it);
}

std::vector<Sequence> Store::Retained() {
  std::set<Sequence> all;
  MutexLock manifest_lock(manifest_mutex_);
  MutexLock lock(snapshots_mutex_);
  for (const auto& [name, snapshot] : manifest_.state().snapshots()) all.insert(snapshot.sequence);
  all.insert(snapshots_.begin(), snapshots_.end());
  return {all.begin(), all.end()};
}

std::vector<NamedSnapshot> Store::NamedSnapshots() {
  MutexLock lock(manifest_mutex_);
  std::vector<NamedSnapshot> list;
  for (const auto& [name, s] : manifest_.state().snapshots())
    list.push_back({name, s.sequence, s.created_wall_nanos});
  return list;
}

size_t Store::snapshot_count() {
  MutexLock lock(snapshots_mutex_);
  return snapshots_.size();
}

Status Store::MovedOn(const Status& said) {
  return {
      Code::kUnavailable,
      "the store's writer moved on and deleted what is read here; open the iterator or take the snapshot again (" +
          std::string(said.message()) + ")",
      ESTALE};
}

Status Store::error() const {
  if (!failed()) return {};
  MutexLock lock(error_mutex_);
  return error_;
}

void Store::Fail(const Status& why) {
  {
    MutexLock lock(error_mutex_);
    if (!error_.ok()) return;
    error_ = why.Annotate("the store is read-only until it is reopened");
    failed_.store(true, std::memory_order_release);
  }
  parts.scheduler->Notify();
}

TableOptions Store::TableOptionsFor(bool last_level) const {
  return {.block_bytes = settings.block_bytes,
          .compression = last_level ? settings.last_level_compression : settings.compression,
          .filter_bits_per_key = settings.filter_bits_per_key};
}

uint64_t Store::memtable_bytes() const {
  return settings.memtable_bytes != 0 ? settings.memtable_bytes : settings.memory_bytes / 8;
}

void Store::SweepGraveyard() {
  if (graveyard->empty()) return;
  const std::vector<uint64_t> numbers = graveyard->Exhume();
  std::vector<std::string> names;
  for (const uint64_t number : numbers) {
    cache.EraseTable(number);
    names.push_back(TableBlobName(number));
  }
  if (DeleteAll(*parts.backend, names).ok()) return;
  // Tried again with the next ones; what is still there when the store is closed is an orphan for the next opening.
  for (const uint64_t number : numbers) graveyard->Bury(number);
}

Status Store::UnknownFamily(uint32_t family) const {
  return Status::Invalid("column family " + std::to_string(family) +
                         " does not exist; use a handle from CreateFamily or FindFamily of this store");
}

}  // namespace tarn::kernel
