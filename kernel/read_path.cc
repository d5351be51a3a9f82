#include "kernel/read_path.h"

#include <algorithm>
#include <array>
#include <span>

#include "format/filter.h"
#include "format/merging_cursor.h"
#include "kernel/db_iterator.h"
#include "kernel/held_snapshot.h"
#include "kernel/run_cursor.h"

namespace tarn::kernel {
namespace {

Sequence AsOf(const Snapshot* snapshot, Sequence now) { return snapshot != nullptr ? snapshot->sequence() : now; }

// The view to read a snapshot through, or the current one.
Store::Pinned PinFor(const Store& store, const Snapshot* snapshot) {
  if (const auto* held = HeldSnapshot::ViewOf(snapshot)) return {*held, snapshot->sequence()};
  Store::Pinned now = store.Pin();
  now.sequence = AsOf(snapshot, now.sequence);
  return now;
}

Status TakeAnswer(Store& store, const PointRead& read, std::string* value) {
  store.stats.Add(Counter::kGets);
  if (!read.status().ok()) return Store::NoAnswer(read.status());
  if (read.answer() != PointRead::Answer::kFound) {
    static const Status kAbsent = Status::NotFound("no such key");  // shared: an answer must not allocate
    return kAbsent;
  }
  store.stats.Add(Counter::kGetsFound);
  value->assign(read.value());
  return {};
}

void Drive(Store& store, PointRead& read) {
  while (TableProbe* probe = read.pending()) {
    store.reader->RunProbe(*probe);
    read.Resume();
  }
}

// One thread's read, which keeps its buffers, so that a cached read allocates nothing.
PointRead& ThreadsRead() {
  thread_local PointRead read;
  return read;
}

// The whole lookup from memory: no lock, no count, no allocation. False, with nothing taken, when something must be
// read from the device first. REQUIRES: inside a guard, which keeps the view and the blocks.
bool TryCached(Store& store, const ReadView& view, const FamilyVersion& family, std::string_view key,
               Sequence snapshot, std::string* value, Status* status) {
  PointRead& read = ThreadsRead();
  read.Start(store, view, family, key, snapshot, PointRead::Tables::kIfOpen);
  bool decided = true;
  while (TableProbe* probe = read.pending()) {
    decided = store.reader->RunCached(*probe);
    if (!decided) break;
    read.Resume();
  }
  // What damage looks like is found again, and read again, by the way that may wait.
  decided = decided && !read.stopped() && read.status().ok();
  if (decided) *status = TakeAnswer(store, read, value);
  read.Release();
  return decided;
}

// So many keys of a batch are looked up in step: enough for the waits for memory to overlap, few enough for what was
// fetched to be still there.
constexpr size_t kLanes = 16;

// A batch, of kLanes keys at most, from memory: as TryCached does one, but each lookup goes one block further in
// turn. Sets a bit for each key that is not decided. REQUIRES: as TryCached
uint32_t TryCachedLanes(Store& store, const ReadView& view, const FamilyVersion& family,
                        std::span<const std::string_view> keys, Sequence snapshot, std::string* values,
                        Status* statuses) {
  thread_local std::array<PointRead, kLanes> reads;
  std::array<TableProbe*, kLanes> probes;
  std::array<size_t, kLanes> lane_of;  // of each probe
  std::array<BlockRef, kLanes> blocks;
  uint32_t missing = 0;
  for (const std::string_view key : keys) store.reader->hints()->Prefetch(FilterHash(key));
  for (size_t i = 0; i < keys.size(); ++i) {
    reads[i].Start(store, view, family, keys[i], snapshot, PointRead::Tables::kIfOpen);
  }
  for (;;) {
    size_t count = 0;
    for (size_t i = 0; i < keys.size(); ++i) {
      TableProbe* const probe = (missing >> i & 1) != 0 ? nullptr : reads[i].pending();
      if (probe == nullptr) continue;
      lane_of[count] = i;
      probes[count++] = probe;
    }
    if (count == 0) break;
    store.reader->PeekAll({probes.data(), count}, {blocks.data(), count});
    for (size_t i = 0; i < count; ++i) {
      if (!blocks[i]) {
        if (!probes[i]->DropHint()) missing |= 1u << lane_of[i];
        continue;
      }
      probes[i]->Digest(std::move(blocks[i]));
      if (!probes[i]->done()) continue;
      store.reader->CountProbe(*probes[i]);
      reads[lane_of[i]].Resume();
    }
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    if (reads[i].stopped() || !reads[i].status().ok()) missing |= 1u << i;
    if ((missing >> i & 1) == 0) statuses[i] = TakeAnswer(store, reads[i], &values[i]);
    reads[i].Release();
  }
  return missing;
}

// On no entry, with an error that every seek finds again.
class ErrorCursor final : public Cursor {
 public:
  explicit ErrorCursor(Status status) { SetError(std::move(status)); }
  void SeekToFirst() override {}
  void SeekToLast() override {}
  void Seek(std::string_view) override {}
  void Next() override {}
  void Prev() override {}
};

}  // namespace

void PointRead::Start(Store& store, const ReadView& view, const FamilyVersion& family, std::string_view key,
                      Sequence snapshot, Tables tables) {
  hints_ = store.reader->hints();
  family_ = &family;
  key_ = key;
  snapshot_ = snapshot;
  next_run_ = 0;
  tables_ = tables;
  pending_ = stopped_ = false;
  status_ = {};
  answer_ = Answer::kAbsent;
  sequence_ = 0;
  value_ = {};
  if (!TryMemtables(view)) NextTable();
}

bool PointRead::TryMemtables(const ReadView& view) {
  for (const auto& mem : view.mems) {
    const FamilyMem* family = mem->Find(family_->id);
    if (family == nullptr) continue;
    const Sequence cover = family->NewestCover(key_, snapshot_);
    const Memtable::Found found = family->table().Get(key_, snapshot_);
    if (Decide(found.present, found.kind, found.sequence, found.value, cover)) return true;
  }
  return false;
}

// What one source knows of the key; true when that is the answer.
bool PointRead::Decide(bool present, Kind kind, Sequence sequence, std::string_view value, Sequence cover) {
  if (!present && cover == 0) return false;
  if (present && sequence > cover) {
    answer_ = kind == Kind::kPut ? Answer::kFound : Answer::kDeleted;
    sequence_ = sequence;
    value_ = value;
  } else {
    answer_ = Answer::kDeleted;
    sequence_ = cover;
  }
  return true;
}

void PointRead::NextTable() {
  pending_ = false;
  while (next_run_ < family_->runs.size()) {
    TableHandle* handle = family_->runs[next_run_++]->Find(key_);
    if (handle == nullptr || handle->meta().min_sequence > snapshot_) continue;
    const Table* table = handle->Peek();
    if (table == nullptr && tables_ == Tables::kIfOpen) {
      stopped_ = true;
      return;
    }
    if (table == nullptr) {
      Result<const Table*> opened = handle->Get();
      if (!opened.ok()) {
        status_ = opened.status();
        return;
      }
      table = *opened;
    }
    cover_ = table->range_tombstones().NewestCover(key_, snapshot_);
    probe_.Start(table, key_, snapshot_, hints_);
    pending_ = true;
    return;
  }
}

void PointRead::Resume() {
  if (!probe_.status().ok()) {
    status_ = probe_.status();
    pending_ = false;
    return;
  }
  if (Decide(probe_.present(), probe_.kind(), probe_.sequence(), probe_.value(), cover_)) {
    pending_ = false;
    return;
  }
  NextTable();
}

Status Get(Store& store, ColumnFamily family, std::string_view key, const Snapshot* snapshot, std::string* value) {
  if (const Reclaimer::Guard guard(store.cache.reclaimer()); guard) {
    const auto* held = HeldSnapshot::ViewOf(snapshot);
    const ReadView& view = held != nullptr ? **held : *store.Peek();
    const Sequence sequence = AsOf(snapshot, store.visible());
    const FamilyVersion* version = view.version->Find(family.id);
    Status status;
    if (version != nullptr && TryCached(store, view, *version, key, sequence, value, &status)) return status;
  }
  PointRead& read = ThreadsRead();
  const Store::Pinned pinned = PinFor(store, snapshot);
  const FamilyVersion* version = pinned.view->version->Find(family.id);
  if (version == nullptr) return store.UnknownFamily(family.id);
  read.Start(store, *pinned.view, *version, key, pinned.sequence);
  Drive(store, read);
  Status status = TakeAnswer(store, read, value);
  read.Release();
  return status;
}

std::vector<Status> MultiGet(Store& store, ColumnFamily family, const std::vector<std::string_view>& keys,
                             const Snapshot* snapshot, std::vector<std::string>* values) {
  values->resize(keys.size());
  const Store::Pinned pinned = PinFor(store, snapshot);
  const FamilyVersion* version = pinned.view->version->Find(family.id);
  if (version == nullptr) return std::vector<Status>(keys.size(), store.UnknownFamily(family.id));
  const Sequence sequence = pinned.sequence;
  std::vector<Status> statuses(keys.size());
  std::vector<size_t> waiting;  // keys that need the device
  for (size_t first = 0; first < keys.size(); first += kLanes) {
    const std::span<const std::string_view> lanes(keys.data() + first, std::min(kLanes, keys.size() - first));
    const Reclaimer::Guard guard(store.cache.reclaimer());  // a short one, so that others can free
    uint32_t missing = ~0u;
    if (guard) {
      missing = TryCachedLanes(store, *pinned.view, *version, lanes, sequence, &(*values)[first], &statuses[first]);
    }
    for (size_t i = 0; i < lanes.size(); ++i) {
      if ((missing >> i & 1) != 0) waiting.push_back(first + i);
    }
  }
  if (waiting.empty()) return statuses;
  std::vector<PointRead> reads(waiting.size());
  for (size_t i = 0; i < waiting.size(); ++i) {
    reads[i].Start(store, *pinned.view, *version, keys[waiting[i]], sequence);
  }
  // Each round takes every undecided key through its next table; within a round all reads overlap.
  for (;;) {
    std::vector<TableProbe*> probes;
    for (PointRead& read : reads) {
      if (TableProbe* probe = read.pending()) probes.push_back(probe);
    }
    if (probes.empty()) break;
    store.reader->RunProbes(probes);
    for (PointRead& read : reads) {
      if (read.pending() != nullptr) read.Resume();
    }
  }
  for (size_t i = 0; i < waiting.size(); ++i) {
    statuses[waiting[i]] = TakeAnswer(store, reads[i], &(*values)[waiting[i]]);
  }
  return statuses;
}

Result<bool> ChangedSince(Store& store, uint32_t family, std::string_view key, Sequence then) {
  const Store::Pinned pinned = store.Pin();
  const FamilyVersion* version = pinned.view->version->Find(family);
  if (version == nullptr) return store.UnknownFamily(family);
  PointRead read;
  read.Start(store, *pinned.view, *version, key, pinned.sequence);
  Drive(store, read);
  TARN_TRY(read.status());
  if (read.sequence() <= then) return false;
  if (read.answer() == PointRead::Answer::kFound) return true;
  read.Start(store, *pinned.view, *version, key, then);
  Drive(store, read);
  TARN_TRY(read.status());
  return read.answer() == PointRead::Answer::kFound;
}

std::unique_ptr<Iterator> NewIterator(Store& store, ColumnFamily family, const ReadOptions& options) {
  const Store::Pinned pinned = PinFor(store, options.snapshot);
  const FamilyVersion* version = pinned.view->version->Find(family.id);
  if (version == nullptr) return NewErrorIterator(store.UnknownFamily(family.id));
  // What the cursors read, kept alive together.
  struct Pin {
    std::shared_ptr<const ReadView> view;
    std::vector<std::shared_ptr<const TombstoneSets>> tombstones;
  };
  auto pin = std::make_shared<Pin>();
  pin->view = pinned.view;
  IteratorSpec spec;
  std::vector<std::unique_ptr<Cursor>> inputs;
  inputs.reserve(pinned.view->mems.size() + version->runs.size());
  for (const auto& mem : pinned.view->mems) {
    const FamilyMem* part = mem->Find(family.id);
    if (part == nullptr || part->empty()) continue;
    inputs.push_back(part->table().NewCursor());
    pin->tombstones.push_back(part->tombstones());
    for (const auto& set : *pin->tombstones.back()) spec.tombstones.push_back(set.get());
  }
  for (const RunRef& run : version->runs) {
    inputs.push_back(NewRunCursor(run, *store.reader, options.fill_cache));
    for (const auto& handle : run->tables) {
      if (handle->meta().range_deletions == 0) continue;
      Result<const Table*> table = handle->Get();
      if (!table.ok()) return NewErrorIterator(store.ExplainRead(table.status(), pinned.view->manifest));
      spec.tombstones.push_back(&(*table)->range_tombstones());
    }
  }
  spec.merged = NewMergingCursor(std::move(inputs));
  spec.snapshot = pinned.sequence;
  spec.store = &store;
  spec.view = pinned.view->manifest;
  spec.lower_bound = options.lower_bound;
  spec.upper_bound = options.upper_bound;
  spec.prefix = options.prefix;
  spec.pin = std::move(pin);
  // They hold because the writer takes out what it puts; a follower's writer is elsewhere.
  if (!store.settings.read_only) spec.dead_ranges = &store.dead_ranges;
  spec.family = family.id;
  return std::make_unique<Iterator>(std::make_unique<Iterator::Impl>(std::move(spec)));
}

std::unique_ptr<Iterator> NewErrorIterator(Status status) {
  IteratorSpec spec;
  spec.merged = std::make_unique<ErrorCursor>(std::move(status));
  return std::make_unique<Iterator>(std::make_unique<Iterator::Impl>(std::move(spec)));
}

}  // namespace tarn::kernel
