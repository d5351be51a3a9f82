// Two writers of one store on a backend without locks and append files: whoever opens last has it, the one before
// learns it at its next commit, and nothing that either acknowledged is lost. At each call of the opening the old
// writer does something in between.
#include <gtest/gtest.h>

#include <map>

#include "tests/kernel/sim_store.h"
#include "tests/support/interrupted.h"

namespace tarn::test {
namespace {

class Takeover : public testing::Test {
 protected:
  static std::shared_ptr<MemBackend> Bucket() {
    return std::make_shared<MemBackend>(
        MemOptions{.append = false, .locks = false, .bulk = true, .latency = LatencyClass::kNetwork});
  }
  // The old writer's; what it acknowledges has to be found.
  void OldPuts() {
    const std::string key = NumberedKey(++made_);
    const Status put = old_->Put(key, "old", Durability::kPower);
    if (put.ok()) owed_[key] = "old";
    fenced_ |= put.code() == Code::kFenced;
  }
  void ExpectOwed(DB& db, const std::string& when) const {
    for (const auto& [key, value] : owed_) {
      std::string found;
      const Status got = db.Get(key, &found);
      ASSERT_TRUE(got.ok()) << when << ": " << key << ": " << got.ToString();
      EXPECT_EQ(found, value) << when;
    }
  }

  // The tables are gone, which is no damage of the store.
  void ExpectReadsAreFenced(DB& db) const {
    const std::string key = NumberedKey(made_), other = NumberedKey(made_ - 1);
    std::string value;
    EXPECT_EQ(db.Get(key, &value).code(), Code::kFenced);
    std::vector<std::string> values;
    for (const Status& got : db.MultiGet({}, {key, other}, &values)) EXPECT_EQ(got.code(), Code::kFenced);
    const auto it = db.NewIterator(ReadOptions{});
    it->SeekToFirst();
    EXPECT_FALSE(it->valid());
    EXPECT_EQ(it->status().code(), Code::kFenced) << it->status().ToString();
    EXPECT_EQ(db.Verify().code(), Code::kFenced);
  }

  std::shared_ptr<MemBackend> bucket_ = Bucket();
  std::unique_ptr<DB> old_;
  std::map<std::string, std::string> owed_;
  uint64_t made_ = 0;
  bool fenced_ = false;
};

TEST_F(Takeover, WhateverTheOldWriterDoesMeanwhile) {
  int fenced_rounds = 0;
  bool reached = true;
  for (int at = 1; reached; ++at) {
    for (const std::string what : {"put", "flush", "put and flush", "put twice", "flush and put", "compact"}) {
      const std::string when = what + " at call " + std::to_string(at);
      bucket_ = Bucket();
      owed_.clear();
      fenced_ = false;
      old_ = std::move(OpenSim(bucket_)).value();
      for (int i = 0; i < 3; ++i) OldPuts();
      ASSERT_TRUE(old_->Flush().ok());
      OldPuts();
      const auto interrupted = std::make_shared<Interrupted>(bucket_, at, [&] {
        if (what.starts_with("put")) OldPuts();
        if (what == "put twice") OldPuts();
        if (what.find("flush") != std::string::npos) (void)old_->Flush().ok();
        if (what == "flush and put") OldPuts();
        if (what == "compact") (void)old_->Compact().ok();
      });
      auto opened = OpenSim(interrupted, SmallSettings(), 2);
      ASSERT_TRUE(opened.ok()) << when << ": " << opened.status().ToString();
      reached = interrupted->reached();
      ExpectOwed(**opened, when);
      OldPuts();
      EXPECT_TRUE(fenced_) << when << ": the old writer goes on";
      fenced_rounds += fenced_ ? 1 : 0;
      ASSERT_TRUE((*opened)->Put("new", "mine", Durability::kPower).ok()) << when;
      owed_["new"] = "mine";
      (void)old_->Flush().ok();
      old_.reset();
      opened->reset();  // closes the wrapper's store, too
      auto again = OpenSim(bucket_, SmallSettings(), 3);
      ASSERT_TRUE(again.ok()) << when << ": " << again.status().ToString();
      ExpectOwed(**again, when + ", opened again");
      EXPECT_TRUE((*again)->Verify().ok()) << when;
    }
  }
  EXPECT_GT(fenced_rounds, 50);
}

// A third opens the store at each call of the second's opening, and writes. Whoever is left at the end, nothing that
// anybody acknowledged is lost.
TEST_F(Takeover, ThreeOfThem) {
  bool reached = true;
  int refused = 0, second_has_it = 0;
  for (int at = 1; reached; ++at) {
    const std::string when = "at call " + std::to_string(at);
    bucket_ = Bucket();
    owed_.clear();
    old_ = std::move(OpenSim(bucket_)).value();
    for (int i = 0; i < 3; ++i) OldPuts();
    std::unique_ptr<DB> third;
    const auto third_puts = [&](const std::string& key) {
      if (third != nullptr && third->Put(key, "third", Durability::kPower).ok()) owed_[key] = "third";
    };
    const auto interrupted = std::make_shared<Interrupted>(bucket_, at, [&] {
      OldPuts();
      auto opened = OpenSim(bucket_, SmallSettings(), 3);
      ASSERT_TRUE(opened.ok()) << when << ": " << opened.status().ToString();
      third = std::move(*opened);
      third_puts("third a");
    });
    auto second = OpenSim(interrupted, SmallSettings(), 2);
    reached = interrupted->reached();
    third_puts("third b");
    if (second.ok()) {
      // Fenced: the third came after it, so what the second sees is of before.
      const Status put = (*second)->Put("second", "second", Durability::kPower);
      EXPECT_TRUE(put.ok() || put.code() == Code::kFenced) << when << ": " << put.ToString();
      if (put.ok()) {
        ++second_has_it;
        owed_["second"] = "second";
        ExpectOwed(**second, when);
      }
    } else {
      ++refused;
      EXPECT_EQ(second.status().code(), Code::kFenced) << when << ": " << second.status().ToString();
    }
    third_puts("third c");
    OldPuts();
    if (third != nullptr) (void)third->Flush().ok();
    if (second.ok()) second->reset();
    third.reset();
    old_.reset();
    auto again = OpenSim(bucket_, SmallSettings(), 4);
    ASSERT_TRUE(again.ok()) << when << ": " << again.status().ToString();
    ExpectOwed(**again, when + ", opened again");
    EXPECT_TRUE((*again)->Verify().ok()) << when;
  }
  EXPECT_GT(second_has_it, 10);
  EXPECT_EQ(refused, 0) << "the later one has it, as long as nobody opens after it";
}

// The old writer sleeps until the new one has flushed, compacted and released whatever stood behind what he knows.
TEST_F(Takeover, ASleeperFindsItsNumbersTaken) {
  for (const std::string what : {"put", "flush", "compact"}) {
    bucket_ = Bucket();
    old_ = std::move(OpenSim(bucket_)).value();
    for (int i = 0; i < 3; ++i) OldPuts();
    ASSERT_TRUE(old_->Flush().ok());
    if (what == "flush") {
      ASSERT_TRUE(old_->Put("unsaved", "x", Durability::kNone).ok());
    }
    for (int life = 0; life < 2; ++life) {
      auto later = std::move(OpenSim(bucket_, SmallSettings(), 2)).value();
      for (int i = 0; i < 200; ++i) {  // more records than two full ones, so that the old numbers are deleted
        ASSERT_TRUE(later->Put(NumberedKey(1000 + i), "later", Durability::kPower).ok());
        ASSERT_TRUE(later->Flush().ok());
      }
      ASSERT_TRUE(later->Compact().ok());
      ASSERT_TRUE(later->Close().ok());
    }
    const Status woken = what == "put"     ? old_->Put("woken", "old", Durability::kPower)
                         : what == "flush" ? old_->Flush()
                                           : old_->Compact();
    EXPECT_EQ(woken.code(), Code::kFenced) << what << ": " << woken.ToString();
    ExpectReadsAreFenced(*old_);
    old_.reset();
    auto again = OpenSim(bucket_, SmallSettings(), 4);
    ASSERT_TRUE(again.ok()) << what << ": " << again.status().ToString();
    ExpectOwed(**again, what);
    EXPECT_TRUE((*again)->Verify().ok()) << what;
    owed_.clear();
  }
}

TEST_F(Takeover, AReaderShutsNobodyOut) {
  old_ = std::move(OpenSim(bucket_)).value();
  OldPuts();
  Settings settings = SmallSettings();
  settings.read_only = true;
  auto reader = OpenSim(bucket_, settings, 2);
  ASSERT_TRUE(reader.ok()) << reader.status().ToString();
  ExpectOwed(**reader, "read only");
  OldPuts();
  EXPECT_FALSE(fenced_);
}

// A fenced writer's upload lands under a number that we are about to take. The next flush or compaction takes
// another.
TEST_F(Takeover, ATableNumberThatIsTakenIsPassedOver) {
  old_ = std::move(OpenSim(bucket_)).value();
  const auto newest = [&] {
    uint64_t number = 0;
    const ListPage page = bucket_->List("table/", "", 5000).value();
    for (const BlobInfo& table : page.blobs) {
      if (table.size > 4) number = std::max<uint64_t>(number, std::strtoull(table.name.c_str() + 6, nullptr, 16));
    }
    return number;
  };
  const auto take = [&](uint64_t number) {
    char name[32];
    std::snprintf(name, sizeof(name), "table/%016llx", static_cast<unsigned long long>(number));
    ASSERT_EQ(*bucket_->PutIfAbsent(name, "late"), PutOutcome::kCreated);
  };
  OldPuts();
  ASSERT_TRUE(old_->Flush().ok());
  for (const std::string what : {"flush", "compact"}) {
    const uint64_t before = newest();
    for (uint64_t next = 1; next <= 3; ++next) take(before + next);
    OldPuts();
    const Status done = what == "flush" ? old_->Flush() : old_->Compact();
    ASSERT_TRUE(done.ok()) << what << ": " << done.ToString();
    EXPECT_GT(newest(), before + 3) << what;
    ExpectOwed(*old_, what);
  }
  OldPuts();
  const uint64_t before = newest();
  for (uint64_t next = 1; next <= 8; ++next) take(before + next);
  EXPECT_EQ(old_->Flush().code(), Code::kBusy) << "that is no coincidence any more";
  old_.reset();
  auto again = OpenSim(bucket_, SmallSettings(), 2);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  ExpectOwed(**again, "opened again");
}

TEST_F(Takeover, ManyCommitsSwitchTheMemtables) {
  old_ = std::move(OpenSim(bucket_)).value();
  for (int i = 0; i < 2100; ++i) OldPuts();
  uint64_t begun = 0;
  const ListPage page = bucket_->List("wal/", "", 5000).value();
  for (const BlobInfo& object : page.blobs) begun += object.size == 72 ? 1 : 0;
  EXPECT_EQ(begun, 3u) << "recovery reads them all, so a flush after a thousand of them releases some";
  ASSERT_TRUE(old_->Flush().ok());
  EXPECT_LT(bucket_->List("wal/", "", 5000)->blobs.size(), 10u);
  ASSERT_TRUE(old_->Close().ok());
  auto again = OpenSim(bucket_, SmallSettings(), 2);
  ASSERT_TRUE(again.ok());
  ExpectOwed(**again, "opened again");
}

}  // namespace
}  // namespace tarn::test
