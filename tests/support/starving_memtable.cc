#include "tests/support/starving_memtable.h"

#include <atomic>
#include <utility>

#include "tests/support/reference_memtable.h"

namespace tarn::test {
namespace {

constexpr size_t kBallastBytes = 1ull << 30;

class StarvingMemtable final : public Memtable {
 public:
  explicit StarvingMemtable(std::unique_ptr<Memtable> table) : table_(std::move(table)) {}

  void Add(std::string_view key, Sequence sequence, Kind kind, std::string_view value) override {
    if (key == kBallast) ballast_.store(kBallastBytes);
    table_->Add(key, sequence, kind, value);
  }
  Found Get(std::string_view key, Sequence snapshot) const override { return table_->Get(key, snapshot); }
  std::unique_ptr<Cursor> NewCursor() const override { return table_->NewCursor(); }
  size_t memory_bytes() const override { return table_->memory_bytes() + ballast_.load(); }

 private:
  const std::unique_ptr<Memtable> table_;
  std::atomic<size_t> ballast_{0};
};

class StarvingStrategy final : public MemtableStrategy {
 public:
  std::string_view name() const override { return "starving"; }
  std::unique_ptr<Memtable> Create() const override { return std::make_unique<StarvingMemtable>(inner_->Create()); }

 private:
  const std::shared_ptr<MemtableStrategy> inner_ = NewReferenceMemtable();
};

}  // namespace

std::shared_ptr<MemtableStrategy> NewStarvingMemtable() { return std::make_shared<StarvingStrategy>(); }

}  // namespace tarn::test
