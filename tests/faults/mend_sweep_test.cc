// lake/mend over lakes with rows lost, with each backend call below it failing in turn in seven ways. Nothing is
// cached, so each row that mending looks up is a call.
//
// After each fault: mending handed on the fault's own error, or it said OK and then it told and made what it does
// without faults. A read that failed is never taken for a row that is lost. And what an error left half done can be
// mended: then the lake opens, and its check finds nothing.
//
// The short form takes about kPoints calls of each kind; TARN_FAULTS=full takes all of them, TARN_SEED moves the
// sample.
#include <gtest/gtest.h>

#include <iostream>

#include "lake/layout.h"
#include "lake/mend.h"
#include "lake/rows.h"
#include "tests/faults/lake_stage.h"
#include "tests/kernel/sim_store.h"
#include "tests/support/starving_memtable.h"

namespace tarn::test {
namespace {

using lake::Entry;
using lake::Ino;
using lake::Inode;
using lake::kEntryRow;
using lake::kInodeRow;
using lake::kRootIno;
using lake::MetaKey;
using lake::NameKey;

#ifdef __SANITIZE_ADDRESS__
constexpr uint64_t kPoints = 2;
#else
constexpr uint64_t kPoints = 40;
#endif

Settings MendSettings() {
  Settings settings = SmallSettings();
  settings.memtable_bytes = 1 << 20;
  settings.block_bytes = 512;
  return settings;
}

// Changes rows of a lake that is closed.
class Damager {
 public:
  explicit Damager(DB& db) : db_(db), meta_(db.FindFamily("meta").value()) {}

  Ino Find(Ino parent, const std::string& name) const {
    std::string value;
    Entry entry;
    const std::string key = NameKey(kEntryRow, parent, name);
    EXPECT_TRUE(db_.Get(meta_, key, &value).ok()) << name;
    EXPECT_TRUE(Decode(key, value, &entry).ok()) << name;
    return entry.ino;
  }
  Inode Load(Ino ino) const {
    std::string value;
    Inode inode;
    EXPECT_TRUE(db_.Get(meta_, MetaKey(kInodeRow, ino), &value).ok()) << ino;
    EXPECT_TRUE(Decode(MetaKey(kInodeRow, ino), value, &inode).ok()) << ino;
    return inode;
  }
  void Put(const std::string& key, const std::string& value) { batch_.Put(meta_, key, value); }
  void Drop(const std::string& key) { batch_.Delete(meta_, key); }
  // Every `step`-th row of a family.
  void Thin(const char* family, size_t step) {
    const ColumnFamily from = db_.FindFamily(family).value();
    const auto walk = db_.NewIterator(from);
    size_t at = 0;
    for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
      if (at++ % step == 0) batch_.Delete(from, walk->key());
    }
    EXPECT_GT(at, 0u) << family;
  }
  void Commit() {
    EXPECT_TRUE(db_.Write(batch_).ok());
    EXPECT_TRUE(db_.Compact().ok());
    EXPECT_TRUE(db_.Close().ok());
  }

 private:
  DB& db_;
  const ColumnFamily meta_;
  WriteBatch batch_;
};

class MendSweep : public testing::Test {
 protected:
  struct Mended {
    Result<uint64_t> changes = Status::Invalid("not yet");
    std::vector<std::string> told;
    Picture picture;
  };

  void Prepare(const std::function<void(Damager&)>& damage) {
    const auto db = OpenSim(images_.grounds().Workshop(), MendSettings()).value();
    Damager damager(*db);
    damage(damager);
    damager.Commit();
    images_.grounds().Keep("damaged");
  }

  // Of a lake that a new process finds.
  static void Look(const std::shared_ptr<Backend>& backend, Picture* picture) {
    const auto opened = OpenLakeOn(backend, 5);
    ASSERT_TRUE(opened.ok()) << opened.status().ToString();
    const auto report = (*opened)->Check(true, {});
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->problems, std::vector<std::string>());
    auto seen = PictureOf(**opened);
    ASSERT_TRUE(seen.ok()) << seen.status().ToString();
    *picture = *std::move(seen);
    EXPECT_TRUE((*opened)->Close().ok());
  }

  static Mended MendOn(std::shared_ptr<Backend> backend, Ground* ground, size_t kind, uint64_t nth) {
    Mended mended;
    Components parts = SimParts(std::move(backend), 3);
    parts.memtable = NewStarvingMemtable();
    const auto db = DB::Open(MendSettings(), parts).value();
    EXPECT_TRUE(db->Put(kBallast, "").ok());
    if (ground != nullptr) ground->Arm(kind, nth);
    mended.changes = lake::Mend(*db, {.tell = [&](const std::string& line) { mended.told.push_back(line); }});
    if (ground != nullptr) ground->Disarm();
    (void)db->Close();
    return mended;
  }

  // nth 0: counts the calls.
  uint64_t Run(size_t kind, uint64_t nth) {
    const auto ground = images_.grounds().FromImage("damaged");
    Mended mended = MendOn(ground->Store(false).value(), ground.get(), kind, nth);
    fired_ += ground->fired();
    EXPECT_EQ(ground->fired() > 0, nth != 0) << "mending makes other calls than on its rehearsal";
    if (mended.changes.ok()) {
      Look(ground->After(Ending::kDestroyed, 0), &mended.picture);
      if (nth == 0) rehearsal_ = mended;
      EXPECT_EQ(mended.told, rehearsal_.told);
      EXPECT_EQ(*mended.changes, *rehearsal_.changes);
      EXPECT_TRUE(mended.picture == rehearsal_.picture) << "the lake came out as another one";
      return ground->calls();
    }
    ++errors_;
    EXPECT_EQ(ground->Objection(kind, mended.changes.status()), "") << mended.changes.status().ToString();
    EXPECT_EQ(ObjectionToForm(mended.changes.status()), "") << mended.changes.status().ToString();
    const Mended again = MendOn(ground->After(Ending::kDestroyed, 0), nullptr, 0, 0);
    EXPECT_TRUE(again.changes.ok()) << again.changes.status().ToString();
    Look(ground->After(Ending::kDestroyed, 0), &mended.picture);
    return ground->calls();
  }

  void Sweep() {
    uint64_t most_calls = 0, points = 0;
    const auto& kinds = images_.grounds().kinds();
    for (size_t kind = 0; kind < kinds.size() && !HasFailure(); ++kind) {
      const uint64_t calls = Run(kind, 0);
      most_calls = std::max(most_calls, calls);
      // A single failing call is what tells most, so of these all are made.
      for (const uint64_t nth : PointsOf(calls, kind == 0 ? kPoints * 10 : kPoints, kind)) {
        SCOPED_TRACE(kinds[kind] + " at call " + std::to_string(nth) + " of " + std::to_string(calls));
        Run(kind, nth);
        ++points;
        if (HasFailure()) return;
      }
    }
    std::cout << most_calls << " calls, " << points << " points, " << fired_ << " faults, " << errors_ << " errors\n";
    EXPECT_GT(*rehearsal_.changes, 0u);
    EXPECT_GT(errors_, 0u);
  }

  LakeImages images_;
  Mended rehearsal_;
  uint64_t fired_ = 0, errors_ = 0;
};

TEST_F(MendSweep, LostInodesAndNames) {
  Prepare([](Damager& lake) {
    const Ino dir = lake.Find(kRootIno, "dir"), sub = lake.Find(dir, "sub");
    lake.Drop(MetaKey(kInodeRow, kRootIno));
    lake.Drop(MetaKey(kInodeRow, sub));
    lake.Drop(MetaKey(kInodeRow, lake.Find(dir, "big")));
    lake.Drop(MetaKey(kInodeRow, lake.Find(sub, "b")));
    lake.Drop(MetaKey(kInodeRow, lake.Find(kRootIno, "empty")));
    lake.Drop(NameKey(kEntryRow, sub, "deep"));
    lake.Drop(NameKey(kEntryRow, kRootIno, "wide"));
    lake.Drop(NameKey(lake::kXattrRow, lake.Find(dir, "small"), "user.shape"));
    lake.Drop(MetaKey(lake::kLogRow, 1));
    lake.Drop(std::string(1, lake::kSuperblockRow));
  });
  Sweep();
}

TEST_F(MendSweep, LostContent) {
  Prepare([](Damager& lake) {
    lake.Thin("inline", 3);
    lake.Thin("extents", 3);
    lake.Thin("chunks", 2);
    lake.Thin("backrefs", 4);
  });
  Sweep();
}

// Directories in a circle, two names of one directory, a symlink that has to be written again, a full /lost+found.
TEST_F(MendSweep, NamesThatContradict) {
  Prepare([](Damager& lake) {
    const Ino dir = lake.Find(kRootIno, "dir"), sub = lake.Find(dir, "sub"), hollow = lake.Find(dir, "hollow");
    const Ino wide = lake.Find(kRootIno, "wide"), empty = lake.Find(kRootIno, "empty");
    Inode turned = lake.Load(dir);
    turned.parent = sub;
    lake.Put(MetaKey(kInodeRow, dir), Encode(turned));
    lake.Drop(NameKey(kEntryRow, kRootIno, "dir"));
    lake.Put(NameKey(kEntryRow, sub, "dir"), Encode(Entry{dir, 0040000}));
    lake.Put(NameKey(kEntryRow, wide, "second"), Encode(Entry{hollow, 0040000}));
    Inode link = lake.Load(lake.Find(kRootIno, "link"));
    link.nlink = 3;
    lake.Put(MetaKey(kInodeRow, lake.Find(kRootIno, "link")), Encode(link));
    lake.Drop(NameKey(kEntryRow, kRootIno, "empty"));
    lake.Put(NameKey(kEntryRow, kRootIno, "lost+found"), Encode(Entry{empty, 0040000}));
    lake.Put(NameKey(kEntryRow, empty, "#" + std::to_string(dir)), Encode(Entry{lake.Find(dir, "small"), 0100000}));
  });
  Sweep();
}

}  // namespace
}  // namespace tarn::test
