// Repair of a damaged store (damaged_store.h). What must hold, by the contract in include/tarn/repair.h: outside the
// ranges that the report names, the fresh store holds exactly what the damaged one held; a store without damage loses
// nothing; and what Repair returned as whole opens and verifies.
#include <algorithm>

#include "tarn/db.h"
#include "tarn/repair.h"
#include "tests/fuzz/damaged_store.h"
#include "tests/fuzz/targets.h"
#include "tests/kernel/sim_store.h"

namespace tarn::fuzz {
namespace {

Content Scan(DB* db, ColumnFamily family, const Snapshot* snapshot) {
  Content content;
  ReadOptions options;
  options.snapshot = snapshot;
  const auto it = db->NewIterator(family, options);
  for (it->SeekToFirst(); it->valid(); it->Next()) content.emplace(it->key(), it->value());
  MUST(it->status().ok(), "a repaired store does not read: " + it->status().ToString());
  return content;
}

// Whether the two are the same but for keys that a loss covers.
bool SameOutside(const RepairReport& report, std::string_view family, const Content& found, const Content& expected) {
  const auto in = [&](const Content& rows, const Content& others) {
    return std::all_of(rows.begin(), rows.end(), [&](const auto& row) {
      const auto other = others.find(row.first);
      if (other != others.end() && other->second == row.second) return true;
      return std::any_of(report.losses.begin(), report.losses.end(),
                         [&](const RepairLoss& loss) { return loss.Covers(family, row.first); });
    });
  };
  return in(found, expected) && in(expected, found);
}

void CheckContent(const DamagedStore& damaged, const RepairReport& report, DB* db) {
  const auto two = db->FindFamily("two");
  const State found = {Scan(db, {}, nullptr), two.ok() ? Scan(db, *two, nullptr) : Content()};
  const std::vector<State>& states = TheStore().states;
  const bool right = std::any_of(
      states.begin() + static_cast<ptrdiff_t>(damaged.first_state()), states.end(), [&](const State& state) {
        return SameOutside(report, "default", found[0], state[0]) && SameOutside(report, "two", found[1], state[1]);
      });
  MUST(right, "outside the reported losses something else is there");
  const auto snapshot = db->OpenNamedSnapshot(kStoreSnapshot);
  if (!snapshot.ok()) {
    MUST(!report.losses.empty(), "a snapshot is gone and nobody says so");
    return;
  }
  MUST(SameOutside(report, "default", Scan(db, {}, snapshot->get()), TheStore().at_snapshot),
       "outside the reported losses the snapshot shows something else");
}

}  // namespace

void RunRepair(std::string_view input) {
  Input in(input);
  const DamagedStore damaged = Damage(&in);
  const auto fresh = std::make_shared<test::MemBackend>();
  const Result<RepairReport> report = Repair(*damaged.backend, StoreSettings(), test::SimParts(fresh, 3));
  if (!report.ok()) {
    MUST(damaged.any, "without damage: " + report.status().ToString());
    MUST(report.status().message().find('\n') == std::string_view::npos, "an error of two lines");
    return;
  }
  MUST(damaged.any || report->losses.empty(), "a store without damage loses something");
  for (const RepairLoss& loss : report->losses) {
    MUST(loss.ToString().find('\n') == std::string::npos, "a loss of two lines");
  }
  const auto db = test::OpenSim(fresh, StoreSettings(), 4);
  MUST(db.ok(), "a repaired store does not open: " + db.status().ToString());
  const Status verified = (*db)->Verify();
  MUST(verified.ok(), "a repaired store does not verify: " + verified.ToString());
  // Only the manifest knows which tables there were and how far the log went. When records of it are lost, and such a
  // table or such an end of the log too, nothing is left that could say so.
  const bool witness_lost = damaged.manifest && (damaged.tables || damaged.log);
  if (!damaged.resealed && !witness_lost) CheckContent(damaged, *report, db->get());
}

}  // namespace tarn::fuzz
