// Worker: checking, and what it says when a check fails.
#include <algorithm>

#include "bench/workloads/workload.h"

namespace tarn::bench {

Plan::Plan(const RunSpec& effective) : spec(effective), order(spec.keys, spec.seed), scatter(spec.keys, ~spec.seed) {
  if (spec.workload.starts_with("ycsb-")) zipf.emplace(spec.keys);
  if (spec.workload == "mixgraph") mix.emplace(spec.keys, spec.seed);
}

Worker::Worker(const Plan& shared, Engine& store, uint32_t index)
    : plan(shared),
      spec(plan.spec),
      engine(store),
      thread(index),
      random(spec.seed * 1000003 + index),
      least_bytes_(std::min<size_t>(spec.value_bytes, 8)),
      key_(spec.key_bytes) {
  if (WorkloadOf(spec.workload).info.data == Data::kLoaded) return;
  values_.emplace(spec.compressibility, std::max(spec.value_bytes, MixKeys::kValueMax), random.Next());
}

void Worker::GetMissing(uint64_t number) {
  if (engine.Get(key_.Of(number), &value_)) DieOf(number, "a value was found, but this key was never written");
  ++tally.missing;
}

uint64_t Worker::At(const Cursor& cursor, uint64_t number, bool or_next) {
  if (!cursor.valid()) [[unlikely]]
    DieOf(number, "the cursor is at its end instead of on this key");
  const auto [key, value] = cursor.Entry();
  if (key.size() != spec.key_bytes) [[unlikely]]
    DieOf(number, "the cursor is on a key of " + std::to_string(key.size()) + " bytes");
  const uint64_t at = NumberOf(key);
  if (at != number && !(or_next && at == number + 1)) [[unlikely]] {
    DieOf(number, "the cursor is on key number " + std::to_string(at) + " instead of this one");
  }
  Found(at, true, value);
  return at;
}

void Worker::AtEnd(const Cursor& cursor) const {
  if (cursor.valid()) DieOf(2 * spec.keys, "the cursor is not at its end, but no such key was written");
}

void Worker::Scan(uint64_t number, uint64_t first, uint64_t nexts, bool inserted) {
  const auto cursor = engine.NewCursor();
  cursor->Seek(key_.Of(number));
  const uint64_t last = 2 * (spec.keys - 1);
  for (uint64_t at = At(*cursor, first); nexts > 0 && at < last; --nexts) {
    cursor->Next();
    at = inserted ? At(*cursor, at + 1, at % 2 == 0) : At(*cursor, at + 2);
  }
}

void Worker::DieOf(uint64_t number, const std::string& what) const {
  Die(spec.workload + " on " + spec.engine + ": key number " + std::to_string(number) + ": " + what +
      "; the engine or its adapter is wrong, or the data set was loaded with another --keys, --key-size or "
      "--value-size");
}

void Worker::DieOfValue(uint64_t number, bool found, std::string_view value) const {
  if (!found) DieOf(number, "not found, but it was written");
  DieOf(number, "the value of " + std::to_string(value.size()) + " bytes is not the one that was written");
}

}  // namespace tarn::bench
