#include "kernel/manifest_state.h"

#include "base/next_step.h"

namespace tarn::kernel {
namespace {

Status Misfit(const ManifestRecord& record, const std::string& what) {
  return Status::Corruption(ManifestBlobName(record.number) + ": " + what +
                            ", so the manifest does not fit together" + std::string(kRepairStep));
}

}  // namespace

Status ManifestState::Apply(const ManifestRecord& record) {
  if (record.full()) {
    families_.clear();
    tables_.clear();
    snapshots_.clear();
  } else if (record.number != last_.number + 1 || record.base != last_.base || record.store_id != last_.store_id) {
    return Misfit(record, "is not the successor of " + ManifestBlobName(last_.number));
  } else if (record.next_table < last_.next_table || record.next_run < last_.next_run ||
             record.next_family < last_.next_family) {
    return Misfit(record, "takes back numbers that were given out");
  }
  for (const ManifestFamily& family : record.families_added) {
    if (family.id >= record.next_family || !families_.emplace(family.id, family.name).second) {
      return Misfit(record, "adds family " + std::to_string(family.id) + " twice");
    }
  }
  for (uint32_t family : record.families_dropped) {
    if (families_.erase(family) == 0) return Misfit(record, "drops unknown family " + std::to_string(family));
  }
  TARN_TRY(ApplyTables(record));
  for (const std::string& name : record.snapshots_dropped) snapshots_.erase(name);
  for (const ManifestSnapshot& snapshot : record.snapshots_added) snapshots_[snapshot.name] = snapshot;
  last_ = record;
  last_.families_added.clear();
  last_.families_dropped.clear();
  last_.tables_added.clear();
  last_.tables_removed.clear();
  last_.snapshots_added.clear();
  last_.snapshots_dropped.clear();
  return {};
}

Status ManifestState::ApplyTables(const ManifestRecord& record) {
  for (uint64_t number : record.tables_removed) {
    if (tables_.erase(number) == 0) return Misfit(record, "removes unknown table " + TableBlobName(number));
  }
  if (!record.families_dropped.empty()) {
    for (const auto& [number, table] : tables_) {
      if (!families_.contains(table.family))
        return Misfit(record, "drops a family but keeps " + TableBlobName(number));
    }
  }
  for (const ManifestTable& table : record.tables_added) {
    if (!families_.contains(table.family)) return Misfit(record, "has a table of an unknown family");
    if (table.meta.number >= record.next_table || table.run >= record.next_run) {
      return Misfit(record, "has a table number that was never given out");
    }
    if (!tables_.emplace(table.meta.number, table).second) {
      return Misfit(record, "adds table " + TableBlobName(table.meta.number) + " twice");
    }
  }
  return {};
}

ManifestRecord ManifestState::Full(uint64_t number) const {
  ManifestRecord record = last_;
  record.number = record.base = number;
  for (const auto& [id, name] : families_) record.families_added.push_back({id, name});
  for (const auto& [table_number, table] : tables_) record.tables_added.push_back(table);
  for (const auto& [name, snapshot] : snapshots_) record.snapshots_added.push_back(snapshot);
  return record;
}

}  // namespace tarn::kernel
