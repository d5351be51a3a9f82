// The worked example of docs/formats/table.md is the truth: the builder must write exactly its bytes, and the
// reader must read them. A change of format that forgets the document fails here.
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

#include "tests/format/table_support.h"

namespace tarn::test {
namespace {

// The bytes of the one fenced ```hex block. Each line: offset in hex, two spaces, bytes in hex, and after a
// '|' what they mean. Offsets must be right, so that the document can be trusted by eye.
std::string BytesOfTheDocument(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::string line, bytes;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with("```")) {
      inside = line == "```hex";
      continue;
    }
    if (!inside) continue;
    std::istringstream fields(line.substr(0, line.find('|')));
    size_t offset = 0;
    unsigned byte = 0;
    fields >> std::hex >> offset;
    EXPECT_EQ(offset, bytes.size()) << line;
    while (fields >> std::hex >> byte) bytes.push_back(static_cast<char>(byte));
  }
  return bytes;
}

std::string Dump(const std::string& bytes) {
  std::string dump;
  char text[32];
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::snprintf(text, sizeof(text), "\n%04zx ", i);
    if (i % 16 == 0) dump += text;
    std::snprintf(text, sizeof(text), " %02x", static_cast<unsigned char>(bytes[i]));
    dump += text;
  }
  return dump;
}

TEST(TableGolden, TheDocumentsExampleIsWhatIsWrittenAndRead) {
  const std::string expected = BytesOfTheDocument(TARN_SOURCE_DIR "/docs/formats/table.md");
  Entries entries;
  Put(&entries, "apple", 2, "red");
  Put(&entries, "apple", 1, "green");
  Delete(&entries, "pear", 3);
  MemBackend backend;
  const TableOptions options = {48, Compression::kNone, 10};
  const auto meta = BuildTable(backend, 1, entries, {{"b", "d", 4}}, options);
  ASSERT_TRUE(meta.ok()) << meta.status().ToString();
  const std::string written = backend.Contents("table/0000000000000001").value();
  EXPECT_EQ(written, expected) << Dump(written);

  MemBackend from_document;
  ASSERT_TRUE(from_document.PutIfAbsent("table/0000000000000001", expected).ok());
  const auto table = Table::Open(from_document, kStoreId, 1, expected.size());
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  BlobSource source;
  EXPECT_EQ(ScanForward(*table.value(), source).value(), Pairs(entries.begin(), entries.end()));
  EXPECT_EQ(table.value()->range_tombstones().NewestCover("c", 9), 4u);
  EXPECT_TRUE(table.value()->Verify(source).ok());
}

}  // namespace
}  // namespace tarn::test
