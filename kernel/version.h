// Version: which tables make up the store at one moment. Immutable, shared by reference count.
//
// For each family: levels, in each level runs, newest first; in each run tables with ascending, disjoint key
// ranges. Read from level 0's first run to the last level's last run, data only gets older: the sequences of
// two runs of a family never interleave.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel/manifest_state.h"
#include "kernel/table_handle.h"
#include "tarn/sdk/compaction.h"

namespace tarn::kernel {

struct Run {
  uint64_t id = 0;
  uint32_t level = 0;
  std::vector<std::shared_ptr<TableHandle>> tables;
  uint64_t bytes = 0, entries = 0, tombstones = 0;

  // The table whose range may hold user_key, or null.
  TableHandle* Find(std::string_view user_key) const;
  // The index of the first table whose end is not before the key; tables.size() when there is none.
  size_t FirstNotBefore(std::string_view user_key) const;
};
using RunRef = std::shared_ptr<const Run>;

struct FamilyVersion {
  uint32_t id = 0;
  std::string name;
  std::vector<RunRef> runs;  // in order of age, newest first

  uint32_t levels() const { return runs.empty() ? 0 : runs.back()->level + 1; }
  // What policies look at. Runs in `busy` and all runs of levels in `busy_levels` are marked.
  LevelsView View(const std::set<uint32_t>& busy_levels) const;
};

struct Version {
  std::map<uint32_t, std::shared_ptr<const FamilyVersion>> families;

  const FamilyVersion* Find(uint32_t family) const {
    const auto it = families.find(family);
    return it == families.end() ? nullptr : it->second.get();
  }
};

// Builds the version of `state`, taking the handles of `previous` over where the table is the same. Fails with
// Corruption when the tables of a run overlap: such a manifest is not one of ours.
Result<std::shared_ptr<const Version>> BuildVersion(const ManifestState& state, const Version* previous,
                                                    Backend& backend, const std::shared_ptr<Graveyard>& graveyard);

}  // namespace tarn::kernel
