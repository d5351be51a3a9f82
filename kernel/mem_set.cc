#include "kernel/mem_set.h"

#include <algorithm>

namespace tarn::kernel {

void FamilyMem::Add(Kind kind, Sequence sequence, std::string_view key, std::string_view value) {
  if (kind == Kind::kRangeDelete) return AddTombstone({std::string(key), std::string(value), sequence});
  table_->Add(key, sequence, kind, value);
  entries_.fetch_add(1, std::memory_order_relaxed);
}

// As a binary counter carries: the newest sets of 1, 2, 4, ... tombstones become one.
void FamilyMem::AddTombstone(RangeTombstone tombstone) {
  size_t bytes = tombstone_bytes_.load(std::memory_order_relaxed);
  bytes += sizeof(RangeTombstone) + tombstone.begin.capacity() + tombstone.end.capacity();
  list_.push_back(std::move(tombstone));
  auto sets = std::make_shared<TombstoneSets>(*tombstones());
  size_t size = 1;
  for (; list_.size() % (2 * size) == 0; size *= 2) {
    bytes -= sets->back()->memory_bytes();
    sets->pop_back();
  }
  sets->push_back(std::make_shared<const RangeTombstones>(
      std::vector<RangeTombstone>(list_.end() - static_cast<ptrdiff_t>(size), list_.end())));
  tombstone_bytes_.store(bytes + sets->back()->memory_bytes(), std::memory_order_relaxed);
  {
    MutexLock lock(mutex_);
    sets_ = std::move(sets);
  }
  tombstone_count_.store(list_.size(), std::memory_order_release);
}

std::shared_ptr<const TombstoneSets> FamilyMem::tombstones() const {
  MutexLock lock(mutex_);
  return sets_;
}

Sequence FamilyMem::NewestCover(std::string_view user_key, Sequence snapshot) const {
  if (!has_tombstones()) return 0;
  const std::shared_ptr<const TombstoneSets> sets = tombstones();  // a writer may replace them meanwhile
  Sequence newest = 0;
  for (const auto& set : *sets) newest = std::max(newest, set->NewestCover(user_key, snapshot));
  return newest;
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
