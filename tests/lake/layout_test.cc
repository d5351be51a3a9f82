// Keys and values against docs/formats/lake.md, whose worked example is read from the document itself.

#include "lake/layout.h"

#include <fstream>
#include <map>
#include <sstream>

#include "tests/lake/lake_fixture.h"

namespace tarn::lake {
namespace {

using RowMap = std::map<std::pair<std::string, std::string>, std::string>;  // family, key -> value

bool AppendHex(const std::string& word, std::string* out) {
  if (word.empty() || word.size() % 2 != 0 || word.find_first_not_of("0123456789abcdef") != word.npos) return false;
  for (size_t i = 0; i < word.size(); i += 2) {
    out->push_back(static_cast<char>(std::stoi(word.substr(i, 2), nullptr, 16)));
  }
  return true;
}

// Rows of the example: a line that starts with a family has the key, the lines after it the value.
RowMap ExampleRows() {
  std::ifstream doc(TARN_FORMAT_DOC);
  EXPECT_TRUE(doc.good());
  RowMap rows;
  bool example = false;
  std::string line, family, key, value;
  const auto finish = [&] {
    if (!family.empty()) rows[{family, key}] = value;
    family.clear();
  };
  while (std::getline(doc, line)) {
    if (line.starts_with("## Worked example")) example = true;
    if (!example) continue;
    if (!line.starts_with("    ")) {
      finish();
      continue;
    }
    std::istringstream words(line);
    std::string word;
    words >> word;
    std::string* into = &value;
    if (word == "meta" || word == "inline" || word == "extents" || word == "backrefs") {
      finish();
      family = word;
      key.clear();
      value.clear();
      into = &key;
      words >> word;
    }
    while (AppendHex(word, into)) {
      word.clear();
      words >> word;
    }
  }
  finish();
  return rows;
}

class LayoutTest : public LakeFixture {
 protected:
  RowMap StoredRows() {
    RowMap rows;
    for (const char* family : {"meta", "inline", "extents", "backrefs"}) {
      const auto walk = lake_->db().NewIterator(*lake_->db().FindFamily(family));
      for (walk->SeekToFirst(); walk->valid(); walk->Next()) {
        rows[{family, std::string(walk->key())}] = walk->value();
      }
    }
    return rows;
  }
};

TEST_F(LayoutTest, WorkedExampleOfTheDocument) {
  const RowMap example = ExampleRows();
  ASSERT_EQ(example.size(), 9u);
  Init();
  clock_->nanos = 2000;
  const Ino a = Dir(kRootIno, "a");
  clock_->nanos = 3000;
  const Ino f = lake_->Create(a, "f", 0644, 0, {1, 2})->ino;
  clock_->nanos = 4000;
  ASSERT_OK(lake_->Write(f, 0, "hi"));
  ASSERT_OK(lake_->Flush(f));
  RowMap stored = StoredRows();
  for (const auto& [where, value] : example) {
    if (where.first == "extents" || where.first == "backrefs") continue;
    ASSERT_TRUE(stored.contains(where)) << where.first << " " << Printable(where.second);
    EXPECT_EQ(stored[where], value) << where.first << " " << Printable(where.second);
  }
  EXPECT_EQ(stored.size(), 7u);
  const Ino x = File(a, "x", std::string(kBlockBytes, 'x'));
  ASSERT_OK(lake_->Flush(x));
  stored = StoredRows();
  for (const auto& [where, value] : example) {
    if (where.first != "extents" && where.first != "backrefs") continue;
    ASSERT_TRUE(stored.contains(where)) << where.first;
    EXPECT_EQ(stored[where], value) << where.first;
  }
  EXPECT_EQ(CountRows(*lake_, "chunks"), 1u);
}

TEST(Layout, ValuesComeBack) {
  Inode inode;
  inode.mode = 0120777;
  inode.nlink = 3;
  inode.uid = UINT32_MAX;
  inode.gid = 7;
  inode.rdev = UINT64_MAX;
  inode.size = 5;
  inode.stored = 4;
  inode.parent = 1;
  inode.xattrs = 2;
  inode.tail = 9;
  inode.atime = -1;
  inode.mtime = INT64_MIN;
  inode.ctime = INT64_MAX;
  inode.btime = 0;
  inode.target = "a/b/c";
  Inode back;
  ASSERT_OK(Decode("I", Encode(inode), &back));
  EXPECT_EQ(Encode(back), Encode(inode));
  EXPECT_EQ(back.mtime, INT64_MIN);
  EXPECT_EQ(back.target, "a/b/c");
  LogRecord record{.id = 5, .sequence = 6, .wall_nanos = 7, .who = "me", .command = "x y", .files = 8, .bytes = 9};
  LogRecord record_back;
  ASSERT_OK(Decode(MetaKey(kLogRow, 5), Encode(record), &record_back));
  EXPECT_EQ(record_back.id, 5u);
  EXPECT_EQ(record_back.command, "x y");
  EXPECT_EQ(record_back.bytes, 9u);
}

// Every truncation and every single wrong byte decodes to Corruption or to some value, never to a crash, and an
// extra byte is always found.
TEST(Layout, HostileValues) {
  Inode inode;
  inode.target = "target";
  const auto attack = [](const std::string& good, auto* out) {
    for (size_t cut = 0; cut < good.size(); ++cut) {
      EXPECT_EQ(Decode("k", std::string_view(good).substr(0, cut), out).code(), Code::kCorruption) << cut;
    }
    EXPECT_EQ(Decode("k", good + "x", out).code(), Code::kCorruption);
    for (size_t at = 0; at < good.size(); ++at) {
      std::string bad = good;
      for (const int byte : {0x00, 0x7f, 0x80, 0xff}) {
        bad[at] = static_cast<char>(byte);
        const Status status = Decode("k", bad, out);
        EXPECT_TRUE(status.ok() || status.code() == Code::kCorruption || status.code() == Code::kUnsupported);
      }
    }
  };
  attack(Encode(inode), &inode);
  Entry entry{7, 0100000};
  attack(Encode(entry), &entry);
  Extent extent{77, Sha256("x")};
  attack(Encode(extent), &extent);
  Superblock superblock{5, true, 1, 2};
  attack(Encode(superblock), &superblock);
  std::string too_new = Encode(superblock);
  too_new[0] = 2;
  EXPECT_EQ(Decode("Z", too_new, &superblock).code(), Code::kUnsupported);
}

TEST(Layout, KeysSortByNumber) {
  EXPECT_LT(ExtentKey(1, 255), ExtentKey(1, 256));
  EXPECT_LT(ExtentKey(1, UINT64_MAX), ExtentKey(2, 0));
  EXPECT_LT(MetaKey(kLogRow, 9), MetaKey(kLogRow, 10));
  Digest digest = Sha256("abc"), digest_back;
  EXPECT_EQ(digest.hex(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Ino ino;
  uint64_t block;
  ASSERT_TRUE(ParseBackrefKey(BackrefKey(digest, 3, 4), &digest_back, &ino, &block));
  EXPECT_EQ(digest_back, digest);
  EXPECT_EQ(ino, 3u);
  EXPECT_EQ(block, 4u);
  EXPECT_FALSE(ParseBackrefKey("short", &digest_back, &ino, &block));
}

TEST(Layout, Names) {
  EXPECT_OK(CheckName("a"));
  EXPECT_OK(CheckName(std::string(255, 'x')));
  EXPECT_OK(CheckName("\xff\x01"));
  EXPECT_ERRNO(ENAMETOOLONG, CheckName(std::string(256, 'x')));
  for (const std::string_view bad : {"", ".", "..", "a/b"}) EXPECT_ERRNO(EINVAL, CheckName(bad));
  EXPECT_ERRNO(EINVAL, CheckName(std::string_view("a\0b", 3)));
  EXPECT_EQ(Printable(std::string_view("a\0\xff", 3)), "a\\x00\\xff");
}

}  // namespace
}  // namespace tarn::lake
