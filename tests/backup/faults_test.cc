// Backups, restores and prunes that are cut short at every single call, by an error or by the power.
#include "tests/backup/backup_fixture.h"
#include "tests/support/crash_backend.h"
#include "tests/support/fault_backend.h"

namespace tarn::test {
namespace {

class BackupFaults : public BackupTest {
 protected:
  // A bucket with backup 1, and a life that has gone on.
  void Begin() {
    promised_.clear();
    bucket_ = Bucket();
    life_ = std::make_unique<Life>(std::make_shared<MemBackend>());
    life_->Change(800);
    MustBackup(*life_, *bucket_);
    life_->Change(800);
  }
  void ExpectNothingLeft(Backend& repository, const std::string& when) {
    const auto pruned = Prune(repository, 100, true);
    ASSERT_TRUE(pruned.ok()) << when << ": " << pruned.status().ToString();
    const VerifyBackupsReport report = MustVerify(repository);
    EXPECT_EQ(report.problems, std::vector<std::string>()) << when;
    EXPECT_EQ(report.unneeded_tables, 0u) << when;
    EXPECT_EQ(Count(repository, "intent/") + Count(repository, "prune/"), 0u) << when;
  }

  std::shared_ptr<MemBackend> bucket_;
  std::unique_ptr<Life> life_;
};

TEST_F(BackupFaults, ABackupThatFailsAtAnyCallIsGoneOnWith) {
  Begin();
  const auto faulty = std::make_shared<FaultBackend>(bucket_);
  ASSERT_OK(Backup(life_->db(), *faulty, Options()).status());
  const uint64_t calls = faulty->calls();
  ASSERT_GT(calls, 10u);
  for (uint64_t at = 1; at <= calls; ++at) {
    for (const bool happens : {false, true}) {
      const std::string when = "call " + std::to_string(at) + (happens ? " took effect" : " failed");
      SCOPED_TRACE(when);
      Begin();
      const auto broken = std::make_shared<FaultBackend>(bucket_);
      broken->Arm({.at_call = at, .effect_happens = happens});
      const auto first = Backup(life_->db(), *broken, Options(at));
      ASSERT_EQ(broken->fired(), 1u);
      if (first.ok()) promised_[first->number] = life_->model();
      ExpectAllRestore(*bucket_, &life_->model(), when);
      const size_t there = Count(*bucket_, "table/");
      const auto second = Backup(life_->db(), *bucket_, Options(at + 1000));
      ASSERT_OK(second.status());
      EXPECT_EQ(second->sent_tables, Count(*bucket_, "table/") - there) << "nothing is sent twice";
      promised_[second->number] = life_->model();
      ExpectAllRestore(*bucket_, &life_->model(), when);
      ExpectNothingLeft(*bucket_, when);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(BackupFaults, TheSourceMayFailToo) {
  const auto disk = std::make_shared<MemBackend>();
  const auto faulty = std::make_shared<FaultBackend>(disk);
  Life life(faulty);
  life.Change(800);
  ASSERT_OK(life.db().Flush());
  const auto reads_a_table = [](const Call& call) {
    return (call.op == Op::kOpen || call.op == Op::kRead) && call.name.starts_with("table/");
  };
  int failed = 0;
  for (uint64_t at = 1; at <= 20; ++at) {
    const auto bucket = Bucket();
    faulty->Arm({.at_call = at, .only = reads_a_table});
    const auto made = Backup(life.db(), *bucket, Options());
    const bool fired = faulty->fired() > 0;
    faulty->Disarm();
    EXPECT_EQ(made.ok(), !fired);
    failed += fired;
    const auto again = Backup(life.db(), *bucket, Options());
    ASSERT_OK(again.status());
    ExpectRestores(*bucket, 0, life.model());
  }
  EXPECT_GT(failed, 0);
}

TEST_F(BackupFaults, ThePowerMayGoAtAnyEffect) {
  Begin();
  const auto counting = std::make_shared<CrashBackend>(bucket_);
  ASSERT_OK(Backup(life_->db(), *counting, Options()).status());
  const uint64_t effects = counting->effects();
  ASSERT_GT(effects, 5u);
  for (uint64_t at = 1; at <= effects; ++at) {
    SCOPED_TRACE("effect " + std::to_string(at));
    Begin();
    const auto machine = std::make_shared<CrashBackend>(bucket_);
    machine->CrashAt(at, at, CrashMode::kTornSubset);
    const auto cut = Backup(life_->db(), *machine, Options(at));
    const auto after = machine->survivor();
    ASSERT_NE(after, nullptr);
    if (cut.ok()) promised_[cut->number] = life_->model();
    ExpectAllRestore(*after, &life_->model());
    const auto again = Backup(life_->db(), *after, Options(at + 1000));
    ASSERT_OK(again.status());
    promised_[again->number] = life_->model();
    ExpectAllRestore(*after, &life_->model());
    ExpectNothingLeft(*after, "");
    if (HasFatalFailure()) return;
  }
}

TEST_F(BackupFaults, ARestoreThatFailsAtAnyCallIsGoneOnWith) {
  Begin();
  const auto whole = std::make_shared<FaultBackend>(std::make_shared<MemBackend>());
  ASSERT_OK(Restore(*bucket_, 1, *whole, SimTransfer()).status());
  const uint64_t calls = whole->calls();
  int resumed = 0;
  for (uint64_t at = 1; at <= calls; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    const auto target = std::make_shared<MemBackend>();
    const auto faulty = std::make_shared<FaultBackend>(target);
    faulty->Arm({.at_call = at});
    EXPECT_FALSE(Restore(*bucket_, 1, *faulty, SimTransfer()).ok());
    const size_t there = Count(*target, "table/");
    EXPECT_FALSE(OpenSim(target).ok() && there > 0) << "an unfinished restore passed for a store";
    if (there == 0) continue;
    const auto again = Restore(*bucket_, 1, *target, SimTransfer());
    ASSERT_OK(again.status());
    EXPECT_EQ(again->sent_tables, again->tables - there);
    resumed += again->sent_tables < again->tables;
    auto db = OpenSim(target);
    ASSERT_OK(db.status());
    EXPECT_EQ(RowsOf(**db), promised_[1]);
  }
  EXPECT_GT(resumed, 0);
}

TEST_F(BackupFaults, APruneThatFailsAtAnyCallIsRepeated) {
  const auto begin = [this] {
    Begin();
    MustBackup(*life_, *bucket_);
    ASSERT_OK(life_->db().Compact());
    MustBackup(*life_, *bucket_);
  };
  begin();
  const auto counting = std::make_shared<FaultBackend>(bucket_);
  ASSERT_OK(Prune(*counting, 1).status());
  const uint64_t calls = counting->calls();
  ASSERT_GT(calls, 10u);
  for (uint64_t at = 1; at <= calls; ++at) {
    for (const bool happens : {false, true}) {
      SCOPED_TRACE("call " + std::to_string(at));
      begin();
      const auto faulty = std::make_shared<FaultBackend>(bucket_);
      faulty->Arm({.at_call = at, .effect_happens = happens});
      const auto pruned = Prune(*faulty, 1);
      ExpectAllRestore(*bucket_);
      EXPECT_EQ(MustVerify(*bucket_).problems, std::vector<std::string>());
      ASSERT_OK(Prune(*bucket_, 1, true).status());
      ExpectAllRestore(*bucket_);
      EXPECT_EQ(ListBackups(*bucket_)->size(), 1u);
      ExpectNothingLeft(*bucket_, "");
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace tarn::test
