// The workloads that read and write: mixgraph and YCSB. An operation is one line of the workload's mix, a scan or a
// read-modify-write included. The YCSB core workloads differ from their home in this: the values have the size of the
// spec instead of ten fields of 100 bytes, and the popular keys are strewn by a bijection instead of a hash, so no
// two ranks share a key.
#include "bench/workloads/workload.h"

namespace tarn::bench {
namespace {

uint64_t PopularNumber(Worker& worker) { return 2 * worker.plan.scatter.Of(worker.plan.zipf->Rank(worker.random)); }

void Update(Worker& worker) { worker.Put(PopularNumber(worker), worker.spec.value_bytes); }

void ReadPopular(Worker& worker) { worker.Get(PopularNumber(worker)); }

// What is inserted: first a key after each loaded one, in random order; then keys behind all others, in order. The
// n-th insert of a thread is the (n * threads + thread)-th of all.
class Inserts {
 public:
  explicit Inserts(Worker& worker) : worker_(worker) {}
  uint64_t count() const { return count_; }
  uint64_t Number(uint64_t own) const {
    const uint64_t n = own * worker_.spec.threads + worker_.thread;
    return n < worker_.spec.keys ? 2 * worker_.plan.order.Of(n) + 1 : 2 * n;
  }
  void Insert() {
    worker_.Put(Number(count_++), worker_.spec.value_bytes);
    worker_.tally.live_bytes += static_cast<int64_t>(worker_.spec.key_bytes) + worker_.spec.value_bytes;
  }

 private:
  Worker& worker_;
  uint64_t count_ = 0;
};

// `percent` of the operations are `first`, the others `second`.
template <typename First, typename Second>
void Mixed(Worker& worker, uint64_t percent, First first, Second second) {
  do {
    if (worker.random.Below(100) < percent) {
      first(worker);
    } else {
      second(worker);
    }
  } while (worker.recorder.Lap());
}

}  // namespace

void MixGraph(Worker& worker) {
  worker.tally.live_known = false;  // that would take a table of the sizes
  const MixKeys& mix = *worker.plan.mix;
  do {
    const uint64_t number = 2 * mix.Id(worker.random);
    const double what = worker.random.Fraction();
    if (what <= MixKeys::kGets) {
      worker.Get(number);
    } else if (what <= MixKeys::kGets + MixKeys::kPuts) {
      worker.Put(number, MixKeys::ValueBytes(worker.random));
    } else {
      worker.Scan(number, number, MixKeys::ScanLength(worker.random));
    }
  } while (worker.recorder.Lap());
}

void YcsbA(Worker& worker) { Mixed(worker, 50, ReadPopular, Update); }
void YcsbB(Worker& worker) { Mixed(worker, 95, ReadPopular, Update); }
void YcsbC(Worker& worker) { Mixed(worker, 100, ReadPopular, Update); }

void YcsbD(Worker& worker) {
  Inserts inserts(worker);
  const auto read_latest = [&inserts](Worker& w) {
    const uint64_t age = w.plan.zipf->Rank(w.random);  // 0: what this thread inserted last; then what was loaded last
    w.Get(age < inserts.count() ? inserts.Number(inserts.count() - 1 - age)
                                : 2 * w.plan.order.Of(w.spec.keys - 1 - (age - inserts.count())));
  };
  Mixed(worker, 95, read_latest, [&inserts](Worker&) { inserts.Insert(); });
}

void YcsbE(Worker& worker) {
  Inserts inserts(worker);
  const auto scan = [](Worker& w) {
    const uint64_t number = PopularNumber(w);
    w.Scan(number, number, w.random.Below(100), true);
  };
  Mixed(worker, 95, scan, [&inserts](Worker&) { inserts.Insert(); });
}

void YcsbF(Worker& worker) {
  Mixed(worker, 50, ReadPopular, [](Worker& w) {
    const uint64_t number = PopularNumber(w);
    w.Get(number);
    w.Put(number, w.spec.value_bytes);
  });
}

}  // namespace tarn::bench
