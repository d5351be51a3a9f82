// Micro-benchmarks of the memtable, through its contract: adds and lookups, by one thread and by two at once.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "memtable/builtin.h"

namespace tarn {
namespace {

constexpr uint64_t kEntries = 100000;

std::vector<std::string> ScatteredKeys() {
  std::vector<std::string> keys;
  for (uint64_t i = 0; i < kEntries; ++i) {
    char key[24];
    std::snprintf(key, sizeof(key), "%016llx", static_cast<unsigned long long>(i * 0x9e3779b97f4a7c15ull));
    keys.emplace_back(key);
  }
  return keys;
}

void BM_SkipListAdd(benchmark::State& state) {
  const auto keys = ScatteredKeys();
  const auto strategy = NewSkipListStrategy(1);
  auto table = strategy->Create();
  uint64_t i = 0;
  for (auto _ : state) {
    if (i == kEntries) {
      state.PauseTiming();
      table = strategy->Create();
      i = 0;
      state.ResumeTiming();
    }
    table->Add(keys[i], i + 1, Kind::kPut, "a value of twenty b.");
    ++i;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SkipListAdd);

std::unique_ptr<Memtable> Full(const std::vector<std::string>& keys) {
  auto table = NewSkipListStrategy(1)->Create();
  for (uint64_t i = 0; i < keys.size(); ++i) table->Add(keys[i], i + 1, Kind::kPut, "a value of twenty b.");
  return table;
}

void BM_SkipListGet(benchmark::State& state) {
  static const auto keys = ScatteredKeys();
  static const auto table = Full(keys);
  uint64_t i = static_cast<uint64_t>(state.thread_index()) * 7919;
  for (auto _ : state) {
    const auto found = table->Get(keys[i % kEntries], kMaxSequence);
    if (!found.present) state.SkipWithError("a key that was added is missing");
    i += 104729;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_SkipListGet)->ThreadRange(1, 2);

void BM_SkipListScan(benchmark::State& state) {
  const auto keys = ScatteredKeys();
  const auto table = Full(keys);
  for (auto _ : state) {
    uint64_t seen = 0;
    const auto cursor = table->NewCursor();
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) ++seen;
    if (seen != kEntries) state.SkipWithError("a scan missed entries");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(BM_SkipListScan);

}  // namespace
}  // namespace tarn

BENCHMARK_MAIN();
