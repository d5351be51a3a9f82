// A record of the manifest, written at every flush and merge and read at every opening: a delta that adds and removes
// a few tables, and a full one of a store with a thousand.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/micro/micro.h"
#include "format/manifest_record.h"

namespace tarn::micro {
namespace {

ManifestRecord Record(uint64_t tables) {
  ManifestRecord record;
  record.number = record.base = 7;
  record.epoch = 1;
  record.writer = "pid 1 (bench)";
  record.store_id = kStoreId;
  record.next_table = tables + 1;
  record.next_run = tables + 1;
  record.first_wal = 3;
  record.families_added.push_back({0, "default"});
  for (uint64_t i = 0; i < tables; ++i) {
    TableMeta meta{.number = i + 1, .file_bytes = 32 << 20, .smallest = KeyOf(2 * i), .largest = KeyOf(2 * i + 1)};
    meta.min_sequence = 1;
    meta.max_sequence = 1000;
    meta.entries = 250000;
    meta.raw_bytes = 30 << 20;
    record.tables_added.push_back({.family = 0, .level = 3, .run = 1, .meta = meta});
  }
  return record;
}

void Sizes(benchmark::internal::Benchmark* bench) { bench->Arg(4)->Arg(1000); }

void BM_ManifestEncode(benchmark::State& state) {
  const ManifestRecord record = Record(static_cast<uint64_t>(state.range(0)));
  std::string bytes;
  for (auto _ : state) bytes = EncodeManifestRecord(record);
  if (bytes.size() < record.tables_added.size() * 32) state.SkipWithError("the record lacks tables");
  state.counters["bytes"] = static_cast<double>(bytes.size());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ManifestEncode)->Apply(Sizes);

void BM_ManifestDecode(benchmark::State& state) {
  const ManifestRecord record = Record(static_cast<uint64_t>(state.range(0)));
  const std::string bytes = EncodeManifestRecord(record);
  for (auto _ : state) {
    const auto back = DecodeManifestRecord(bytes, record.number);
    if (!back.ok() || back->tables_added.size() != record.tables_added.size()) {
      state.SkipWithError("another record came back");
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ManifestDecode)->Apply(Sizes);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
