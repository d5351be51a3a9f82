// Random operations on a lake and on a model of a filesystem, side by side: same answers, same trees, clean
// checks; across flushes, compactions, snapshots, reopens and kills.
//
// Each case is one seed. TARN_SEED=n runs that seed only; a failure names its seed and step.

#include <cstdlib>

#include "lake/layout.h"
#include "tests/lake/lake_fixture.h"
#include "tests/lake/model_fs.h"

namespace tarn::lake {
namespace {

class Session : public LakeFixture {
 public:
  explicit Session(uint64_t seed) : random_(seed), seed_(seed) {
    options_.dirty_bytes = random_.OneIn(2) ? 256 << 10 : 8 << 20;
    options_.settings.memtable_bytes = 1 << 20;  // so that flushes and compactions take part
    Init();
  }
  void TestBody() override {}
  void Run(int steps) {
    for (int step = 0; step < steps && !HasFailure(); ++step) {
      SCOPED_TRACE("seed " + std::to_string(seed_) + " step " + std::to_string(step));
      clock_->nanos += 1000;
      Step();
      if (step % 100 == 99) Compare();
      if (step % 400 == 399) ExpectClean();
    }
    SCOPED_TRACE("seed " + std::to_string(seed_) + " at the end");
    snapshots_.clear();
    for (const SnapshotInfo& info : lake_->ListSnapshots()) EXPECT_OK(lake_->DropSnapshot(info.name));
    Compare();
    ExpectClean();
  }

 private:
  Ino AnyInode() {
    auto at = model_.nodes().begin();
    std::advance(at, random_.Below(model_.nodes().size()));
    return random_.OneIn(40) ? 12345678 : at->first;
  }
  Ino AnyDir() {
    for (int i = 0; i < 8; ++i) {
      const Ino ino = AnyInode();
      const auto found = model_.nodes().find(ino);
      if (found != model_.nodes().end() && found->second.is_dir()) return ino;
    }
    return AnyInode();
  }
  std::string AnyName() { return std::string(1, static_cast<char>('a' + random_.Below(6))); }
  uint64_t AnyOffset() {
    switch (random_.Below(4)) {
      case 0: return random_.Below(100);
      case 1: return random_.Below(5) * kBlockBytes;
      case 2: return kInlineBytes - 2 + random_.Below(4);
      default: return random_.Below(600000);
    }
  }
  // Few different contents, so that blocks are shared; sometimes zeros, which become holes.
  std::string AnyBytes() {
    const size_t size = random_.OneIn(3) ? random_.Below(300000) : random_.Below(5000);
    return random_.OneIn(6) ? std::string(size, '\0') : Pattern(size, random_.Below(4));
  }
  template <typename T>
  static int Errno(const Result<T>& result) {
    return Errno(result.status());
  }
  static int Errno(const Status& status) {
    EXPECT_TRUE(status.ok() || status.os_error() != 0) << status.ToString();
    return status.os_error();
  }

  void Add(uint32_t mode) {
    const Ino dir = AnyDir();
    const std::string name = AnyName();
    const auto made = (mode & 0170000) == 0040000   ? lake_->MakeDir(dir, name, mode & 07777, {})
                      : (mode & 0170000) == 0120000 ? lake_->Symlink(dir, name, "to " + name, {})
                                                    : lake_->Create(dir, name, mode, 0, {});
    const bool link = (mode & 0170000) == 0120000;
    EXPECT_EQ(Errno(made), model_.Add(dir, name, mode, link ? "to " + name : "", made.ok() ? made->ino : 0));
  }
  void Namespace() {
    const Ino dir = AnyDir(), other = AnyDir(), ino = AnyInode();
    const std::string name = AnyName(), new_name = AnyName();
    switch (random_.Below(8)) {
      case 0: return Add(0040755);
      case 1: return Add(0120777);
      case 2: EXPECT_EQ(Errno(lake_->Link(ino, dir, name)), model_.Link(ino, dir, name)); break;
      case 3: EXPECT_EQ(Errno(lake_->Unlink(dir, name)), model_.Remove(dir, name, false)); break;
      case 4: EXPECT_EQ(Errno(lake_->RemoveDir(dir, name)), model_.Remove(dir, name, true)); break;
      case 5: {
        if (!random_.OneIn(5)) return Add(0100644);
        EXPECT_EQ(Errno(lake_->RemoveTree(dir, name)), model_.RemoveTree(dir, name));
        break;
      }
      case 6: {
        const auto mode = static_cast<RenameMode>(random_.Below(3));
        EXPECT_EQ(Errno(lake_->Rename(dir, name, other, new_name, mode)),
                  model_.Rename(dir, name, other, new_name, mode));
        break;
      }
      default: return Add(0100644);
    }
  }
  void ContentOf(Ino ino) {
    const uint64_t offset = AnyOffset();
    switch (random_.Below(6)) {
      case 0: EXPECT_EQ(Errno(lake_->SetAttr(ino, {.size = offset})), model_.Truncate(ino, offset)); break;
      case 1: {
        const uint64_t length = AnyOffset();
        EXPECT_EQ(Errno(lake_->PunchHole(ino, offset, length)), model_.Punch(ino, offset, length));
        break;
      }
      case 2: EXPECT_EQ(Errno(lake_->Flush(ino)), 0); break;
      default: {
        const std::string bytes = AnyBytes();
        EXPECT_EQ(Errno(lake_->Write(ino, offset, bytes)), model_.Write(ino, offset, bytes));
        break;
      }
    }
  }
  void Xattr() {
    const Ino ino = AnyInode();
    const std::string name = "user." + AnyName();
    if (random_.OneIn(3)) {
      EXPECT_EQ(Errno(lake_->RemoveXattr(ino, name)), model_.RemoveXattr(ino, name));
      return;
    }
    const bool create = random_.OneIn(4), replace = !create && random_.OneIn(4);
    EXPECT_EQ(Errno(lake_->SetXattr(ino, name, name + "!", create, replace)),
              model_.SetXattr(ino, name, name + "!", create, replace));
  }
  void OpenOrRelease() {
    if (random_.OneIn(2) && !opened_.empty()) {
      const size_t which = random_.Below(opened_.size());
      lake_->Release(opened_[which]);
      model_.Release(opened_[which]);
      opened_.erase(opened_.begin() + static_cast<ptrdiff_t>(which));
      return;
    }
    const Ino ino = AnyInode();
    const int error = model_.Open(ino);
    EXPECT_EQ(Errno(lake_->Open(ino)), error);
    if (error == 0) opened_.push_back(ino);
  }
  void Snapshot() {
    if (snapshots_.size() < 3) {
      const std::string name = "s" + std::to_string(clock_->nanos);
      EXPECT_OK(lake_->CreateSnapshot(name).status());
      snapshots_[name] = model_;
      return;
    }
    const std::string name = snapshots_.begin()->first;
    EXPECT_OK(lake_->DropSnapshot(name));
    snapshots_.erase(name);
  }
  void Restart() {
    if (random_.OneIn(2)) {
      Reopen();
    } else {
      EXPECT_OK(lake_->SyncAll());
      backend_ = backend_->CrashClone(random_.Next(), test::CrashMode::kTornSubset);
      lake_.reset();
      Open();
    }
    opened_.clear();
    model_.ForgetOpens();
  }
  void PublishTree() {
    const auto stage = lake_->Stage({});
    ASSERT_TRUE(stage.ok()) << stage.status().ToString();
    const Ino top = Dir(*stage, "t");
    const std::string bytes = AnyBytes();
    const Ino file = File(top, "a", bytes);
    const Ino dir = AnyDir();
    const std::string name = AnyName();
    const Status published = lake_->Publish(*stage, "t", dir, name, RenameMode::kReplace, {.command = "import"});
    if (!published.ok()) {
      EXPECT_NE(model_.Add(dir, name, 0040755, "", top), 0);
      EXPECT_OK(lake_->DropStage(*stage));
      return;
    }
    (void)model_.RemoveTree(dir, name);  // ENOENT when nothing was there
    EXPECT_EQ(model_.Add(dir, name, 0040755, "", top), 0);
    EXPECT_EQ(model_.Add(top, "a", 0100644, "", file), 0);
    EXPECT_EQ(model_.Write(file, 0, bytes), 0);
  }
  void Step() {
    const uint64_t choice = random_.Below(1000);
    if (choice < 450) return Namespace();
    if (choice < 850) return ContentOf(AnyInode());
    if (choice < 900) return Xattr();
    if (choice < 960) return OpenOrRelease();
    if (choice < 975) return PublishTree();
    if (choice < 985) return Snapshot();
    if (choice < 990) return Restart();
    if (choice < 992) EXPECT_OK(lake_->db().Compact());
    Compare();
  }
  void Compare() {
    EXPECT_EQ(model_.Difference(lake_->Head()), "");
    for (const auto& [name, then] : snapshots_) {
      const auto view = lake_->At(name);
      ASSERT_TRUE(view.ok()) << view.status().ToString();
      EXPECT_EQ(then.Difference(**view), "") << "in snapshot " << name;
    }
  }

  test::SeededRandom random_;
  const uint64_t seed_;
  ModelFs model_;
  std::map<std::string, ModelFs> snapshots_;
  std::vector<Ino> opened_;
};

class ModelTest : public ::testing::TestWithParam<uint64_t> {};

TEST_P(ModelTest, BehavesLikeTheModel) {
  uint64_t seed = GetParam();
  if (const char* replay = std::getenv("TARN_SEED")) seed = std::strtoull(replay, nullptr, 0);
  RecordProperty("seed", std::to_string(seed));
  Session session(seed);
  session.Run(1500);
}

INSTANTIATE_TEST_SUITE_P(Seeds, ModelTest, ::testing::Range<uint64_t>(1, 9));

}  // namespace
}  // namespace tarn::lake
