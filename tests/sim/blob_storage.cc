#include "tests/sim/blob_storage.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/rot.h"
#include "tests/support/sim_effects.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

constexpr uint64_t kMillion = 1'000'000;
// At each call one request in so many that are still under way lands.
constexpr uint64_t kLandOneIn = 40;

Status PowerGone() { return Status::Io("the simulated machine stopped: crash it and mount what is left"); }

class BlobStorage final : public SimStorage {
 public:
  BlobStorage(uint64_t seed, bool object, bool files)
      : object_(object),
        chance_(seed),
        fault_chance_(seed),
        disk_(std::make_shared<MemBackend>(
            MemOptions{.append = files,
                       .locks = files,
                       .bulk = object,
                       .latency = object ? LatencyClass::kNetwork : LatencyClass::kMemory})) {}

  std::shared_ptr<Backend> Mount() override;
  void Crash(uint64_t seed, CrashMode mode) override;
  void CrashAfter(uint64_t effects) override { effects_left_ = effects; }
  bool stopped() const override { return stopped_; }
  void SetFaults(uint64_t seed, const FaultRates& rates) override {
    fault_chance_ = SeededRandom(seed);
    rates_ = rates;
  }
  std::optional<Damage> Rot(uint64_t seed) override;
  const std::map<std::string, uint64_t>& faults() const override { return faults_; }
  uint64_t digest() const override { return digest_; }

 private:
  class MountedBackend;
  class ObjectWriter;
  struct Put {
    std::string name, bytes;
  };

  Status Around(const Call& call, const WrappingBackend::Effect& effect);
  Status RunOrStop(const Call& call, const WrappingBackend::Effect& effect);
  Status AroundDisk(const Call& call, const WrappingBackend::Effect& effect);
  Status AroundBucket(const Call& call, const WrappingBackend::Effect& effect);
  bool Draw(uint32_t rate) { return rate != 0 && fault_chance_.Below(kMillion) < rate; }
  void Land();
  void Note(const Call& call, const Status& status);

  const bool object_;
  SeededRandom chance_;        // of crashes and landings
  SeededRandom fault_chance_;  // of faults
  FaultRates rates_;
  std::shared_ptr<MemBackend> disk_;
  std::weak_ptr<MountedBackend> mounted_;
  std::vector<Put> under_way_;  // requests that the caller gave up
  Put* current_put_ = nullptr;  // what the PUT that is being made carries
  uint64_t effects_left_ = 0;
  bool stopped_ = false;
  std::map<std::string, uint64_t> faults_;
  uint64_t digest_ = 0;
};

// What one process, or several at once, sees.
class BlobStorage::MountedBackend final : public WrappingBackend {
 public:
  MountedBackend(BlobStorage* storage, std::shared_ptr<MemBackend> disk)
      : WrappingBackend(disk), storage_(storage), disk_(std::move(disk)) {}
  void Die() { storage_ = nullptr; }

  Result<std::unique_ptr<BlobWriter>> Create(std::string_view name) override;
  Result<PutOutcome> PutIfAbsent(std::string_view name, std::string_view bytes) override;

 private:
  friend class ObjectWriter;
  Status Around(const Call& call, const Effect& effect) override {
    return storage_ == nullptr ? PowerGone() : storage_->Around(call, effect);
  }

  BlobStorage* storage_;  // null: this process is dead
  const std::shared_ptr<MemBackend> disk_;
};

// A blob of a bucket is one PUT, made by Finish.
class BlobStorage::ObjectWriter final : public BlobWriter {
 public:
  ObjectWriter(MountedBackend* owner, std::string_view name) : owner_(owner), put_{std::string(name), {}} {}
  Status Append(std::string_view bytes) override {
    TARN_TRY(failure_);
    put_.bytes.append(bytes);
    return {};
  }
  Status Finish() override {
    TARN_TRY(failure_);
    BlobStorage* const storage = owner_->storage_;
    if (storage != nullptr) storage->current_put_ = &put_;
    failure_ = owner_->Around({Op::kFinish, put_.name, 0, put_.bytes.size()}, [&]() -> Status {
      TARN_ASSIGN(const PutOutcome outcome, owner_->disk_->PutIfAbsent(put_.name, put_.bytes));
      if (outcome == PutOutcome::kExists) return Status::Busy("blob " + put_.name + " exists: choose another name");
      return {};
    });
    if (storage != nullptr) storage->current_put_ = nullptr;
    TARN_TRY(failure_);
    failure_ = Status::Invalid("blob " + put_.name + " was already finished: create another blob");
    return {};
  }

 private:
  MountedBackend* const owner_;
  Put put_;
  Status failure_;
};

Result<std::unique_ptr<BlobWriter>> BlobStorage::MountedBackend::Create(std::string_view name) {
  if (storage_ == nullptr || !storage_->object_) return WrappingBackend::Create(name);
  TARN_TRY(Around({Op::kCreate, name}, [] { return Status(); }));
  return std::unique_ptr<BlobWriter>(std::make_unique<ObjectWriter>(this, name));
}

Result<PutOutcome> BlobStorage::MountedBackend::PutIfAbsent(std::string_view name, std::string_view bytes) {
  if (storage_ == nullptr || !storage_->object_) return WrappingBackend::PutIfAbsent(name, bytes);
  Put put{std::string(name), std::string(bytes)};
  storage_->current_put_ = &put;
  Result<PutOutcome> outcome = WrappingBackend::PutIfAbsent(name, bytes);
  if (storage_ == nullptr) return outcome;
  storage_->current_put_ = nullptr;
  if (outcome.ok() && *outcome == PutOutcome::kCreated && storage_->Draw(storage_->rates_.duplicate)) {
    ++storage_->faults_["duplicate PUT"];
    outcome = PutOutcome::kExists;
  }
  return outcome;
}

std::shared_ptr<Backend> BlobStorage::Mount() {
  std::shared_ptr<MountedBackend> mounted = mounted_.lock();
  if (mounted == nullptr) {
    mounted = std::make_shared<MountedBackend>(this, disk_);
    mounted_ = mounted;
  }
  return mounted;
}

void BlobStorage::Crash(uint64_t seed, CrashMode mode) {
  if (const auto mounted = mounted_.lock()) mounted->Die();
  mounted_.reset();
  disk_ = disk_->CrashClone(seed, mode);
  stopped_ = false;
  effects_left_ = 0;
}

Status BlobStorage::Around(const Call& call, const WrappingBackend::Effect& effect) {
  if (stopped_) return PowerGone();
  if (!under_way_.empty() && chance_.OneIn(kLandOneIn)) Land();
  const Status status = RunOrStop(call, effect);
  Note(call, status);
  return status;
}

Status BlobStorage::RunOrStop(const Call& call, const WrappingBackend::Effect& effect) {
  if (effects_left_ != 0 && ChangesStore(call.op) && --effects_left_ == 0) {
    stopped_ = true;
    if (chance_.OneIn(2)) {
      const Status unheard = effect();
      (void)unheard;
    }
    return PowerGone();
  }
  const bool local = call.op == Op::kCreateAppend || call.op == Op::kLogAppend || call.op == Op::kLogSync ||
                     call.op == Op::kLock || call.op == Op::kSpace;
  return object_ && !local ? AroundBucket(call, effect) : AroundDisk(call, effect);
}

Status BlobStorage::AroundDisk(const Call& call, const WrappingBackend::Effect& effect) {
  const bool takes_space = call.op == Op::kBlobAppend || call.op == Op::kPutIfAbsent || call.op == Op::kLogAppend ||
                           call.op == Op::kCreateAppend;
  if (Draw(rates_.io_error)) {
    ++faults_["io"];
    return Status::Io("injected: the device failed");
  }
  if (takes_space && Draw(rates_.no_space)) {
    ++faults_["no space"];
    return Status::NoSpace("injected: the device is full");
  }
  if (ChangesStore(call.op) && Draw(rates_.io_after)) {
    TARN_TRY(effect());
    ++faults_["io after the effect"];
    return Status::Io("injected: the device failed");
  }
  return effect();
}

Status BlobStorage::AroundBucket(const Call& call, const WrappingBackend::Effect& effect) {
  // A writer's appends, and a read's completion, are no requests.
  if (call.op == Op::kCreate || call.op == Op::kComplete) return effect();
  if (Draw(rates_.throttle)) {
    ++faults_["throttled"];
    return Status::Unavailable("injected: 503 slow down");
  }
  if (current_put_ != nullptr && Draw(rates_.late)) {
    ++faults_["late PUT"];
    under_way_.push_back(*current_put_);
    return Status::Unavailable("injected: timeout");
  }
  if (ChangesStore(call.op) && Draw(rates_.lost_answer)) {
    TARN_TRY(effect());
    ++faults_["lost answer"];
    return Status::Unavailable("injected: timeout");
  }
  return effect();
}

// One request that was given up arrives.
void BlobStorage::Land() {
  const size_t which = chance_.Below(under_way_.size());
  const Put put = std::move(under_way_[which]);
  under_way_.erase(under_way_.begin() + static_cast<std::ptrdiff_t>(which));
  const Result<PutOutcome> landed = disk_->PutIfAbsent(put.name, put.bytes);
  if (landed.ok() && *landed == PutOutcome::kCreated) ++faults_["late PUT landed"];
}

void BlobStorage::Note(const Call& call, const Status& status) {
  uint64_t hash = digest_ ^ (static_cast<uint64_t>(call.op) << 56 | static_cast<uint64_t>(status.code()) << 48);
  const auto mix = [&](uint64_t word) { hash = (hash ^ word) * 0x9e3779b97f4a7c15ull ^ (hash >> 29); };
  for (size_t at = 0; at < call.name.size(); at += 8) {
    uint64_t word = 0;
    std::memcpy(&word, call.name.data() + at, std::min<size_t>(8, call.name.size() - at));
    mix(word);
  }
  mix(call.offset);
  mix(call.bytes);
  digest_ = hash;
}

std::optional<Damage> BlobStorage::Rot(uint64_t seed) {
  const Result<ListPage> all = disk_->List("", "", 100000);
  if (!all.ok()) return std::nullopt;
  std::vector<std::string> names;
  for (const BlobInfo& blob : all->blobs) {
    if (blob.size > 0) names.push_back(blob.name);
  }
  RotAccess access{.read =
                       [disk = disk_](const std::string& name) {
                         const Result<std::string> bytes = disk->Contents(name);
                         return bytes.ok() ? *bytes : std::string();
                       },
                   .write =
                       [disk = disk_](const std::string& name, std::string bytes) {
                         const Status written = disk->Corrupt(name, std::move(bytes));
                         (void)written;  // deleted meanwhile: nothing to mend
                       }};
  return MakeRot(seed, names, access);
}

}  // namespace

std::unique_ptr<SimStorage> MakeMemStorage(uint64_t seed) { return std::make_unique<BlobStorage>(seed, false, true); }
std::unique_ptr<SimStorage> MakeObjectStorage(uint64_t seed) {
  return std::make_unique<BlobStorage>(seed, true, true);
}
std::unique_ptr<SimStorage> MakeBucketStorage(uint64_t seed) {
  return std::make_unique<BlobStorage>(seed, true, false);
}

}  // namespace tarn::test
