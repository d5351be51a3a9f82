#include "kernel/transaction.h"

#include "kernel/read_path.h"

namespace tarn {
namespace {

Status Over() { return Status::Invalid("the transaction is over; begin another"); }

}  // namespace

Status Transaction::Impl::Get(ColumnFamily family, std::string_view key, std::string* value) {
  if (snapshot_ == nullptr) return Over();
  TARN_TRY(engine_.Usable());
  Key id{family.id, std::string(key)};
  if (const auto it = own_.find(id); it != own_.end()) {
    if (!it->second.has_value()) return Status::NotFound("no such key");
    *value = *it->second;
    return {};
  }
  tracked_.insert(std::move(id));
  return kernel::Get(engine_.store(), family, key, snapshot_.get(), value);
}

void Transaction::Impl::Put(ColumnFamily family, std::string_view key, std::string_view value) {
  if (snapshot_ == nullptr) return;  // Commit says that it is over
  batch_.Put(family, key, value);
  tracked_.emplace(family.id, key);
  own_[{family.id, std::string(key)}] = std::string(value);
}

void Transaction::Impl::Delete(ColumnFamily family, std::string_view key) {
  if (snapshot_ == nullptr) return;
  batch_.Delete(family, key);
  tracked_.emplace(family.id, key);
  own_[{family.id, std::string(key)}] = std::nullopt;
}

Status Transaction::Impl::Validate() {
  for (const auto& [family, key] : tracked_) {
    TARN_ASSIGN(const bool changed, kernel::ChangedSince(engine_.store(), family, key, snapshot_->sequence()));
    if (changed) {
      return Status::Busy("a key of the transaction was changed by someone else; begin it again");
    }
  }
  return {};
}

Status Transaction::Impl::Commit(const WriteOptions& options) {
  if (snapshot_ == nullptr) return Over();
  const Status status = engine_.Write(batch_, options, [this] { return Validate(); });
  engine_.store().stats.Add(
      status.ok() ? kernel::Counter::kTransactionsCommitted : kernel::Counter::kTransactionConflicts,
      status.ok() || status.code() == Code::kBusy ? 1 : 0);
  snapshot_.reset();
  return status;
}

Transaction::Transaction(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Transaction::~Transaction() = default;
Status Transaction::Get(ColumnFamily family, std::string_view key, std::string* value) {
  return impl_->Get(family, key, value);
}
void Transaction::Put(ColumnFamily family, std::string_view key, std::string_view value) {
  impl_->Put(family, key, value);
}
void Transaction::Delete(ColumnFamily family, std::string_view key) { impl_->Delete(family, key); }
Status Transaction::Commit(const WriteOptions& options) { return impl_->Commit(options); }
void Transaction::Rollback() { impl_->Rollback(); }

}  // namespace tarn
