#include "tests/sim/file_storage.h"

#include <deque>
#include <utility>
#include <vector>

#include "backends/local/local_internal.h"
#include "base/assert.h"
#include "tests/sim/sim_files.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

// The backend asks the real machine whether it may enter the directory, so this one exists on every machine; nothing
// else of it is used.
constexpr const char* kRoot = "/tmp";

// Reads when it is waited for, one after the other. Without it the kernel would read with threads of its own.
class SequentialQueue final : public ReadQueue {
 public:
  void Submit(ReadRequest* request) override { pending_.push_back(request); }
  std::vector<ReadRequest*> Wait() override {
    if (pending_.empty()) return {};
    ReadRequest* const request = pending_.front();
    pending_.pop_front();
    request->status = request->blob->Read(request->offset, request->out);
    return {request};
  }

 private:
  std::deque<ReadRequest*> pending_;
};

class OneThreadBackend final : public WrappingBackend {
 public:
  using WrappingBackend::WrappingBackend;
  BackendFeatures features() override {
    BackendFeatures features = WrappingBackend::features();
    features.queues = this;
    return features;
  }
  std::unique_ptr<ReadQueue> NewReadQueue() override { return std::make_unique<SequentialQueue>(); }
  bool MayMove() const override { return true; }

 private:
  Status Around(const Call&, const Effect& effect) override { return effect(); }
};

class FileStorage final : public SimStorage {
 public:
  explicit FileStorage(uint64_t seed) : files_(kRoot) { files_.SetFaults(seed, {}); }

  std::shared_ptr<Backend> Mount() override {
    files_.SetQuiet(true);  // looking at the root is not what fails
    auto backend = local::OpenLocalWith(files_.NewProcess(), kRoot, {.create = false, .allow_io_uring = false});
    files_.SetQuiet(false);
    CHECK(backend.ok());
    return std::make_shared<OneThreadBackend>(std::move(*backend));
  }
  void Crash(uint64_t seed, CrashMode mode) override {
    FileCrash profile = FileCrash::kKill;
    if (mode == CrashMode::kDropUnsynced) profile = FileCrash::kAllLost;
    if (mode == CrashMode::kTornSubset) profile = seed % 4 == 0 ? FileCrash::kOrdered : FileCrash::kPosix;
    files_.Crash(seed, profile);
  }
  void CrashAfter(uint64_t effects) override { files_.CrashAfter(effects); }
  bool stopped() const override { return files_.stopped(); }
  void SetFaults(uint64_t seed, const FaultRates& rates) override { files_.SetFaults(seed, rates); }
  std::optional<Damage> Rot(uint64_t seed) override { return files_.Rot(seed); }
  const std::map<std::string, uint64_t>& faults() const override { return files_.faults(); }
  uint64_t digest() const override { return files_.digest(); }

 private:
  SimFiles files_;
};

}  // namespace

std::unique_ptr<SimStorage> MakeFileStorage(uint64_t seed) { return std::make_unique<FileStorage>(seed); }

}  // namespace tarn::test
