#include "tests/sim/cached_storage.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

#include "backends/cached/cached.h"
#include "tests/sim/blob_storage.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

class CachedStorage final : public SimStorage {
 public:
  explicit CachedStorage(uint64_t seed)
      : chance_(seed),
        extent_bytes_(512u << chance_.Below(4)),
        bucket_(MakeBucketStorage(seed)),
        disk_(MakeMemStorage(chance_.Next())) {}

  std::shared_ptr<Backend> Mount() override {
    std::shared_ptr<Backend> mounted = mounted_.lock();
    if (mounted != nullptr) return mounted;
    cached::CacheOptions options;
    options.extent_bytes = extent_bytes_;
    options.segment_bytes = options.extent_bytes * static_cast<uint32_t>(2 + chance_.Below(7));
    options.limit_bytes = 16 * options.segment_bytes + chance_.Below(256 << 10);
    options.reserve_bytes = 0;
    options.write_through_bytes = chance_.Below(64 << 10);
    options.warm = chance_.OneIn(8);
    options.background = false;
    auto opened = cached::OpenCached(bucket_->Mount(), disk_->Mount(), options);
    if (!opened.ok()) {
      std::fprintf(stderr, "the cache does not open: %s\n", opened.status().ToString().c_str());
      std::abort();
    }
    mounted_ = *opened;
    return *opened;
  }

  void Crash(uint64_t seed, CrashMode mode) override {
    bucket_->Crash(seed, mode);
    disk_->Crash(seed + 1, mode);
    mounted_.reset();
  }
  void CrashAfter(uint64_t effects) override { bucket_->CrashAfter(effects); }
  bool stopped() const override { return bucket_->stopped(); }
  void SetFaults(uint64_t seed, const FaultRates& rates) override {
    bucket_->SetFaults(seed, rates);
    FaultRates disk;
    disk.io_error = chance_.OneIn(2) ? 20'000 : 0;
    disk.io_after = disk.io_error / 4;
    disk.no_space = chance_.OneIn(3) ? 100'000 : 0;
    disk_->SetFaults(seed + 1, disk);
  }
  std::optional<Damage> Rot(uint64_t seed) override {
    disk_->Rot(seed);
    return std::nullopt;
  }
  const std::map<std::string, uint64_t>& faults() const override { return bucket_->faults(); }
  uint64_t digest() const override { return bucket_->digest() ^ disk_->digest() * 3; }

 private:
  SeededRandom chance_;
  const uint32_t extent_bytes_;  // the same in all lives, or nothing would outlive one
  const std::unique_ptr<SimStorage> bucket_, disk_;
  std::weak_ptr<Backend> mounted_;
};

}  // namespace

std::unique_ptr<SimStorage> MakeCachedStorage(uint64_t seed) { return std::make_unique<CachedStorage>(seed); }

}  // namespace tarn::test
