// What a prune deletes and what it leaves, also when something else is at work: at each call of a backup, a cloning
// or a prune, another one runs from its beginning to its end.
#include <condition_variable>
#include <mutex>
#include <thread>

#include "tests/backup/backup_fixture.h"

namespace tarn::test {
namespace {

class PruneTest : public BackupTest {
 protected:
  // Three backups, of which the second and third share tables with none before.
  void Begin() {
    promised_.clear();
    bucket_ = Bucket();
    disk_ = std::make_shared<MemBackend>();
    life_ = std::make_unique<Life>(disk_);
    life_->Change(800);
    MustBackup(*life_, *bucket_);
    life_->Change(800);
    MustBackup(*life_, *bucket_);
    ASSERT_OK(life_->db().Compact());
    MustBackup(*life_, *bucket_);
  }
  Result<BackupInfo> CloneOf(Backend& repository, uint64_t number, const std::shared_ptr<MemBackend>& target) {
    CloneOptions options;
    options.number = number;
    options.base_url = "the bucket";
    options.transfer = SimTransfer(number + 50);
    return Clone(repository, *target, options);
  }

  std::shared_ptr<MemBackend> bucket_, disk_;
  std::unique_ptr<Life> life_;
};

TEST_F(PruneTest, OldBackupsGoWithWhatOnlyTheyNeeded) {
  Begin();
  const size_t before = Count(*bucket_, "table/");
  PruneOptions look;
  look.keep = 1;
  look.dry_run = true;
  const auto would = PruneBackups(*bucket_, look);
  ASSERT_OK(would.status());
  EXPECT_EQ(would->removed, (std::vector<uint64_t>{1, 2}));
  EXPECT_GT(would->tables_removed, 0u);
  EXPECT_EQ(Count(*bucket_, "table/"), before);
  EXPECT_EQ(ListBackups(*bucket_)->size(), 3u);

  const auto pruned = Prune(*bucket_, 1);
  ASSERT_OK(pruned.status());
  EXPECT_EQ(pruned->removed, would->removed);
  EXPECT_EQ(pruned->tables_removed, would->tables_removed);
  EXPECT_EQ(pruned->bytes_removed, would->bytes_removed);
  EXPECT_EQ(Count(*bucket_, "table/"), before - pruned->tables_removed);
  EXPECT_EQ(MustVerify(*bucket_).unneeded_tables, 0u);
  EXPECT_EQ(Count(*bucket_, "prune/"), 0u);
  ExpectAllRestore(*bucket_);
  EXPECT_EQ(MustBackup(*life_, *bucket_).number, 4u) << "numbers go on";
  const auto nothing = Prune(*bucket_, 100);
  ASSERT_OK(nothing.status());
  EXPECT_EQ(nothing->tables_removed + nothing->removed.size(), 0u);
}

// The original goes back to what backup 1 was made of, so that a backup of it counts on tables that a prune of the
// others would delete.
TEST_F(PruneTest, WhateverAPruneDoesDuringABackup) {
  int counted_on = 0;
  bool reached = true;
  for (int at = 1; reached; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    promised_.clear();
    bucket_ = Bucket();
    const auto disk = std::make_shared<MemBackend>();
    Life life(disk);
    life.Change(800);
    MustBackup(life, *bucket_);
    Life sibling(disk->CrashClone(1, CrashMode::kProcessKill), 5, life.model());  // makes no table of its own here
    ASSERT_OK(life.db().Compact());
    MustBackup(life, *bucket_);  // shares no table with backup 1, which the sibling still has
    Status pruned;
    const auto interrupted =
        std::make_shared<Interrupted>(bucket_, at, [&] { pruned = Prune(*bucket_, 1).status(); });
    const auto made = Backup(sibling.db(), *interrupted, Options(at));
    reached = interrupted->reached();
    EXPECT_OK(pruned);
    ASSERT_OK(made.status());
    promised_[made->number] = sibling.model();
    counted_on += made->sent_tables < made->tables;
    ExpectAllRestore(*bucket_);
    EXPECT_EQ(MustVerify(*bucket_).problems, std::vector<std::string>());
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(counted_on, 0);
}

TEST_F(PruneTest, WhateverABackupDoesDuringAPrune) {
  int refused = 0;
  bool reached = true;
  for (int at = 1; reached; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    Begin();
    const auto interrupted = std::make_shared<Interrupted>(bucket_, at, [&] {
      life_->Change(300);
      const auto made = Backup(life_->db(), *bucket_, Options(at));
      if (made.ok()) promised_[made->number] = life_->model();
      if (!made.ok()) {
        EXPECT_EQ(made.status().code(), Code::kBusy) << made.status().ToString();
      }
      refused += !made.ok();
    });
    const auto pruned = Prune(*interrupted, 1);
    reached = interrupted->reached();
    ASSERT_OK(pruned.status());
    ExpectAllRestore(*bucket_);
    EXPECT_EQ(MustVerify(*bucket_).problems, std::vector<std::string>());
    EXPECT_EQ(Count(*bucket_, "intent/") + Count(*bucket_, "prune/"), 0u);
    MustBackup(*life_, *bucket_);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(refused, 0);
}

// Lets its user go on to its call number `at`, and from there when it is told.
class StoppedAt final : public WrappingBackend {
 public:
  StoppedAt(std::shared_ptr<Backend> inner, int at) : WrappingBackend(std::move(inner)), at_(at) {}
  // Until the user has come to the call, or is through.
  void WaitThere() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return there_; });
  }
  void Through() { Set(&there_); }
  void GoOn() { Set(&go_); }
  bool reached() {
    std::lock_guard lock(mutex_);
    return calls_ >= at_;
  }

 protected:
  Status Around(const Call&, const Effect& effect) override {
    std::unique_lock lock(mutex_);
    if (++calls_ == at_) {
      there_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return go_; });
    }
    lock.unlock();
    return effect();
  }

 private:
  void Set(bool* flag) {
    std::lock_guard lock(mutex_);
    *flag = true;
    changed_.notify_all();
  }

  const int at_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int calls_ = 0;
  bool there_ = false, go_ = false;
};

// A backup comes to its call n, then a prune to its call m; then the backup ends, then the prune.
TEST_F(PruneTest, EachInTheMiddleOfTheOther) {
  bool in_backup = true;
  int committed = 0;
  for (int n = 1; in_backup; ++n) {
    bool in_prune = true;
    for (int m = 1; in_prune; ++m) {
      SCOPED_TRACE("backup at " + std::to_string(n) + ", prune at " + std::to_string(m));
      promised_.clear();
      bucket_ = Bucket();
      Life life(std::make_shared<MemBackend>());
      life.Change(100);
      MustBackup(life, *bucket_);
      life.Change(100);
      ASSERT_OK(life.db().Flush());
      const auto for_backup = std::make_shared<StoppedAt>(bucket_, n),
                 for_prune = std::make_shared<StoppedAt>(bucket_, m);
      Result<BackupInfo> made = Status::Io("not run");
      Result<PruneReport> pruned = Status::Io("not run");
      std::thread backup([&] {
        made = Backup(life.db(), *for_backup, Options(9));
        for_backup->Through();
      });
      for_backup->WaitThere();
      std::thread prune([&] {
        pruned = Prune(*for_prune, 1);
        for_prune->Through();
      });
      for_prune->WaitThere();
      for_backup->GoOn();
      backup.join();
      for_prune->GoOn();
      prune.join();
      in_backup = for_backup->reached();
      in_prune = for_prune->reached();
      ASSERT_OK(pruned.status());
      if (made.ok()) {
        promised_[made->number] = life.model();
        ++committed;
      } else {
        ASSERT_EQ(made.status().code(), Code::kBusy) << made.status().ToString();
      }
      ExpectAllRestore(*bucket_);
      ASSERT_EQ(MustVerify(*bucket_).problems, std::vector<std::string>());
      if (HasFatalFailure()) return;
    }
  }
  EXPECT_GT(committed, 50);
}

TEST_F(PruneTest, WhateverAPruneDoesDuringACloning) {
  int gone = 0, kept = 0;
  bool reached = true;
  for (int at = 1; reached; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    Begin();
    const auto interrupted =
        std::make_shared<Interrupted>(bucket_, at, [&] { EXPECT_OK(Prune(*bucket_, 1).status()); });
    const auto target = std::make_shared<MemBackend>();
    const auto made = CloneOf(*interrupted, 1, target);
    reached = interrupted->reached();
    EXPECT_OK(Prune(*bucket_, 1).status());
    if (!made.ok()) {
      EXPECT_EQ(made.status().code(), Code::kNotFound) << made.status().ToString();
      EXPECT_EQ(ListClones(*bucket_)->size(), 0u);
      EXPECT_EQ(Count(*target, ""), 0u);
      ++gone;
      continue;
    }
    EXPECT_EQ(ListClones(*bucket_)->size(), 1u);
    EXPECT_EQ(MustVerify(*bucket_).problems, std::vector<std::string>());
    ++kept;
  }
  EXPECT_GT(gone, 0);
  EXPECT_GT(kept, 0);
}

TEST_F(PruneTest, TwoBackupsAtOnce) {
  bool reached = true;
  for (int at = 1; reached; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    Begin();
    const auto copy = std::make_shared<MemBackend>();
    ASSERT_OK(Restore(*bucket_, 3, *copy, SimTransfer(at)).status());
    Life sibling(copy, 9, promised_[3]);
    sibling.Change(200);
    life_->Change(200);
    const auto interrupted = std::make_shared<Interrupted>(bucket_, at, [&] { MustBackup(sibling, *bucket_); });
    const auto made = Backup(life_->db(), *interrupted, Options(at));
    reached = interrupted->reached();
    ASSERT_OK(made.status());
    EXPECT_FALSE(promised_.contains(made->number)) << "one number for two";
    promised_[made->number] = life_->model();
    ExpectAllRestore(*bucket_);
    if (HasFatalFailure()) return;
  }
}

TEST_F(PruneTest, TwoPrunesAtOnce) {
  bool reached = true;
  for (int at = 1; reached; ++at) {
    SCOPED_TRACE("call " + std::to_string(at));
    Begin();
    const auto interrupted =
        std::make_shared<Interrupted>(bucket_, at, [&] { EXPECT_OK(Prune(*bucket_, 2).status()); });
    ASSERT_OK(Prune(*interrupted, 1).status());
    reached = interrupted->reached();
    ExpectAllRestore(*bucket_);
    EXPECT_EQ(MustVerify(*bucket_).unneeded_tables, 0u);
    EXPECT_EQ(Count(*bucket_, "prune/"), 0u);
    if (HasFatalFailure()) return;
  }
}

TEST_F(PruneTest, WhatACrashLeftIsForgottenOnlyOnDemand) {
  Begin();
  ASSERT_EQ(bucket_->PutIfAbsent("prune/0123456789abcdef", "").value(), PutOutcome::kCreated);
  const Status refused = Backup(life_->db(), *bucket_, Options()).status();
  EXPECT_EQ(refused.code(), Code::kBusy);
  EXPECT_NE(refused.message().find("--force-stale"), std::string_view::npos);
  EXPECT_OK(Prune(*bucket_, 2).status());
  EXPECT_EQ(Backup(life_->db(), *bucket_, Options()).status().code(), Code::kBusy);
  EXPECT_OK(Prune(*bucket_, 2, true).status());
  MustBackup(*life_, *bucket_);
}

TEST_F(PruneTest, AForgottenCloneKeepsNothing) {
  Begin();
  ASSERT_OK(CloneOf(*bucket_, 1, std::make_shared<MemBackend>()).status());
  ASSERT_EQ(ListClones(*bucket_)->size(), 1u);
  const auto kept = Prune(*bucket_, 1);
  ASSERT_OK(kept.status());
  EXPECT_EQ(kept->clones, 1u);
  PruneOptions options;
  options.keep = 1;
  options.forget_clones = {"feedfeedfeedfeed"};
  EXPECT_EQ(PruneBackups(*bucket_, options).status().code(), Code::kNotFound);
  options.forget_clones = {ListClones(*bucket_)->at(0).id};
  const auto freed = PruneBackups(*bucket_, options);
  ASSERT_OK(freed.status());
  EXPECT_GT(freed->tables_removed, 0u);
  EXPECT_EQ(MustVerify(*bucket_).unneeded_tables, 0u);
}

}  // namespace
}  // namespace tarn::test
