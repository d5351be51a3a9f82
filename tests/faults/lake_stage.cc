#include "tests/faults/lake_stage.h"

#include <sys/stat.h>

#include "tests/support/starving_memtable.h"

namespace tarn::test {
namespace {

using lake::Attr;
using lake::Ino;
using lake::Lake;
using lake::View;

lake::LakeOptions Options() {
  lake::LakeOptions options;
  options.settings.memory_bytes = 16 << 20;
  options.settings.memtable_bytes = 128 << 10;  // so that one file fills it
  options.settings.table_bytes = 128 << 10;
  options.settings.block_bytes = 512;  // so that rows which are read together are not in one block
  options.dirty_bytes = 1 << 20;
  return options;
}

Components PartsOn(std::shared_ptr<Backend> backend, uint64_t seed) {
  Components parts;
  parts.backend = std::move(backend);
  parts.clock = std::make_shared<VirtualClock>();
  parts.entropy = std::make_shared<SeededEntropy>(seed);
  parts.scheduler = std::make_shared<SimScheduler>(seed);
  parts.memtable = NewStarvingMemtable();
  return parts;
}

std::string Bytes(size_t size, uint64_t seed) {
  std::string bytes(size, '\0');
  SeededEntropy(seed).Fill(bytes);
  return bytes;
}

Status AddTree(View& view, Ino ino, const std::string& path, Picture* picture) {
  TARN_ASSIGN(const Attr attr, view.GetAttr(ino));
  std::string& told = (*picture)[path];
  told = "mode " + std::to_string(attr.mode) + " links " + std::to_string(attr.nlink) + " size " +
         std::to_string(attr.size);
  TARN_ASSIGN(const auto names, view.ListXattr(ino));
  for (const std::string& name : names) {
    TARN_ASSIGN(const std::string value, view.GetXattr(ino, name));
    told.append(" ").append(name).append("=").append(value);
  }
  if (S_ISREG(attr.mode)) {
    std::string bytes(attr.size + 1, '?');
    TARN_ASSIGN(const size_t got, view.Read(ino, 0, bytes));
    told.append(" holds ").append(bytes, 0, got);
  } else if (S_ISLNK(attr.mode)) {
    TARN_ASSIGN(const std::string target, view.ReadLink(ino));
    told += " -> " + target;
  } else if (S_ISDIR(attr.mode)) {
    TARN_ASSIGN(const auto entries, view.ReadDir(ino, {}, SIZE_MAX));
    for (const lake::DirEntry& entry : entries) TARN_TRY(AddTree(view, entry.ino, path + "/" + entry.name, picture));
  }
  return {};
}

// The tree behind the images.
class Life {
 public:
  explicit Life(const std::shared_ptr<Backend>& backend) : lake_(Lake::Init(PartsOn(backend, 1), Options()).value()) {
    const Ino top = lake::kRootIno;
    const Ino dir = Dir(top, "dir"), sub = Dir(dir, "sub");
    Dir(top, "empty");
    Dir(dir, "hollow");
    const Ino wide = Dir(top, "wide");
    for (char name = 'a'; name <= 'p'; ++name) File(wide, std::string(100, name).c_str(), "");
    const Ino small = File(dir, "small", Bytes(1500, 1));
    Good(lake_->SetXattr(small, "user.colour", "blue", true, false));
    Good(lake_->SetXattr(small, "user.shape", "round", true, false));
    Good(lake_->Link(small, top, "hard").status());
    File(dir, "big", Bytes(lake::kBlockBytes + 3000, 2));
    File(sub, "a", "first");
    File(sub, "copy", Bytes(lake::kBlockBytes + 3000, 2));  // shares its blocks with big
    File(Dir(sub, "deep"), "z", "last");
    Good(lake_->Symlink(top, "link", "dir/small", {}).status());
    Good(lake_->AppendLog({.who = "me", .command = "import"}).status());
    Good(lake_->CreateSnapshot("snap").status());
    const Ino sparse = File(dir, "sparse", "");
    Good(lake_->Write(sparse, 3 * lake::kBlockBytes, Bytes(5000, 3)));
    Good(lake_->Write(small, 100, "changed since"));
    Good(lake_->Unlink(sub, "a"));
    File(sub, "b", "second");
    Good(lake_->SyncAll());
    Good(lake_->db().Compact());
    Good(lake_->AppendLog({.who = "me", .command = "edit"}).status());
  }
  void LeaveAMess() {
    const Ino held = File(lake::kRootIno, "held", Bytes(lake::kBlockBytes + 10, 4));
    Good(lake_->Flush(held));
    Good(lake_->Open(held));
    Good(lake_->Unlink(lake::kRootIno, "held"));
    const Ino stage = lake_->Stage({}).value();
    const Ino tree = Dir(stage, "tree");
    Good(lake_->Flush(File(tree, "x", Bytes(2000, 5))));
    Good(lake_->SyncAll());
  }
  Lake& lake() { return *lake_; }

 private:
  static void Good(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }
  Ino Dir(Ino parent, const char* name) { return lake_->MakeDir(parent, name, 0755, {}).value().ino; }
  Ino File(Ino parent, const char* name, const std::string& bytes) {
    const Ino ino = lake_->Create(parent, name, S_IFREG | 0644, 0, {}).value().ino;
    if (!bytes.empty()) Good(lake_->Write(ino, 0, bytes));
    return ino;
  }
  std::unique_ptr<Lake> lake_;
};

}  // namespace

Result<Picture> PictureOf(Lake& lake) {
  Picture picture;
  TARN_TRY(AddTree(lake.Head(), lake::kRootIno, "", &picture));
  for (const lake::SnapshotInfo& snapshot : lake.ListSnapshots()) {
    TARN_ASSIGN(const auto view, lake.At(snapshot.name));
    TARN_TRY(AddTree(*view, lake::kRootIno, "@" + snapshot.name, &picture));
  }
  TARN_ASSIGN(const auto log, lake.ReadLog(0, 1000));
  for (const lake::LogRecord& record : log) {
    picture["#" + std::to_string(record.id)] = record.who + ": " + record.command;
  }
  return picture;
}

LakeImages::LakeImages() {
  Life life(grounds_->Workshop());
  life.LeaveAMess();
  grounds_->Keep("crashed");
  EXPECT_TRUE(life.lake().Close().ok());
  grounds_->Keep("closed");
}

LakeStage::LakeStage(LakeImages& images, LakeStart start)
    : ground_(start == LakeStart::kNothing
                  ? images.grounds().Empty()
                  : images.grounds().FromImage(start == LakeStart::kCrashed ? "crashed" : "closed")) {
  if (start != LakeStart::kOpen) return;
  {  // the numbers, without warming any cache of the lake under test
    const auto looked = OpenLakeOn(ground_->After(Ending::kKilled, 1), 1);
    EXPECT_TRUE(looked.ok()) << looked.status().ToString();
    for (const char* path : {"/dir", "/dir/sub", "/dir/small", "/dir/big", "/dir/sparse", "/dir/sub/b", "/link"}) {
      const auto attr = lake::Resolve((*looked)->Head(), path);
      EXPECT_TRUE(attr.ok()) << attr.status().ToString();
      inos_[path] = attr->ino;
    }
  }
  const Status opened = Open();
  EXPECT_TRUE(opened.ok()) << opened.ToString();
  // From here on every row that the lake looks up is read from the backend.
  const Status starved = lake->db().Put(kBallast, "");
  EXPECT_TRUE(starved.ok()) << starved.ToString();
  const auto tail = lake->MakeDir(lake::kRootIno, "tail", 0700, {});  // in the log, not synced
  EXPECT_TRUE(tail.ok()) << tail.status().ToString();
}

Status LakeStage::Init() {
  TARN_ASSIGN(auto backend, ground_->Store(false));
  TARN_ASSIGN(lake, Lake::Init(PartsOn(std::move(backend), 7), Options()));
  return {};
}

Status LakeStage::Open() {
  TARN_ASSIGN(auto backend, ground_->Store(false));
  TARN_ASSIGN(lake, OpenLakeOn(std::move(backend), 7));
  return {};
}

Result<std::unique_ptr<Lake>> OpenLakeOn(std::shared_ptr<Backend> backend, uint64_t seed) {
  return Lake::Open(PartsOn(std::move(backend), seed), Options());
}

}  // namespace tarn::test
