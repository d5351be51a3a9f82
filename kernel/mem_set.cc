#include "kernel/mem_set.h"

namespace tarn::kernel {

void FamilyMem::Add(Kind kind, Sequence sequence, std::string_view key, std::string_view value) {
  if (kind != Kind::kRangeDelete) {
    table_->Add(key, sequence, kind, value);
    entries_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  {
    MutexLock lock(mutex_);
    list_.push_back({std::string(key), std::string(value), sequence});
    built_ = nullptr;
  }
  // Twice the bytes: once in the list, once in the fragments.
  tombstone_bytes_.fetch_add(2 * (sizeof(RangeTombstone) + key.size() + value.size()), std::memory_order_relaxed);
  tombstone_count_.fetch_add(1, std::memory_order_release);
}

std::shared_ptr<const RangeTombstones> FamilyMem::tombstones() const {
  static const auto kNone = std::make_shared<const RangeTombstones>();
  if (!has_tombstones()) return kNone;
  MutexLock lock(mutex_);
  if (built_ == nullptr) built_ = std::make_shared<const RangeTombstones>(list_);
  return built_;
}

size_t FamilyMem::memory_bytes() const {
  return table_->memory_bytes() + tombstone_bytes_.load(std::memory_order_relaxed);
}

MemSet::MemSet(const MemtableStrategy& strategy, const std::vector<uint32_t>& families, uint64_t first_wal,
               MemoryBudget* budget)
    : first_wal_(first_wal), budget_(budget) {
  for (uint32_t family : families) families_.emplace(family, std::make_unique<FamilyMem>(strategy.Create()));
}

MemSet::~MemSet() { budget_->Release(charged_); }

void MemSet::ChargeGrowth() {
  const uint64_t now = memory_bytes();
  if (now <= charged_) return;
  budget_->Charge(now - charged_);
  charged_ = now;
}

FamilyMem* MemSet::Find(uint32_t family) const {
  const auto it = families_.find(family);
  return it == families_.end() ? nullptr : it->second.get();
}

size_t MemSet::memory_bytes() const {
  size_t bytes = 0;
  for (const auto& [id, mem] : families_) bytes += mem->memory_bytes();
  return bytes;
}

bool MemSet::empty() const {
  for (const auto& [id, mem] : families_) {
    if (!mem->empty()) return false;
  }
  return true;
}

}  // namespace tarn::kernel
