// workloads_overhead: what the measuring costs by itself. Runs workloads on an engine that does as good as nothing
// (it knows which keys there are and what their values begin with), and prints nanoseconds per operation. Included:
// the choice of the key, its making, the check of the value, the clock, the histogram, and the engine's own few
// nanoseconds. It is processor time, so that a busy machine changes it little.
//
//   workloads_overhead [SECONDS]    a workload; 0.5 when it is not given
#include <fmt/format.h>

#include <cstdlib>

#include "bench/workloads/workload.h"

namespace tarn::bench {
namespace {

constexpr uint64_t kKeys = 1000000;
constexpr size_t kValueBytes = 100;

void MakeValue(uint64_t number, std::string* value) {
  value->resize(kValueBytes);
  const uint64_t check = CheckOf(number, kValueBytes);
  std::memcpy(value->data(), &check, sizeof(check));
}

class NullCursor final : public Cursor {
 public:
  void Seek(std::string_view key) override { MoveTo(NumberOf(key)); }
  void SeekToFirst() override { MoveTo(0); }
  void SeekToLast() override { MoveTo(2 * (kKeys - 1)); }
  void Next() override { MoveTo(number_ + 2); }
  void Prev() override { MoveTo(number_ - 2); }
  bool valid() const override { return number_ < 2 * kKeys; }
  std::pair<std::string_view, std::string_view> Entry() const override { return {bytes_, value_}; }

 private:
  void MoveTo(uint64_t number) {
    number_ = number;
    bytes_ = key_.Of(number);
    MakeValue(number, &value_);
  }
  uint64_t number_ = 0;
  Key key_{16};
  std::string_view bytes_;
  std::string value_;
};

class NullEngine final : public Engine {
 public:
  void Put(std::string_view, std::string_view) override {}
  void Delete(std::string_view) override {}
  bool Get(std::string_view key, std::string* value) override {
    const uint64_t number = NumberOf(key);
    if (number % 2 != 0) return false;
    MakeValue(number, value);
    return true;
  }
  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    for (size_t i = 0; i < keys.size(); ++i) found[i] = Get(keys[i], &values[i]);
  }
  std::unique_ptr<Cursor> NewCursor() override { return std::make_unique<NullCursor>(); }
  void Settle() override {}
  std::string Describe() const override { return "does nothing"; }
};

}  // namespace
}  // namespace tarn::bench

int main(int argc, char** argv) {
  using namespace tarn::bench;
  fmt::print("processor nanoseconds per operation of an engine that does nothing, 1 thread\n");
  for (const char* name :
       {"fillseq", "fillrandom", "overwrite", "readrandom", "readmissing", "readhot", "readseq", "readreverse",
        "seekrandom", "multireadrandom", "deleterandom", "mixgraph", "ycsb-a", "ycsb-c"}) {
    RunSpec spec{.engine = "null", .workload = name, .keys = kKeys, .value_bytes = kValueBytes};
    spec.config.dir = "workloads_overhead.none";  // nothing is there, and nothing is made
    spec.seconds = argc > 1 ? std::atof(argv[1]) : 0.5;
    const RunResult result = RunOn(spec, [](const EngineConfig&) { return std::make_unique<NullEngine>(); });
    fmt::print("  {:<16} {:6.1f}\n", name, 1e3 * result.cpu_s_per_million);
  }
}
