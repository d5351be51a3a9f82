// The log of commands and the named snapshots.

#include <algorithm>
#include <cerrno>

#include "lake/lake_impl.h"

namespace tarn::lake {
namespace {

Status NoSnapshot(std::string_view name) {
  return Status::FromErrno(ENOENT, "no snapshot '" + Printable(name) + "'; `tarn snapshot ls` lists them");
}

}  // namespace

// Adds the next record to an edit. The caller raises next_log_id_ once the edit is committed.
LogRecord LakeImpl::AddLog(Edit* edit, const LogRecord& record) {
  LogRecord full = record;
  full.id = next_log_id_;
  full.sequence = db_->GetSnapshot()->sequence();
  full.wall_nanos = static_cast<uint64_t>(Now());
  edit->batch().Put(rows_.families().meta, MetaKey(kLogRow, full.id), Encode(full));
  return full;
}

Result<LogRecord> LakeImpl::AppendLog(const LogRecord& record) {
  TARN_TRY(FlushAll());  // what a record tells of is in the store before it
  MutexLock lock(mutex_);
  Edit edit(rows_);
  const LogRecord full = AddLog(&edit, record);
  TARN_TRY(Commit(&edit, Durability::kPower));
  ++next_log_id_;
  return full;
}

Result<std::vector<LogRecord>> LakeImpl::ReadLog(uint64_t before_id, size_t limit) {
  const std::string prefix(1, kLogRow);
  const auto walk = rows_.WalkRange(rows_.families().meta, prefix,
                                    before_id == 0 ? std::string(1, kLogRow + 1) : MetaKey(kLogRow, before_id));
  std::vector<LogRecord> records;
  for (walk->SeekToLast(); walk->valid() && records.size() < limit; walk->Prev()) {
    TARN_TRY(Decode(walk->key(), walk->value(), &records.emplace_back()));
  }
  TARN_TRY(walk->status());
  return records;
}

Result<SnapshotInfo> LakeImpl::CreateSnapshot(std::string_view name) {
  TARN_TRY(CheckName(name));
  TARN_TRY(FlushAll());
  MutexLock lock(mutex_);
  // Its views take their counters from the superblock.
  TARN_TRY(WriteSuperblock(false, durability_));
  const auto made = db_->CreateNamedSnapshot(name);
  if (!made.ok() && made.status().code() == Code::kBusy) {
    return Status(Code::kBusy, "snapshot '" + Printable(name) + "' exists already; drop it or take another name",
                  EEXIST);
  }
  TARN_TRY(made.status());
  return SnapshotInfo{made->name, made->sequence, made->created_wall_nanos};
}

Status LakeImpl::DropSnapshot(std::string_view name) {
  TARN_TRY(Writable());
  const Status dropped = db_->DropNamedSnapshot(name);
  return dropped.code() == Code::kNotFound ? NoSnapshot(name) : dropped;
}

std::vector<SnapshotInfo> LakeImpl::ListSnapshots() {
  std::vector<SnapshotInfo> list;
  for (const NamedSnapshot& snapshot : db_->ListNamedSnapshots()) {
    list.push_back({snapshot.name, snapshot.sequence, snapshot.created_wall_nanos});
  }
  return list;
}

Result<std::shared_ptr<View>> LakeImpl::OpenSnapshot(const std::string& name) {
  auto found = db_->OpenNamedSnapshot(name);
  if (!found.ok() && found.status().code() == Code::kNotFound) return NoSnapshot(name);
  TARN_TRY(found.status());
  return std::shared_ptr<View>(std::make_shared<StoreView>(rows_, std::move(*found), space_));
}

Result<std::unique_ptr<View>> LakeImpl::At(std::string_view snapshot) {
  const std::string name(snapshot);
  TARN_ASSIGN(std::shared_ptr<View> view, OpenSnapshot(name));
  return std::unique_ptr<View>(
      std::make_unique<ReaderView>(std::move(view), [this, name]() -> Result<std::shared_ptr<View>> {
        TARN_TRY(CatchUp());
        return OpenSnapshot(name);
      }));
}

}  // namespace tarn::lake
