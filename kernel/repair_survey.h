// RepairSurvey: what a damaged store consists of, as far as manifest, log and tables still say. The first half of a
// repair; the second, kernel/repair.cc, writes it out.
//
// Which tables count:
//   1. With a readable manifest up to its newest record: those that it names.
//   2. With records lost: those that the readable ones name, and those on the device that no readable record names or
//      removed, because a lost record may have. If exactly one record was lost, and the table is younger than that,
//      this is exact: whatever the record did, the inputs of a merge that were dropped are missed by name and
//      reported. Else the table may be the input of a merge whose tombstones are gone, and its key range is reported.
//   3. With a named table missing although no record seems to be: also those that are younger than the newest record.
//      They can only repeat what the named ones hold, or bring what a record brought that vanished without a trace.
//   4. With no readable record: all.
//
// Threads: one at a time.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "kernel/manifest_state.h"
#include "kernel/mem_set.h"
#include "kernel/repair_table.h"
#include "tarn/components.h"
#include "tarn/repair.h"

namespace tarn::kernel {

struct FoundFamily {
  std::string name;  // empty: nothing tells
  std::vector<FoundTable> tables;
  std::unique_ptr<FamilyMem> log;  // null: the log holds nothing of it
};

struct FoundStore {
  std::string store_id;  // empty: there is no table and no log
  std::map<uint32_t, FoundFamily> families;
  std::vector<ManifestSnapshot> snapshots;  // by sequence
};

class RepairSurvey {
 public:
  RepairSurvey(RepairSource& source, const Components& parts, RepairReport* report, RepairLosses* losses)
      : source_(source), parts_(parts), report_(report), losses_(losses) {}
  // NotFound: no store is here.
  Result<FoundStore> Run();

 private:
  Status ReadManifest();
  void ApplyRecords();
  void ApplyTolerantly(const ManifestRecord& record);
  Status ChooseStoreId();
  Status ReadLog();
  void ReadTables();
  bool MayUse(uint64_t number, bool* exact) const;
  void UseTable(uint64_t number, uint64_t bytes);

  RepairSource& source_;
  const Components& parts_;
  RepairReport* const report_;
  RepairLosses* const losses_;
  FoundStore found_;

  std::map<uint64_t, uint64_t> on_device_;      // tables: number, bytes
  std::map<uint64_t, ManifestRecord> records_;  // the readable ones
  std::map<uint64_t, std::string> unreadable_;  // why
  std::map<uint64_t, ManifestTable> tables_;    // named
  std::set<uint64_t> removed_;                  // tables, by any readable record
  std::set<uint32_t> dropped_;                  // families
  std::map<std::string, ManifestSnapshot> snapshots_;
  ManifestRecord last_;             // the newest readable one
  uint64_t newest_ = 0;             // the newest that is known to have been
  uint64_t lost_steps_ = 0;         // records behind the base that are lost
  uint64_t lost_after_tables_ = 0;  // with one lost step: tables from this number on are younger than what was before
  bool table_missing_ = false;
};

}  // namespace tarn::kernel
