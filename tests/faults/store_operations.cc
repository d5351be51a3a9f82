#include "tests/faults/store_operations.h"

namespace tarn::test {
namespace {

using What = Change::What;

Status PutAt(StoreStage& stage, Durability durability) {
  return stage.Write({{What::kPut, "default", RowKey(21), "put"}}, durability);
}

// A row that is longer than what the log gathers, so that it is written past its buffer.
Status BigBatch(StoreStage& stage) {
  return stage.Write({{What::kPut, "default", RowKey(22), std::string(300 << 10, 'b')},
                      {What::kDelete, "other", RowKey(24), ""},
                      {What::kPut, "other", RowKey(27), "small"}},
                     Durability::kPower);
}

// Memtables fill, are flushed and merged behind the writer's back.
Status Fill(StoreStage& stage) {
  for (uint64_t n = 0; n < 24; ++n) {
    TARN_TRY(stage.Write({{What::kPut, n % 2 == 0 ? "default" : "other", RowKey(n), std::string(12 << 10, 'f')}},
                         Durability::kProcess));
    if (n % 6 == 5) stage.RunBackground();
  }
  return {};
}

Status Commit(StoreStage& stage) {
  const auto transaction = stage.db().Begin();
  std::string value;
  const Status got = transaction->Get({}, RowKey(18), &value);
  if (!got.ok() && got.code() != Code::kNotFound) return got;
  const auto& rows = stage.model.now().at("default");
  EXPECT_EQ(got.ok(), rows.contains(RowKey(18)));
  if (got.ok()) {
    EXPECT_EQ(value, rows.at(RowKey(18)));
  }
  const std::vector<Change> changes = {{What::kPut, "default", RowKey(18), value + "!"},
                                       {What::kDelete, "default", RowKey(21), ""}};
  transaction->Put({}, RowKey(18), value + "!");
  transaction->Delete({}, RowKey(21));
  stage.model.states.push_back(Changed(stage.model.now(), changes));
  TARN_TRY(transaction->Commit(Durability::kPower));
  stage.model.visible = stage.model.states.size() - 1;
  stage.model.Synced();
  return {};
}

Status SnapshotReads(StoreStage& stage) {
  const Contents then = stage.model.now();
  const auto held = stage.db().GetSnapshot();
  TARN_TRY(stage.Write({{What::kDeleteRange, "default", RowKey(0), RowKey(99)}}, Durability::kProcess));
  TARN_TRY(stage.Gets(held.get(), then));
  return stage.Scan(held.get(), then, true);
}

Status NamedSnapshotReads(StoreStage& stage) {
  TARN_ASSIGN(const auto held, stage.db().OpenNamedSnapshot("old"));
  TARN_TRY(stage.Gets(held.get(), stage.model.snapshots.at("old")));
  return stage.Scan(held.get(), stage.model.snapshots.at("old"), false);
}

Status CreateNamedSnapshot(StoreStage& stage) {
  stage.model.doubtful_snapshots["new"] = stage.model.now();
  TARN_TRY(stage.db().CreateNamedSnapshot("new").status());
  stage.model.snapshots["new"] = stage.model.now();
  stage.model.Synced();
  return {};
}

Status DropNamedSnapshot(StoreStage& stage) {
  const Contents before = stage.model.snapshots.contains("old") ? stage.model.snapshots.at("old") : Contents();
  if (stage.model.snapshots.erase("old") > 0) stage.model.doubtful_snapshots["old"] = before;
  TARN_TRY(stage.db().DropNamedSnapshot("old"));
  stage.model.doubtful_snapshots.erase("old");
  return {};
}

Status CreateFamily(StoreStage& stage) {
  stage.model.doubtful_families.insert("new");
  TARN_TRY(stage.db().CreateFamily("new").status());
  stage.model.families.insert("new");
  return {};
}

Status DropFamily(StoreStage& stage) {
  stage.model.families.erase("other");
  stage.model.doubtful_families.insert("other");
  TARN_TRY(stage.db().DropFamily(stage.Family("other")));
  stage.model.doubtful_families.erase("other");
  stage.Forget("other");
  return {};
}

Status SyncLog(StoreStage& stage) {
  TARN_TRY(stage.db().SyncWal());
  stage.model.Synced();
  return {};
}

Status Flush(StoreStage& stage) {
  TARN_TRY(stage.db().Flush());
  stage.model.Synced();
  return {};
}

Status Compact(StoreStage& stage) {
  TARN_TRY(stage.db().Compact());
  stage.model.Synced();
  return {};
}

Status Checkpoint(StoreStage& stage) {
  TARN_ASSIGN(const auto target, stage.ground().Target());
  TARN_TRY(stage.db().Checkpoint(*target));
  stage.model.Synced();
  return {};
}

Status Close(StoreStage& stage) {
  TARN_TRY(stage.db().Close());
  stage.model.Synced();
  return {};
}

void CheckTarget(StoreStage& stage, const Status& status) { stage.ExpectTarget(status.ok()); }

}  // namespace

const std::vector<StoreOperation>& StoreOperations() {
  using Stage = StoreStage;
  const auto put = [](Durability level) { return [level](Stage& stage) { return PutAt(stage, level); }; };
  const auto change = [](Change one) {
    return [one](Stage& stage) { return stage.Write({one}, Durability::kPower); };
  };
  const auto scan = [](bool forward) {
    return [forward](Stage& stage) { return stage.Scan(nullptr, stage.model.now(), forward); };
  };
  const auto open = [](bool read_only) { return [read_only](Stage& stage) { return stage.Open(read_only); }; };
  static const std::vector<StoreOperation> all = {
      {"OpenNew", Start::kNothing, false, open(false)},
      {"OpenClosed", Start::kClosed, false, open(false)},
      {"OpenCrashed", Start::kCrashed, false, open(false)},
      {"OpenReadOnly", Start::kCrashed, true, open(true)},
      {"PutNone", Start::kOpen, false, put(Durability::kNone)},
      {"PutProcess", Start::kOpen, false, put(Durability::kProcess)},
      {"PutPower", Start::kOpen, false, put(Durability::kPower)},
      {"Delete", Start::kOpen, false, change({What::kDelete, "default", RowKey(3), ""})},
      {"DeleteRange", Start::kOpen, false, change({What::kDeleteRange, "other", RowKey(20), RowKey(50)})},
      {"BigBatch", Start::kOpen, false, BigBatch},
      {"Fill", Start::kOpen, false, Fill},
      {"SyncWal", Start::kOpen, false, SyncLog},
      {"Commit", Start::kOpen, false, Commit},
      {"Get", Start::kOpen, true, [](Stage& stage) { return stage.Gets(nullptr, stage.model.now()); }},
      {"MultiGet", Start::kOpen, true, [](Stage& stage) { return stage.MultiGets(); }},
      {"WalkForward", Start::kOpen, true, scan(true)},
      {"WalkBackward", Start::kOpen, true, scan(false)},
      {"Seek", Start::kOpen, true, [](Stage& stage) { return stage.Seeks(); }},
      {"ReadOnlyGet", Start::kOpenReadOnly, true, [](Stage& s) { return s.Gets(nullptr, s.model.now()); }},
      {"ReadOnlyWalk", Start::kOpenReadOnly, true, scan(true)},
      {"GetSnapshot", Start::kOpen, false, SnapshotReads},
      {"OpenNamedSnapshot", Start::kOpen, true, NamedSnapshotReads},
      {"CreateNamedSnapshot", Start::kOpen, false, CreateNamedSnapshot},
      {"DropNamedSnapshot", Start::kOpen, false, DropNamedSnapshot},
      {"CreateFamily", Start::kOpen, false, CreateFamily},
      {"DropFamily", Start::kOpen, false, DropFamily},
      {"Flush", Start::kOpen, false, Flush},
      {"Compact", Start::kOpen, false, Compact},
      {"Checkpoint", Start::kOpen, false, Checkpoint, CheckTarget},
      {"Verify", Start::kOpen, true, [](Stage& stage) { return stage.db().Verify(); }},
      {"Close", Start::kOpen, false, Close},
  };
  return all;
}

}  // namespace tarn::test
