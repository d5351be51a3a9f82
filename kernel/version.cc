#include "kernel/version.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

#include "base/next_step.h"

namespace tarn::kernel {
namespace {

using HandleMap = std::unordered_map<uint64_t, std::shared_ptr<TableHandle>>;

HandleMap HandlesOf(const Version* version) {
  HandleMap handles;
  if (version == nullptr) return handles;
  for (const auto& [id, family] : version->families) {
    for (const RunRef& run : family->runs) {
      for (const auto& table : run->tables) handles.emplace(table->meta().number, table);
    }
  }
  return handles;
}

bool Disjoint(const TableMeta& left, const TableMeta& right) {
  const int order = left.largest.compare(right.smallest);
  return order < 0 || (order == 0 && left.largest_exclusive);
}

Status Seal(Run* run) {
  auto& tables = run->tables;
  std::sort(tables.begin(), tables.end(),
            [](const auto& a, const auto& b) { return a->meta().smallest < b->meta().smallest; });
  for (size_t i = 0; i < tables.size(); ++i) {
    const TableMeta& meta = tables[i]->meta();
    if (i > 0 && !Disjoint(tables[i - 1]->meta(), meta)) {
      return Status::Corruption("manifest: tables " + TableBlobName(tables[i - 1]->meta().number) + " and " +
                                TableBlobName(meta.number) + " of one run overlap" + std::string(kRepairStep));
    }
    run->bytes += meta.file_bytes;
    run->entries += meta.entries + meta.range_deletions;
    run->tombstones += meta.deletions + meta.range_deletions;
  }
  return {};
}

}  // namespace

size_t Run::FirstNotBefore(std::string_view user_key) const {
  const auto it = std::partition_point(tables.begin(), tables.end(), [&](const auto& table) {
    const TableMeta& meta = table->meta();
    const int order = std::string_view(meta.largest).compare(user_key);
    return order < 0 || (order == 0 && meta.largest_exclusive);
  });
  return static_cast<size_t>(it - tables.begin());
}

TableHandle* Run::Find(std::string_view user_key) const {
  const size_t index = FirstNotBefore(user_key);
  if (index == tables.size() || user_key < tables[index]->meta().smallest) return nullptr;
  return tables[index].get();
}

LevelsView FamilyVersion::View(const std::set<uint32_t>& busy_levels) const {
  LevelsView view;
  view.levels.resize(levels());
  for (const RunRef& run : runs) {
    view.levels[run->level].push_back({.id = run->id,
                                       .bytes = run->bytes,
                                       .tables = run->tables.size(),
                                       .entries = run->entries,
                                       .tombstones = run->tombstones,
                                       .busy = busy_levels.contains(run->level)});
  }
  return view;
}

Result<std::shared_ptr<const Version>> BuildVersion(const ManifestState& state, const Version* previous,
                                                    Backend& backend, const std::shared_ptr<Graveyard>& graveyard) {
  const HandleMap old = HandlesOf(previous);
  // Ordered by family, level, and newest run first: exactly the order of FamilyVersion::runs.
  std::map<std::tuple<uint32_t, uint32_t, uint64_t>, std::shared_ptr<Run>> runs;
  for (const auto& [number, table] : state.tables()) {
    auto& run = runs[{table.family, table.level, ~table.run}];
    if (run == nullptr) {
      run = std::make_shared<Run>();
      run->id = table.run;
      run->level = table.level;
    }
    const auto it = old.find(number);
    run->tables.push_back(it != old.end()
                              ? it->second
                              : std::make_shared<TableHandle>(backend, state.store_id(), table.meta, graveyard));
  }
  std::map<uint32_t, std::shared_ptr<FamilyVersion>> families;
  for (const auto& [id, name] : state.families()) {
    auto family = std::make_shared<FamilyVersion>();
    family->id = id;
    family->name = name;
    families.emplace(id, std::move(family));
  }
  for (auto& [place, run] : runs) {
    TARN_TRY(Seal(run.get()));
    families.at(std::get<0>(place))->runs.push_back(std::move(run));
  }
  auto version = std::make_shared<Version>();
  for (auto& [id, family] : families) version->families.emplace(id, std::move(family));
  return std::shared_ptr<const Version>(std::move(version));
}

}  // namespace tarn::kernel
