#include "kernel/table_handle.h"

namespace tarn::kernel {

void Graveyard::Bury(uint64_t number) {
  MutexLock lock(mutex_);
  numbers_.push_back(number);
  count_.store(numbers_.size(), std::memory_order_release);
}

std::vector<uint64_t> Graveyard::Exhume() {
  MutexLock lock(mutex_);
  count_.store(0, std::memory_order_release);
  return std::exchange(numbers_, {});
}

TableHandle::~TableHandle() {
  if (obsolete_.load(std::memory_order_acquire)) graveyard_->Bury(meta_.number);
}

Result<const Table*> TableHandle::Get() {
  if (const Table* table = opened_.load(std::memory_order_acquire)) return table;
  MutexLock lock(mutex_);
  if (table_ == nullptr) {
    TARN_ASSIGN(table_, Table::Open(backend_, store_id_, meta_.number, meta_.file_bytes));
    opened_.store(table_.get(), std::memory_order_release);
  }
  return table_.get();
}

}  // namespace tarn::kernel
