// Repair: the survey (kernel/repair_survey.h) finds what there is; this file writes it out through the public DB.
//
// One moment after the other, named snapshots first and "now" last, each family in key order: a merge over all
// versions that were found picks the newest one the moment sees, and the fresh store is brought from the moment
// before to this one by the difference. So a repair without snapshots writes each row once, and a snapshot costs one
// more reading.
//
// Tables are merged in *lanes*: tables with disjoint key ranges, one behind the other, so that few are open at once.
#include "tarn/repair.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/assert.h"
#include "format/merging_cursor.h"
#include "kernel/assemble.h"
#include "kernel/repair_losses.h"
#include "kernel/repair_source.h"
#include "kernel/repair_survey.h"

namespace tarn {
namespace kernel {
namespace {

constexpr size_t kBatchBytes = 1 << 20;
constexpr uint64_t kProgressBytes = 1 << 20;

// Tables with ascending, disjoint key ranges as one cursor. Like the cursors below it only goes forward.
class LaneCursor final : public Cursor {
 public:
  using OpenFn = std::function<std::unique_ptr<Cursor>(const FoundTable&)>;
  LaneCursor(std::vector<const FoundTable*> tables, OpenFn open)
      : tables_(std::move(tables)), open_(std::move(open)) {}

  void SeekToFirst() override { Show(); }
  void Next() override {
    table_->Next();
    Show();
  }
  void SeekToLast() override { CHECK(false); }
  void Seek(std::string_view) override { CHECK(false); }
  void Prev() override { CHECK(false); }

 private:
  void Show() {
    while (table_ == nullptr || !table_->valid()) {
      table_.reset();
      if (next_ == tables_.size()) return SetEnd();
      table_ = open_(*tables_[next_++]);
      if (table_ != nullptr) table_->SeekToFirst();
    }
    SetEntry(table_->key(), table_->value());
  }

  const std::vector<const FoundTable*> tables_;
  const OpenFn open_;
  size_t next_ = 0;
  std::unique_ptr<Cursor> table_;
};

// The clock of the fresh store, on which a snapshot that is made again keeps the time at which it was first made.
class LabelClock final : public Clock {
 public:
  explicit LabelClock(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}
  uint64_t MonotonicNanos() override { return clock_->MonotonicNanos(); }
  uint64_t WallNanos() override {
    const uint64_t label = label_.load(std::memory_order_relaxed);
    return label != 0 ? label : clock_->WallNanos();
  }
  void SleepNanos(uint64_t nanos) override { clock_->SleepNanos(nanos); }
  void Show(uint64_t label) { label_.store(label, std::memory_order_relaxed); }  // 0: the time it is

 private:
  const std::shared_ptr<Clock> clock_;
  std::atomic<uint64_t> label_{0};
};

// As few lanes as the overlap of the tables allows: each goes into the first that ends before it begins.
std::vector<std::vector<const FoundTable*>> LanesOf(const std::vector<FoundTable>& tables) {
  std::vector<const FoundTable*> sorted;
  for (const FoundTable& table : tables) sorted.push_back(&table);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->meta->smallest < b->meta->smallest; });
  std::vector<std::vector<const FoundTable*>> lanes;
  std::multimap<std::string, size_t> ends;  // last key of a lane
  for (const FoundTable* table : sorted) {
    const auto first = ends.begin();
    size_t lane = lanes.size();
    if (first != ends.end() && first->first < table->meta->smallest) {
      lane = first->second;
      ends.erase(first);
    } else {
      lanes.emplace_back();
    }
    lanes[lane].push_back(table);
    ends.emplace(table->meta->largest, lane);
  }
  return lanes;
}

class Rebuild {
 public:
  Rebuild(RepairSource& source, const FoundStore& found, const RepairOptions& options, DB& fresh, LabelClock* clock,
          RepairReport* report, RepairLosses* losses)
      : found_(found),
        options_(options),
        fresh_(fresh),
        clock_(clock),
        report_(report),
        losses_(losses),
        salvage_(source, found.store_id, losses) {}

  Status Run() {
    TARN_TRY(MakeFamilies());
    const uint64_t moments = found_.snapshots.size() + 1;
    for (const auto& [id, family] : found_.families) {
      for (const FoundTable& table : family.tables) total_bytes_ += table.meta->raw_bytes * moments;
    }
    for (const ManifestSnapshot& snapshot : found_.snapshots) {
      TARN_TRY(Moment(snapshot.sequence, snapshot.name));
      clock_->Show(snapshot.created_wall_nanos);
      const Status made = fresh_.CreateNamedSnapshot(snapshot.name).status();
      clock_->Show(0);
      TARN_TRY(made);
      report_->snapshots.push_back(snapshot.name);
    }
    TARN_TRY(Moment(kMaxSequence, ""));
    report_->families = fresh_.ListFamilies();
    return fresh_.SyncWal();
  }
  // Of a family by its id in the damaged store.
  std::string NameOf(uint32_t id) const {
    const auto family = found_.families.find(id);
    if (family != found_.families.end() && !family->second.name.empty()) return family->second.name;
    const auto hint = options_.family_names.find(id);
    return hint != options_.family_names.end() ? hint->second : "family-" + std::to_string(id);
  }

 private:
  // Of two families of one name the older was dropped before the younger was made.
  Status MakeFamilies() {
    std::map<std::string, uint32_t> youngest;
    for (const auto& [id, unused] : found_.families) youngest[NameOf(id)] = id;
    for (const auto& [id, family] : found_.families) {
      const std::string name = NameOf(id);
      if (youngest[name] != id) continue;
      if (name == "default") {
        families_[id] = {};
        continue;
      }
      TARN_ASSIGN(families_[id], fresh_.CreateFamily(name));
      if (!family.name.empty() || options_.family_names.contains(id)) continue;
      RepairLoss loss;
      loss.blob = "manifest/";
      loss.keys = false;
      loss.family = id;
      loss.family_name = name;
      loss.reason = "the name of column family " + std::to_string(id) + " is lost; it is called " + name + " now";
      losses_->Add(std::move(loss));
    }
    return {};
  }

  Status Moment(Sequence moment, const std::string& name) {
    for (const auto& [id, target] : families_) {
      TARN_TRY(CopyFamily(found_.families.at(id), target, moment));
    }
    first_moment_ = false;
    if (options_.settle) TARN_TRY(options_.settle(fresh_, name));
    return {};
  }

  Status CopyFamily(const FoundFamily& family, ColumnFamily to, Sequence moment);
  // The row of the fresh store that comes next in order, against which the found one is held.
  Status Put(Iterator* there, ColumnFamily to, std::string_view key, std::string_view value);
  Status DropBefore(Iterator* there, ColumnFamily to, std::string_view key, bool all);
  Status WriteBatchIf(size_t bytes);
  Status Progress() {
    if (!options_.progress || bytes_read_ < told_bytes_ + kProgressBytes) return {};
    told_bytes_ = bytes_read_;
    return options_.progress(bytes_read_, std::max(bytes_read_, total_bytes_));
  }

  const FoundStore& found_;
  const RepairOptions& options_;
  DB& fresh_;
  LabelClock* const clock_;
  RepairReport* const report_;
  RepairLosses* const losses_;
  const TableSalvage salvage_;
  std::map<uint32_t, ColumnFamily> families_;  // by id in the damaged store
  bool first_moment_ = true;
  WriteBatch batch_;
  uint64_t bytes_read_ = 0, told_bytes_ = 0, total_bytes_ = 0;
};

Status Rebuild::CopyFamily(const FoundFamily& family, ColumnFamily to, Sequence moment) {
  std::vector<std::unique_ptr<Cursor>> inputs;
  std::vector<RangeTombstone> tombstones;
  uint64_t unused = 0;
  for (auto& lane : LanesOf(family.tables)) {
    inputs.push_back(std::make_unique<LaneCursor>(std::move(lane), [&](const FoundTable& table) {
      return salvage_.NewCursor(table, first_moment_ ? &report_->blocks_read : &unused, &bytes_read_);
    }));
  }
  for (const FoundTable& table : family.tables) {
    tombstones.insert(tombstones.end(), table.tombstones.begin(), table.tombstones.end());
  }
  if (family.log != nullptr) {
    inputs.push_back(family.log->table().NewCursor());
    const auto& more = family.log->all_tombstones();
    tombstones.insert(tombstones.end(), more.begin(), more.end());
  }
  const RangeTombstones hidden(std::move(tombstones));
  std::unique_ptr<Iterator> there;
  if (!first_moment_) {
    there = fresh_.NewIterator(to, {.fill_cache = false});
    there->SeekToFirst();
  }
  const std::unique_ptr<Cursor> merged = NewMergingCursor(std::move(inputs));
  std::string decided;  // the key whose newest version was seen
  bool any = false;
  for (merged->SeekToFirst(); merged->valid(); merged->Next()) {
    TARN_TRY(Progress());
    const std::string_view key = UserKeyOf(merged->key());
    const Sequence sequence = SequenceOf(merged->key());
    if (sequence > moment || (any && key == decided)) continue;
    any = true;
    decided.assign(key);
    if (KindOf(merged->key()) != Kind::kPut || hidden.NewestCover(key, moment) > sequence) continue;
    TARN_TRY(Put(there.get(), to, key, merged->value()));
  }
  TARN_TRY(merged->status());
  TARN_TRY(DropBefore(there.get(), to, {}, true));
  return WriteBatchIf(1);
}

Status Rebuild::Put(Iterator* there, ColumnFamily to, std::string_view key, std::string_view value) {
  TARN_TRY(DropBefore(there, to, key, false));
  const bool same_key = there != nullptr && there->valid() && there->key() == key;
  const bool same = same_key && there->value() == value;
  if (same_key) there->Next();
  if (same) return {};
  batch_.Put(to, key, value);
  ++report_->rows_written;
  return WriteBatchIf(kBatchBytes);
}

Status Rebuild::DropBefore(Iterator* there, ColumnFamily to, std::string_view key, bool all) {
  if (there == nullptr) return {};
  for (; there->valid() && (all || there->key() < key); there->Next()) {
    batch_.Delete(to, there->key());
    TARN_TRY(WriteBatchIf(kBatchBytes));
  }
  return there->status();
}

Status Rebuild::WriteBatchIf(size_t bytes) {
  if (batch_.bytes().size() < bytes) return {};
  TARN_TRY(fresh_.Write(batch_, Durability::kNone));
  batch_.Clear();
  return {};
}

Status CheckEmpty(Backend& backend) {
  TARN_ASSIGN(const ListPage there, backend.List("", "", 1));
  if (there.blobs.empty()) return {};
  return Status::Invalid("the target of a repair must be empty; it holds " + there.blobs[0].name +
                         "; delete what an unfinished repair left, or name another place");
}

Result<RepairReport> Run(Backend& damaged, const Settings& settings, Components fresh, const RepairOptions& options) {
  std::unique_ptr<Lock> lock;
  if (LockStore* const locks = damaged.features().locks) {
    TARN_ASSIGN(lock, locks->TryLock("lock", fresh.holder.empty() ? "repair" : fresh.holder));
  }
  RepairSource source(damaged);
  RepairReport report;
  RepairLosses losses;
  TARN_ASSIGN(const FoundStore found, RepairSurvey(source, fresh, &report, &losses).Run());
  TARN_TRY(CheckEmpty(*fresh.backend));
  const auto clock = std::make_shared<LabelClock>(fresh.clock);
  fresh.clock = clock;
  TARN_ASSIGN(const auto db, DB::Open(settings, fresh));
  Rebuild rebuild(source, found, options, *db, clock.get(), &report, &losses);
  TARN_TRY(rebuild.Run());
  TARN_TRY(db->Close());
  report.losses = losses.Take();
  for (RepairLoss& loss : report.losses) {
    if (loss.keys && !loss.any_family) loss.family_name = rebuild.NameOf(loss.family);
  }
  return report;
}

}  // namespace
}  // namespace kernel

Result<RepairReport> Repair(Backend& damaged, const Settings& settings, Components fresh,
                            const RepairOptions& options) {
  Settings to = settings;
  to.create_if_missing = true;
  to.error_if_exists = true;
  to.read_only = false;
  TARN_ASSIGN(fresh, kernel::Assemble(to, std::move(fresh)));
  return kernel::Run(damaged, to, fresh, options);
}

}  // namespace tarn
