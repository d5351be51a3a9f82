#include "bench/report/runner.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "bench/report/child.h"
#include "bench/report/progress.h"
#include "bench/report/stores.h"

namespace tarn::bench {
namespace {

std::vector<Row> EmptyRows(const Options& options) {
  std::vector<Row> rows;
  for (const WorkloadInfo& workload : options.workloads) {
    for (const EngineKind& engine : options.engines) {
      RunSpec run = options.run;
      run.engine = engine.name;
      run.workload = workload.name;
      rows.push_back({workload, engine.name, engine.version, Effective(run), {}, {}});
    }
  }
  return rows;
}

void RunOnce(Stores* stores, Progress* progress, Row* row) {
  const auto tick = [&] { progress->Tick(); };
  RunSpec spec = row->run;
  row->error = stores->Prepare(
      row->workload.data, &spec, [&](const std::string& what) { progress->Phase(what); }, tick);
  if (row->error.empty()) {
    progress->Phase("run");
    const ChildOutcome outcome = RunChild({"/proc/self/exe", "run", ToJson(spec)}, tick);
    row->error = outcome.error;
    if (row->error.empty() && !nlohmann::json::accept(outcome.out)) row->error = "its result is not JSON";
    if (row->error.empty()) row->rounds.push_back(ResultFromJson(outcome.out));
  }
  stores->Release(spec);
  if (StopSignal() != 0 && !row->error.empty()) row->error = "stopped";
  // Adapters say whose message it is; the row does already.
  const std::string whose = row->engine + ": ";
  if (row->error.starts_with(whose)) row->error.erase(0, whose.size());
}

}  // namespace

std::vector<Row> RunAll(const Options& options) {
  std::vector<Row> rows = EmptyRows(options);
  const size_t engines = options.engines.size();
  Stores stores(options.dir, options.keep);
  Progress progress(rows.size(), rows.size() * options.rounds);
  for (size_t workload = 0; workload < options.workloads.size(); ++workload) {
    Row* const first = &rows[workload * engines];
    for (unsigned round = 0; round < options.rounds; ++round) {
      for (size_t turn = 0; turn < engines; ++turn) {
        Row& row = first[(turn + round) % engines];
        if (!row.error.empty()) continue;  // the rest of its rounds
        if (StopSignal() != 0) {
          // What was measured stays; a row without any round says why.
          if (row.rounds.empty()) row.error = "stopped";
          continue;
        }
        progress.RunStarts(row, round, options.rounds);
        RunOnce(&stores, &progress, &row);
        // Rounds that were whole before the user stopped the bench are as good as any.
        if (StopSignal() != 0 && !row.rounds.empty()) row.error.clear();
        progress.RunEnds();
      }
    }
    for (size_t i = 0; i < engines; ++i) progress.RowEnds(first[i]);
  }
  return rows;
}

}  // namespace tarn::bench
