// The memtable through its contract: adds in order and scattered, lookups that hit and miss by one thread and by two,
// and a walk; with a thousand entries (in the cache of the processor), a hundred thousand, and a million (not in it).
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "bench/micro/micro.h"
#include "memtable/builtin.h"

namespace tarn::micro {
namespace {

constexpr std::string_view kValue = "a value of twenty b.";

std::unique_ptr<Memtable> Full(const std::vector<std::string>& keys) {
  auto table = NewSkipListStrategy(1)->Create();
  for (uint64_t i = 0; i < keys.size(); ++i) table->Add(keys[i], i + 1, Kind::kPut, kValue);
  return table;
}

// Even numbers are in the table, odd ones are not.
std::vector<std::string> Keys(uint64_t count) { return ScatteredKeys(count, 0, 2); }

void Sizes(benchmark::internal::Benchmark* bench) {
  for (const int64_t entries : {1000, 100000, 1000000}) bench->Arg(entries);
}

template <bool kScattered>
void BM_MemtableAdd(benchmark::State& state) {
  const auto count = static_cast<uint64_t>(state.range(0));
  const auto keys = kScattered ? Keys(count) : AscendingKeys(count);
  for (auto _ : state) {
    auto table = Full(keys);
    state.PauseTiming();
    if (!table->Get(keys[count / 2], kMaxSequence).present) state.SkipWithError("a key that was added is missing");
    table.reset();
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_TEMPLATE(BM_MemtableAdd, false)->Name("BM_MemtableAdd/ascending")->Apply(Sizes);
BENCHMARK_TEMPLATE(BM_MemtableAdd, true)->Name("BM_MemtableAdd/scattered")->Apply(Sizes);

// One table for all threads of a benchmark, made anew when another size is asked for.
struct Shared {
  std::vector<std::string> keys, missing;
  std::unique_ptr<Memtable> table;
  void Fill(uint64_t count) {
    if (keys.size() == count) return;
    keys = Keys(count);
    missing = ScatteredKeys(count, 1, 2);
    table = Full(keys);
  }
};
Shared shared;

void FillShared(const benchmark::State& state) { shared.Fill(static_cast<uint64_t>(state.range(0))); }

template <bool kThere>
void BM_MemtableGet(benchmark::State& state) {
  const auto& keys = kThere ? shared.keys : shared.missing;
  size_t i = static_cast<size_t>(state.thread_index()) * keys.size() / 2;
  for (auto _ : state) {
    if (shared.table->Get(keys[i], kMaxSequence).present != kThere) state.SkipWithError("a wrong answer");
    if (++i == keys.size()) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_TEMPLATE(BM_MemtableGet, true)
    ->Name("BM_MemtableGet/hit")
    ->Setup(FillShared)
    ->Apply(Sizes)
    ->ThreadRange(1, 2);
BENCHMARK_TEMPLATE(BM_MemtableGet, false)->Name("BM_MemtableGet/miss")->Setup(FillShared)->Apply(Sizes);

void BM_MemtableNext(benchmark::State& state) {
  const auto cursor = shared.table->NewCursor();
  for (auto _ : state) {
    uint64_t seen = 0;
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) ++seen;
    if (seen != shared.keys.size()) state.SkipWithError("a walk missed entries");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_MemtableNext)->Setup(FillShared)->Apply(Sizes);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
