#include "kernel/repair_survey.h"

#include <algorithm>
#include <cstdlib>

#include "base/list_all.h"
#include "base/next_step.h"
#include "kernel/repair_log.h"

namespace tarn::kernel {
namespace {

constexpr uint64_t kMaxRecordBytes = 1ull << 30;

// The number behind the slash of "table/..." or "manifest/..."; 0 when `name_of` would not call it so.
uint64_t NumberOf(const std::string& name, std::string (*name_of)(uint64_t)) {
  const uint64_t number = std::strtoull(name.c_str() + name.find('/') + 1, nullptr, 16);
  return name_of(number) == name ? number : 0;
}

// What is wrong, without the place and the next step that other readers of the message need.
std::string Why(const Status& status) {
  std::string why(status.message());
  if (why.ends_with(kRepairStep)) why.resize(why.size() - kRepairStep.size());
  const size_t place = why.starts_with("manifest/") ? why.find(": ") : std::string::npos;
  return place == std::string::npos ? why : why.substr(place + 2);
}

Result<ManifestRecord> ReadRecord(Backend& source, uint64_t number) {
  TARN_ASSIGN(const auto blob, source.Open(ManifestBlobName(number)));
  if (blob->size() > kMaxRecordBytes) return Status::Corruption("it has an impossible size");
  std::string bytes(blob->size(), '\0');
  TARN_TRY(blob->Read(0, bytes));
  return DecodeManifestRecord(bytes, number);
}

}  // namespace

Result<FoundStore> RepairSurvey::Run() {
  TARN_ASSIGN(const auto blobs, ListAll(source_, "table/"));
  for (const BlobInfo& blob : blobs) {
    if (const uint64_t number = NumberOf(blob.name, TableBlobName)) on_device_[number] = blob.size;
  }
  TARN_TRY(ReadManifest());
  if (newest_ == 0 && on_device_.empty()) {
    TARN_ASSIGN(const ListPage log, source_.List("wal/", "", 1));
    if (log.blobs.empty()) return Status::NotFound("no store here (no manifest, no table, no log)");
  }
  ApplyRecords();
  TARN_TRY(ChooseStoreId());
  TARN_TRY(ReadLog());
  ReadTables();
  for (const auto& [name, snapshot] : snapshots_) {
    found_.snapshots.push_back(snapshot);
    if (lost_steps_ == 0) continue;
    RepairLoss loss;
    loss.blob = ManifestBlobName(last_.number);
    loss.keys = false;
    loss.reason = "snapshot \"" + name +
                  "\" is carried over as this record has it; if it was dropped later, it may miss "
                  "what was deleted since";
    losses_->Add(std::move(loss));
  }
  found_.families[0].name = "default";
  std::sort(found_.snapshots.begin(), found_.snapshots.end(),
            [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  report_->manifest_record = last_.number;
  return std::move(found_);
}

Status RepairSurvey::ReadManifest() {
  TARN_ASSIGN(const auto blobs, ListAll(source_, "manifest/"));
  for (const BlobInfo& blob : blobs) {
    const uint64_t number = NumberOf(blob.name, ManifestBlobName);
    if (number == 0) continue;  // a stray file
    newest_ = std::max(newest_, number);
    Result<ManifestRecord> record = ReadRecord(source_, number);
    if (record.status().code() == Code::kUnsupported) return record.status();
    if (record.ok()) {
      records_.emplace(number, *std::move(record));
    } else {
      unreadable_[number] = "the manifest record is damaged: " + Why(record.status());
    }
  }
  return {};
}

// From the last readable full record on; deltas before it only tell which tables were removed.
void RepairSurvey::ApplyRecords() {
  uint64_t base = 0;
  for (const auto& [number, record] : records_) {
    removed_.insert(record.tables_removed.begin(), record.tables_removed.end());
    dropped_.insert(record.families_dropped.begin(), record.families_dropped.end());
    if (record.full()) base = number;
  }
  if (records_.empty()) {
    RepairLoss loss;
    loss.blob = "manifest/";
    loss.any_family = true;
    loss.reason =
        "no manifest record reads back; tables and log speak for themselves, deleted keys may be back, and "
        "named snapshots are not carried over";
    losses_->Add(std::move(loss));
    report_->manifest_records_lost = unreadable_.size();
    return;
  }
  for (uint64_t number = std::max(base, records_.begin()->first); number <= newest_; ++number) {
    const auto record = records_.find(number);
    if (record != records_.end()) {
      ApplyTolerantly(record->second);
      continue;
    }
    if (lost_steps_++ == 0) lost_after_tables_ = last_.next_table;
    const auto why = unreadable_.find(number);
    RepairLoss loss;
    loss.blob = ManifestBlobName(number);
    loss.keys = false;
    loss.reason = (why == unreadable_.end() ? std::string("the manifest record is not there") : why->second) +
                  "; families and snapshots that it made or dropped are not known";
    losses_->Add(std::move(loss));
  }
  if (base == 0) lost_steps_ += 2;  // nobody knows how many
  report_->manifest_records_lost = lost_steps_;
}

void RepairSurvey::ApplyTolerantly(const ManifestRecord& record) {
  if (record.full()) {
    found_.families.clear();
    tables_.clear();
    snapshots_.clear();
  }
  for (const ManifestFamily& family : record.families_added) found_.families[family.id].name = family.name;
  for (const uint32_t family : record.families_dropped) found_.families.erase(family);
  for (const uint64_t table : record.tables_removed) tables_.erase(table);
  for (const ManifestTable& table : record.tables_added) tables_[table.meta.number] = table;
  for (const std::string& name : record.snapshots_dropped) snapshots_.erase(name);
  for (const ManifestSnapshot& snapshot : record.snapshots_added) snapshots_[snapshot.name] = snapshot;
  last_ = record;
}

// The manifest's; else what most tables say; else the log has to say it.
Status RepairSurvey::ChooseStoreId() {
  found_.store_id = last_.store_id;
  if (!found_.store_id.empty()) return {};
  std::map<std::string, uint64_t> votes;
  for (const auto& [number, bytes] : on_device_) {
    if (bytes < kFooterBytes) continue;
    const auto blob = source_.Open(TableBlobName(number));
    std::string footer(kFooterBytes, '\0');
    if (!blob.ok() || !(*blob)->Read(bytes - kFooterBytes, footer).ok()) continue;
    const std::string claimed = footer.substr(0, kStoreIdBytes);
    const auto decoded = DecodeFooter(footer, bytes - kFooterBytes, claimed, number);
    if (decoded.status().code() == Code::kUnsupported) return decoded.status();
    if (decoded.ok()) ++votes[claimed];
  }
  uint64_t most = 0;
  for (const auto& [id, count] : votes) {
    if (count > most) found_.store_id = id;
    most = std::max(most, count);
  }
  return {};
}

Status RepairSurvey::ReadLog() {
  const bool complete = !records_.empty() && lost_steps_ == 0;
  const auto wanted = [this](uint32_t family) { return !dropped_.contains(family); };
  LogSalvage log(parts_, records_.empty() ? LogSalvage::kUnknown : last_.last_sequence, wanted, losses_);
  TARN_TRY(log.Run(source_, found_.store_id, complete ? last_.first_wal : 0, last_.durable_sequence,
                   complete ? "" : "; a lost manifest record may have put it into tables before"));
  report_->log_records_read = log.records();
  for (const auto& [place, bytes] : source_.unreadable()) {
    if (!place.first.starts_with("wal/")) continue;
    RepairLoss loss;
    loss.blob = place.first;
    loss.offset = place.second;
    loss.length = bytes;
    loss.any_family = true;
    loss.reason = "the device does not give these bytes of the log back";
    losses_->Add(std::move(loss));
  }
  if (!records_.empty() && log.manifest() > newest_) {
    if (lost_steps_ == 0) lost_after_tables_ = last_.next_table;
    lost_steps_ += log.manifest() - newest_;
    report_->manifest_records_lost = lost_steps_;
    RepairLoss loss;
    loss.blob = ManifestBlobName(log.manifest());
    loss.keys = false;
    loss.reason =
        "the manifest record is not there, but the log says that it was published; families and snapshots "
        "that it made or dropped are not known";
    losses_->Add(std::move(loss));
  }
  for (auto& [family, mem] : log.TakeFamilies()) {
    // A family that a whole manifest does not have was dropped.
    const bool whole = !records_.empty() && lost_steps_ == 0;
    if (!whole || found_.families.contains(family)) found_.families[family].log = std::move(mem);
  }
  return {};
}

void RepairSurvey::ReadTables() {
  for (const auto& [number, table] : tables_) {
    if (on_device_.contains(number)) continue;
    table_missing_ = true;
    ++report_->tables_lost;
    const TableOwner owner{table.family, found_.families[table.family].name};
    losses_->Add(WholeTable(number, table.meta, owner,
                            lost_steps_ == 0 ? "the table is not there"
                                             : "the table is not there: lost, or merged into others by a lost "
                                               "manifest record"));
  }
  for (const auto& [number, bytes] : on_device_) {
    bool exact = true;
    if (!tables_.contains(number) && !MayUse(number, &exact)) continue;
    UseTable(number, bytes);
    if (exact) continue;
    for (const auto& [id, family] : found_.families) {
      if (family.tables.empty() || family.tables.back().number != number) continue;
      losses_->Add(WholeTable(number, family.tables.back().meta, family.tables.back().owner,
                              "no readable manifest record names this table, and it was used: keys that were deleted "
                              "after it was written may be back"));
    }
  }
}

bool RepairSurvey::MayUse(uint64_t number, bool* exact) const {
  if (records_.empty()) return true;  // one loss over all keys says it already
  if (removed_.contains(number)) return false;
  if (lost_steps_ == 0) return table_missing_ && number >= last_.next_table;
  *exact = lost_steps_ == 1 && number >= lost_after_tables_;
  return true;
}

void RepairSurvey::UseTable(uint64_t number, uint64_t bytes) {
  const TableSalvage salvage(source_, found_.store_id, losses_);
  const auto named = tables_.find(number);
  std::optional<FoundTable> table;
  if (named != tables_.end()) {
    const TableOwner owner{named->second.family, found_.families[named->second.family].name};
    table = salvage.Look(number, bytes, &named->second.meta, &owner);
  } else {
    table = salvage.Look(number, bytes, nullptr, nullptr);
  }
  if (!table.has_value()) {
    ++report_->tables_lost;
    return;
  }
  const uint32_t family = table->owner->family;
  if (dropped_.contains(family)) return;
  ++report_->tables_read;
  FoundFamily& to = found_.families[family];
  if (to.name.empty()) to.name = table->owner->name;
  to.tables.push_back(*std::move(table));
}

}  // namespace tarn::kernel
