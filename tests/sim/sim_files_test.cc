// The simulated filesystem: everything that it says a crash or a fault may do is seen to happen, and what it forbids
// is not. Then the proof of the local backend: a scripted store is cut at every effect in every mode; and the proof
// of the proof: with any one sync left out of the backend, or a short transfer ignored, the same sweep fails.

#include "tests/sim/sim_files.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "backends/local/local_internal.h"
#include "tarn/db.h"
#include "tests/sim/careless_ops.h"
#include "tests/sim/file_storage.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

using local::FileOps;

// What a reader finds at a path: its bytes, or "-" when there is nothing.
std::string Find(FileOps& ops, const std::string& path) {
  const int fd = ops.OpenRead(path);
  if (fd < 0) return "-";
  std::string bytes(4096, '?');
  const ssize_t n = ops.Read(fd, bytes.data(), bytes.size(), 0);
  ops.Close(fd);
  bytes.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return bytes;
}

int Put(FileOps& ops, const std::string& path, const std::string& bytes, bool sync) {
  const int fd = ops.CreateExclusive(path);
  if (fd < 0) return fd;
  int result = static_cast<int>(ops.Write(fd, bytes.data(), bytes.size(), 0));
  if (sync && result >= 0) result = ops.Fdatasync(fd);
  ops.Close(fd);
  return result < 0 ? result : 0;
}

// Runs a script on a fresh machine, crashes it with many seeds, and returns everything that `look` ever sees.
std::set<std::string> Outcomes(FileCrash profile, const std::function<void(FileOps&)>& script,
                               const std::function<std::string(FileOps&)>& look) {
  std::set<std::string> seen;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    SimFiles files("/r");
    script(*files.NewProcess());
    files.Crash(seed, profile);
    seen.insert(look(*files.NewProcess()));
  }
  return seen;
}

using Set = std::set<std::string>;

TEST(SimFiles, KillKeepsWhatWasWrittenAndEndsTheProcess) {
  SimFiles files("/r");
  const auto dead = files.NewProcess();
  const int fd = dead->OpenLockFile("/r/LOCK");
  ASSERT_GE(fd, 0);
  ASSERT_EQ(dead->TryFlock(fd), 0);
  ASSERT_EQ(Put(*dead, "/r/a", "bytes", false), 0);
  const auto rival = files.NewProcess();
  const int rivals = rival->OpenLockFile("/r/LOCK");
  EXPECT_EQ(rival->TryFlock(rivals), -EWOULDBLOCK);
  files.Crash(1, FileCrash::kKill);
  EXPECT_EQ(dead->Write(fd, "x", 1, 0), -EIO);
  EXPECT_EQ(rival->Unlink("/r/a"), -EIO);
  const auto next = files.NewProcess();
  EXPECT_EQ(Find(*next, "/r/a"), "bytes");
  EXPECT_EQ(next->TryFlock(next->OpenLockFile("/r/LOCK")), 0);
  files.Crash(1, FileCrash::kAllLost);  // a kill made nothing durable
  EXPECT_EQ(Find(*files.NewProcess(), "/r/a"), "-");
}

TEST(SimFiles, AllLostKeepsWhatWasSyncedWithItsName) {
  const auto script = [](FileOps& ops) {
    Put(ops, "/r/both", "safe", true);
    Put(ops, "/r/data", "unsafe", false);
    ops.SyncDirectory("/r");
    Put(ops, "/r/name", "safe", true);
    ops.Unlink("/r/both");
  };
  const auto look = [](FileOps& ops) {
    return Find(ops, "/r/both") + "," + Find(ops, "/r/data") + "," + Find(ops, "/r/name");
  };
  EXPECT_EQ(Outcomes(FileCrash::kAllLost, script, look), Set{"safe,,-"});
}

TEST(SimFiles, SectorsSurviveOneByOneAndSizesWithoutData) {
  const auto script = [](FileOps& ops) {
    Put(ops, "/r/f", std::string(512, 'a') + std::string(512, 'b'), false);
    ops.SyncDirectory("/r");
  };
  const auto look = [](FileOps& ops) {
    const std::string bytes = Find(ops, "/r/f");
    const char first = bytes.empty() ? '-' : bytes[0], second = bytes.size() < 1024 ? '-' : bytes[512];
    return std::string(1, first == '\0' ? '0' : first) + (second == '\0' ? '0' : second);
  };
  EXPECT_EQ(Outcomes(FileCrash::kPosix, script, look), (Set{"--", "0-", "00", "0b", "a-", "a0", "ab"}));
  EXPECT_EQ(Outcomes(FileCrash::kOrdered, script, look), (Set{"--", "a-", "ab"}));
  EXPECT_EQ(Outcomes(FileCrash::kAllLost, script, look), Set{"--"});
}

TEST(SimFiles, AnOverwriteIsOldOrNew) {
  const auto script = [](FileOps& ops) {
    Put(ops, "/r/f", "old old old", true);
    ops.SyncDirectory("/r");
    const int fd = ops.OpenLockFile("/r/f");
    ops.Write(fd, "new", 3, 0);
    ops.Write(fd, "NEW", 3, 4);
  };
  const auto look = [](FileOps& ops) { return Find(ops, "/r/f"); };
  EXPECT_EQ(Outcomes(FileCrash::kPosix, script, look),
            (Set{"old old old", "new old old", "old NEW old", "new NEW old"}));
  EXPECT_EQ(Outcomes(FileCrash::kAllLost, script, look), Set{"old old old"});
  EXPECT_EQ(Outcomes(FileCrash::kKill, script, look), Set{"new NEW old"});
}

TEST(SimFiles, SyncOfAFileDoesNotPersistItsName) {
  const auto script = [](FileOps& ops) { Put(ops, "/r/f", "safe", true); };
  const auto look = [](FileOps& ops) { return Find(ops, "/r/f"); };
  EXPECT_EQ(Outcomes(FileCrash::kPosix, script, look), (Set{"-", "safe"}));
  EXPECT_EQ(Outcomes(FileCrash::kOrdered, script, look), Set{"safe"});  // ext4 does more than it promises
}

TEST(SimFiles, RenamesAreUndoneDoneOrLeaveBothNames) {
  const auto script = [](FileOps& ops) {
    Put(ops, "/r/old", "x", true);
    ops.SyncDirectory("/r");
    ops.RenameNoReplace("/r/old", "/r/new");
  };
  const auto look = [](FileOps& ops) { return Find(ops, "/r/old") + Find(ops, "/r/new"); };
  EXPECT_EQ(Outcomes(FileCrash::kPosix, script, look), (Set{"x-", "-x", "xx"}));
  EXPECT_EQ(Outcomes(FileCrash::kOrdered, script, look), (Set{"x-", "-x"}));
  EXPECT_EQ(Outcomes(FileCrash::kAllLost, script, look), Set{"x-"});
}

TEST(SimFiles, NamesAreReorderedAndDirectoriesVanishWhole) {
  const auto script = [](FileOps& ops) {
    Put(ops, "/r/gone", "g", true);
    ops.SyncDirectory("/r");
    ops.Unlink("/r/gone");
    ops.MakeDirectory("/r/d");
    Put(ops, "/r/d/f", "f", true);
    ops.SyncDirectory("/r/d");
  };
  const auto look = [](FileOps& ops) { return Find(ops, "/r/gone") + Find(ops, "/r/d/f"); };
  EXPECT_EQ(Outcomes(FileCrash::kPosix, script, look), (Set{"g-", "gf", "--", "-f"}));
  EXPECT_EQ(Outcomes(FileCrash::kOrdered, script, look), Set{"-f"});
  EXPECT_EQ(Outcomes(FileCrash::kAllLost, script, look), Set{"g-"});
}

TEST(SimFiles, OrderedKeepsNamesInTheirOrder) {
  const auto script = [](FileOps& ops) {
    for (const char* name : {"/r/a", "/r/b", "/r/c"}) Put(ops, name, "x", false);
  };
  const auto look = [](FileOps& ops) {
    std::string there;
    for (const char* name : {"/r/a", "/r/b", "/r/c"}) there += Find(ops, name) == "-" ? '-' : 'x';
    return there;
  };
  EXPECT_EQ(Outcomes(FileCrash::kOrdered, script, look), (Set{"---", "x--", "xx-", "xxx"}));
  EXPECT_EQ(Outcomes(FileCrash::kPosix, script, look).size(), 8u);
}

TEST(SimFiles, AFailedSyncDropsPagesAndTheNextSaysOk) {
  const auto script = [](SimFiles& files) {
    const auto ops = files.NewProcess();
    EXPECT_EQ(Put(*ops, "/r/f", "old", true), 0);
    EXPECT_EQ(ops->SyncDirectory("/r"), 0);
    const int fd = ops->OpenLockFile("/r/f");
    EXPECT_EQ(ops->Write(fd, "new", 3, 0), 3);
    files.SetFaults(1, {.io_error = 1'000'000});
    EXPECT_EQ(ops->Fdatasync(fd), -EIO);
    files.SetFaults(1, {});
    EXPECT_EQ(ops->Write(fd, "!", 1, 3), 1);
    EXPECT_EQ(ops->Fdatasync(fd), 0);
    EXPECT_EQ(Find(*ops, "/r/f"), "new!");
  };
  const auto outcomes = [&](FileCrash profile) {
    Set seen;
    for (uint64_t seed = 0; seed < 50; ++seed) {
      SimFiles files("/r");
      script(files);
      files.Crash(seed, profile);
      seen.insert(Find(*files.NewProcess(), "/r/f"));
    }
    return seen;
  };
  EXPECT_EQ(outcomes(FileCrash::kAllLost), Set{"old!"});
  EXPECT_EQ(outcomes(FileCrash::kKill), (Set{"new!", "old!"}));  // a clean page may be evicted
  EXPECT_EQ(outcomes(FileCrash::kPosix), (Set{"new!", "old!"}));
}

TEST(SimFiles, EachFaultHappensAndIsCounted) {
  SimFiles files("/r");
  const auto ops = files.NewProcess();
  files.SetFaults(1, {.io_error = 1'000'000});
  EXPECT_EQ(ops->MakeDirectory("/r/d"), -EIO);
  EXPECT_EQ(ops->OpenRead("/r"), -EIO);
  files.SetFaults(1, {.io_after = 1'000'000});
  EXPECT_EQ(ops->MakeDirectory("/r/d"), -EIO);
  EXPECT_EQ(ops->CreateExclusive("/r/d/f"), -EIO);
  files.SetFaults(1, {});
  const int fd = ops->OpenLockFile("/r/d/f");
  ASSERT_GE(fd, 0);
  EXPECT_EQ(Find(*ops, "/r/d/f"), "") << "the two took effect";
  files.SetFaults(1, {.no_space = 1'000'000});
  EXPECT_EQ(ops->Write(fd, "12345678", 8, 0), -ENOSPC);
  EXPECT_EQ(ops->Fdatasync(fd), 0) << "needs no space";
  files.SetFaults(1, {.short_transfer = 1'000'000});
  const ssize_t written = ops->Write(fd, "12345678", 8, 0);
  EXPECT_GT(written, 0);
  EXPECT_LT(written, 8);
  EXPECT_EQ(ops->Write(fd, "x", 1, 0), 1) << "cannot be shorter";
  files.SetFaults(1, {});
  EXPECT_EQ(ops->Write(fd, "12345678", 8, 0), 8);
  files.SetFaults(1, {.short_transfer = 1'000'000});
  char out[8];
  EXPECT_LT(ops->Read(fd, out, 8, 0), 8);
  const std::map<std::string, uint64_t> wanted = {
      {"io", 2}, {"io after the effect", 2}, {"no space", 1}, {"short transfer", 2}};
  EXPECT_EQ(files.faults(), wanted);
}

TEST(SimFiles, StopsAtTheEffect) {
  Set left;
  for (char first = 'a'; first <= 'z'; ++first) {
    SimFiles files("/r");
    const auto ops = files.NewProcess();
    const int fd = ops->CreateExclusive(std::string("/r/") + first);
    files.CrashAfter(2);
    EXPECT_EQ(ops->Write(fd, "1234", 4, 0), 4);
    EXPECT_FALSE(files.stopped());
    EXPECT_EQ(ops->Write(fd, "5678", 4, 4), -EIO);
    EXPECT_TRUE(files.stopped());
    EXPECT_EQ(ops->Write(fd, "9", 1, 8), -EIO);
    char out[1];
    EXPECT_EQ(ops->Read(fd, out, 1, 0), -EIO);
    files.Crash(1, FileCrash::kKill);
    left.insert(Find(*files.NewProcess(), std::string("/r/") + first));
  }
  EXPECT_EQ(left, (Set{"1234", "12345", "123456", "1234567", "12345678"})) << "the write that was cut, in part";
}

TEST(SimFiles, RotDamagesWhatIsSyncedAndMends) {
  SimFiles files("/r");
  const auto ops = files.NewProcess();
  EXPECT_FALSE(files.Rot(1).has_value());
  const std::string bytes(2000, 'x');
  ASSERT_EQ(Put(*ops, "/r/f", bytes, true), 0);
  ASSERT_EQ(Put(*ops, "/r/unsynced", bytes, false), 0);
  Set kinds;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto damage = files.Rot(seed);
    if (!damage) continue;
    EXPECT_EQ(damage->name, "f");
    EXPECT_NE(Find(*ops, "/r/f"), bytes);
    damage->mend();
    EXPECT_EQ(Find(*ops, "/r/f"), bytes);
    kinds.insert(damage->what);
  }
  EXPECT_GE(kinds.size(), 3u);
}

// A store that is written, flushed, compacted, closed and opened again. Each value is either acknowledged with
// kPower, or in flight when the machine stopped.
class Script {
 public:
  Script(SimFiles* files, Lapse lapse) : files_(*files), lapse_(lapse) {}

  // Until the first error, which is the cut.
  Status Run(uint64_t seed, int first_key) {
    for (int round = 0; round < 2; ++round) {
      TARN_ASSIGN(auto db, Open(seed));
      for (int n = 0; n < 4; ++n) {
        const int key = first_key + round * 4 + n;
        acknowledged_[key] = false;
        TARN_TRY(db->Put(Key(key), Value(key), Durability::kPower));
        acknowledged_[key] = created_ = true;
        if (n == 1) TARN_TRY(db->Flush());
      }
      if (round == 1) TARN_TRY(db->Compact());
      TARN_TRY(db->Close());
    }
    return Status::Ok();
  }
  // What is wrong with the store now, or nothing.
  std::string Look(uint64_t seed) {
    const auto db = Open(seed);
    if (!db.ok()) return created_ ? "open: " + db.status().ToString() : "";
    for (const auto& [key, acknowledged] : acknowledged_) {
      std::string value;
      const Status got = (*db)->Get(Key(key), &value);
      if (got.code() == Code::kNotFound && !acknowledged) continue;
      if (!got.ok()) return Key(key) + ": " + got.ToString();
      if (value != Value(key)) return Key(key) + " has another value";
    }
    const Status verified = (*db)->Verify();
    return verified.ok() ? "" : "verify: " + verified.ToString();
  }

 private:
  static std::string Key(int n) { return "key" + std::to_string(n); }
  static std::string Value(int n) {
    return std::string(700 + 13 * static_cast<size_t>(n), static_cast<char>('a' + n));
  }
  Result<std::unique_ptr<DB>> Open(uint64_t seed) {
    TARN_ASSIGN(auto backend, local::OpenLocalWith(std::make_shared<CarelessOps>(files_.NewProcess(), lapse_), "/tmp",
                                                   {.allow_io_uring = false}));
    Components components;
    components.backend = std::move(backend);
    components.clock = std::make_shared<VirtualClock>();
    components.entropy = std::make_shared<SeededEntropy>(seed);
    components.scheduler = std::make_shared<SimScheduler>(seed);
    return DB::Open({}, components);
  }

  SimFiles& files_;
  const Lapse lapse_;
  std::map<int, bool> acknowledged_;  // false: in flight when the machine stopped
  bool created_ = false;              // a write was acknowledged, so the store opens whatever happens
};

// One life: cut at an effect, opened, written to, cut again with all lost, opened. What went wrong, or nothing.
std::string CutOnce(Lapse lapse, uint64_t effect, FileCrash profile, bool* ended) {
  SimFiles files("/");
  Script script(&files, lapse);
  files.CrashAfter(effect);
  *ended = script.Run(effect, 0).ok();
  files.Crash(effect, profile);
  std::string wrong = script.Look(effect + 1);
  if (wrong.empty()) {
    const Status again = script.Run(effect + 2, 8);
    if (!again.ok()) wrong = "second run: " + again.ToString();
    files.Crash(effect + 3, FileCrash::kAllLost);
  }
  if (wrong.empty()) wrong = script.Look(effect + 4);
  if (wrong.empty()) return wrong;
  return "effect " + std::to_string(effect) + " profile " + std::to_string(static_cast<int>(profile)) + ": " + wrong;
}

// The first failure over all effects and modes.
std::string Sweep(Lapse lapse) {
  bool ended = false;
  for (uint64_t effect = 1; !ended; ++effect) {
    for (const FileCrash profile : {FileCrash::kKill, FileCrash::kAllLost, FileCrash::kPosix, FileCrash::kOrdered}) {
      const std::string wrong = CutOnce(lapse, effect, profile, &ended);
      if (!wrong.empty()) return wrong;
    }
  }
  return {};
}

TEST(LocalBackendProof, EveryEffectInEveryMode) { EXPECT_EQ(Sweep(Lapse::kNone), ""); }
TEST(LocalBackendProof, NoticesAMissingFdatasync) { EXPECT_NE(Sweep(Lapse::kNoFdatasync), ""); }
TEST(LocalBackendProof, NoticesAMissingSyncAfterMkdir) { EXPECT_NE(Sweep(Lapse::kNoSyncAfterMkdir), ""); }
TEST(LocalBackendProof, NoticesAMissingSyncAfterRename) { EXPECT_NE(Sweep(Lapse::kNoSyncAfterRename), ""); }
TEST(LocalBackendProof, NoticesAMissingSyncAfterCreate) { EXPECT_NE(Sweep(Lapse::kNoSyncAfterCreate), ""); }

// A blob that exists was published by a process that died before it synced the directory.
std::string TakenName(Lapse lapse) {
  SimFiles files("/tmp");
  const auto open = [&] {
    return *local::OpenLocalWith(std::make_shared<CarelessOps>(files.NewProcess(), lapse), "/tmp",
                                 {.create = false, .allow_io_uring = false});
  };
  files.CrashAfter(5);  // create, write, sync, rename happen; the sync of the directory does not
  EXPECT_FALSE(open()->PutIfAbsent("one", "first").ok());
  files.Crash(1, FileCrash::kKill);
  const auto second = open()->PutIfAbsent("one", "second");
  EXPECT_TRUE(second.ok() && *second == PutOutcome::kExists);
  files.Crash(2, FileCrash::kAllLost);
  return Find(*files.NewProcess(), "/tmp/one");
}

TEST(LocalBackendProof, ATakenNameIsDurable) {
  EXPECT_EQ(TakenName(Lapse::kNone), "first");
  EXPECT_EQ(TakenName(Lapse::kNoSyncAfterExists), "-");
}

// Calls fail, also after they took effect, and syncs drop pages; then the power goes.
std::string FaultsThenPowerLoss(Lapse lapse) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    SimFiles files("/tmp");
    files.SetFaults(seed, {.io_error = 15'000, .io_after = 5'000, .no_space = 5'000});
    Script script(&files, lapse);
    const bool ended = script.Run(seed, 0).ok();
    EXPECT_TRUE(ended || !files.faults().empty()) << "seed " << seed << ": an error without a fault";
    files.SetFaults(0, {});
    files.Crash(seed, FileCrash::kAllLost);
    const std::string wrong = script.Look(seed + 1);
    if (!wrong.empty()) return "seed " + std::to_string(seed) + ": " + wrong;
  }
  return {};
}

TEST(LocalBackendProof, AFailedSyncIsFinal) {
  EXPECT_EQ(FaultsThenPowerLoss(Lapse::kNone), "");
  EXPECT_NE(FaultsThenPowerLoss(Lapse::kRetriesFdatasync), "");
}

// Without crashes, but with half of all transfers short.
std::string ShortTransfers(Lapse lapse) {
  SimFiles files("/tmp");
  files.SetWindows(false);  // a store into a window is never short
  files.SetFaults(1, {.short_transfer = 500'000});
  Script script(&files, lapse);
  const Status ran = script.Run(1, 0);
  EXPECT_GE(files.faults().at("short transfer"), 4u);
  return ran.ok() ? script.Look(2) : ran.ToString();
}

TEST(LocalBackendProof, ShortTransfersAreCompleted) {
  EXPECT_EQ(ShortTransfers(Lapse::kNone), "");
  EXPECT_NE(ShortTransfers(Lapse::kShortReadIsWhole), "");
  EXPECT_NE(ShortTransfers(Lapse::kShortWriteIsWhole), "");
}

TEST(FileStorage, SameSeedSameDigest) {
  uint64_t digests[3];
  for (int run = 0; run < 3; ++run) {
    const auto storage = MakeFileStorage(7);
    storage->SetFaults(run == 2 ? 8 : 7,
                       {.io_error = 2000, .io_after = 2000, .no_space = 2000, .short_transfer = 90000});
    for (uint64_t life = 0; life < 5; ++life) {
      Components components;
      components.backend = storage->Mount();
      components.clock = std::make_shared<VirtualClock>();
      components.entropy = std::make_shared<SeededEntropy>(life);
      components.scheduler = std::make_shared<SimScheduler>(life);
      storage->CrashAfter(40 + life * 10);
      const auto db = DB::Open({}, components);
      for (int n = 0; db.ok() && n < 50 && (*db)->Put(std::to_string(n), "v", Durability::kPower).ok(); ++n) continue;
      storage->Crash(life, CrashMode::kTornSubset);
    }
    digests[run] = storage->digest();
  }
  EXPECT_EQ(digests[0], digests[1]);
  EXPECT_NE(digests[0], digests[2]);
}

}  // namespace
}  // namespace tarn::test
