// The workloads that only read, and how caches are warmed for them.
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "bench/workloads/workload.h"

namespace tarn::bench {

// One scan over everything, which brings in what a scan brings in; then a get of each key in random order, which also
// fills what only point reads use. The gets end after spec.seconds: with data that is much larger than the caches,
// more of them warm nothing.
void WarmAll(Worker& worker) {
  const auto cursor = worker.engine.NewCursor();
  cursor->SeekToFirst();
  for (uint64_t id = 0; id < worker.spec.keys; ++id, cursor->Next()) worker.At(*cursor, 2 * id);
  const uint64_t until = NowNanos() + static_cast<uint64_t>(worker.spec.seconds * 1e9);
  for (uint64_t i = 0; i < worker.spec.keys && NowNanos() < until; ++i) worker.Get(2 * worker.plan.scatter.Of(i));
}

void ReadRandom(Worker& worker) {
  do worker.Get(2 * worker.RandomId());
  while (worker.recorder.Lap());
}

void ReadMissing(Worker& worker) {
  do worker.GetMissing(2 * worker.RandomId() + 1);
  while (worker.recorder.Lap());
}

// The hot set: 1 % of the keys, at least 1,000 (or all), strewn over the whole key space.
namespace {
uint64_t HotKeys(const RunSpec& spec) { return std::min(spec.keys, std::max<uint64_t>(1000, spec.keys / 100)); }
}  // namespace

void WarmHot(Worker& worker) {
  for (int pass = 0; pass < 3; ++pass) {  // more than once: a scan-resistant cache believes the second use
    for (uint64_t i = 0; i < HotKeys(worker.spec); ++i) worker.Get(2 * worker.plan.scatter.Of(i));
  }
}

void ReadHot(Worker& worker) {
  const uint64_t hot = HotKeys(worker.spec);
  do worker.Get(2 * worker.plan.scatter.Of(worker.random.Below(hot)));
  while (worker.recorder.Lap());
}

// One clock read for this many entries: one each would cost about as much as the entry.
constexpr uint64_t kScanLap = 64;

void ReadSeq(Worker& worker) {
  const uint64_t keys = worker.spec.keys;
  for (;;) {
    const auto cursor = worker.engine.NewCursor();
    cursor->SeekToFirst();
    for (uint64_t id = 0, lap = 0; id < keys; cursor->Next()) {
      worker.At(*cursor, 2 * id++);
      if (++lap < kScanLap && id < keys) continue;
      if (!worker.recorder.Lap(std::exchange(lap, 0))) return;
    }
    worker.AtEnd(*cursor);
  }
}

void ReadReverse(Worker& worker) {
  for (;;) {
    const auto cursor = worker.engine.NewCursor();
    cursor->SeekToLast();
    for (uint64_t id = worker.spec.keys, lap = 0; id > 0; cursor->Prev()) {
      worker.At(*cursor, 2 * --id);
      if (++lap < kScanLap && id > 0) continue;
      if (!worker.recorder.Lap(std::exchange(lap, 0))) return;
    }
    worker.AtEnd(*cursor);
  }
}

void SeekRandom(Worker& worker) {
  do {
    const uint64_t number = 2 * worker.RandomId();
    worker.Scan(number, number, 10);
  } while (worker.recorder.Lap());
}

void SeekDeleted(Worker& worker) {
  const uint64_t front = FrontOf(worker.spec.keys);
  do worker.Scan(2 * worker.random.Below(front), 2 * front, 1);
  while (worker.recorder.Lap());
}

void MultiReadRandom(Worker& worker) {
  constexpr size_t kBatch = 64;
  std::vector<Key> buffers(kBatch, Key(worker.spec.key_bytes));
  std::vector<std::string> values(kBatch);
  std::array<uint64_t, kBatch> numbers{};
  std::array<std::string_view, kBatch> keys;
  std::array<bool, kBatch> found{};
  do {
    for (size_t i = 0; i < kBatch; ++i) keys[i] = buffers[i].Of(numbers[i] = 2 * worker.RandomId());
    worker.engine.MultiGet(keys, values, found);
    for (size_t i = 0; i < kBatch; ++i) worker.Found(numbers[i], found[i], values[i]);
  } while (worker.recorder.Lap(kBatch));
}

}  // namespace tarn::bench
