// RunOne and Load: one measurement from the empty page to the result.
//
//   drop page cache (cold) > open > prepare > warm > | clock: threads run | > settle > close > peak memory
//
// Device bytes written are counted from after the open (prepare included), device bytes read and processor time from
// where the clock starts; all three until the store has settled.
#include <algorithm>
#include <latch>
#include <memory>
#include <thread>

#include "bench/workloads/usage.h"
#include "bench/workloads/workload.h"

namespace tarn::bench {
namespace {

const EngineKind& KindOf(const std::string& name) {
  for (const EngineKind& kind : EngineKinds()) {
    if (kind.name == name) return kind;
  }
  std::string names;
  for (const EngineKind& kind : EngineKinds()) names += " " + kind.name;
  Die("there is no engine \"" + name + "\" in this program; there are:" + names +
      "; the others need their Debian package when it is built");
}

using Workers = std::vector<std::unique_ptr<Worker>>;

// Runs `run` on each of `workers` and `beside` on the one after them, all on threads of their own. Returns when they
// started.
uint64_t RunThreads(const Workload& workload, const Workers& workers) {
  const auto span = static_cast<uint64_t>(workers[0]->spec.seconds * 1e9);
  const uint32_t ends = workers[0]->spec.threads;
  uint64_t start = 0;
  std::latch ready(static_cast<std::ptrdiff_t>(workers.size())), go(1);
  std::vector<std::thread> threads;
  for (const auto& worker : workers) {
    threads.emplace_back([&, w = worker.get()] {
      ready.count_down();
      go.wait();
      w->recorder.Start(start, start + span);
      (w->thread < ends ? workload.run : workload.beside)(*w);
    });
  }
  ready.wait();
  start = NowNanos();
  go.count_down();
  for (std::thread& thread : threads) thread.join();
  return start;
}

void Add(const Tally& from, Tally& to) {
  to.bytes_written += from.bytes_written;
  to.bytes_read += from.bytes_read;
  to.live_bytes += from.live_bytes;
  to.live_known &= from.live_known;
  to.missing += from.missing;
}

// Everything that the recorders know.
void Fold(const Workers& workers, uint64_t start, RunResult& result) {
  Histogram latency;
  uint64_t end = start;
  std::vector<uint64_t> tenths;
  for (const auto& worker : workers) {
    const Recorder& recorder = worker->recorder;
    if (worker->thread == worker->spec.threads) {
      result.background_writes = recorder.operations();
      continue;
    }
    latency.Merge(recorder.latency());
    end = std::max(end, recorder.end());
    result.operations += recorder.operations();
    if (tenths.size() < recorder.tenths().size()) tenths.resize(recorder.tenths().size());
    for (size_t i = 0; i < recorder.tenths().size(); ++i) tenths[i] += recorder.tenths()[i];
  }
  result.seconds = static_cast<double>(end - start) * 1e-9;
  result.ops_per_second = static_cast<double>(result.operations) / result.seconds;
  result.latency_us = latency.ToLatency();
  result.latency_curve = latency.Curve();
  result.ops_over_time.assign(tenths.begin(), tenths.end());
}

double Ratio(uint64_t bytes, uint64_t of) {
  return of == 0 ? -1 : static_cast<double>(bytes) / static_cast<double>(of);
}

// `setup` is what prepare did, `total` what the threads did.
void FoldSpace(const Plan& plan, Data data, const Tally& setup, const Tally& total, uint64_t highest,
               RunResult& result) {
  const RunSpec& spec = plan.spec;
  const auto before =
      static_cast<int64_t>(data == Data::kEmpty ? 0 : spec.keys * (spec.key_bytes + spec.value_bytes));
  const int64_t live = before + setup.live_bytes + total.live_bytes;
  const uint64_t now = DiskBytesOf(spec.config.dir);
  if (!total.live_known || live <= 0) return;
  result.space_amp = Ratio(now, static_cast<uint64_t>(live));
  result.space_amp_max = Ratio(std::max(now, highest), static_cast<uint64_t>(std::max(before, live)));
}

}  // namespace

RunResult RunOn(const RunSpec& asked, const OpenEngine& open) {
  const Plan plan(Effective(asked));
  const RunSpec& spec = plan.spec;
  const Workload& workload = WorkloadOf(spec.workload);
  const bool writes = workload.info.data != Data::kLoaded;
  if (spec.cold) DropPageCache(spec.config.dir);
  std::unique_ptr<Engine> engine = open(spec.config);
  RunResult result;
  result.engine_config = engine->Describe();

  const DeviceBytes opened = DeviceBytesNow();
  Tally setup;
  {
    Worker worker(plan, *engine, spec.threads + 1);
    if (workload.prepare != nullptr) workload.prepare(worker);
    if (workload.warm != nullptr && !spec.cold) workload.warm(worker);
    setup = worker.tally;
  }
  Workers workers;
  for (uint32_t i = 0; i < spec.threads + (workload.beside != nullptr ? 1 : 0); ++i) {
    workers.push_back(std::make_unique<Worker>(plan, *engine, i));
  }

  std::optional<SpaceSampler> space;
  if (writes) space.emplace(spec.config.dir);
  const DeviceBytes started = DeviceBytesNow();
  const double cpu = CpuSecondsNow();
  const uint64_t start = RunThreads(workload, workers);
  Fold(workers, start, result);
  if (writes) {
    const uint64_t settling = NowNanos();
    engine->Settle();
    result.settle_seconds = static_cast<double>(NowNanos() - settling) * 1e-9;
  }
  result.cpu_s_per_million = (CpuSecondsNow() - cpu) * 1e6 / static_cast<double>(result.operations);
  const DeviceBytes done = DeviceBytesNow();

  Tally total;
  for (const auto& worker : workers) Add(worker->tally, total);
  result.missing = total.missing;
  result.read_amp = Ratio(done.read - started.read, total.bytes_read + total.bytes_written);
  if (writes) {
    result.write_amp = Ratio(done.written - opened.written, setup.bytes_written + total.bytes_written);
    FoldSpace(plan, workload.info.data, setup, total, space->Stop(), result);
  }
  engine.reset();
  result.peak_rss_bytes = PeakRssBytes();
  return result;
}

void LoadOn(const RunSpec& asked, const OpenEngine& open) {
  const Plan plan(Effective(asked));
  const RunSpec& spec = plan.spec;
  EngineConfig config = spec.config;
  config.durability = std::min(config.durability, Durability::kProcess);
  const std::unique_ptr<Engine> engine = open(config);
  ValuePool values(spec.compressibility, spec.value_bytes, spec.seed);
  Key key(spec.key_bytes);
  for (uint64_t i = 0; i < spec.keys; ++i) {
    const uint64_t number = 2 * plan.order.Of(i);
    engine->Put(key.Of(number), values.Value(number, spec.value_bytes));
  }
  engine->Settle();
}

RunResult RunOne(const RunSpec& spec) { return RunOn(spec, KindOf(spec.engine).open); }

void Load(const RunSpec& spec) { LoadOn(spec, KindOf(spec.engine).open); }

}  // namespace tarn::bench
