// DB: each public operation, delegating to the path that does it.
#include "tarn/db.h"

#include <algorithm>

#include "kernel/assemble.h"
#include "kernel/constants.h"
#include "kernel/engine.h"
#include "kernel/read_path.h"
#include "kernel/transaction.h"

namespace tarn {

DB::DB(std::unique_ptr<kernel::Engine> engine) : engine_(std::move(engine)) {}
DB::~DB() = default;

Result<std::unique_ptr<DB>> DB::Open(const Settings& settings, const std::string& location) {
  Components components;
  Settings combined = settings;
  TARN_ASSIGN(components.backend, kernel::OpenLocation(&combined, location));
  Result<std::unique_ptr<DB>> db = Open(combined, std::move(components));
  if (!db.ok()) return db.status().Annotate(location);
  return db;
}

Result<std::unique_ptr<DB>> DB::Open(const Settings& settings, Components components) {
  TARN_ASSIGN(components, kernel::Assemble(settings, std::move(components)));
  TARN_ASSIGN(auto engine, kernel::Engine::Open(settings, std::move(components)));
  return std::unique_ptr<DB>(new DB(std::move(engine)));
}

Status DB::Close() { return engine_->Close(); }
Status DB::CatchUp() { return engine_->CatchUp(); }

Result<ColumnFamily> DB::CreateFamily(std::string_view name) { return engine_->CreateFamily(name); }
Result<ColumnFamily> DB::FindFamily(std::string_view name) { return engine_->FindFamily(name); }
Status DB::DropFamily(ColumnFamily family) { return engine_->DropFamily(family); }
std::vector<std::string> DB::ListFamilies() {
  std::vector<std::string> names;
  const auto view = engine_->store().Pin().view;
  for (const auto& [id, family] : view->version->families) names.push_back(family->name);
  return names;
}

Status DB::Put(std::string_view key, std::string_view value, const WriteOptions& options) {
  WriteBatch batch;
  batch.Put(key, value);
  return Write(batch, options);
}
Status DB::Delete(std::string_view key, const WriteOptions& options) {
  WriteBatch batch;
  batch.Delete(key);
  return Write(batch, options);
}
Status DB::DeleteRange(std::string_view begin, std::string_view end, const WriteOptions& options) {
  WriteBatch batch;
  batch.DeleteRange(begin, end);
  return Write(batch, options);
}
Status DB::Write(const WriteBatch& batch, const WriteOptions& options) { return engine_->Write(batch, options); }
Status DB::SyncWal() { return engine_->SyncWal(); }
std::unique_ptr<Transaction> DB::Begin() {
  return std::make_unique<Transaction>(std::make_unique<Transaction::Impl>(*engine_));
}

Status DB::Get(std::string_view key, std::string* value, const ReadOptions& options) {
  return Get({}, key, value, options);
}
Status DB::Get(ColumnFamily family, std::string_view key, std::string* value, const ReadOptions& options) {
  TARN_TRY(engine_->Usable());
  for (int attempt = 0;; ++attempt) {
    const uint64_t view = engine_->ViewFor(options.snapshot);
    Status got = kernel::Get(engine_->store(), family, key, options.snapshot, value);
    if (got.code() != Code::kCorruption) return got;
    const bool again = options.snapshot == nullptr && attempt < kernel::kOpenAttempts;
    if (!again || !engine_->CaughtUpAfter(view, &got)) return engine_->store().ExplainRead(got, view);
  }
}
std::vector<Status> DB::MultiGet(ColumnFamily family, const std::vector<std::string_view>& keys,
                                 std::vector<std::string>* values, const ReadOptions& options) {
  const Status usable = engine_->Usable();
  if (!usable.ok()) {
    values->resize(keys.size());
    return std::vector<Status>(keys.size(), usable);
  }
  for (int attempt = 0;; ++attempt) {
    const uint64_t view = engine_->ViewFor(options.snapshot);
    std::vector<Status> got = kernel::MultiGet(engine_->store(), family, keys, options.snapshot, values);
    const auto damaged = [](const Status& s) { return s.code() == Code::kCorruption; };
    const auto lost = std::find_if(got.begin(), got.end(), damaged);
    if (lost == got.end()) return got;
    const bool again = options.snapshot == nullptr && attempt < kernel::kOpenAttempts;
    if (again && engine_->CaughtUpAfter(view, &*lost)) continue;
    for (Status& each : got) {
      if (damaged(each)) each = engine_->store().ExplainRead(each, view);
    }
    return got;
  }
}
std::unique_ptr<Iterator> DB::NewIterator(ColumnFamily family, const ReadOptions& options) {
  const Status usable = engine_->Usable();
  if (!usable.ok()) return kernel::NewErrorIterator(usable);
  return kernel::NewIterator(engine_->store(), family, options);
}
std::unique_ptr<Snapshot> DB::GetSnapshot() { return engine_->GetSnapshot(); }

Result<NamedSnapshot> DB::CreateNamedSnapshot(std::string_view name) { return engine_->CreateNamedSnapshot(name); }
Status DB::DropNamedSnapshot(std::string_view name) { return engine_->DropNamedSnapshot(name); }
std::vector<NamedSnapshot> DB::ListNamedSnapshots() { return engine_->store().NamedSnapshots(); }
Result<std::unique_ptr<Snapshot>> DB::OpenNamedSnapshot(std::string_view name) {
  return engine_->OpenNamedSnapshot(name);
}

Status DB::Flush() { return engine_->Flush(); }
Status DB::Compact() { return engine_->Compact(); }
Status DB::Checkpoint(Backend& target) { return engine_->Checkpoint(target); }
Status DB::Verify() {
  const uint64_t view = engine_->store().manifest_number();
  const Status verified = engine_->Verify();
  return verified.ok() ? verified : engine_->store().ExplainRead(verified, view);
}

std::map<std::string, uint64_t> DB::Statistics() { return engine_->Statistics(); }
Result<std::string> DB::Property(std::string_view name) { return engine_->Property(name); }

}  // namespace tarn
