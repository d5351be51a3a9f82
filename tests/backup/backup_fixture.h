// A store with a model beside it, a repository, and the ways from one to the other. For the tests of backups.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tarn/backup.h"
#include "tests/kernel/sim_store.h"
#include "tests/support/interrupted.h"

namespace tarn::test {

using Rows = std::map<std::string, std::string>;

#define EXPECT_OK(expr)                              \
  do {                                               \
    const ::tarn::Status status_ = (expr);           \
    EXPECT_TRUE(status_.ok()) << status_.ToString(); \
  } while (0)
#define ASSERT_OK(expr)                              \
  do {                                               \
    const ::tarn::Status status_ = (expr);           \
    ASSERT_TRUE(status_.ok()) << status_.ToString(); \
  } while (0)

inline std::shared_ptr<MemBackend> Bucket() {
  return std::make_shared<MemBackend>(MemOptions{.append = false, .locks = false});
}

// On one thread, from one seed.
inline TransferOptions SimTransfer(uint64_t seed = 1) {
  TransferOptions options;
  options.parallel = 1;
  options.clock = std::make_shared<VirtualClock>();
  options.entropy = std::make_shared<SeededEntropy>(seed);
  return options;
}

inline Rows RowsOf(DB& db) {
  Rows rows;
  const auto it = db.NewIterator();
  for (it->SeekToFirst(); it->valid(); it->Next()) rows.emplace(it->key(), it->value());
  EXPECT_OK(it->status());
  return rows;
}

// A store that changes by a seed, and what it should hold.
class Life {
 public:
  explicit Life(std::shared_ptr<Backend> backend, uint64_t seed = 1, Rows rows = {})
      : backend_(std::move(backend)), random_(seed), seed_(seed), model_(std::move(rows)) {
    Reopen();
  }
  void Reopen() {
    db_.reset();
    auto opened = OpenSim(backend_, SmallSettings(), seed_);
    EXPECT_OK(opened.status());
    if (opened.ok()) db_ = std::move(*opened);
  }
  // Some puts and deletes, and a flush now and then.
  void Change(int count = 200, size_t value_bytes = 100) {
    for (int i = 0; i < count; ++i) {
      const std::string key = NumberedKey(random_.Below(2000));
      if (random_.OneIn(5)) {
        EXPECT_OK(db_->Delete(key));
        model_.erase(key);
        continue;
      }
      std::string value(value_bytes, '\0');
      for (char& c : value) c = static_cast<char>(random_.Next());  // does not compress: tables have the size of rows
      EXPECT_OK(db_->Put(key, value));
      model_[key] = value;
    }
  }
  DB& db() { return *db_; }
  const Rows& model() const { return model_; }
  Backend& backend() { return *backend_; }

 private:
  const std::shared_ptr<Backend> backend_;
  SeededRandom random_;
  const uint64_t seed_;
  Rows model_;
  std::unique_ptr<DB> db_;
};

class BackupTest : public testing::Test {
 protected:
  static BackupOptions Options(uint64_t seed = 1) {
    BackupOptions options;
    options.transfer = SimTransfer(seed);
    return options;
  }
  // Backs `life` up and remembers what the backup has to hold.
  BackupInfo MustBackup(Life& life, Backend& repository) {
    const auto made = Backup(life.db(), repository, Options(++backups_));
    EXPECT_OK(made.status());
    if (!made.ok()) return {};
    promised_[made->number] = life.model();
    return *made;
  }
  // Every finished backup comes back exactly as it was. Those that are not known hold `otherwise`.
  void ExpectAllRestore(Backend& repository, const Rows* otherwise = nullptr, const std::string& when = "") {
    const auto all = ListBackups(repository);
    if (all.status().code() == Code::kNotFound) return;
    ASSERT_TRUE(all.ok()) << when << ": " << all.status().ToString();
    for (const BackupInfo& info : *all) {
      const auto known = promised_.find(info.number);
      const Rows* wanted = known == promised_.end() ? otherwise : &known->second;
      ASSERT_NE(wanted, nullptr) << when << ": an unknown backup " << info.number;
      ExpectRestores(repository, info.number, *wanted, when);
    }
  }
  static void ExpectRestores(Backend& repository, uint64_t number, const Rows& wanted, const std::string& when = "") {
    const auto target = std::make_shared<MemBackend>();
    const auto back = Restore(repository, number, *target, SimTransfer());
    ASSERT_TRUE(back.ok()) << when << ": backup " << number << ": " << back.status().ToString();
    auto db = OpenSim(target);
    ASSERT_TRUE(db.ok()) << when << ": " << db.status().ToString();
    EXPECT_EQ(RowsOf(**db), wanted) << when << ": backup " << number;
    const Status whole = (*db)->Verify();
    EXPECT_TRUE(whole.ok()) << when << ": " << whole.ToString();
  }
  static VerifyBackupsReport MustVerify(Backend& repository, bool deep = true) {
    const auto report = VerifyBackups(repository, {.deep = deep, .parallel = deep ? 2u : 1u});
    EXPECT_OK(report.status());
    return report.ok() ? *report : VerifyBackupsReport{.problems = {"no report"}};
  }
  static Result<PruneReport> Prune(Backend& repository, uint64_t keep, bool force_stale = false) {
    PruneOptions options;
    options.keep = keep;
    options.force_stale = force_stale;
    options.entropy = std::make_shared<SeededEntropy>(keep * 7 + 99);
    return PruneBackups(repository, options);
  }
  static size_t Count(Backend& backend, std::string_view prefix) {
    return backend.List(prefix, "", 100000)->blobs.size();
  }

  std::map<uint64_t, Rows> promised_;  // by number of the backup
  uint64_t backups_ = 0;
};

}  // namespace tarn::test
