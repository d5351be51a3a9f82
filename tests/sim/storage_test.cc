// Each fault of the storages in memory does what it says, and nothing else does.
#include <gtest/gtest.h>

#include "tests/sim/blob_storage.h"
#include "tests/sim/rot.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

constexpr uint32_t kAlways = 1'000'000;

std::string Contents(Backend& backend, const std::string& name) {
  const auto reader = backend.Open(name);
  if (!reader.ok()) return std::string(CodeName(reader.status().code()));
  std::string bytes((*reader)->size(), '\0');
  const Status read = (*reader)->Read(0, bytes);
  return read.ok() ? bytes : std::string(CodeName(read.code()));
}

Status PutBlob(Backend& backend, const std::string& name, const std::string& bytes) {
  TARN_ASSIGN(const auto writer, backend.Create(name));
  TARN_TRY(writer->Append(bytes));
  return writer->Finish();
}

Code CodeOf(const Result<PutOutcome>& put) { return put.status().code(); }

TEST(MemStorage, WithoutFaultsItIsABackend) {
  const auto storage = MakeMemStorage(1);
  const auto backend = storage->Mount();
  ASSERT_TRUE(PutBlob(*backend, "table/1", "abc").ok());
  EXPECT_EQ(Contents(*backend, "table/1"), "abc");
  EXPECT_TRUE(storage->faults().empty());
}

TEST(MemStorage, AnIoErrorDoesNothing) {
  const auto storage = MakeMemStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.io_error = kAlways});
  EXPECT_EQ(CodeOf(backend->PutIfAbsent("a", "1")), Code::kIo);
  storage->SetFaults(1, {});
  EXPECT_EQ(Contents(*backend, "a"), "not found");
  EXPECT_EQ(storage->faults().at("io"), 1u);
}

TEST(MemStorage, AnErrorAfterTheEffectLies) {
  const auto storage = MakeMemStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.io_after = kAlways});
  EXPECT_EQ(CodeOf(backend->PutIfAbsent("a", "1")), Code::kIo);
  EXPECT_EQ(Contents(*backend, "a"), "1");  // reads have no effect to lie about
  EXPECT_EQ(storage->faults().at("io after the effect"), 1u);
}

TEST(MemStorage, AFullDiskRefusesBytesOnly) {
  const auto storage = MakeMemStorage(1);
  const auto backend = storage->Mount();
  ASSERT_TRUE(backend->PutIfAbsent("a", "1").ok());
  storage->SetFaults(1, {.no_space = kAlways});
  EXPECT_EQ(CodeOf(backend->PutIfAbsent("b", "1")), Code::kNoSpace);
  EXPECT_EQ(Contents(*backend, "a"), "1");
  EXPECT_TRUE(backend->Delete("a").ok());
}

TEST(MemStorage, ItStopsAtTheEffectAndStaysStopped) {
  bool happened[2] = {false, false};
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const auto storage = MakeMemStorage(seed);
    const auto dead = storage->Mount();
    storage->CrashAfter(2);
    EXPECT_TRUE(dead->PutIfAbsent("a", "1").ok());
    EXPECT_EQ(Contents(*dead, "a"), "1");  // no effect
    EXPECT_FALSE(storage->stopped());
    EXPECT_EQ(CodeOf(dead->PutIfAbsent("b", "1")), Code::kIo);
    EXPECT_TRUE(storage->stopped());
    EXPECT_EQ(Contents(*dead, "a"), "i/o error");
    storage->Crash(seed, CrashMode::kDropUnsynced);
    EXPECT_FALSE(storage->stopped());
    EXPECT_EQ(CodeOf(dead->PutIfAbsent("c", "1")), Code::kIo);  // a process that is dead stays dead
    const auto after = storage->Mount();
    EXPECT_EQ(Contents(*after, "a"), "1");
    EXPECT_EQ(Contents(*after, "c"), "not found");
    happened[Contents(*after, "b") == "1"] = true;
  }
  EXPECT_TRUE(happened[0] && happened[1]);  // the effect that it stopped at took place, or not
}

TEST(MemStorage, UnsyncedBytesSurviveAKillOnly) {
  for (const CrashMode mode : {CrashMode::kProcessKill, CrashMode::kDropUnsynced}) {
    const auto storage = MakeMemStorage(1);
    auto backend = storage->Mount();
    auto file = backend->features().append->CreateAppend("wal/1");
    ASSERT_TRUE((*file)->Append("ab").ok());
    ASSERT_TRUE((*file)->Sync().ok());
    ASSERT_TRUE((*file)->Append("cd").ok());
    storage->Crash(1, mode);
    EXPECT_EQ(Contents(*storage->Mount(), "wal/1"), mode == CrashMode::kProcessKill ? "abcd" : "ab");
  }
}

TEST(MemStorage, TheDigestKnowsNamesSizesAndResults) {
  const auto run = [](const std::string& name, const std::string& bytes, uint32_t error) {
    const auto storage = MakeMemStorage(1);
    storage->SetFaults(1, {.io_error = error});
    const auto put = storage->Mount()->PutIfAbsent(name, bytes);
    EXPECT_EQ(put.ok(), error == 0);
    return storage->digest();
  };
  EXPECT_EQ(run("a", "1", 0), run("a", "2", 0));
  EXPECT_NE(run("a", "1", 0), run("b", "1", 0));
  EXPECT_NE(run("a", "1", 0), run("a", "12", 0));
  EXPECT_NE(run("a", "1", 0), run("a", "1", kAlways));
}

TEST(ObjectStorage, AThrottledRequestHasNoEffect) {
  const auto storage = MakeObjectStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.throttle = kAlways});
  EXPECT_EQ(PutBlob(*backend, "table/1", "abc").code(), Code::kUnavailable);
  EXPECT_EQ(backend->List("", "", 10).status().code(), Code::kUnavailable);
  storage->SetFaults(1, {});
  EXPECT_EQ(Contents(*backend, "table/1"), "not found");
  EXPECT_EQ(storage->faults().at("throttled"), 2u);
}

TEST(ObjectStorage, ALostAnswerHadItsEffect) {
  const auto storage = MakeObjectStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.lost_answer = kAlways});
  EXPECT_EQ(PutBlob(*backend, "table/1", "abc").code(), Code::kUnavailable);
  EXPECT_EQ(CodeOf(backend->PutIfAbsent("manifest/1", "m")), Code::kUnavailable);
  storage->SetFaults(1, {});
  EXPECT_EQ(Contents(*backend, "table/1"), "abc");
  EXPECT_EQ(Contents(*backend, "manifest/1"), "m");
}

TEST(ObjectStorage, AConditionalPutThatIsDeliveredTwiceMeetsItself) {
  const auto storage = MakeObjectStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.duplicate = kAlways});
  const auto put = backend->PutIfAbsent("manifest/1", "m");
  ASSERT_TRUE(put.ok());
  EXPECT_EQ(*put, PutOutcome::kExists);
  EXPECT_EQ(Contents(*backend, "manifest/1"), "m");
}

// Asks until the request that is under way has landed.
void LetItLand(SimStorage& storage, Backend& backend) {
  for (int i = 0; i < 10000 && !storage.faults().contains("late PUT landed"); ++i) {
    EXPECT_EQ(Contents(backend, "nothing"), "not found");
  }
}

TEST(ObjectStorage, ALatePutLandsInALaterLife) {
  const auto storage = MakeObjectStorage(1);
  auto backend = storage->Mount();
  storage->SetFaults(1, {.late = kAlways});
  EXPECT_EQ(CodeOf(backend->PutIfAbsent("manifest/1", "late")), Code::kUnavailable);
  storage->SetFaults(1, {});
  storage->Crash(1, CrashMode::kTornSubset);
  backend = storage->Mount();
  EXPECT_EQ(Contents(*backend, "manifest/1"), "not found");
  LetItLand(*storage, *backend);
  EXPECT_EQ(Contents(*backend, "manifest/1"), "late");
}

TEST(ObjectStorage, ALatePutTakesNoNameThatIsTaken) {
  const auto storage = MakeObjectStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.late = kAlways});
  EXPECT_EQ(PutBlob(*backend, "table/1", "late").code(), Code::kUnavailable);
  storage->SetFaults(1, {});
  ASSERT_TRUE(PutBlob(*backend, "table/1", "in time").ok());
  LetItLand(*storage, *backend);
  EXPECT_EQ(Contents(*backend, "table/1"), "in time");
  EXPECT_FALSE(storage->faults().contains("late PUT landed"));
}

TEST(ObjectStorage, AppendFilesAndLocksAreLocal) {
  const auto storage = MakeObjectStorage(1);
  const auto backend = storage->Mount();
  storage->SetFaults(1, {.throttle = kAlways, .lost_answer = kAlways, .late = kAlways});
  const auto file = backend->features().append->CreateAppend("wal/1");
  ASSERT_TRUE(file.ok());
  EXPECT_TRUE((*file)->Append("x").ok());
  EXPECT_TRUE((*file)->Sync().ok());
  EXPECT_TRUE(backend->features().locks->TryLock("lock", "me").ok());
}

TEST(Rot, EachKindDamagesAndMends) {
  std::map<std::string, int> kinds;
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    const auto storage = MakeMemStorage(1);
    const auto backend = storage->Mount();
    std::map<std::string, std::string> blobs;
    SeededRandom random(seed);
    for (const char* name : {"table/1", "table/2", "manifest/1"}) {
      std::string bytes(3000, '\0');
      for (char& c : bytes) c = static_cast<char>(random.Next());
      ASSERT_TRUE(PutBlob(*backend, name, bytes).ok());
      blobs[name] = bytes;
    }
    const std::optional<Damage> damage = storage->Rot(seed);
    ASSERT_TRUE(damage.has_value());
    ++kinds[damage->what];
    for (const auto& [name, bytes] : blobs) {
      const std::string now = Contents(*backend, name);
      EXPECT_EQ(now == bytes, name != damage->name) << damage->what;
      if (name != damage->name) continue;
      EXPECT_EQ(now.substr(0, damage->offset), bytes.substr(0, damage->offset)) << damage->what;
      EXPECT_EQ(now.size() < bytes.size(), damage->what == "truncated");
    }
    damage->mend();
    for (const auto& [name, bytes] : blobs) EXPECT_EQ(Contents(*backend, name), bytes);
  }
  EXPECT_EQ(kinds.size(), 4u);
}

TEST(Rot, NothingToDamage) { EXPECT_FALSE(MakeMemStorage(1)->Rot(1).has_value()); }

}  // namespace
}  // namespace tarn::test
