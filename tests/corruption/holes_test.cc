// What one damaged byte cannot show: losses in stores of another shape (many manifest records, 8 MiB, a checkpoint),
// what Verify says beside a live writer, what recovery may delete, and the edges of the rules by which log and
// manifest vouch for each other (docs/formats/wal.md, "what the kernel holds against the log").
#include <gtest/gtest.h>

#include "format/manifest_record.h"
#include "kernel/batch.h"
#include "tests/corruption/store_subject.h"
#include "tests/support/crash_backend.h"
#include "wal/builtin.h"
#include "wal/record.h"

namespace tarn::test {
namespace {

constexpr size_t kBigDamages = 6;  // each reads and rewrites 8 MiB several times
constexpr size_t kBigDamagesFull = 300;

void ExpectCorruption(const Status& status, const std::string& file) {
  EXPECT_EQ(Amiss(status), "");
  EXPECT_NE(status.message().find(file), std::string_view::npos) << file << " is not named: " << status.ToString();
}

std::string NewestOf(Backend& backend, const std::string& kind) {
  return backend.List(kind + "/", "", 100000).value().blobs.back().name;
}

// The full manifest record that counts.
std::string NewestBase(const Image& image) {
  std::string base;
  for (const auto& [name, bytes] : image) {
    if (KindOf(name) != "manifest") continue;
    if (DecodeManifestRecord(bytes, std::stoull(name.substr(9), nullptr, 16))->full()) base = name;
  }
  return base;
}

// A sample of places in tables of many blocks and partitions, in the log of many records, in a real manifest.
TEST(Holes, ABigStore) {
  const SoundStore sound = BuildBigStore();
  size_t bytes = 0;
  for (const auto& [name, blob] : sound.image) bytes += blob.size();
  std::printf("%zu files, %zu bytes\n", sound.image.size(), bytes);
  EXPECT_GT(bytes, 7u << 20);
  StoreSubject subject(sound);
  Judge judge(
      subject, subject.Truths(), [](const Damage&) { return 0; }, [](const Damage&) { return ""; });
  SeededRandom random(11);
  std::vector<std::string> names;
  for (const auto& [name, blob] : sound.image) {
    if (KindOf(name) != "manifest" || name >= NewestBase(sound.image)) names.push_back(name);
  }
  for (size_t i = 0; i < (FullMatrix() ? kBigDamagesFull : kBigDamages); ++i) {
    const std::string& name = names[random.Below(names.size())];
    const std::string& blob = sound.image.at(name);
    // Not the log's close mark, which only vouches.
    const size_t end = blob.size() - (KindOf(name) == "wal" ? 29 : 0);
    if (end == 0) continue;
    const size_t at = random.Below(end);
    Damage damage{"flip a bit", name, at, name + " byte " + std::to_string(at), sound.image};
    damage.image[name][at] = static_cast<char>(damage.image[name][at] ^ (1 << random.Below(8)));
    judge.Try(damage);
    if (i % 4 != 0) continue;
    Damage cut{"truncate", name, at, name + " to " + std::to_string(at), sound.image};
    cut.image[name].resize(at);
    judge.Try(cut);
  }
  judge.Report("A store of 8 MiB");
}

// Two full records and what is between: the newest base is what counts, and what is older is not missed.
TEST(Holes, EachOfManyManifestRecords) {
  SoundStore sound = BuildStore(Left::kClosed);
  {
    const auto disk = DiskOf(sound.image);
    const auto db = OpenSim(disk).value();
    for (int i = 0; i < 70; ++i) {
      ASSERT_TRUE(db->CreateNamedSnapshot("x").ok());
      ASSERT_TRUE(db->DropNamedSnapshot("x").ok());
    }
    ASSERT_TRUE(db->Put("last", "word").ok());
    ASSERT_TRUE(db->Close().ok());
    sound.image = ImageOf(*disk);
    sound.moments = {sound.moments.back()};
    sound.moments.back()["default"]["last"] = "word";
  }
  std::vector<std::string> records;
  for (const auto& [name, bytes] : sound.image) {
    if (KindOf(name) == "manifest") records.push_back(name);
  }
  const std::string base = NewestBase(sound.image);
  ASSERT_GT(base, records[60]) << "an older full record and its deltas are still there";
  ASSERT_LT(base, records[records.size() - 2]);
  StoreSubject subject(sound);
  Judge judge(
      subject, subject.Truths(), [](const Damage&) { return 0; },
      [&](const Damage& damage) -> std::string {
        if (damage.blob < base) return "superseded by the newest full record";
        const bool newest = damage.blob == records.back() && damage.what == "delete the file";
        return newest ? "the record that Close published: it only vouched for the log" : "";
      });
  for (const std::string& name : records) {
    Damage deleted{"delete the file", name, 0, name, sound.image};
    deleted.image.erase(name);
    judge.Try(deleted);
    Damage flipped{"flip a bit", name, 40, name + " byte 40", sound.image};
    flipped.image[name][40] ^= 4;
    judge.Try(flipped);
    Damage cut{"truncate", name, 50, name + " to 50", sound.image};
    cut.image[name].resize(50);
    judge.Try(cut);
  }
  judge.Report("A store of many manifest records");
}

// The newest k records deleted, k = 1, 2, 3...: several losses at once, of which the log knows.
TEST(Holes, TheManifestRollsBack) {
  const SoundStore sound = BuildStore(Left::kKilled);
  StoreSubject subject(sound);
  Image image = sound.image;
  std::vector<std::string> records;
  for (const auto& [name, bytes] : image) {
    if (KindOf(name) == "manifest") records.push_back(name);
  }
  while (!records.empty()) {
    const auto disk = DiskOf(image);
    Answers before, after;
    const Status opened = subject.Rewrite(disk, &before, &after);
    if (image.size() == sound.image.size()) {
      EXPECT_TRUE(opened.ok()) << opened.ToString();
    } else {
      EXPECT_EQ(Amiss(opened), "") << "without " << records.size() << " and above";
      EXPECT_EQ(ImageOf(*disk), image);
    }
    image.erase(records.back());
    records.pop_back();
  }
}

// No other segment misses it, and no manifest record was published since its commits became durable.
TEST(Holes, TheOnlySegmentIsMissed) {
  const auto disk = std::make_shared<MemBackend>();
  const auto db = OpenSim(disk).value();
  ASSERT_TRUE(db->Put("a", "1", Durability::kPower).ok());
  Image image = ImageOf(*disk->CrashClone(1, CrashMode::kDropUnsynced));
  ASSERT_EQ(image.erase(wal::SegmentName(1)), 1u);
  for (const bool read_only : {false, true}) {
    const auto survivor = DiskOf(image);
    Settings settings = SmallSettings();
    settings.read_only = read_only;
    ExpectCorruption(OpenSim(survivor, settings).status(), wal::SegmentName(1));
    EXPECT_EQ(ImageOf(*survivor), image);
  }
}

// A log record that verifies, and yet does not go on where the one before it ended.
TEST(Holes, SequencesHaveNoGap) {
  const SoundStore sound = BuildStore(Left::kKilled);
  const std::string newest = sound.image.rbegin()->first;
  const uint64_t segment = *wal::SegmentNumber(newest);
  const std::string store_id = sound.image.at(newest).substr(16, 16);
  const Sequence next = OpenSim(DiskOf(sound.image)).value()->GetSnapshot()->sequence() + 1;
  for (const Sequence first : {next - 1, next, next + 1}) {
    const auto disk = DiskOf(sound.image);
    std::string payload;
    kernel::AppendPayloadHeader(&payload, first, 1, 0);
    ASSERT_TRUE(
        NewSegmentedWal()->Open(*disk, store_id, segment + 1).value()->Append(payload, Durability::kPower).ok());
    const Image image = ImageOf(*disk);
    const Status opened = OpenSim(disk).status();
    if (first == next) {
      EXPECT_TRUE(opened.ok()) << opened.ToString();
    } else {
      ExpectCorruption(opened, wal::SegmentName(segment + 1) + ", offset 72");
      EXPECT_EQ(ImageOf(*disk), image);
    }
  }
}

TEST(Holes, VerifyBesideALiveWriterReadsManifestAndLog) {
  for (const std::string kind : {"manifest", "wal"}) {
    const auto disk = std::make_shared<MemBackend>();
    const auto db = OpenSim(disk).value();
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(db->Put(NumberedKey(i), "x", static_cast<Durability>(i % 3)).ok());
    ASSERT_TRUE(db->CreateFamily("more").ok());  // two segments
    ASSERT_TRUE(db->Put("behind", "x", Durability::kPower).ok());
    ASSERT_TRUE(db->Put("behind", "y", Durability::kPower).ok());
    ASSERT_TRUE(db->Verify().ok()) << db->Verify().ToString();
    const std::string name = NewestOf(*disk, kind);
    std::string bytes = disk->Contents(name).value();
    bytes[bytes.size() / 2] ^= 1;
    ASSERT_TRUE(disk->Corrupt(name, bytes).ok());
    ExpectCorruption(db->Verify(), name);
    ASSERT_TRUE(disk->Delete(name).ok());
    ExpectCorruption(db->Verify(), name);
  }
}

TEST(Holes, OrphansAreDeletedOnlyWhenTheyAreOurs) {
  const SoundStore sound = BuildStore(Left::kClosed), other = BuildStore(Left::kClosed, 2);
  const std::string table = TableBlobName(3);
  Image image = sound.image;
  image[TableBlobName(0x50)] = other.image.at(table);  // of another store
  image[TableBlobName(0x51)] = "not a table";
  const auto disk = DiskOf(image);
  {
    const auto db = OpenSim(disk).value();
    ASSERT_TRUE(db->Compact().ok());
  }
  EXPECT_TRUE(disk->Contents(TableBlobName(0x50)).ok());
  EXPECT_TRUE(disk->Contents(TableBlobName(0x51)).ok());
  EXPECT_FALSE(disk->Contents(table).ok()) << "compacted away";
  // What a job of this store left behind goes: a crash right before the record that would have named it.
  size_t left_behind = 0;
  for (uint64_t effect = 1; effect < 60; ++effect) {
    auto mem = std::make_shared<MemBackend>();
    auto machine = std::make_shared<CrashBackend>(mem);
    machine->CrashAt(effect, 1, CrashMode::kDropUnsynced);
    if (auto db = OpenSim(machine); db.ok()) {
      (void)(*db)->Put("a", "1");
      (void)(*db)->Flush();
    }
    const auto survivor = machine->survivor();
    if (survivor == nullptr) break;
    const size_t tables = survivor->List("table/", "", 10).value().blobs.size();
    auto again = OpenSim(survivor);
    ASSERT_TRUE(again.ok()) << "effect " << effect << ": " << again.status().ToString();
    ASSERT_TRUE((*again)->Verify().ok());
    ASSERT_TRUE((*again)->Close().ok());
    const Image after = ImageOf(*survivor);
    left_behind += tables > 0 && !after.contains(TableBlobName(1)) ? 1 : 0;
  }
  EXPECT_GT(left_behind, 0u);
}

TEST(Holes, ACheckpointHasNoLogYet) {
  const SoundStore sound = BuildStore(Left::kKilled);
  const auto copy = std::make_shared<MemBackend>();
  {
    const auto db = OpenSim(DiskOf(sound.image)).value();
    ASSERT_TRUE(db->Put("more", "in the log").ok());
    ASSERT_TRUE(db->Checkpoint(*copy).ok());
  }
  const Image whole = ImageOf(*copy);
  auto opened = OpenSim(copy);
  ASSERT_TRUE(opened.ok()) << opened.status().ToString();
  std::string value;
  EXPECT_TRUE((*opened)->Get("more", &value).ok());
  // One that was interrupted: its manifest comes last.
  Image half = whole;
  std::erase_if(half, [](const auto& blob) { return KindOf(blob.first) == "manifest"; });
  for (const bool read_only : {false, true}) {
    const auto disk = DiskOf(half);
    Settings settings = SmallSettings();
    settings.read_only = read_only;
    ExpectCorruption(OpenSim(disk, settings).status(), "table/");
    EXPECT_EQ(ImageOf(*disk), half);
  }
}

TEST(Holes, CloseOnAFullDeviceIsFineThoughTheManifestCannotVouch) {
  const auto disk = std::make_shared<MemBackend>();
  auto db = OpenSim(disk).value();
  ASSERT_TRUE(db->Put("a", "1").ok());
  disk->SetCapacity(disk->used_bytes() + 40);  // the log's close mark, and no manifest record
  EXPECT_TRUE(db->Close().ok());
  db.reset();
  disk->SetCapacity(UINT64_MAX);
  std::string value;
  EXPECT_TRUE(OpenSim(disk).value()->Get("a", &value).ok());
}

TEST(Holes, CloseVouchesOnlyForWhatIsNew) {
  const auto disk = std::make_shared<MemBackend>();
  ASSERT_TRUE(OpenSim(disk).value()->Put("a", "1").ok());
  const auto db = OpenSim(disk).value();
  const std::string newest = NewestOf(*disk, "manifest");
  ASSERT_TRUE(db->Close().ok());
  EXPECT_EQ(NewestOf(*disk, "manifest"), newest) << "a session that wrote nothing costs no record at its end";
}

// Each effect of a first open and of a second one: whatever a crash leaves opens again.
TEST(Holes, NoCrashOfAnOpenLooksLikeALoss) {
  const SoundStore sound = BuildStore(Left::kKilled);
  for (const bool fresh : {true, false}) {
    for (const CrashMode mode : {CrashMode::kProcessKill, CrashMode::kDropUnsynced, CrashMode::kTornSubset}) {
      for (uint64_t effect = 1;; ++effect) {
        auto machine = std::make_shared<CrashBackend>(fresh ? std::make_shared<MemBackend>() : DiskOf(sound.image));
        machine->CrashAt(effect, effect, mode);
        if (auto db = OpenSim(machine); db.ok()) {
          (void)(*db)->Put("a", "1", Durability::kPower);
          (void)(*db)->CreateFamily("rotates");
          (void)(*db)->Close();
        }
        const auto survivor = machine->survivor();
        if (survivor == nullptr) break;
        const auto again = OpenSim(survivor);
        ASSERT_TRUE(again.ok()) << "effect " << effect << ": " << again.status().ToString();
        ASSERT_TRUE((*again)->Verify().ok());
      }
    }
  }
}

}  // namespace
}  // namespace tarn::test
