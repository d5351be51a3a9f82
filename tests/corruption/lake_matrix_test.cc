// The corruption matrix of a lake: the files are a store's, the questions a filesystem's. What must come out stands
// in judge.h; an answer here is a tree with all attributes and contents, one file read by its path, the log, the
// snapshots, and the checker's verdict, which together with Verify is `tarn check --deep`.
//
// By default every fifth byte is changed; TARN_CORRUPTION=full changes each.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "lake/lake.h"
#include "tests/corruption/judge.h"
#include "tests/kernel/sim_store.h"

namespace tarn::test {
namespace {

using lake::Attr;
using lake::DirEntry;
using lake::Lake;
using lake::View;

constexpr size_t kSampledStep = 5;
constexpr const char* kPaths[] = {"/", "/docs/readme", "/docs/big", "/docs/hole", "/link", "/absent", "/docs/gone"};

lake::LakeOptions Options(bool read_only) {
  lake::LakeOptions options;
  options.settings = SmallSettings();
  options.settings.read_only = read_only;
  return options;
}

std::string Noise(size_t bytes, uint64_t seed) {
  std::string text(bytes, '\0');
  SeededEntropy(seed).Fill(text);
  return text;
}

Status AppendContent(View& view, const Attr& attr, std::string* text) {
  if (!S_ISREG(attr.mode)) return {};
  std::string bytes(attr.size, '\0');
  TARN_ASSIGN(const size_t got, view.Read(attr.ino, 0, bytes));
  bytes.resize(got);
  *text += bytes;
  return {};
}

Status AppendTree(View& view, lake::Ino dir, const std::string& path, std::string* text) {
  TARN_ASSIGN(const std::vector<DirEntry> entries, view.ReadDir(dir, "", 1000));
  for (const DirEntry& entry : entries) {
    TARN_ASSIGN(const Attr attr, view.Lookup(dir, entry.name));
    *text += path + "/" + entry.name + " mode " + std::to_string(attr.mode) + " links " + std::to_string(attr.nlink) +
             " size " + std::to_string(attr.size) + " mtime " + std::to_string(attr.mtime_ns) + "\n";
    if (S_ISLNK(attr.mode)) {
      TARN_ASSIGN(const std::string target, view.ReadLink(attr.ino));
      *text += target;
    }
    TARN_ASSIGN(const std::vector<std::string> names, view.ListXattr(attr.ino));
    for (const std::string& name : names) {
      TARN_ASSIGN(const std::string value, view.GetXattr(attr.ino, name));
      *text += name + "=" + value + "\n";
    }
    TARN_TRY(AppendContent(view, attr, text));
    if (S_ISDIR(attr.mode)) TARN_TRY(AppendTree(view, attr.ino, path + "/" + entry.name, text));
  }
  return {};
}

void AskView(View& view, const std::string& of, Answers* answers) {
  Answer tree{"tree" + of, {}, ""};
  tree.status = AppendTree(view, lake::kRootIno, "", &tree.text);
  answers->push_back(std::move(tree));
  for (const char* path : kPaths) {
    Answer file{std::string(path) + of, {}, ""};
    const auto attr = Resolve(view, path);
    if (attr.ok()) {
      file.status = AppendContent(view, *attr, &file.text);
    } else if (attr.status().code() == Code::kNotFound) {
      file.text = "absent";
    } else {
      file.status = attr.status();
    }
    answers->push_back(std::move(file));
  }
}

// Reads as `tarn check --deep` does.
Answer Check(Lake& lake) {
  Answer verdict{"check --deep", {}, ""};
  const auto report = lake.Check(true, {});
  verdict.status = report.status();
  if (report.ok() && !report->problems.empty()) verdict.status = Status::Corruption(report->problems.front());
  return verdict;
}

void Ask(Lake& lake, Answers* answers) {
  answers->push_back({"rewriting", {}, ""});
  AskView(lake.Head(), "", answers);
  const auto past = lake.At("before");
  if (past.ok()) {
    AskView(**past, " in the snapshot", answers);
  } else {
    answers->push_back({"snapshot", past.status(), ""});
  }
  Answer log{"log", {}, ""};
  const auto records = lake.ReadLog(0, 100);
  log.status = records.status();
  for (size_t i = 0; records.ok() && i < records->size(); ++i) log.text += (*records)[i].command + "\n";
  answers->push_back(std::move(log));
  Answer snapshots{"snapshots", {}, ""};
  for (const auto& snapshot : lake.ListSnapshots()) snapshots.text += snapshot.name + " ";
  answers->push_back(std::move(snapshots));
  answers->push_back(Check(lake));
  answers->push_back({"verify", lake.db().Verify(), ""});
}

class LakeSubject final : public Subject {
 public:
  Status Read(std::shared_ptr<Backend> disk, Answers* answers) override {
    TARN_ASSIGN(const auto lake, Lake::Open(SimParts(std::move(disk), 9), Options(true)));
    Ask(*lake, answers);
    return lake->Close();
  }
  // The store below recovers, and moves its log into tables, before the lake reads its first row.
  bool FailedOpenChangesNothing() const override { return false; }
  Status Rewrite(std::shared_ptr<Backend> disk, Answers* before, Answers* after) override {
    TARN_ASSIGN(const auto lake, Lake::Open(SimParts(std::move(disk), 9), Options(false)));
    Ask(*lake, before);
    const Status compacted = lake->db().Compact();
    Ask(*lake, after);
    after->front().status = compacted;
    EXPECT_TRUE(lake->Close().ok());
    return {};
  }
};

void Must(const Status& status) { EXPECT_TRUE(status.ok()) << status.ToString(); }

// Some of it is in tables, some in the log.
Image BuildLake(uint64_t seed) {
  const auto disk = std::make_shared<MemBackend>();
  auto lake = Lake::Init(SimParts(disk, seed), Options(false)).value();
  const auto make = [&](lake::Ino dir, const char* name, const std::string& content) {
    const Attr attr = lake->Create(dir, name, S_IFREG | 0644, 0, {}).value();
    if (!content.empty()) Must(lake->Write(attr.ino, 0, content));
    return attr.ino;
  };
  const lake::Ino docs = lake->MakeDir(lake::kRootIno, "docs", 0755, {}).value().ino;
  const lake::Ino readme = make(docs, "readme", "read me");
  const lake::Ino big = make(docs, "big", std::string(300000, 'b') + Noise(3000, 1));
  make(docs, "gone", "only in the snapshot");
  Must(lake->SetXattr(big, "user.note", "a value", false, false));
  Must(lake->Symlink(lake::kRootIno, "link", "docs/readme", {}).status());
  Must(lake->SyncAll());
  Must(lake->CreateSnapshot("before").status());
  Must(lake->db().Compact());
  const lake::Ino hole = make(docs, "hole", "head");
  Must(lake->Write(hole, 200000, "tail"));
  Must(lake->Unlink(docs, "gone"));
  Must(lake->Write(big, 5, "rewritten"));
  Must(lake->SyncAll());
  Must(lake->db().Flush());
  Must(lake->Write(readme, 5, "twice"));
  lake::LogRecord record;
  record.who = "tester";
  record.command = "a command";
  Must(lake->AppendLog(record).status());
  Must(lake->Close());
  return ImageOf(*disk);
}

std::string WhyHarmless(const Image& sound, const Damage& damage) {
  if (damage.what == "a stranger's file") {
    if (damage.blob.starts_with("wal/")) return "named like a segment, holds no record: as after a crash";
    return "not ours: neither read nor deleted";
  }
  if (damage.what == "extend by zeros" && KindOf(damage.blob) == "wal") return "space taken ahead, as after a crash";
  std::string newest;
  for (const auto& [name, bytes] : sound) {
    if (KindOf(name) == KindOf(damage.blob)) newest = name;
  }
  if (damage.blob != newest) return "";
  if (KindOf(newest) == "manifest" && damage.what == "delete the file") {
    return "the record that Close published: it only vouched for the log";
  }
  const size_t close_mark = sound.at(newest).size() - 29;
  if (KindOf(newest) == "wal" && damage.from >= close_mark) return "the log's close mark: it only vouches";
  return "";
}

TEST(LakeMatrix, AfterClose) {
  const Image sound = BuildLake(1), other = BuildLake(2);
  LakeSubject subject;
  Answers truth;
  const Status read = subject.Read(DiskOf(sound), &truth);
  ASSERT_TRUE(read.ok()) << read.ToString();
  for (const Answer& answer : truth) ASSERT_TRUE(answer.status.ok()) << answer.question << answer.status.ToString();
  ASSERT_NE(truth[1].text.find(std::string(300000 - 14, 'b')), std::string::npos) << "the big file, read back";
  ASSERT_NE(truth[1].text.find("bbbbbrewrittenbbb"), std::string::npos);
  Judge judge(
      subject, {truth}, [](const Damage&) { return 0; },
      [&](const Damage& damage) { return WhyHarmless(sound, damage); });
  const Try each = [&](const Damage& damage) { judge.Try(damage); };
  size_t total = 0;
  for (const auto& [name, bytes] : sound) {
    DamageBytes(sound, name, {FullMatrix() ? 1 : kSampledStep, FullMatrix()}, each);
    total += bytes.size();
  }
  std::printf("%zu files, %zu bytes\n", sound.size(), total);
  DamageFiles(sound, other, each);
  DamageLogRecords(sound, each);
  AddStrangers(sound, each);
  judge.Report("A lake that was closed");
}

}  // namespace
}  // namespace tarn::test
