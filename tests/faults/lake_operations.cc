// Every public operation of the lake (lake/lake.h) as a script of steps. For the lake's sweep.
#include <sys/stat.h>

#include "tests/faults/lake_stage.h"

namespace tarn::test {
namespace {

using lake::Ino;
using lake::kBlockBytes;
using lake::kRootIno;
using lake::RenameMode;
using Stage = LakeStage;

constexpr Lasts kNot = Lasts::kNot;
constexpr Lasts kKill = Lasts::kThroughKill;
constexpr Lasts kPower = Lasts::kThroughPowerCut;

std::string Text(size_t size) {
  std::string text;
  while (text.size() < size) text += "line " + std::to_string(text.size()) + "\n";
  text.resize(size);
  return text;
}

Status Remember(Stage& stage, const Result<lake::Attr>& made) {
  TARN_TRY(made.status());
  stage.made = made->ino;
  return {};
}

LakeStep Create(const char* name) {
  return {kKill, [name](Stage& stage) {
            return Remember(stage, stage.lake->Create(stage.ino("/dir"), name, S_IFREG | 0640, 0, {}));
          }};
}
LakeStep Write(const char* path, uint64_t offset, size_t size) {
  return {kNot, [=](Stage& stage) { return stage.lake->Write(stage.ino(path), offset, Text(size)); }};
}
LakeStep Flush(const char* path) {
  return {kKill, [=](Stage& stage) { return stage.lake->Flush(stage.ino(path)); }};
}
LakeStep Sync(const char* path) {
  return {kPower, [=](Stage& stage) { return stage.lake->Sync(stage.ino(path)); }};
}
LakeStep Resize(const char* path, uint64_t size) {
  return {kKill, [=](Stage& stage) { return stage.lake->SetAttr(stage.ino(path), {.size = size}).status(); }};
}

// A small import: a tree built aside, then put in the place of an old one.
std::vector<LakeStep> Import() {
  return {{kKill,
           [](Stage& stage) -> Status {
             TARN_ASSIGN(stage.area, stage.lake->Stage({}));
             return {};
           }},
          {kKill, [](Stage& stage) { return Remember(stage, stage.lake->MakeDir(stage.area, "tree", 0755, {})); }},
          {kKill,
           [](Stage& stage) { return Remember(stage, stage.lake->Create(stage.made, "x", S_IFREG | 0644, 0, {})); }},
          {kNot, [](Stage& stage) { return stage.lake->Write(stage.made, 0, Text(kBlockBytes + 100)); }},
          {kPower, [](Stage& stage) {
             return stage.lake->Publish(stage.area, "tree", stage.ino("/dir"), "sub", RenameMode::kReplace,
                                        {.who = "me", .command = "import again"});
           }}};
}

std::vector<LakeStep> DropStage() {
  return {{kKill,
           [](Stage& stage) -> Status {
             TARN_ASSIGN(stage.area, stage.lake->Stage({}));
             return stage.lake->Create(stage.area, "x", S_IFREG | 0644, 0, {}).status();
           }},
          {kKill, [](Stage& stage) { return stage.lake->DropStage(stage.area); }}};
}

// A file without a name stays readable while it is open; letting go of it takes it apart.
std::vector<LakeStep> Orphan() {
  return {{kKill,
           [](Stage& stage) -> Status {
             TARN_TRY(stage.lake->Open(stage.ino("/dir/big")));
             const Status unlinked = stage.lake->Unlink(stage.ino("/dir"), "big");
             if (!unlinked.ok()) stage.lake->Release(stage.ino("/dir/big"));
             return unlinked;
           }},
          {kKill, [](Stage& stage) -> Status {
             std::string byte(1, '?');
             TARN_TRY(stage.lake->Head().Read(stage.ino("/dir/big"), 200, byte).status());
             stage.lake->Release(stage.ino("/dir/big"));
             return {};
           }}};
}

Status ReadAround(Stage& stage, lake::View& view) {
  TARN_ASSIGN(const auto dir, view.Lookup(kRootIno, "dir"));
  const auto none = view.Lookup(dir.ino, "nobody");
  if (none.ok() || none.status().code() != Code::kNotFound) return none.status();
  for (const char* name : {"small", "big", "sub"}) {
    TARN_ASSIGN(const auto attr, view.Lookup(dir.ino, name));
    stage.Answer(std::string(name) + " " + std::to_string(attr.mode) + " " + std::to_string(attr.size));
    if (!S_ISREG(attr.mode)) continue;
    std::string bytes(2000, '?');
    TARN_ASSIGN(const size_t got, view.Read(attr.ino, attr.size > 2000 ? kBlockBytes - 700 : 0, bytes));
    stage.Answer(bytes.substr(0, got));
  }
  TARN_ASSIGN(const auto entries, view.ReadDir(dir.ino, "big", 2));
  for (const auto& entry : entries) stage.Answer(entry.name);
  TARN_ASSIGN(const Ino parent, view.ParentOf(dir.ino));
  stage.Answer(std::to_string(parent));
  return {};
}

Status ReadOthers(Stage& stage) {
  lake::View& view = stage.lake->Head();
  TARN_ASSIGN(const std::string target, view.ReadLink(stage.ino("/link")));
  stage.Answer(target);
  TARN_ASSIGN(const auto names, view.ListXattr(stage.ino("/dir/small")));
  for (const std::string& name : names) {
    TARN_ASSIGN(const std::string value, view.GetXattr(stage.ino("/dir/small"), name));
    stage.Answer(name + "=" + value);
  }
  for (const uint64_t offset : {uint64_t{0}, uint64_t{3 * kBlockBytes}}) {
    TARN_ASSIGN(const uint64_t data, view.SeekData(stage.ino("/dir/sparse"), offset));
    TARN_ASSIGN(const uint64_t hole, view.SeekHole(stage.ino("/dir/sparse"), offset));
    stage.Answer(std::to_string(data) + " " + std::to_string(hole));
  }
  TARN_ASSIGN(const auto usage, view.GetUsage());
  stage.Answer(std::to_string(usage.inodes) + " " + std::to_string(usage.logical_bytes));
  TARN_ASSIGN(const auto log, stage.lake->ReadLog(0, 10));
  for (const auto& record : log) stage.Answer(std::to_string(record.id) + record.command);
  return {};
}

Status ReadSnapshot(Stage& stage) {
  TARN_ASSIGN(const auto view, stage.lake->At("snap"));
  return ReadAround(stage, *view);
}

Status Check(Stage& stage, bool deep) {
  TARN_ASSIGN(const auto report, stage.lake->Check(deep, {}));
  stage.Answer(std::to_string(report.inodes) + " " + std::to_string(report.blocks));
  for (const std::string& problem : report.problems) stage.Answer(problem);
  return {};
}

LakeOperation One(const char* name, Lasts lasts, std::function<Status(Stage&)> run) {
  return {name, LakeStart::kOpen, false, {{lasts, std::move(run)}}};
}
LakeOperation Reading(const char* name, std::function<Status(Stage&)> run) {
  return {name, LakeStart::kOpen, true, {{kNot, std::move(run)}}};
}
LakeOperation Opening(const char* name, LakeStart start, std::function<Status(Stage&)> run) {
  return {name, start, false, {{kPower, std::move(run)}}};
}
LakeOperation Several(const char* name, std::vector<LakeStep> steps) {
  return {name, LakeStart::kOpen, false, std::move(steps)};
}

std::vector<LakeOperation> NameOperations() {
  return {
      Several("Create", {Create("made")}),
      One("MakeDir", kKill, [](Stage& s) { return s.lake->MakeDir(s.ino("/dir"), "made", 0711, {}).status(); }),
      One("Symlink", kKill, [](Stage& s) { return s.lake->Symlink(kRootIno, "to", "dir/big", {}).status(); }),
      One("Link", kKill, [](Stage& s) { return s.lake->Link(s.ino("/dir/big"), kRootIno, "second").status(); }),
      One("Unlink", kKill, [](Stage& s) { return s.lake->Unlink(s.ino("/dir"), "big"); }),
      One("RemoveDir", kKill, [](Stage& s) { return s.lake->RemoveDir(s.ino("/dir"), "hollow"); }),
      One("RemoveTree", kKill, [](Stage& s) { return s.lake->RemoveTree(s.ino("/dir"), "sub"); }),
      One("RemoveWide", kKill, [](Stage& s) { return s.lake->RemoveTree(kRootIno, "wide"); }),
      One("Rename", kKill,
          [](Stage& s) {
            return s.lake->Rename(s.ino("/dir"), "small", s.ino("/dir/sub"), "b", RenameMode::kReplace);
          }),
      One("Exchange", kKill,
          [](Stage& s) { return s.lake->Rename(kRootIno, "empty", s.ino("/dir"), "sub", RenameMode::kExchange); }),
      One("SetAttr", kKill,
          [](Stage& s) { return s.lake->SetAttr(s.ino("/dir/small"), {.mode = 0600, .uid = 7}).status(); }),
      One("SetXattr", kKill,
          [](Stage& s) { return s.lake->SetXattr(s.ino("/dir/small"), "user.new", "1", true, false); }),
      One("RemoveXattr", kKill, [](Stage& s) { return s.lake->RemoveXattr(s.ino("/dir/small"), "user.shape"); }),
  };
}

std::vector<LakeOperation> ContentOperations() {
  return {
      Several("WriteInline", {Write("/dir/small", 700, 2000), Flush("/dir/small")}),
      Several("WriteBlocks", {Write("/dir/big", 1000, kBlockBytes - 1000), Write("/dir/big", kBlockBytes, 10000),
                              Flush("/dir/big")}),
      Several("Outgrow", {Write("/dir/small", 1000, 70000), Sync("/dir/small")}),
      Several("FillHole", {Write("/dir/sparse", kBlockBytes + 5, 100), Sync("/dir/sparse")}),
      Several("Shrink", {Resize("/dir/big", kBlockBytes / 2)}),
      Several("ShrinkToInline", {Resize("/dir/big", 100)}),
      Several("Grow", {Resize("/dir/small", 5 * kBlockBytes)}),
      // A hole over parts of several blocks is, like a write over several, not one step; these are.
      One("PunchPart", kKill, [](Stage& s) { return s.lake->PunchHole(s.ino("/dir/big"), 500, 9000); }),
      One("PunchBlocks", kKill, [](Stage& s) { return s.lake->PunchHole(s.ino("/dir/big"), 0, kBlockBytes); }),
      Several("SyncAll", {Write("/dir/sub/b", 3, 30), {kPower, [](Stage& s) { return s.lake->SyncAll(); }}}),
      Several("Orphan", Orphan()),
  };
}

std::vector<LakeOperation> HistoryOperations() {
  return {
      Several("Import", Import()),
      Several("DropStage", DropStage()),
      One("AppendLog", kPower, [](Stage& s) { return s.lake->AppendLog({.command = "third"}).status(); }),
      One("CreateSnapshot", kPower, [](Stage& s) { return s.lake->CreateSnapshot("two").status(); }),
      Several("DropSnapshot", {{kPower, [](Stage& s) { return s.lake->SyncAll(); }},
                               {kPower, [](Stage& s) { return s.lake->DropSnapshot("snap"); }}}),
      Several("Close", {Write("/dir/big", 10, 50), {kPower, [](Stage& s) { return s.lake->Close(); }}}),
      Opening("Init", LakeStart::kNothing, [](Stage& s) { return s.Init(); }),
      Opening("OpenClosed", LakeStart::kClosed, [](Stage& s) { return s.Open(); }),
      Opening("OpenCrashed", LakeStart::kCrashed, [](Stage& s) { return s.Open(); }),
      Reading("Read", [](Stage& s) { return ReadAround(s, s.lake->Head()); }),
      Reading("ReadOthers", ReadOthers),
      Reading("ReadSnapshot", ReadSnapshot),
      Reading("Check", [](Stage& s) { return Check(s, false); }),
      Reading("CheckDeep", [](Stage& s) { return Check(s, true); }),
  };
}

}  // namespace

const std::vector<LakeOperation>& LakeOperations() {
  static const std::vector<LakeOperation> all = [] {
    std::vector<LakeOperation> list;
    for (auto part : {NameOperations(), ContentOperations(), HistoryOperations()}) {
      list.insert(list.end(), part.begin(), part.end());
    }
    return list;
  }();
  return all;
}

}  // namespace tarn::test
