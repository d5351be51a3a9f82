// The hash of a key (filters, cache) and the checksum of a block or record that is at home at one place.
#include <benchmark/benchmark.h>

#include <string>

#include "base/hash.h"
#include "bench/micro/micro.h"

namespace tarn::micro {
namespace {

void BM_Hash(benchmark::State& state) {
  std::string key = ValueOf(1, static_cast<size_t>(state.range(0)));
  const uint64_t before = Hash64(key);
  for (auto _ : state) {
    benchmark::DoNotOptimize(key.data());
    benchmark::DoNotOptimize(Hash64(key));
  }
  key[0] ^= 1;
  if (Hash64(key) == before) state.SkipWithError("another key has the same hash");
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Hash)->Arg(16)->Arg(100);

void BM_Checksum(benchmark::State& state) {
  const std::string block = ValueOf(1, static_cast<size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(block.data());
    benchmark::DoNotOptimize(PlacedChecksum(block, 7, 4096));
  }
  if (PlacedChecksum(block, 7, 4096) == PlacedChecksum(block, 7, 8192)) {
    state.SkipWithError("the checksum does not cover the place");
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Checksum)->Arg(100)->Arg(4096)->Arg(65536);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
