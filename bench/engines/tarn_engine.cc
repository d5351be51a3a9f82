// Tarn as tarn-bench sees it: the three budgets, durability, compression and filter bits from EngineConfig, every
// other setting as it comes. Its defaults are what is measured.
//
// The store is opened from components only for the sake of Settle(): the scheduler is wrapped to count tasks, because
// no statistic says whether a merge runs or is about to. compaction.debt_bytes is no substitute; it is what writers
// are slowed down for, and reaches zero while the policy still has merges to do.
#include <fmt/format.h>
#include <tarn/db.h>

#include <condition_variable>

#include "base/system_effects.h"
#include "bench/engines/adapter.h"
#include "kernel/assemble.h"

namespace tarn::bench {
namespace {

void Must(const Status& status) {
  if (!status.ok()) Die("tarn: " + status.ToString());
}

// Passes everything on, and knows how many tasks have not ended. A task that starts others does so before it ends, so
// zero means that nothing is left to do.
class CountingScheduler final : public Scheduler {
 public:
  explicit CountingScheduler(uint32_t threads) : inner_(NewThreadScheduler(threads)) {}

  void Submit(Lane lane, Task task) override {
    {
      const std::lock_guard lock(mutex_);
      ++live_;
    }
    inner_->Submit(lane, [this, task = std::move(task)] {
      if (task()) return true;
      const std::lock_guard lock(mutex_);
      if (--live_ == 0) idle_.notify_all();
      return false;
    });
  }
  void Await(std::mutex& mutex, const std::function<bool()>& ready) override { inner_->Await(mutex, ready); }
  void Notify() override { inner_->Notify(); }

  void AwaitIdle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return live_ == 0; });
  }

 private:
  std::mutex mutex_;  // guards live_
  std::condition_variable idle_;
  uint64_t live_ = 0;
  const std::shared_ptr<Scheduler> inner_;  // last: its threads end before what they count with
};

class TarnCursor final : public Cursor {
 public:
  explicit TarnCursor(std::unique_ptr<Iterator> it) : it_(std::move(it)) {}
  void Seek(std::string_view key) override { it_->Seek(key), Check(); }
  void SeekToFirst() override { it_->SeekToFirst(), Check(); }
  void SeekToLast() override { it_->SeekToLast(), Check(); }
  void Next() override { it_->Next(), Check(); }
  void Prev() override { it_->Prev(), Check(); }
  bool valid() const override { return it_->valid(); }
  std::pair<std::string_view, std::string_view> Entry() const override { return {it_->key(), it_->value()}; }

 private:
  void Check() const {
    if (!it_->valid()) Must(it_->status());
  }
  const std::unique_ptr<Iterator> it_;
};

Settings SettingsOf(const EngineConfig& config) {
  Settings settings;
  settings.memory_bytes = config.memory_budget;
  settings.background_threads = config.background_threads;
  settings.durability = static_cast<tarn::Durability>(config.durability);
  static_assert(static_cast<int>(tarn::Durability::kProcess) == static_cast<int>(Durability::kProcess) &&
                static_cast<int>(tarn::Durability::kPower) == static_cast<int>(Durability::kPower));
  if (!config.compression) settings.compression = settings.last_level_compression = Compression::kNone;
  settings.filter_bits_per_key = config.filter_bits_per_key;
  settings.direct_reads = config.direct_reads;
  return settings;
}

class TarnEngine final : public Engine {
 public:
  explicit TarnEngine(const EngineConfig& config)
      : settings_(SettingsOf(config)),
        direct_reads_(config.direct_reads),
        scheduler_(std::make_shared<CountingScheduler>(config.background_threads)) {
    MakeDir(config.dir);
    Components parts;
    Result<std::shared_ptr<Backend>> backend = kernel::OpenLocation(&settings_, config.dir);
    Must(backend.status());
    parts.backend = std::move(*backend);
    parts.scheduler = scheduler_;
    parts.holder = "tarn-bench";
    Result<std::unique_ptr<DB>> db = DB::Open(settings_, std::move(parts));
    Must(db.status());
    db_ = std::move(*db);
  }
  ~TarnEngine() override { Must(db_->Close()); }

  void Put(std::string_view key, std::string_view value) override { Must(db_->Put(key, value)); }
  void Delete(std::string_view key) override { Must(db_->Delete(key)); }
  bool Get(std::string_view key, std::string* value) override { return Found(db_->Get(key, value)); }

  void MultiGet(std::span<const std::string_view> keys, std::span<std::string> values,
                std::span<bool> found) override {
    static thread_local std::vector<std::string_view> asked;
    static thread_local std::vector<std::string> answers;
    asked.assign(keys.begin(), keys.end());
    const std::vector<Status> statuses = db_->MultiGet({}, asked, &answers);
    for (size_t i = 0; i < keys.size(); ++i) {
      found[i] = Found(statuses[i]);
      values[i].swap(answers[i]);  // each side keeps memory to reuse
    }
  }

  std::unique_ptr<Cursor> NewCursor() override { return std::make_unique<TarnCursor>(db_->NewIterator()); }

  void Settle() override {
    Must(db_->Flush());  // the merges that it calls for are submitted before it returns
    scheduler_->AwaitIdle();
    Must(db_->Flush());  // nothing to write; says whether the store failed meanwhile
  }

  std::string Describe() const override {
    static constexpr const char* kDurability[] = {"none", "process", "power"};
    static constexpr const char* kCompression[] = {"none", "lz4", "zstd"};
    return fmt::format(
        "memory_bytes {}, background_threads {}, durability {}, compression {} and {} in the last level, "
        "filter_bits_per_key {}, direct reads {}; all else as it comes",
        Size(settings_.memory_bytes), settings_.background_threads,
        kDurability[static_cast<size_t>(settings_.durability)],
        kCompression[static_cast<size_t>(settings_.compression)],
        kCompression[static_cast<size_t>(settings_.last_level_compression)], settings_.filter_bits_per_key,
        direct_reads_ ? "on" : "off");
  }

 private:
  static bool Found(const Status& status) {
    if (status.code() == Code::kNotFound) return false;
    Must(status);
    return true;
  }

  Settings settings_;
  const bool direct_reads_;
  const std::shared_ptr<CountingScheduler> scheduler_;
  std::unique_ptr<DB> db_;
};

}  // namespace

EngineKind TarnKind() {
  return {"tarn", TARN_VERSION, [](const EngineConfig& config) { return std::make_unique<TarnEngine>(config); }};
}

}  // namespace tarn::bench
