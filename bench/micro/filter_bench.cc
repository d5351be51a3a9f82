// The filter of a table: building one, and asking it for keys that are there and that are not. With ten thousand keys
// it lies in the cache of the processor, with a million most lines come from memory.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/micro/micro.h"
#include "format/filter.h"

namespace tarn::micro {
namespace {

constexpr uint32_t kBitsPerKey = 10;

std::string Build(const std::vector<std::string>& keys) {
  FilterBuilder builder(kBitsPerKey);
  for (const std::string& key : keys) builder.Add(key);
  return builder.Finish();
}

void BM_FilterBuild(benchmark::State& state) {
  const auto keys = AscendingKeys(static_cast<uint64_t>(state.range(0)));
  std::string filter;
  for (auto _ : state) filter = Build(keys);
  if (!FilterMayContain(filter, keys.back())) state.SkipWithError("the filter lacks a key");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FilterBuild)->Arg(10000)->Arg(1000000);

void BM_FilterProbe(benchmark::State& state, bool there) {
  const auto count = static_cast<uint64_t>(state.range(0));
  const std::string filter = Build(AscendingKeys(count));
  const auto keys = ScatteredKeys(count, there ? 0 : count);
  uint64_t yes = 0, i = 0;
  for (auto _ : state) {
    yes += FilterMayContain(filter, keys[i]);
    if (++i == count) i = 0;
  }
  const double rate = static_cast<double>(yes) / static_cast<double>(state.iterations());
  if (there && yes != static_cast<uint64_t>(state.iterations()))
    state.SkipWithError("the filter denied a key that it was built with");
  if (!there && yes > 100 && rate > 0.05) state.SkipWithError("the filter lets far too much through");
  state.counters["yes"] = rate;
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_FilterProbe, hit, true)->Arg(10000)->Arg(1000000);
BENCHMARK_CAPTURE(BM_FilterProbe, miss, false)->Arg(10000)->Arg(1000000);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
