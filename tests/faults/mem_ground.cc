// The ground in memory: each call on the backend, and on all that it hands out, can fail. Errors look like those of
// a real backend ("cannot <what> <blob>: injected: <next step>", with errno), so that the sweep can tell whether the
// engine hands on what it was told.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>

#include "tests/faults/ground.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"
#include "tests/support/wrapping_backend.h"

namespace tarn::test {
namespace {

constexpr std::string_view kMark = ": injected: check the device and try again";

bool TakesSpace(Op op) {
  return op == Op::kCreate || op == Op::kBlobAppend || op == Op::kFinish || op == Op::kPutIfAbsent ||
         op == Op::kCreateAppend || op == Op::kLogAppend || op == Op::kLogSync;
}
bool Any(Op) { return true; }

constexpr uint64_t kForever = UINT64_MAX;

struct Kind {
  std::string name;
  Code code = Code::kIo;
  int error = 0;
  uint64_t times = 1;  // calls in a row that fail
  bool effect_happens = false;
  bool (*selects)(Op) = &Any;
};

// Two in a row, because a read ahead that fails is followed by a read of what is wanted alone: one fault is not seen.
// seen.
const std::vector<Kind>& AllKinds() {
  static const std::vector<Kind> kinds = {
      {"Io once", Code::kIo, EIO},
      {"Io for ever", Code::kIo, EIO, kForever},
      {"Io although it happened", Code::kIo, EIO, 1, true, &ChangesStore},
      {"NoSpace once", Code::kNoSpace, ENOSPC, 1, false, &TakesSpace},
      {"NoSpace for ever", Code::kNoSpace, ENOSPC, kForever, false, &TakesSpace},
      {"NoSpace although it happened", Code::kNoSpace, ENOSPC, 1, true, &TakesSpace},
      {"Unavailable twice", Code::kUnavailable, ETIMEDOUT, 2},
  };
  return kinds;
}

const char* VerbOf(Op op) {
  switch (op) {
    case Op::kOpen: return "open";
    case Op::kRead: return "read";
    case Op::kSubmit: return "start reading";
    case Op::kComplete: return "finish reading";
    case Op::kList: return "list";
    case Op::kSpace: return "ask for the space of";
    case Op::kLock: return "lock";
    case Op::kCreate: return "create";
    case Op::kBlobAppend: return "write";
    case Op::kFinish: return "publish";
    case Op::kPutIfAbsent: return "put";
    case Op::kDelete: return "delete";
    case Op::kDeleteMany: return "delete many from";
    case Op::kCreateAppend: return "create log";
    case Op::kLogAppend: return "append to";
    case Op::kLogSync: return "sync";
  }
  return "?";
}

// Counts and fails, for any number of backends together.
class Injector {
 public:
  void Arm(const Kind* kind, uint64_t nth) {
    std::lock_guard lock(mutex_);
    kind_ = kind;
    nth_ = nth;
    calls_ = fired_ = 0;
    hit_log_ = hit_publish_ = false;
  }
  void Disarm() {  // what was counted stays
    std::lock_guard lock(mutex_);
    kind_ = nullptr;
  }
  uint64_t calls() const { return Locked(calls_); }
  uint64_t fired() const { return Locked(fired_); }
  bool hit_log() const { return Locked(hit_log_); }
  bool hit_publish() const { return Locked(hit_publish_); }

  Status Around(const Call& call, const WrappingBackend::Effect& effect) {
    const Kind* kind = Hit(call);
    if (kind == nullptr) return effect();
    if (kind->effect_happens) TARN_TRY(effect());
    return Status(kind->code,
                  std::string("cannot ") + VerbOf(call.op) + " " + std::string(call.name) + std::string(kMark),
                  kind->error);
  }

 private:
  template <typename T>
  T Locked(const T& value) const {
    std::lock_guard lock(mutex_);
    return value;
  }
  const Kind* Hit(const Call& call) {
    std::lock_guard lock(mutex_);
    if (kind_ == nullptr || !kind_->selects(call.op)) return nullptr;
    ++calls_;
    if (nth_ == 0 || calls_ < nth_ || calls_ - nth_ >= kind_->times) return nullptr;
    ++fired_;
    hit_log_ |= call.op >= Op::kCreateAppend;
    hit_publish_ |= call.op == Op::kPutIfAbsent && (kind_->effect_happens || kind_->code != Code::kNoSpace);
    return kind_;
  }

  mutable std::mutex mutex_;  // guards what follows; not held during effects
  const Kind* kind_ = nullptr;
  uint64_t nth_ = 0, calls_ = 0, fired_ = 0;
  bool hit_log_ = false, hit_publish_ = false;
};

class NthBackend final : public WrappingBackend {
 public:
  NthBackend(std::shared_ptr<Backend> inner, std::shared_ptr<Injector> injector)
      : WrappingBackend(std::move(inner)), injector_(std::move(injector)) {}

 private:
  Status Around(const Call& call, const Effect& effect) override { return injector_->Around(call, effect); }
  const std::shared_ptr<Injector> injector_;
};

class MemGround final : public Ground {
 public:
  explicit MemGround(std::shared_ptr<MemBackend> disk) : disk_(std::move(disk)) {}

  void Arm(size_t kind, uint64_t nth) override { injector_->Arm(&AllKinds()[kind], nth); }
  void Disarm() override { injector_->Disarm(); }
  uint64_t calls() const override { return injector_->calls(); }
  uint64_t fired() const override { return injector_->fired(); }
  bool hit_log() const override { return injector_->hit_log(); }
  bool hit_publish() const override { return injector_->hit_publish(); }

  std::string Objection(size_t kind, const Status& error) const override {
    const Kind& wanted = AllKinds()[kind];
    if (error.code() != wanted.code) return "another code than the backend's";
    if (error.os_error() != wanted.error) return "the errno was lost";
    if (error.message().find(kMark) == std::string_view::npos) return "what the backend said was lost";
    return {};
  }

  Result<std::shared_ptr<Backend>> Store(bool) override {
    return std::shared_ptr<Backend>(std::make_shared<NthBackend>(disk_, injector_));
  }
  Result<std::shared_ptr<Backend>> Target() override {
    target_ = std::make_shared<MemBackend>();
    return std::shared_ptr<Backend>(std::make_shared<NthBackend>(target_, injector_));
  }
  std::shared_ptr<Backend> After(Ending ending, uint64_t seed) override {
    if (ending == Ending::kDestroyed) return disk_;
    return disk_->CrashClone(seed, ending == Ending::kKilled ? CrashMode::kProcessKill : CrashMode::kTornSubset);
  }
  std::shared_ptr<Backend> TargetAfter() override { return target_; }
  std::vector<Ending> endings() const override { return {Ending::kDestroyed, Ending::kKilled, Ending::kPowerLost}; }
  std::string Leftovers() const override { return {}; }

 private:
  const std::shared_ptr<MemBackend> disk_;
  std::shared_ptr<MemBackend> target_ = std::make_shared<MemBackend>();
  const std::shared_ptr<Injector> injector_ = std::make_shared<Injector>();
};

class MemGrounds final : public Grounds {
 public:
  MemGrounds() {
    for (const Kind& kind : AllKinds()) names_.push_back(kind.name);
  }
  const std::vector<std::string>& kinds() const override { return names_; }
  std::unique_ptr<Ground> Empty() override { return std::make_unique<MemGround>(std::make_shared<MemBackend>()); }
  std::unique_ptr<Ground> FromImage(const std::string& image) override {
    return std::make_unique<MemGround>(images_.at(image)->CrashClone(0, CrashMode::kProcessKill));
  }
  std::shared_ptr<Backend> Workshop() override { return workshop_; }
  void Keep(const std::string& image) override { images_[image] = workshop_->CrashClone(0, CrashMode::kProcessKill); }

 private:
  std::vector<std::string> names_;
  const std::shared_ptr<MemBackend> workshop_ = std::make_shared<MemBackend>();
  std::map<std::string, std::shared_ptr<MemBackend>> images_;
};

}  // namespace

uint64_t SweepSeed() {
  static const uint64_t seed = [] {
    const char* given = std::getenv("TARN_SEED");
    const uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
    std::cout << "TARN_SEED=" << value << "\n";
    return value;
  }();
  return seed;
}

std::vector<uint64_t> PointsOf(uint64_t calls, uint64_t limit, uint64_t salt) {
  const char* mode = std::getenv("TARN_FAULTS");
  const bool full = mode != nullptr && std::string_view(mode) == "full";
  const uint64_t stride = full || limit == 0 ? 1 : (calls + limit - 1) / std::max<uint64_t>(limit, 1);
  std::vector<uint64_t> points;
  if (calls == 0) return points;
  SeededRandom random(SweepSeed() * 1000003 + salt);
  for (uint64_t n = 1 + (stride > 1 ? random.Below(stride) : 0); n <= calls; n += stride) points.push_back(n);
  return points;
}

std::string ObjectionToForm(const Status& error) {
  const std::string text = error.ToString();
  if (text.find('\n') != std::string::npos) return "more than one line";
  if (text.size() > 500) return "too long to be read";
  if (text.size() < 20) return "says too little";
  return {};
}

std::unique_ptr<Grounds> NewMemGrounds() { return std::make_unique<MemGrounds>(); }

}  // namespace tarn::test
