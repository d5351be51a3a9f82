#include "tests/sim/tiered_storage.h"

#include <algorithm>
#include <utility>

#include "backends/tiered/tiered.h"
#include "base/assert.h"
#include "tests/sim/blob_storage.h"
#include "tests/support/sim_effects.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

// So small that copies are evicted in a short life.
constexpr uint64_t kNearBytes = 400 << 10;

class TieredStorage final : public SimStorage {
 public:
  explicit TieredStorage(uint64_t seed)
      : bucket_(MakeBucketStorage(seed)), disk_(MakeMemStorage(seed + 1)), chance_(seed + 2) {}

  std::shared_ptr<Backend> Mount() override {
    std::shared_ptr<Backend> mounted = mounted_.lock();
    if (mounted != nullptr) return mounted;
    disk_->SetFaults(0, {});  // the first look at the disk is not what fails
    const auto tiered = tiered::OpenTiered(std::make_shared<Gate>(this, bucket_->Mount()),
                                           std::make_shared<Gate>(this, disk_->Mount()), {.near_bytes = kNearBytes});
    CHECK(tiered.ok());
    disk_->SetFaults(++disk_seed_, rates_);
    mounted_ = *tiered;
    return *tiered;
  }
  void Crash(uint64_t seed, CrashMode mode) override {
    mounted_.reset();
    bucket_->Crash(seed, CrashMode::kProcessKill);
    disk_->Crash(seed, mode);
    stopped_ = false;
    effects_left_ = 0;
  }
  void CrashAfter(uint64_t effects) override { effects_left_ = effects; }
  bool stopped() const override { return stopped_; }
  void SetFaults(uint64_t seed, const FaultRates& rates) override {
    bucket_->SetFaults(seed, rates);
    disk_->SetFaults(disk_seed_ = seed + 1, rates);
    rates_ = rates;
  }
  std::optional<Damage> Rot(uint64_t seed) override {
    std::optional<Damage> damage = (seed % 2 == 0 ? bucket_ : disk_)->Rot(seed / 2);
    if (damage.has_value() && damage->name.starts_with("near/")) {
      std::replace(damage->name.begin(), damage->name.end(), '/', ' ');
    }
    return damage;
  }
  const std::map<std::string, uint64_t>& faults() const override {
    // In place: callers hold iterators over two calls. The kinds of the two are different.
    for (const SimStorage* side : {bucket_.get(), disk_.get()}) {
      for (const auto& [kind, count] : side->faults()) faults_[kind] = count;
    }
    return faults_;
  }
  uint64_t digest() const override { return bucket_->digest() * 31 + disk_->digest(); }

 private:
  // What leaves the machine for one of the two.
  class Gate final : public WrappingBackend {
   public:
    Gate(TieredStorage* owner, std::shared_ptr<Backend> side) : WrappingBackend(std::move(side)), owner_(owner) {}

   private:
    Status Around(const Call& call, const Effect& effect) override { return owner_->Around(call, effect); }
    TieredStorage* const owner_;
  };

  Status Around(const Call& call, const WrappingBackend::Effect& effect) {
    if (!stopped_ && effects_left_ != 0 && ChangesStore(call.op) && --effects_left_ == 0) {
      stopped_ = true;
      if (chance_.OneIn(2)) {
        const Status unheard = effect();
        (void)unheard;
      }
    }
    return stopped_ ? Status::Io("the simulated machine stopped: crash it and mount what is left") : effect();
  }

  const std::unique_ptr<SimStorage> bucket_, disk_;
  SeededRandom chance_;
  uint64_t disk_seed_ = 0;
  FaultRates rates_;
  std::weak_ptr<Backend> mounted_;
  uint64_t effects_left_ = 0;
  bool stopped_ = false;
  mutable std::map<std::string, uint64_t> faults_;
};

}  // namespace

std::unique_ptr<SimStorage> MakeTieredStorage(uint64_t seed) { return std::make_unique<TieredStorage>(seed); }

}  // namespace tarn::test
