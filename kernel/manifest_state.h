// ManifestState: the sum of manifest records up to one number. Plain data; applies records, makes full ones.
#pragma once

#include <map>
#include <string>

#include "format/manifest_record.h"

namespace tarn::kernel {

class ManifestState {
 public:
  // Adds a record. A full one replaces everything. Corruption when a delta does not fit what is here (unknown
  // table removed, table of an unknown family, a number given twice): such a sequence was not written by us.
  Status Apply(const ManifestRecord& record);
  // Everything as one full record with this number, epoch and writer of the last applied record.
  ManifestRecord Full(uint64_t number) const;

  const std::map<uint32_t, std::string>& families() const { return families_; }
  const std::map<uint64_t, ManifestTable>& tables() const { return tables_; }
  const std::map<std::string, ManifestSnapshot>& snapshots() const { return snapshots_; }
  const std::string& store_id() const { return last_.store_id; }
  // The last applied record, for its scalar fields; its lists are empty.
  const ManifestRecord& last() const { return last_; }

 private:
  Status ApplyTables(const ManifestRecord& record);
  std::map<uint32_t, std::string> families_;
  std::map<uint64_t, ManifestTable> tables_;
  std::map<std::string, ManifestSnapshot> snapshots_;
  ManifestRecord last_;
};

}  // namespace tarn::kernel
