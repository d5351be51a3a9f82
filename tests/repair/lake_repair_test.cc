// A lake over a damaged store: after repair and lake/mend the check finds nothing, deep or not, and every file none
// of whose rows lies in a reported range is what it was, under its name.
//
// TARN_REPAIR_STRIDE=1 damages every sector of every table (default: a sample). A failure names file and offset.
#include <cstdlib>

#include "lake/layout.h"
#include "lake/mend.h"
#include "lake/rows.h"
#include "tests/lake/lake_fixture.h"
#include "tests/repair/repair_fixture.h"

namespace tarn::lake {
namespace {

using test::Covered;
using test::Files;
using test::Listed;

struct Tree {
  std::map<std::string, std::string> nodes;  // path -> what it is and holds
  // The rows each depends on, as family and key.
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> rows;
};

LakeOptions SmallLake() {
  LakeOptions options;
  options.settings = test::SmallSettings();
  options.settings.block_bytes = 512;
  return options;
}

Components PartsOf(std::shared_ptr<Backend> backend) { return test::SimParts(std::move(backend), 3); }

void Walk(View& view, const Rows& rows, Ino dir, const std::string& path, Tree* tree) {
  const auto entries = view.ReadDir(dir, "", 10000);
  ASSERT_OK(entries.status());
  for (const DirEntry& entry : *entries) {
    const std::string name = path + "/" + entry.name;
    const auto attr = view.GetAttr(entry.ino);
    ASSERT_OK(attr.status());
    auto& needs = tree->rows[name] = tree->rows[path];
    needs.emplace_back("meta", NameKey(kEntryRow, dir, entry.name));
    needs.emplace_back("meta", MetaKey(kInodeRow, entry.ino));
    std::string& node = tree->nodes[name];
    node = std::to_string(attr->mode) + " " + std::to_string(attr->size);
    if (entry.type == 0040000) {
      node = std::to_string(attr->mode);  // its names are nodes of their own
      Walk(view, rows, entry.ino, name, tree);
      continue;
    }
    if (entry.type == 0120000) {
      node += view.ReadLink(entry.ino).value();
      continue;
    }
    std::string content(attr->size, '\0');
    const auto read = view.Read(entry.ino, 0, content);
    ASSERT_OK(read.status());
    node += content;
    needs.emplace_back("inline", InoKey(entry.ino));
    const auto walk = rows.Walk(rows.families().extents, InoKey(entry.ino));
    for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
      Extent extent;
      ASSERT_OK(Decode(walk->key(), walk->value(), &extent));
      needs.emplace_back("extents", walk->key());
      needs.emplace_back("chunks", extent.digest.view());
    }
    for (uint64_t block = 0; block * kBlockBytes < attr->size; ++block) {
      needs.emplace_back("extents", ExtentKey(entry.ino, block));
    }
  }
}

Rows RowsOfLake(DB& db) {
  Families families;
  ColumnFamily* const members[] = {&families.meta, &families.content, &families.extents, &families.chunks,
                                   &families.backrefs};
  for (size_t i = 0; i < std::size(members); ++i) *members[i] = db.FindFamily(kFamilyNames[i]).value();
  return Rows(&db, families);
}

Tree TreeOf(Lake& lake, const std::string& snapshot = {}) {
  Tree tree;
  if (snapshot.empty()) {
    Walk(lake.Head(), RowsOfLake(lake.db()), kRootIno, "", &tree);
    return tree;
  }
  const auto view = lake.At(snapshot).value();
  const auto moment = lake.db().OpenNamedSnapshot(snapshot).value();
  Walk(*view, RowsOfLake(lake.db()).At(moment.get()), kRootIno, "", &tree);
  return tree;
}

struct Sample {
  Files files;
  Tree now, before;
};

Ino MakeFile(Lake& lake, Ino dir, const std::string& name, const std::string& content) {
  const Ino ino = lake.Create(dir, name, 0644, 0, {})->ino;
  if (!content.empty()) EXPECT_OK(lake.Write(ino, 0, content));
  EXPECT_OK(lake.Flush(ino));
  return ino;
}

Sample MakeLake() {
  const auto backend = std::make_shared<test::MemBackend>();
  auto lake = Lake::Init(PartsOf(backend), SmallLake()).value();
  for (uint64_t d = 0; d < 6; ++d) {
    const Ino dir = lake->MakeDir(kRootIno, "dir" + std::to_string(d), 0755, {})->ino;
    const Ino inner = lake->MakeDir(dir, "inner", 0700, {})->ino;
    for (uint64_t f = 0; f < 30; ++f) {
      MakeFile(*lake, f % 2 ? dir : inner, "small" + std::to_string(f), Pattern(100 + 37 * f, d * 100 + f));
    }
    const Ino big = MakeFile(*lake, inner, "big", Pattern(kBlockBytes + 5000, d));
    MakeFile(*lake, dir, "twin", Pattern(kBlockBytes + 5000, d % 3));
    EXPECT_OK(lake->Link(big, dir, "linked").status());
    EXPECT_OK(lake->Symlink(dir, "link", "inner/big", {}).status());
    EXPECT_OK(lake->SetXattr(big, "user.note", "kept", false, false));
    if (d == 2) {
      EXPECT_OK(lake->AppendLog({.command = "half way"}).status());
      EXPECT_OK(lake->CreateSnapshot("before").status());
      EXPECT_OK(lake->db().Flush());
    }
  }
  const Ino dir0 = lake->Head().Lookup(kRootIno, "dir0")->ino;
  const Ino sparse = MakeFile(*lake, dir0, "sparse", "start");
  EXPECT_OK(lake->Write(sparse, 3 * kBlockBytes, "end"));
  EXPECT_OK(lake->RemoveTree(kRootIno, "dir1"));
  EXPECT_OK(lake->AppendLog({.command = "done"}).status());
  EXPECT_OK(lake->SyncAll());
  EXPECT_OK(lake->db().Flush());
  Sample sample;
  sample.now = TreeOf(*lake);
  sample.before = TreeOf(*lake, "before");
  EXPECT_OK(lake->Close());
  lake.reset();
  sample.files = test::FilesOf(*backend);
  return sample;
}

const Sample& Original() {
  static const Sample* const kSample = new Sample(MakeLake());
  return *kSample;
}

struct Outcome {
  Result<RepairReport> report = Status::Invalid("not yet");
  std::vector<std::string> told;
  uint64_t changes = 0;
  std::shared_ptr<test::MemBackend> target = std::make_shared<test::MemBackend>();
};

Outcome RepairLake(const Files& files) {
  Outcome outcome;
  const auto damaged = test::BackendOf(files);
  RepairOptions options;
  for (uint32_t id = 1; id <= std::size(kFamilyNames); ++id) options.family_names[id] = kFamilyNames[id - 1];
  options.settle = [&](DB& fresh, std::string_view) -> Status {
    const MendHooks hooks{.tell = [&](const std::string& line) { outcome.told.push_back(line); }};
    TARN_ASSIGN(const uint64_t changes, Mend(fresh, hooks));
    outcome.changes += changes;
    return {};
  };
  outcome.report = Repair(*damaged, SmallLake().settings, PartsOf(outcome.target), options);
  EXPECT_EQ(test::FilesOf(*damaged), files) << "repair changed the damaged store";
  return outcome;
}

void ExpectSame(const Tree& was, const Tree& is, const RepairReport& report, const std::string& what) {
  size_t kept = 0;
  for (const auto& [path, node] : was.nodes) {
    const auto& needs = was.rows.at(path);
    const bool touched = std::any_of(needs.begin(), needs.end(),
                                     [&](const auto& row) { return Covered(report, row.first, row.second); });
    if (touched) continue;
    ++kept;
    const auto there = is.nodes.find(path);
    if (there == is.nodes.end()) {
      ADD_FAILURE() << what << ": " << path << " is gone; reported:\n" << Listed(report);
      return;
    }
    EXPECT_TRUE(there->second == node) << what << ": " << path << " changed; reported:\n" << Listed(report);
  }
  EXPECT_TRUE(!report.losses.empty() || kept == was.nodes.size());
}

void ExpectMended(const Files& files, const std::string& what) {
  const Sample& sample = Original();
  const Outcome outcome = RepairLake(files);
  ASSERT_TRUE(outcome.report.ok()) << what << ": " << outcome.report.status().ToString();
  auto lake = Lake::Open(PartsOf(outcome.target), SmallLake());
  ASSERT_TRUE(lake.ok()) << what << ": " << lake.status().ToString();
  const auto check = (*lake)->Check(true, nullptr);
  ASSERT_TRUE(check.ok()) << what << ": " << check.status().ToString();
  std::string problems;
  for (const std::string& problem : check->problems) problems += "  " + problem + "\n";
  ASSERT_EQ(problems, "") << what << "; reported:\n" << Listed(*outcome.report);
  ASSERT_OK((*lake)->db().Verify());
  ExpectSame(sample.now, TreeOf(**lake), *outcome.report, what);
  for (const SnapshotInfo& snapshot : (*lake)->ListSnapshots()) {
    ExpectSame(sample.before, TreeOf(**lake, snapshot.name), *outcome.report, what + " in " + snapshot.name);
  }
  MakeFile(**lake, kRootIno, "new", "it can be written");
  ASSERT_OK((*lake)->Close());
}

uint64_t Stride() {
  const char* const text = std::getenv("TARN_REPAIR_STRIDE");
  return text != nullptr ? std::max(1, std::atoi(text)) : 40;
}

TEST(LakeRepair, AWholeLakeIsNotChanged) {
  const Outcome outcome = RepairLake(Original().files);
  ASSERT_TRUE(outcome.report.ok()) << outcome.report.status().ToString();
  EXPECT_EQ(Listed(*outcome.report), "");
  EXPECT_EQ(outcome.told, std::vector<std::string>());
  EXPECT_EQ(outcome.changes, 0u);
  ExpectMended(Original().files, "whole");
}

TEST(LakeRepair, AnyMissingFile) {
  for (const auto& [name, bytes] : Original().files) {
    Files files = Original().files;
    files.erase(name);
    ExpectMended(files, "without " + name);
    if (HasFailure()) return;
  }
}

TEST(LakeRepair, ZeroedSectors) {
  size_t sector = 0;
  for (const auto& [name, bytes] : Original().files) {
    for (size_t at = 0; at < bytes.size(); at += 512) {
      if (sector++ % Stride() != 0) continue;
      Files files = Original().files;
      files[name].replace(at, std::min<size_t>(512, bytes.size() - at), std::min<size_t>(512, bytes.size() - at),
                          '\0');
      ExpectMended(files, name + " sector at " + std::to_string(at));
      if (HasFailure()) return;
    }
  }
}

TEST(LakeRepair, SeveralDamagesAndNoManifest) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    test::SeededRandom random(seed);
    Files files = Original().files;
    if (seed % 4 == 0) std::erase_if(files, [](const auto& file) { return file.first.starts_with("manifest/"); });
    for (int n = 0; n < 6; ++n) {
      auto file = std::next(files.begin(), static_cast<ptrdiff_t>(random.Below(files.size())));
      if (file->second.empty()) continue;
      const size_t at = random.Below(file->second.size());
      file->second.replace(at, std::min<size_t>(600, file->second.size() - at), std::string(10, 'x'));
    }
    ExpectMended(files, "seed " + std::to_string(seed));
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace tarn::lake
