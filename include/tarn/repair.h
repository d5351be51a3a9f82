// Repair: saves everything that is still readable of a damaged store into a fresh one, and lists what was lost. For
// embedders, and for `tarn repair`.
//
//   auto report = tarn::Repair(*damaged, {}, {.backend = empty_backend}, {});
//   if (report.ok()) for (const auto& loss : report->losses) puts(loss.ToString().c_str());
//
// The damaged store is only read, under its lock, and never changed. The fresh one is built through the public DB.
// It is whole and durable when Repair returns OK; after an error or a crash it is not, and is to be deleted.
//
// What is saved. Tables and log are read block by block and record by record; only bytes that verify are believed.
//   1. All versions of a key that are found compete by sequence, and the newest one that no newer tombstone hides is
//      written. So what survived shadows as it always did.
//   2. A lost block may have held the newest version of a key, or its tombstone. So within its key range keys may be
//      missing, old values may be back, and deleted keys may be back. Every loss names that range.
//   3. Outside the reported ranges everything is exactly as it was. (Two things nobody can see: a log that was never
//      synced vouches for nothing, so its last records may vanish without a trace, as in recovery; and a column
//      family that was dropped by a lost manifest record may be back.)
//   4. If the newest manifest records are unreadable, those before them are used, and the tables that they do not
//   name:
//      these hold what the lost records brought. A table that a readable record removed is not used.
//   5. Without any manifest all tables and the whole log are used. Tables say which family they belong to. Deleted
//   keys
//      may then be back anywhere, which is reported as one loss over all keys.
//   6. Named snapshots are written again, oldest first, each as the difference to the one before; so they keep their
//      content (but for the losses) and their names, and get other sequences. They are only known from the manifest.
//
// Memory: the settings' budget, what the log holds (as in recovery), all range tombstones, facts about each table,
// and one block for each of the sorted inputs. Threads: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tarn/components.h"
#include "tarn/db.h"
#include "tarn/settings.h"
#include "tarn/status.h"

namespace tarn {

struct RepairLoss {
  std::string blob;
  uint64_t offset = 0, length = 0;  // length 0: the whole blob, or nobody knows
  std::string reason;

  // The keys that may be affected: begin <= key < end, an empty end means to the last key. Meaningless when `keys` is
  // false: then no key is (a manifest record that others make up for, a snapshot).
  bool keys = true;
  bool any_family = false;
  uint32_t family = 0;
  std::string family_name;
  std::string begin, end;
  Sequence min_sequence = 0, max_sequence = kMaxSequence;  // of what was lost, as far as it is known

  bool Covers(std::string_view name, std::string_view key) const;
  std::string ToString() const;  // one line
};

struct RepairReport {
  uint64_t manifest_record = 0;  // the newest readable one; 0: none was, and tables and log spoke for themselves
  uint64_t manifest_records_lost = 0;
  uint64_t tables_read = 0, tables_lost = 0;  // lost: nothing of it could be used
  uint64_t blocks_read = 0, log_records_read = 0;
  uint64_t rows_written = 0;
  std::vector<std::string> families, snapshots;  // in the fresh store
  std::vector<RepairLoss> losses;                // by blob and offset; empty: nothing was lost
};

struct RepairOptions {
  // Told about every MiB; an error ends the repair and is returned. `total` is an estimate.
  std::function<Status(uint64_t done_bytes, uint64_t total_bytes)> progress;
  // Called when the fresh store holds one moment, before that is named: first each snapshot, oldest first, then now
  // (an empty name). A layer above puts its own rows in order here.
  std::function<Status(DB& fresh, std::string_view snapshot)> settle;
  // Names of families by id, for those whose name neither manifest nor table tells. Others become "family-<id>".
  std::map<uint32_t, std::string> family_names;
};

// `fresh.backend` must be empty. NotFound: there is no store in `damaged`. Busy: a writer has it open, and who.
Result<RepairReport> Repair(Backend& damaged, const Settings& settings, Components fresh,
                            const RepairOptions& options = {});

}  // namespace tarn
