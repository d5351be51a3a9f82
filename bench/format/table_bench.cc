// Micro-benchmarks of a table in memory: building one (by compression), a cached point lookup that hits, one that the
// filter refuses, and a scan. The device plays no part.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "format/table.h"
#include "format/table_builder.h"
#include "tests/support/mem_backend.h"

namespace tarn {
namespace {

constexpr uint64_t kEntries = 100000;
constexpr std::string_view kStoreId = "0123456789abcdef";

[[noreturn]] void Die(const Status& status) {
  std::fprintf(stderr, "table_bench: %s\n", status.ToString().c_str());
  std::exit(1);
}
template <typename T>
T Must(Result<T> result) {
  if (!result.ok()) Die(result.status());
  return std::move(result).value();
}
void Must(const Status& status) {
  if (!status.ok()) Die(status);
}

// Even keys are in the table, odd ones are not.
std::string KeyOf(uint64_t n) {
  char key[24];
  std::snprintf(key, sizeof(key), "%016llu", static_cast<unsigned long long>(n));
  return key;
}

TableMeta BuildTable(Backend& backend, Compression compression) {
  const TableOptions options{.block_bytes = 4096, .compression = compression, .filter_bits_per_key = 10};
  auto builder = Must(TableBuilder::Create(backend, kStoreId, 1, options));
  for (uint64_t i = 0; i < kEntries; ++i) {
    const std::string key = KeyOf(2 * i);
    Must(builder->Add(MakeInternalKey(key, 1, Kind::kPut),
                      key + " has a value of about sixty bytes, half of them new"));
  }
  return Must(builder->Finish());
}

void BM_TableBuild(benchmark::State& state) {
  uint64_t bytes = 0;
  for (auto _ : state) {
    test::MemBackend backend;
    bytes = BuildTable(backend, static_cast<Compression>(state.range(0))).file_bytes;
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
  state.counters["file_bytes"] = static_cast<double>(bytes);
}
BENCHMARK(BM_TableBuild)->ArgName("compression")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

// Keeps every block it was ever asked for.
class KeepingSource final : public BlockSource {
 public:
  BlockRef Lookup(const Table&, BlockHandle handle) override {
    const auto found = blocks_.find(handle.offset);
    return found == blocks_.end() ? nullptr : found->second;
  }
  Result<BlockRef> Load(const Table& table, BlockHandle handle) override {
    if (BlockRef kept = Lookup(table, handle)) return kept;
    std::string stored(handle.stored_bytes, '\0');
    TARN_TRY(table.blob().Read(handle.offset, stored));
    TARN_ASSIGN(BlockRef block, table.DecodeBlock(handle, stored));
    blocks_[handle.offset] = block;
    return block;
  }
  void Prefetch(const Table&, std::span<const BlockHandle>) override {}

 private:
  std::map<uint64_t, BlockRef> blocks_;
};

struct Opened {
  test::MemBackend backend;
  std::shared_ptr<Table> table;
  KeepingSource source;
  Opened() {
    const TableMeta meta = BuildTable(backend, Compression::kLz4);
    table = Must(Table::Open(backend, kStoreId, 1, meta.file_bytes));
  }
};

// odd = 0: keys that are there; 1: keys that are not.
void BM_TableProbe(benchmark::State& state) {
  Opened opened;
  TableProbe probe;
  const uint64_t odd = static_cast<uint64_t>(state.range(0));
  const auto look_up = [&](uint64_t n) {
    const std::string key = KeyOf(2 * (n % kEntries) + odd);
    probe.Start(opened.table.get(), key, kMaxSequence);
    while (probe.Run(opened.source) == TableProbe::Step::kNeedBlock) {
      probe.Supply(opened.source.Load(*opened.table, probe.wanted()));
    }
    Must(probe.status());
    if (probe.present() != (odd == 0)) state.SkipWithError("a lookup gave the wrong answer");
  };
  for (uint64_t i = 0; i < kEntries; i += 10) look_up(i);  // brings every block in
  uint64_t i = 0;
  for (auto _ : state) look_up(i += 7919);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TableProbe)->ArgName("odd")->DenseRange(0, 1);

void BM_TableScan(benchmark::State& state) {
  Opened opened;
  for (auto _ : state) {
    uint64_t seen = 0;
    const auto cursor = opened.table->NewCursor(opened.source);
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) ++seen;
    Must(cursor->status());
    if (seen != kEntries) state.SkipWithError("a scan missed entries");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(BM_TableScan);

}  // namespace
}  // namespace tarn

BENCHMARK_MAIN();
