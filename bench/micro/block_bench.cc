// One block of a table, of about 4 KiB: building it, a lookup in it, walks through it both ways. A data block holds
// 32 entries with 100-byte values; an index block holds many short ones, every key whole, so a lookup is binary
// search only.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "bench/micro/micro.h"
#include "format/block.h"
#include "format/table_layout.h"
#include "tarn/sdk/internal_key.h"

namespace tarn::micro {
namespace {

struct Shape {
  int restart_interval;
  uint64_t entries;
  size_t value_bytes;
};
constexpr Shape kData{kDataRestartInterval, 32, 100};
constexpr Shape kIndex{kIndexRestartInterval, 128, 4};

struct Entries {
  std::vector<std::string> keys;
  std::string value;
  explicit Entries(const Shape& shape) : value(ValueOf(1, shape.value_bytes)) {
    for (uint64_t i = 0; i < shape.entries; ++i) keys.push_back(MakeInternalKey(KeyOf(1000 + i * 3), 7, Kind::kPut));
  }
};

std::string_view Build(const Entries& entries, BlockBuilder* builder) {
  builder->Reset();
  for (const std::string& key : entries.keys) builder->Add(key, entries.value);
  return builder->Finish();
}

BlockRef MakeBlock(const Entries& entries, const Shape& shape) {
  BlockBuilder builder(shape.restart_interval);
  const std::string_view bytes = Build(entries, &builder);
  return Block::Copy(bytes);
}

void BM_BlockBuild(benchmark::State& state) {
  const Entries entries(kData);
  BlockBuilder builder(kData.restart_interval);
  size_t bytes = 0;
  for (auto _ : state) bytes = Build(entries, &builder).size();
  if (bytes < kData.entries * kData.value_bytes) state.SkipWithError("the block lacks entries");
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kData.entries));
}
BENCHMARK(BM_BlockBuild);

// With Reset, as each lookup of a table has it: another block every time.
void Seek(benchmark::State& state, const Shape& shape) {
  const Entries entries(shape);
  const BlockRef block = MakeBlock(entries, shape);
  std::vector<std::string> targets;
  for (const std::string& key : entries.keys) targets.push_back(SeekKey(UserKeyOf(key), kMaxSequence));
  BlockCursor cursor;
  uint64_t i = 0;
  for (auto _ : state) {
    const uint64_t at = i++ * kStride % shape.entries;
    cursor.Reset(block);
    cursor.Seek(targets[at]);
    if (!cursor.valid() || cursor.key() != entries.keys[at]) state.SkipWithError("a seek missed its key");
  }
  state.SetItemsProcessed(state.iterations());
}
void BM_BlockSeek(benchmark::State& state) { Seek(state, kData); }
void BM_IndexSeek(benchmark::State& state) { Seek(state, kIndex); }
BENCHMARK(BM_BlockSeek);
BENCHMARK(BM_IndexSeek);

template <bool kForward>
void BM_BlockWalk(benchmark::State& state) {
  const Entries entries(kData);
  BlockCursor cursor;
  cursor.Reset(MakeBlock(entries, kData));
  for (auto _ : state) {
    uint64_t seen = 0;
    if (kForward) {
      for (cursor.SeekToFirst(); cursor.valid(); cursor.Next()) ++seen;
    } else {
      for (cursor.SeekToLast(); cursor.valid(); cursor.Prev()) ++seen;
    }
    if (seen != kData.entries) state.SkipWithError("a walk missed entries");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kData.entries));
}
BENCHMARK_TEMPLATE(BM_BlockWalk, true)->Name("BM_BlockWalk/next");
BENCHMARK_TEMPLATE(BM_BlockWalk, false)->Name("BM_BlockWalk/prev");

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
