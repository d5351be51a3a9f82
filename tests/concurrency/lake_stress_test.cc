// The lake under many threads, seen through snapshots: what tests/lake/threads_test.cc (files, blocks, renames of
// directories) leaves out. What must hold in each moment that a snapshot fixes:
//   moves      each of the moved names is in exactly one of two directories
//   releases   a tree that is staged and published again and again is whole, of one generation, and never goes back
//   log        record ids are 1, 2, 3 ... without a gap, newest first
// and a snapshot shows the same at each look, also after it was dropped while its view is held. Meanwhile the checker
// finds nothing wrong, and in the end all space is given back.
//
// Bounded by counts. TARN_SEED=n for other choices; the tsan preset runs it too.
#include <atomic>
#include <cstdlib>
#include <set>
#include <thread>

#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

constexpr int kNames = 12;
constexpr int kReleases = 120;

class LakeStress : public LakeFixture {
 protected:
  void SetUp() override {
    options_.settings.memtable_bytes = 256 << 10;
    options_.settings.table_bytes = 256 << 10;
    options_.dirty_bytes = 1 << 20;
    Init();
    left_ = Dir(kRootIno, "left");
    right_ = Dir(kRootIno, "right");
    for (int i = 0; i < kNames; ++i) File(left_, Name(i), "body of " + Name(i));
    Release(1);
  }

  static std::string Name(int i) { return "name" + std::to_string(i); }
  static std::string Body(uint64_t generation, const char* file) {
    return std::to_string(generation) + " " + Pattern(150000, generation * 2 + (file[0] == 'y'));
  }
  static uint64_t Seed() {
    const char* text = std::getenv("TARN_SEED");
    return text == nullptr ? 1 : std::strtoull(text, nullptr, 10);
  }

  // A tree of two large files of one generation takes the place of the one before in one step.
  void Release(uint64_t generation) {
    const auto stage = lake_->Stage({});
    ASSERT_OK(stage.status());
    const Ino tree = Dir(*stage, "tree");
    for (const char* file : {"x", "y"}) {
      const Ino ino = File(tree, file, Body(generation, file));
      EXPECT_OK(lake_->Flush(ino));
    }
    LogRecord record;
    record.command = "release " + std::to_string(generation);
    EXPECT_OK(lake_->Publish(*stage, "tree", kRootIno, "release",
                             generation == 1 ? RenameMode::kNoReplace : RenameMode::kReplace, record));
    EXPECT_OK(lake_->DropStage(*stage));
  }

  void Move(test::SeededRandom random) {
    for (int i = 0; i < 2000; ++i) {
      const std::string name = Name(static_cast<int>(random.Below(kNames)));
      const bool back = random.OneIn(2);
      const Status moved =
          lake_->Rename(back ? right_ : left_, name, back ? left_ : right_, name, RenameMode::kNoReplace);
      EXPECT_TRUE(moved.ok() || moved.os_error() == ENOENT) << moved.ToString();
    }
  }

  // All that the view shows, as one text; checks what must hold in each moment. Returns the generation.
  uint64_t Look(View& view, std::string* all) {
    all->clear();
    std::multiset<std::string> names;
    for (const Ino dir : {left_, right_}) {
      const auto entries = view.ReadDir(dir, {}, 1000);
      EXPECT_OK(entries.status());
      if (!entries.ok()) return 0;
      *all += "/";
      for (const DirEntry& entry : *entries) {
        names.insert(entry.name);
        *all += entry.name + "=" + Content(view, entry.ino) + ";";
      }
    }
    EXPECT_EQ(names.size(), static_cast<size_t>(kNames));
    for (int i = 0; i < kNames; ++i) EXPECT_EQ(names.count(Name(i)), 1u) << Name(i);
    const auto x = Resolve(view, "/release/x"), y = Resolve(view, "/release/y");
    EXPECT_OK(x.status());
    EXPECT_OK(y.status());
    if (!x.ok() || !y.ok()) return 0;
    const std::string body = Content(view, x->ino);
    const uint64_t generation = std::strtoull(body.c_str(), nullptr, 10);
    EXPECT_TRUE(body == Body(generation, "x")) << generation;
    EXPECT_TRUE(Content(view, y->ino) == Body(generation, "y")) << generation;
    *all += std::to_string(generation);
    return generation;
  }

  void TakeSnapshots(int self) {
    uint64_t newest = 0;
    for (int i = 0; i < 80; ++i) {
      const std::string name = "s" + std::to_string(self) + "-" + std::to_string(i);
      EXPECT_OK(lake_->CreateSnapshot(name).status());
      auto view = lake_->At(name);
      EXPECT_OK(view.status());
      if (!view.ok()) return;
      std::string first, second;
      const uint64_t generation = Look(**view, &first);
      EXPECT_GE(generation, newest);
      newest = generation;
      EXPECT_OK(lake_->DropSnapshot(name));
      Look(**view, &second);
      EXPECT_TRUE(first == second) << name;
    }
  }

  void Log(int self) {
    for (int i = 0; i < 60; ++i) {
      LogRecord record;
      record.command = "note " + std::to_string(self);
      const auto appended = lake_->AppendLog(record);
      EXPECT_OK(appended.status());
      const auto records = lake_->ReadLog(0, 1000);
      EXPECT_OK(records.status());
      if (!appended.ok() || !records.ok()) return;
      EXPECT_GE(records->size(), appended->id);
      for (size_t at = 0; at < records->size(); ++at) EXPECT_EQ((*records)[at].id, records->size() - at);
    }
  }

  Ino left_ = 0, right_ = 0;
};

TEST_F(LakeStress, EveryMomentIsWhole) {
  std::printf("seed %llu\n", static_cast<unsigned long long>(Seed()));
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([this, i] { Move(test::SeededRandom(Seed() * 10 + static_cast<uint64_t>(i))); });
    threads.emplace_back([this, i] { TakeSnapshots(i); });
    threads.emplace_back([this, i] { Log(i); });
  }
  threads.emplace_back([this] {
    for (uint64_t generation = 2; generation <= kReleases; ++generation) Release(generation);
  });
  threads.emplace_back([this] {
    for (int i = 0; i < 12; ++i) ExpectClean();
  });
  for (std::thread& thread : threads) thread.join();
  ExpectClean();
  const auto log = lake_->ReadLog(0, 1000);
  ASSERT_TRUE(log.ok());
  EXPECT_EQ(log->size(), 2 * 60u + kReleases) << "a record for each append and each release";
  Reopen();
  std::string all;
  EXPECT_EQ(Look(lake_->Head(), &all), static_cast<uint64_t>(kReleases));
  EXPECT_OK(lake_->RemoveTree(kRootIno, "release"));
  ExpectClean();
  EXPECT_EQ(CountRows(*lake_, "chunks"), 0u);
}

}  // namespace
}  // namespace tarn::lake
