// A whole store by one thread, over a backend in memory and with in-line background work: what the processor spends
// on a call of the API. 50,000 keys of 16 bytes with values of 100, in two runs; reads come from the block cache.
//
// A batch of puts ends with a flush and its merges, which are not counted. The same calls, in instructions:
// bench/gate.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/micro/micro.h"
#include "tarn/db.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::micro {
namespace {

constexpr uint64_t kKeys = 50000;
constexpr size_t kBatchKeys = 64;

struct Store {
  std::shared_ptr<test::SimScheduler> scheduler = std::make_shared<test::SimScheduler>(1);
  std::unique_ptr<DB> db;
  std::vector<std::string> keys = ScatteredKeys(kKeys, 0, 2);  // even numbers; odd ones are missing
  std::vector<std::string> values;

  Store() {
    Settings settings;
    settings.memory_bytes = 1ull << 30;  // a memtable of 128 MiB: no put meets a flush
    Components parts;
    parts.backend = std::make_shared<test::MemBackend>();
    parts.clock = std::make_shared<test::VirtualClock>();
    parts.entropy = std::make_shared<test::SeededEntropy>(1);
    parts.scheduler = scheduler;
    db = Must(DB::Open(settings, std::move(parts)));
    for (uint64_t i = 0; i < 1000; ++i) values.push_back(ValueOf(i, 100));
    for (uint64_t i = 0; i < kKeys; ++i) Must(db->Put(keys[i], ValueAt(i)));
    Must(db->Flush());
    Must(db->Compact());
    for (uint64_t i = 0; i < kKeys; i += 4) Must(db->Put(keys[i], ValueAt(i)));
    Must(db->Flush());
    std::string value;
    for (const std::string& key : keys) Must(db->Get(key, &value));  // brings every block in
  }
  std::string_view ValueAt(uint64_t i) const { return values[i % values.size()]; }
  void Settle() {
    Must(db->Flush());
    scheduler->RunAll();
  }
};
Store& ForReads() {
  static Store store;
  return store;
}

void BM_BatchBuild(benchmark::State& state) {
  const auto keys = AscendingKeys(static_cast<uint64_t>(state.range(0)));
  const std::string value = ValueOf(1, 100);
  WriteBatch batch;
  for (auto _ : state) {
    batch.Clear();
    for (const std::string& key : keys) batch.Put(key, value);
  }
  if (batch.count() != keys.size()) state.SkipWithError("the batch lacks changes");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_BatchBuild)->Arg(1)->Arg(100);

// By the number of keys in a batch.
void BM_StorePut(benchmark::State& state) {
  static Store store;
  const auto batch_keys = static_cast<uint64_t>(state.range(0));
  WriteBatch batch;
  uint64_t i = 0, since_flush = 0;
  for (auto _ : state) {
    batch.Clear();
    for (uint64_t k = 0; k < batch_keys; ++k, ++i) batch.Put(store.keys[i % kKeys], store.ValueAt(i));
    if (!store.db->Write(batch).ok()) state.SkipWithError("a write failed");
    if ((since_flush += batch_keys) < kKeys) continue;
    state.PauseTiming();
    store.Settle();
    since_flush = 0;
    state.ResumeTiming();
  }
  store.Settle();
  std::string value;
  Must(store.db->Get(store.keys[(i - 1) % kKeys], &value));
  if (value != store.ValueAt(i - 1)) state.SkipWithError("the last put is not there");
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_StorePut)->ArgName("batch")->Arg(1)->Arg(100);

void BM_StoreGet(benchmark::State& state) {
  Store& store = ForReads();
  std::string value;
  uint64_t i = 0;
  for (auto _ : state) {
    if (!store.db->Get(store.keys[i], &value).ok() || value != store.ValueAt(i))
      state.SkipWithError("a wrong answer");
    if (++i == kKeys) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_StoreGet);

void BM_StoreGetMissing(benchmark::State& state) {
  Store& store = ForReads();
  const auto keys = ScatteredKeys(kKeys, 1, 2);
  std::string value;
  uint64_t i = 0;
  for (auto _ : state) {
    if (store.db->Get(keys[i], &value).code() != Code::kNotFound) state.SkipWithError("a wrong answer");
    if (++i == kKeys) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_StoreGetMissing);

void BM_StoreMultiGet(benchmark::State& state) {
  Store& store = ForReads();
  std::vector<std::string> values;
  std::vector<std::string_view> keys(kBatchKeys);
  uint64_t i = 0;
  for (auto _ : state) {
    for (auto& key : keys) key = store.keys[i++ % kKeys];
    const auto statuses = store.db->MultiGet({}, keys, &values);
    if (!statuses.back().ok() || values.back() != store.ValueAt((i - 1) % kKeys)) {
      state.SkipWithError("a wrong answer");
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kBatchKeys));
}
BENCHMARK(BM_StoreMultiGet);

void BM_StoreNext(benchmark::State& state) {
  const auto it = ForReads().db->NewIterator();
  for (auto _ : state) {
    uint64_t seen = 0;
    for (it->SeekToFirst(); it->valid(); it->Next()) ++seen;
    if (seen != kKeys || !it->status().ok()) state.SkipWithError("a walk missed entries");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kKeys));
}
BENCHMARK(BM_StoreNext);

// With a new iterator each time, or with one that is kept.
void BM_StoreSeek(benchmark::State& state, bool fresh) {
  Store& store = ForReads();
  auto it = store.db->NewIterator();
  uint64_t i = 0;
  for (auto _ : state) {
    if (fresh) it = store.db->NewIterator();
    it->Seek(store.keys[i]);
    if (!it->valid() || it->key() != store.keys[i]) state.SkipWithError("a seek missed its key");
    if (++i == kKeys) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK_CAPTURE(BM_StoreSeek, kept, false);
BENCHMARK_CAPTURE(BM_StoreSeek, fresh, true);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
