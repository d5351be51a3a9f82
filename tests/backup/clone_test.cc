// Clones: stores that read from a repository what they have not rewritten. And the overlay that they stand on.
#include "backends/overlay/overlay.h"
#include "tests/backup/backup_fixture.h"
#include "tests/support/crash_backend.h"
#include "tests/support/trace_backend.h"

namespace tarn::test {
namespace {

class CloneTest : public BackupTest {
 protected:
  CloneTest() {
    life_.Change(2000);
    MustBackup(life_, *bucket_);
  }
  Status MakeClone(Backend& repository, Backend& target, uint64_t seed = 3) {
    CloneOptions options;
    options.base_url = "the bucket";
    options.location = "the trial";
    options.transfer = SimTransfer(seed);
    return Clone(repository, target, options).status();
  }
  Result<std::shared_ptr<Backend>> Open(const std::shared_ptr<Backend>& top) {
    return overlay::OpenClone(top, [this](const std::string& url) -> Result<std::shared_ptr<Backend>> {
      EXPECT_EQ(url, "the bucket");
      return std::shared_ptr<Backend>(bucket_);
    });
  }
  Status Detach(Backend& top) {
    const auto open = [this](const std::string&) -> Result<std::shared_ptr<Backend>> {
      return std::shared_ptr<Backend>(bucket_);
    };
    return DetachClone(top, open, SimTransfer());
  }

  const std::shared_ptr<MemBackend> bucket_ = Bucket();
  Life life_{std::make_shared<MemBackend>()};
};

TEST_F(CloneTest, ReadsTheSameAndDiverges) {
  const auto top = std::make_shared<MemBackend>();
  ASSERT_OK(MakeClone(*bucket_, *top));
  EXPECT_EQ(Count(*top, "table/"), 0u) << "nothing is copied";
  auto overlay = Open(top);
  ASSERT_OK(overlay.status());
  Life clone(*overlay, 11, promised_[1]);
  EXPECT_EQ(RowsOf(clone.db()), promised_[1]);
  EXPECT_OK(clone.db().Verify());
  for (int round = 0; round < 4; ++round) {
    life_.Change(400);
    clone.Change(400);
    if (round == 1) {
      ASSERT_OK(life_.db().Compact());
    }
    if (round == 2) {
      ASSERT_OK(clone.db().Compact());
    }
    MustBackup(life_, *bucket_);  // numbers that the clone must not take for its own
    MustBackup(clone, *bucket_);  // and the other way round
    ASSERT_OK(Prune(*bucket_, 3).status());
    EXPECT_EQ(RowsOf(life_.db()), life_.model());
    EXPECT_EQ(RowsOf(clone.db()), clone.model());
    clone.Reopen();
    EXPECT_EQ(RowsOf(clone.db()), clone.model());
    EXPECT_OK(clone.db().Verify());
  }
  ExpectAllRestore(*bucket_);
  EXPECT_EQ(MustVerify(*bucket_).problems, std::vector<std::string>());
}

TEST_F(CloneTest, OpensAgainAfterEverything) {
  const auto top = std::make_shared<MemBackend>();
  ASSERT_OK(MakeClone(*bucket_, *top));
  Rows model = promised_[1];
  for (int round = 0; round < 4; ++round) {
    auto overlay = Open(top);  // from nothing but what top holds
    ASSERT_OK(overlay.status());
    Life clone(*overlay, 20 + static_cast<uint64_t>(round), model);
    EXPECT_EQ(RowsOf(clone.db()), model);
    clone.Change(300);
    if (round == 2) {
      ASSERT_OK(clone.db().Compact());
    }
    model = clone.model();
  }
  auto overlay = Open(top);
  ASSERT_OK(overlay.status());
  auto reader = SmallSettings();
  reader.read_only = true;
  auto db = OpenSim(*overlay, reader);
  ASSERT_OK(db.status());
  EXPECT_EQ(RowsOf(**db), model);
}

TEST_F(CloneTest, CostsAFewRequestsWhateverTheSize) {
  const auto calls_for = [&](std::shared_ptr<MemBackend> bucket) {
    const auto trace = std::make_shared<TraceBackend>(std::move(bucket));
    EXPECT_OK(MakeClone(*trace, *std::make_shared<MemBackend>()));
    return trace->TakeLines().size();
  };
  const size_t small = calls_for(bucket_);
  Life large(std::make_shared<MemBackend>(), 4);
  const auto other = Bucket();
  large.Change(12000);
  ASSERT_GT(Backup(large.db(), *other, Options())->tables, 3 * ListBackups(*bucket_)->at(0).tables);
  EXPECT_EQ(calls_for(other), small);
  EXPECT_LE(small, 10u);
}

TEST_F(CloneTest, DetachedItStandsAlone) {
  for (const bool rewritten : {false, true}) {
    const auto top = std::make_shared<MemBackend>();
    ASSERT_OK(MakeClone(*bucket_, *top, rewritten ? 4 : 3));
    Rows model;
    {
      auto overlay = Open(top);
      ASSERT_OK(overlay.status());
      Life clone(*overlay, 11, promised_[1]);
      clone.Change(300);
      if (rewritten) {
        ASSERT_OK(clone.db().Compact());
      }
      EXPECT_EQ(Detach(*top).code(), Code::kBusy) << "it is open";
      model = clone.model();
    }
    ASSERT_OK(Detach(*top));
    EXPECT_EQ(ListClones(*bucket_)->size(), 0u);
    EXPECT_EQ(Count(*top, "overlay/"), 0u);
    EXPECT_EQ(Detach(*top).code(), Code::kNotFound);
    auto db = OpenSim(top);
    ASSERT_OK(db.status());
    EXPECT_EQ(RowsOf(**db), model);
    EXPECT_OK((*db)->Verify());
  }
}

TEST_F(CloneTest, ADetachMayBeCutAnywhere) {
  const auto whole = std::make_shared<MemBackend>();
  ASSERT_OK(MakeClone(*bucket_, *whole));
  Rows model;
  {
    Life clone(Open(whole).value(), 11, promised_[1]);
    clone.Change(300);
    model = clone.model();
  }
  const auto counting = std::make_shared<CrashBackend>(whole->CrashClone(1, CrashMode::kProcessKill));
  ASSERT_OK(Detach(*counting));
  for (uint64_t at = 1; at <= counting->effects(); ++at) {
    SCOPED_TRACE("effect " + std::to_string(at));
    const auto machine = std::make_shared<CrashBackend>(whole->CrashClone(1, CrashMode::kProcessKill));
    machine->CrashAt(at, at, CrashMode::kTornSubset);
    EXPECT_FALSE(Detach(*machine).ok());
    const auto after = machine->survivor();
    ASSERT_NE(after, nullptr);
    {
      auto db = OpenSim(Open(after).value());  // a clone still, or a store of its own
      ASSERT_OK(db.status());
      EXPECT_EQ(RowsOf(**db), model);
    }
    const Status again = Detach(*after);
    EXPECT_TRUE(again.ok() || again.code() == Code::kNotFound) << again.ToString();
    auto db = OpenSim(after);
    ASSERT_OK(db.status());
    EXPECT_EQ(RowsOf(**db), model);
  }
}

TEST_F(CloneTest, IntoAPlaceThatIsTakenItIsRefused) {
  const auto top = std::make_shared<MemBackend>();
  ASSERT_OK(top->PutIfAbsent("somebody/s", "").status());
  EXPECT_EQ(MakeClone(*bucket_, *top).code(), Code::kInvalid);
  EXPECT_EQ(ListClones(*bucket_)->size(), 0u);
}

TEST(Overlay, BaseBlobsThatWereChangedAreRefused) {
  const overlay::Base base{"s3://b/p", "clone/0123456789abcdef", {{"table/1", 5}, {"table/2", 1ull << 40}}};
  const std::string bytes = overlay::EncodeBase(base);
  const auto back = overlay::DecodeBase(bytes);
  ASSERT_OK(back.status());
  EXPECT_EQ(back->url, base.url);
  EXPECT_EQ(back->hold, base.hold);
  ASSERT_EQ(back->blobs.size(), 2u);
  EXPECT_EQ(back->blobs[1].size, 1ull << 40);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string wrong = bytes;
    wrong[at] ^= 0x20;
    EXPECT_FALSE(overlay::DecodeBase(wrong).ok()) << at;
    EXPECT_FALSE(overlay::DecodeBase(bytes.substr(0, at)).ok()) << at;
  }
}

// Names of both, in pages of any size, with some of base's deleted and written anew.
TEST(Overlay, ListsBothAsOne) {
  SeededRandom random(5);
  for (int round = 0; round < 50; ++round) {
    const auto top = std::make_shared<MemBackend>(), base = std::make_shared<MemBackend>();
    std::map<std::string, std::string> model;
    std::vector<BlobInfo> listed;
    for (int i = 0; i < 30; ++i) {
      const std::string name = "table/" + NumberedKey(static_cast<uint64_t>(i));
      ASSERT_OK(base->PutIfAbsent(name, "base").status());
      if (random.OneIn(3)) continue;  // not of the clone
      listed.push_back({name, 4});
      model[name] = "base";
    }
    auto overlay = overlay::OpenOverlay(top, base, listed).value();
    for (int i = 0; i < 40; ++i) {
      const std::string name = (random.OneIn(4) ? "wal/" : "table/") + NumberedKey(random.Below(40));
      if (random.OneIn(2)) {
        const Status deleted = overlay->Delete(name);
        EXPECT_EQ(deleted.code(), model.contains(name) ? Code::kOk : Code::kNotFound);
        model.erase(name);
      } else {
        const auto put = overlay->PutIfAbsent(name, "top!");
        ASSERT_OK(put.status());
        EXPECT_EQ(*put, model.contains(name) ? PutOutcome::kExists : PutOutcome::kCreated);
        model.emplace(name, "top!");
      }
      if (random.OneIn(9)) overlay = overlay::OpenOverlay(top, base, listed).value();
    }
    const size_t limit = 1 + random.Below(12);
    const std::string prefix = random.OneIn(2) ? "" : "table/";
    std::map<std::string, std::string> found;
    std::string after;
    for (bool more = true; more;) {
      const auto page = overlay->List(prefix, after, limit);
      ASSERT_OK(page.status());
      ASSERT_LE(page->blobs.size(), limit);
      ASSERT_FALSE(page->more && page->blobs.empty());
      for (const BlobInfo& blob : page->blobs) {
        ASSERT_GT(blob.name, after);
        after = blob.name;
        std::string bytes(blob.size, '\0');
        ASSERT_OK(overlay->Open(blob.name).value()->Read(0, bytes));
        found[blob.name] = bytes;
      }
      more = page->more;
    }
    std::erase_if(model, [&](const auto& row) { return !row.first.starts_with(prefix); });
    EXPECT_EQ(found, model);
    EXPECT_EQ(base->List("", "", 1000)->blobs.size(), 30u) << "base is never changed";
  }
}

}  // namespace
}  // namespace tarn::test
