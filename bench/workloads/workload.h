// How a workload is written: a row of the catalog (catalog.cc) that names a function for one thread, in fills.cc,
// reads.cc or mixes.cc. The function gets a Worker, does operations on worker.engine until worker.recorder says that
// the time is up, and counts in worker.tally what it did. RunOn (run_one.cc) opens the engine, prepares, starts the
// threads, adds up.
//
// Invariants
// 1. Every value that is read is checked, and a key that must be there is: Worker::Found and Worker::At end the
// process
//    otherwise.
// 2. The loop of a workload allocates nothing by itself.
// 3. The same spec gives the same keys, values and choices, thread by thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench/engine.h"
#include "bench/run.h"
#include "bench/workloads/chance.h"
#include "bench/workloads/data.h"
#include "bench/workloads/recorder.h"

namespace tarn::bench {

// What the threads of a run share, and none of them changes.
struct Plan {
  explicit Plan(const RunSpec& effective);
  RunSpec spec;
  Permutation order;    // in which a data set is filled, by id
  Permutation scatter;  // by rank of popularity: which id
  std::optional<Zipf> zipf;
  std::optional<MixKeys> mix;
};

struct Tally {                 // bytes of keys and values
  uint64_t bytes_written = 0;  // as the user gave them; of a delete, its key
  uint64_t bytes_read = 0;     // as the user got them
  int64_t live_bytes = 0;      // change of the live data set
  bool live_known = true;      // false: live_bytes means nothing
  uint64_t missing = 0;
};

class Worker {
 public:
  Worker(const Plan& shared, Engine& store, uint32_t index);

  const Plan& plan;
  const RunSpec& spec;
  Engine& engine;
  const uint32_t thread;  // 0 .. spec.threads - 1; the writer of readwhilewriting is spec.threads
  Random random;
  Recorder recorder;
  Tally tally;

  uint64_t RandomId() { return random.Below(spec.keys); }
  std::string_view KeyOf(uint64_t number) { return key_.Of(number); }

  void Put(uint64_t number, uint64_t value_bytes) {
    engine.Put(key_.Of(number), values_->Value(number, value_bytes));
    tally.bytes_written += spec.key_bytes + value_bytes;
  }
  void Delete(uint64_t number) {
    engine.Delete(key_.Of(number));
    tally.bytes_written += spec.key_bytes;
  }
  void Get(uint64_t number) {                                 // it must be there
    const bool found = engine.Get(key_.Of(number), &value_);  // before value_ is looked at
    Found(number, found, value_);
  }
  void GetMissing(uint64_t number);  // it must not be there

  // What a lookup of `number`, which is there, came back with.
  void Found(uint64_t number, bool found, std::string_view value) {
    const bool right = found && value.size() >= least_bytes_ && IsValueOf(number, value);
    if (!right) [[unlikely]]
      DieOfValue(number, found, value);
    tally.bytes_read += spec.key_bytes + value.size();
  }
  // The cursor stands on `number` and its value; or, if `or_next`, on number + 1 and its value. Returns on which.
  uint64_t At(const Cursor& cursor, uint64_t number, bool or_next = false);
  // The cursor is through.
  void AtEnd(const Cursor& cursor) const;
  // A new cursor, sought to `number`: it finds `first`, and `nexts` more keys, or fewer when the last loaded key
  // comes before. `inserted`: keys with odd numbers may be among them.
  void Scan(uint64_t number, uint64_t first, uint64_t nexts, bool inserted = false);

 private:
  [[noreturn]] void DieOf(uint64_t number, const std::string& what) const;
  [[noreturn]] void DieOfValue(uint64_t number, bool found, std::string_view value) const;

  const size_t least_bytes_;  // of any value: a check of no bytes would pass everything
  Key key_;
  std::optional<ValuePool> values_;  // of workloads that write
  std::string value_;                // of the last Get; keeps its capacity
};

struct Workload {
  WorkloadInfo info;
  void (*run)(Worker& worker) = nullptr;
  // Before the clock starts, on one thread, not when spec.cold.
  void (*warm)(Worker& worker) = nullptr;
  // Before the clock starts, on one thread; its writes count for write_amp.
  void (*prepare)(Worker& worker) = nullptr;
  // One thread more, beside the others, until they are done.
  void (*beside)(Worker& worker) = nullptr;
  void (*effective)(RunSpec& spec) = nullptr;  // what the name fixes; applying it twice is applying it once
};
const std::vector<Workload>& Catalog();
const Workload& WorkloadOf(const std::string& name);  // Die when there is none

// RunOne and Load on an engine of the caller's choice.
using OpenEngine = std::function<std::unique_ptr<Engine>(const EngineConfig&)>;
RunResult RunOn(const RunSpec& spec, const OpenEngine& open);
void LoadOn(const RunSpec& spec, const OpenEngine& open);

// deleteseq+seek: so many keys are deleted at the front.
inline uint64_t FrontOf(uint64_t keys) { return keys / 10 * 9; }

// fills.cc
void FillSeq(Worker& worker);
void FillRandom(Worker& worker);
void Overwrite(Worker& worker);
void DeleteRandom(Worker& worker);
void DeleteFront(Worker& worker);
// reads.cc
void WarmAll(Worker& worker);
void WarmHot(Worker& worker);
void ReadRandom(Worker& worker);
void ReadMissing(Worker& worker);
void ReadHot(Worker& worker);
void ReadSeq(Worker& worker);
void ReadReverse(Worker& worker);
void SeekRandom(Worker& worker);
void SeekDeleted(Worker& worker);
void MultiReadRandom(Worker& worker);
// mixes.cc
void MixGraph(Worker& worker);
void YcsbA(Worker& worker);
void YcsbB(Worker& worker);
void YcsbC(Worker& worker);
void YcsbD(Worker& worker);
void YcsbE(Worker& worker);
void YcsbF(Worker& worker);

}  // namespace tarn::bench
