// The k-way merge over 2, 8 and 32 sorted arrays, which cost next to nothing themselves: the price of a step and of a
// seek. The keys are dealt out in turn (every step changes the source), or in stretches of 64 (as merged levels are).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "bench/micro/micro.h"
#include "format/merging_cursor.h"
#include "tarn/sdk/internal_key.h"

namespace tarn::micro {
namespace {

constexpr uint64_t kEntries = 1 << 15;

class ArrayCursor final : public Cursor {
 public:
  explicit ArrayCursor(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  void SeekToFirst() override { Settle(0); }
  void SeekToLast() override { Settle(keys_.size() - 1); }
  void Seek(std::string_view target) override {
    const auto at = std::lower_bound(keys_.begin(), keys_.end(), target, [](std::string_view a, std::string_view b) {
      return CompareInternalKeys(a, b) < 0;
    });
    Settle(static_cast<size_t>(at - keys_.begin()));
  }
  void Next() override { Settle(at_ + 1); }
  void Prev() override { Settle(at_ - 1); }  // before the first: a place behind the last

 private:
  void Settle(size_t at) {
    at_ = at;
    at_ < keys_.size() ? SetEntry(keys_[at_], "value") : SetEnd();
  }
  const std::vector<std::string> keys_;
  size_t at_ = 0;
};

std::unique_ptr<Cursor> Merged(uint64_t sources, uint64_t stretch) {
  std::vector<std::vector<std::string>> keys(sources);
  for (uint64_t i = 0; i < kEntries; ++i) {
    keys[i / stretch % sources].push_back(MakeInternalKey(KeyOf(i), 1, Kind::kPut));
  }
  std::vector<std::unique_ptr<Cursor>> inputs;
  for (auto& source : keys) inputs.push_back(std::make_unique<ArrayCursor>(std::move(source)));
  return NewMergingCursor(std::move(inputs));
}

void Shapes(benchmark::internal::Benchmark* bench) {
  bench->ArgNames({"sources", "stretch"})->ArgsProduct({{2, 8, 32}, {1, 64}});
}

std::unique_ptr<Cursor> Merged(const benchmark::State& state) {
  return Merged(static_cast<uint64_t>(state.range(0)), static_cast<uint64_t>(state.range(1)));
}

void BM_MergeNext(benchmark::State& state) {
  const auto merged = Merged(state);
  for (auto _ : state) {
    uint64_t seen = 0;
    for (merged->SeekToFirst(); merged->valid(); merged->Next()) ++seen;
    if (seen != kEntries) state.SkipWithError("a merge missed entries");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(kEntries));
}
BENCHMARK(BM_MergeNext)->Apply(Shapes);

void BM_MergeSeek(benchmark::State& state) {
  const auto merged = Merged(state);
  std::vector<std::string> targets;
  for (const std::string& key : ScatteredKeys(kEntries)) targets.push_back(SeekKey(key, kMaxSequence));
  size_t i = 0;
  for (auto _ : state) {
    merged->Seek(targets[i]);
    if (!merged->valid() || UserKeyOf(merged->key()) != UserKeyOf(targets[i])) state.SkipWithError("a seek missed");
    if (++i == kEntries) i = 0;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(BM_MergeSeek)->Apply(Shapes);

}  // namespace
}  // namespace tarn::micro

BENCHMARK_MAIN();
