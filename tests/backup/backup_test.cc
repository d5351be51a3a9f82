// Backups and restores that go well, and those that are refused.
#include "format/backup_record.h"
#include "tests/backup/backup_fixture.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

size_t TablesSent(TraceBackend& trace) {
  size_t sent = 0;
  for (const std::string& line : trace.TakeLines()) sent += line.starts_with("finish table/");
  return sent;
}

TEST_F(BackupTest, ASecondOneSendsWhatIsNew) {
  Life life(std::make_shared<MemBackend>());
  const auto bucket = Bucket();
  const auto trace = std::make_shared<TraceBackend>(bucket);
  life.Change(3000);
  const BackupInfo first = MustBackup(life, *trace);
  EXPECT_GT(first.tables, 2u);
  EXPECT_EQ(first.sent_tables, first.tables);
  EXPECT_EQ(first.sent_bytes, first.bytes);
  EXPECT_EQ(TablesSent(*trace), first.tables);

  life.Change(10);
  const BackupInfo second = MustBackup(life, *trace);
  EXPECT_EQ(second.sent_tables, 1u);
  EXPECT_LT(second.sent_bytes, second.bytes / 2);
  EXPECT_EQ(TablesSent(*trace), 1u);

  const BackupInfo third = MustBackup(life, *trace);
  EXPECT_EQ(third.number, 3u);
  EXPECT_EQ(third.sent_tables, 0u);
  EXPECT_EQ(TablesSent(*trace), 0u);
  EXPECT_EQ(Count(*bucket, "table/"), MustVerify(*bucket).tables);
  EXPECT_EQ(Count(*bucket, "intent/"), 0u);
  ExpectAllRestore(*bucket);
}

TEST_F(BackupTest, EachHoldsItsMoment) {
  Life life(std::make_shared<MemBackend>());
  const auto bucket = Bucket();
  for (int round = 0; round < 6; ++round) {
    life.Change(round == 0 ? 2000 : 400);
    if (round == 3) {
      ASSERT_OK(life.db().Compact());
    }
    if (round == 4) life.Reopen();
    EXPECT_EQ(MustBackup(life, *bucket).number, static_cast<uint64_t>(round + 1));
  }
  ExpectAllRestore(*bucket);
  const VerifyBackupsReport report = MustVerify(*bucket);
  EXPECT_EQ(report.problems, std::vector<std::string>());
  EXPECT_EQ(report.backups, 6u);
  EXPECT_EQ(report.unneeded_tables, 0u);
}

TEST_F(BackupTest, FamiliesAndSnapshotsComeBack) {
  Life life(std::make_shared<MemBackend>());
  const auto other = life.db().CreateFamily("other");
  ASSERT_OK(other.status());
  WriteBatch batch;
  batch.Put(*other, "k", "then");
  ASSERT_OK(life.db().Write(batch));
  ASSERT_OK(life.db().CreateNamedSnapshot("monday").status());
  batch.Clear();
  batch.Put(*other, "k", "now");
  ASSERT_OK(life.db().Write(batch));
  const auto bucket = Bucket();
  MustBackup(life, *bucket);
  const auto target = std::make_shared<MemBackend>();
  ASSERT_OK(Restore(*bucket, 0, *target, SimTransfer()).status());
  auto db = OpenSim(target);
  ASSERT_OK(db.status());
  const auto family = (*db)->FindFamily("other");
  ASSERT_OK(family.status());
  std::string value;
  ASSERT_OK((*db)->Get(*family, "k", &value));
  EXPECT_EQ(value, "now");
  const auto monday = (*db)->OpenNamedSnapshot("monday");
  ASSERT_OK(monday.status());
  ReadOptions then;
  then.snapshot = monday->get();
  ASSERT_OK((*db)->Get(*family, "k", &value, then));
  EXPECT_EQ(value, "then");
}

TEST_F(BackupTest, AnEmptyStoreIsABackupToo) {
  Life life(std::make_shared<MemBackend>());
  const auto bucket = Bucket();
  EXPECT_EQ(MustBackup(life, *bucket).tables, 0u);
  ExpectAllRestore(*bucket);
}

TEST_F(BackupTest, TheListTellsWhoAndWhat) {
  Life life(std::make_shared<MemBackend>());
  life.Change(100);
  const auto bucket = Bucket();
  EXPECT_EQ(ListBackups(*bucket).status().code(), Code::kNotFound);
  BackupOptions options = Options();
  options.label = std::string(255, 'l');
  options.writer = std::string(255, 'w');
  ASSERT_OK(Backup(life.db(), *bucket, options).status());
  const auto all = ListBackups(*bucket);
  ASSERT_OK(all.status());
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].label, options.label);
  EXPECT_EQ((*all)[0].writer, options.writer);
  EXPECT_GT((*all)[0].created_wall_nanos, 0u);
  EXPECT_EQ(FindBackup(*bucket, 0)->label, options.label);
  EXPECT_EQ(FindBackup(*bucket, 2).status().code(), Code::kNotFound);
  EXPECT_EQ((*all)[0].store_id.size(), 16u);
  options.label += 'l';
  EXPECT_EQ(Backup(life.db(), *bucket, options).status().code(), Code::kInvalid);
}

TEST_F(BackupTest, OnThreadsItIsTheSame) {
  Life life(std::make_shared<MemBackend>());
  const auto bucket = Bucket();
  life.Change(6000);
  BackupOptions options;
  options.transfer.parallel = 8;
  uint64_t last = 0, total = 0;
  options.transfer.progress = [&](uint64_t done, uint64_t of) {
    EXPECT_GE(done, last);
    EXPECT_LE(done, of);
    last = done;
    total = of;
    return Status();
  };
  const auto made = Backup(life.db(), *bucket, options);
  ASSERT_OK(made.status());
  EXPECT_GT(made->tables, 4u);
  EXPECT_EQ(total, made->sent_bytes);
  promised_[1] = life.model();
  ExpectAllRestore(*bucket);
}

TEST_F(BackupTest, GivingUpLeavesWhatWasSent) {
  for (const uint32_t parallel : {1u, 4u}) {
    Life life(std::make_shared<MemBackend>());
    const auto bucket = Bucket();
    life.Change(6000);
    BackupOptions options;
    options.transfer.parallel = parallel;
    options.transfer.progress = [&](uint64_t done, uint64_t total) {
      // Threads may be through before anybody is told.
      const bool enough = parallel > 1 || done * 2 >= total;
      return enough ? Status(Code::kUnavailable, "enough", ECANCELED) : Status();
    };
    const auto stopped = Backup(life.db(), *bucket, options);
    EXPECT_EQ(stopped.status().os_error(), ECANCELED);
    EXPECT_EQ(Count(*bucket, "backup/"), 0u);
    EXPECT_EQ(Count(*bucket, "intent/"), 0u) << "whoever gives up takes the intent back";
    const size_t there = Count(*bucket, "table/");
    if (parallel == 1) {
      EXPECT_GT(there, 0u);
    }
    options.transfer.progress = nullptr;
    const auto made = Backup(life.db(), *bucket, options);
    ASSERT_OK(made.status());
    EXPECT_EQ(made->sent_tables, made->tables - there);
  }
}

TEST_F(BackupTest, ALimitHolds) {
  Life life(std::make_shared<MemBackend>());
  life.Change(4000);
  BackupOptions options = Options();
  options.transfer.bytes_per_second = 10'000;
  const auto clock = options.transfer.clock;
  const uint64_t began = clock->MonotonicNanos();
  const auto made = Backup(life.db(), *Bucket(), options);
  ASSERT_OK(made.status());
  const double seconds = static_cast<double>(clock->MonotonicNanos() - began) / 1e9;
  const double due = static_cast<double>(made->sent_bytes) / 10'000;
  EXPECT_GT(seconds, due - 0.2);
  EXPECT_LT(seconds, due * 1.01 + 0.2);
}

TEST_F(BackupTest, WrongPlacesAreRefused) {
  Life life(std::make_shared<MemBackend>()), stranger(std::make_shared<MemBackend>(), 2);
  const auto bucket = Bucket();
  life.Change(100);
  MustBackup(life, *bucket);
  EXPECT_EQ(Backup(stranger.db(), *bucket, Options()).status().code(), Code::kInvalid);
  EXPECT_EQ(Backup(life.db(), stranger.backend(), Options()).status().code(), Code::kInvalid);
  EXPECT_EQ(Restore(*bucket, 0, stranger.backend(), SimTransfer()).status().code(), Code::kInvalid);
  EXPECT_EQ(Restore(*bucket, 2, *Bucket(), SimTransfer()).status().code(), Code::kNotFound);
  EXPECT_EQ(Restore(*Bucket(), 0, *Bucket(), SimTransfer()).status().code(), Code::kNotFound);
  EXPECT_EQ(Prune(*bucket, 0).status().code(), Code::kInvalid);
  EXPECT_EQ(OpenSim(bucket).status().code(), Code::kInvalid) << "a repository is no store, and not a lost one";
  TransferOptions crowd = SimTransfer();
  crowd.parallel = 65;
  EXPECT_EQ(Restore(*bucket, 1, *Bucket(), crowd).status().code(), Code::kInvalid);
  ASSERT_OK(stranger.db().Close());
  EXPECT_EQ(Backup(stranger.db(), *Bucket(), Options()).status().code(), Code::kInvalid) << "it is closed";
  ExpectAllRestore(*bucket);
}

TEST_F(BackupTest, ARestoredStoreAndTheOriginalShareARepository) {
  Life life(std::make_shared<MemBackend>());
  const auto bucket = Bucket();
  life.Change(1000);
  MustBackup(life, *bucket);
  const auto copy = std::make_shared<MemBackend>();
  ASSERT_OK(Restore(*bucket, 1, *copy, SimTransfer(7)).status());
  Life sibling(copy, 8, promised_[1]);
  for (int round = 0; round < 4; ++round) {
    life.Change(300);
    MustBackup(life, *bucket);
    sibling.Change(300);
    MustBackup(sibling, *bucket);
  }
  ASSERT_OK(sibling.db().Compact());
  MustBackup(sibling, *bucket);
  ExpectAllRestore(*bucket);
  EXPECT_EQ(MustVerify(*bucket).problems, std::vector<std::string>());
}

TEST_F(BackupTest, ATwinByACopyOfFilesIsFoundOut) {
  const auto disk = std::make_shared<MemBackend>();
  const auto bucket = Bucket();
  Life life(disk);
  life.Change(1000);
  ASSERT_OK(life.db().Flush());
  Life twin(disk->CrashClone(1, CrashMode::kProcessKill), 2, life.model());
  MustBackup(life, *bucket);
  life.Change(300);
  MustBackup(life, *bucket);
  twin.Change(500);
  EXPECT_EQ(Backup(twin.db(), *bucket, Options()).status().code(), Code::kInvalid);
  ExpectAllRestore(*bucket);
}

TEST_F(BackupTest, DamageIsFound) {
  Life life(std::make_shared<MemBackend>());
  const auto bucket = Bucket();
  life.Change(2000);
  MustBackup(life, *bucket);
  const std::string table = bucket->List("table/", "", 1)->blobs[0].name;
  const std::string bytes = bucket->Contents(table).value();
  std::string wrong = bytes;
  wrong[wrong.size() / 2] ^= 1;
  ASSERT_OK(bucket->Corrupt(table, wrong));
  EXPECT_EQ(MustVerify(*bucket, false).problems.size(), 0u) << "a listing does not see it, and says so";
  ASSERT_EQ(MustVerify(*bucket).problems.size(), 1u);
  EXPECT_NE(MustVerify(*bucket).problems[0].find(table), std::string::npos);
  ASSERT_OK(bucket->Corrupt(table, bytes.substr(1)));
  EXPECT_EQ(MustVerify(*bucket, false).problems.size(), 1u);
  EXPECT_EQ(Backup(life.db(), *bucket, Options()).status().code(), Code::kCorruption);
  ASSERT_OK(bucket->Delete(table));
  EXPECT_EQ(MustVerify(*bucket, false).problems.size(), 1u);
  const Status refused = Restore(*bucket, 0, *Bucket(), SimTransfer()).status();
  EXPECT_FALSE(refused.ok());
  MustBackup(life, *bucket);  // sends it again
  promised_[2] = life.model();
  ExpectAllRestore(*bucket);
  std::string record = bucket->Contents(BackupBlobName(1)).value();
  record.back() ^= 1;
  ASSERT_OK(bucket->Corrupt(BackupBlobName(1), record));
  EXPECT_EQ(MustVerify(*bucket, false).problems.size(), 1u);
  EXPECT_EQ(Restore(*bucket, 1, *Bucket(), SimTransfer()).status().code(), Code::kCorruption);
  EXPECT_EQ(Prune(*bucket, 2).status().code(), Code::kCorruption) << "nothing is deleted on a guess";
  EXPECT_OK(Prune(*bucket, 1).status());
}

}  // namespace
}  // namespace tarn::test
