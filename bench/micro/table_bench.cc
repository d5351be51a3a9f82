// A table in memory with every block at hand: building one by compression, a point lookup (filter, top index, index
// partition, data block) that hits, one that the filter refuses, a seek, a walk. Device and block cache play no part.
#include <benchmark/benchmark.h>

#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "bench/micro/micro.h"
#include "format/table.h"
#include "format/table_builder.h"
#include "tests/support/mem_backend.h"

namespace tarn::micro {
namespace {

constexpr uint64_t kEntries = 100000;

TableMeta BuildTable(Backend& backend, Compression compression, const std::vector<std::string>& keys) {
  const TableOptions options{.block_bytes = 4096, .compression = compression, .filter_bits_per_key = 10};
  auto builder = Must(TableBuilder::Create(backend, kStoreId, 1, options));
  std::vector<std::string> values;
  for (uint64_t i = 0; i < 1000; ++i) values.push_back(ValueOf(i, 100));
  for (size_t i = 0; i < keys.size(); ++i) {
    Must(builder->Add(MakeInternalKey(keys[i], 1, Kind::kPut), values[i % values.size()]));
  }
  return Must(builder->Finish());
}

// Even numbers are in the table, odd ones are not.
const std::vector<std::string>& TableKeys() {
  static const std::vector<std::string> keys = AscendingKeys(kEntries, 0, 2);
  return keys;
}

void BM_TableBuild(benchmark::State& state, Compression compression) {
  uint64_t bytes = 0, entries = 0;
  for (auto _ : state) {
    test::MemBackend backend;
    const TableMeta meta = BuildTable(backend, compression, TableKeys());
    bytes = meta.file_bytes;
    entries = meta.entries;
  }
  if (entries != kEntries) state.SkipWithError("the table lacks entries");
  state.counters["file_bytes"] = static_cast<double>(bytes);
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK_CAPTURE(BM_TableBuild, none, Compression::kNone)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_TableBuild, lz4, Compression::kLz4)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BM_TableBuild, zstd, Compression::kZstd)->Unit(benchmark::kMillisecond);

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
  std::unordered_map<uint64_t, BlockRef> blocks_;
};

// Whether the answer was `there`. Brings in the blocks that are not at hand.
bool LookUp(TableProbe* probe, const Table& table, KeepingSource* source, const std::string& key, bool there) {
  probe->Start(&table, key, kMaxSequence);
  while (probe->Run(*source) == TableProbe::Step::kNeedBlock) probe->Supply(source->Load(table, probe->wanted()));
  return probe->status().ok() && probe->present() == there;
}

struct Opened {
  test::MemBackend backend;
  std::shared_ptr<Table> table;
  KeepingSource source;
  Opened() {
    const TableMeta meta = BuildTable(backend, Compression::kLz4, TableKeys());
    table = Must(Table::Open(backend, kStoreId, 1, meta.file_bytes));
    TableProbe probe;
    for (size_t i = 0; i < kEntries; i += 10) LookUp(&probe, *table, &source, TableKeys()[i], true);
  }
};
Opened& Shared() {
  static Opened opened;
  return opened;
}

void BM_TableProbe(benchmark::State& state, bool there) {
  Opened& opened = Shared();
  const auto keys = ScatteredKeys(kEntries, there ? 0 : 1, 2);
  TableProbe probe;
  size_t i = 0;
  for (auto _ : state) {
    if (!LookUp(&probe, *opened.table, &opened.source, keys[i], there)) state.SkipWithError("a wrong answer");
    if (++i == kEntries) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_TableProbe, hit, true);
BENCHMARK_CAPTURE(BM_TableProbe, miss, false);

void BM_TableSeek(benchmark::State& state) {
  Opened& opened = Shared();
  std::vector<std::string> targets;
  for (const std::string& key : ScatteredKeys(kEntries, 1, 2)) targets.push_back(SeekKey(key, kMaxSequence));
  const auto cursor = opened.table->NewCursor(opened.source);
  size_t i = 0;
  for (auto _ : state) {
    cursor->Seek(targets[i]);
    const bool last = UserKeyOf(targets[i]) > TableKeys().back();
    if (cursor->valid() == last || !cursor->status().ok()) state.SkipWithError("a seek missed its key");
    if (++i == kEntries) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_TableSeek);

void BM_TableNext(benchmark::State& state) {
  Opened& opened = Shared();
  const auto cursor = opened.table->NewCursor(opened.source);
  for (auto _ : state) {
    uint64_t seen = 0;
    for (cursor->SeekToFirst(); cursor->valid(); cursor->Next()) ++seen;
    if (seen != kEntries || !cursor->status().ok()) state.SkipWithError("a walk missed entries");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(BM_TableNext);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
