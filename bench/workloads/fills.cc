// The workloads that only write. Several threads share a fill by turns: thread t of T does the t-th of each T
// operations, so that the order of the whole is about that of one thread.
#include "bench/workloads/workload.h"

namespace tarn::bench {
namespace {

template <typename NumberOf>
void Fill(Worker& worker, NumberOf number) {
  const uint64_t value_bytes = worker.spec.value_bytes;
  for (uint64_t i = worker.thread; i < worker.spec.keys; i += worker.spec.threads) {
    worker.Put(number(i), value_bytes);
    worker.tally.live_bytes += static_cast<int64_t>(worker.spec.key_bytes + value_bytes);
    if (!worker.recorder.Lap()) return;
  }
}

}  // namespace

void FillSeq(Worker& worker) {
  Fill(worker, [](uint64_t i) { return 2 * i; });
}

void FillRandom(Worker& worker) {
  Fill(worker, [&worker](uint64_t i) { return 2 * worker.plan.order.Of(i); });
}

void Overwrite(Worker& worker) {
  do worker.Put(2 * worker.RandomId(), worker.spec.value_bytes);
  while (worker.recorder.Lap());
}

void DeleteRandom(Worker& worker) {
  const RunSpec& spec = worker.spec;
  for (uint64_t i = worker.thread; i < spec.keys; i += spec.threads) {
    worker.Delete(2 * worker.plan.scatter.Of(i));
    worker.tally.live_bytes -= spec.key_bytes + spec.value_bytes;
    if (!worker.recorder.Lap()) return;
  }
}

void DeleteFront(Worker& worker) {
  const RunSpec& spec = worker.spec;
  for (uint64_t id = 0; id < FrontOf(spec.keys); ++id) worker.Delete(2 * id);
  worker.tally.live_bytes -= static_cast<int64_t>(FrontOf(spec.keys) * (spec.key_bytes + spec.value_bytes));
}

}  // namespace tarn::bench
