// The example of docs/formats/cache.md, read from the document itself; and bytes that are no segment.
#include "backends/cached/segment.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "tests/cached/cached_fixture.h"

namespace tarn::cached {
namespace {

// Lines of "offset: 16 bytes  text", as the document shows them.
std::string Dump(std::string_view bytes) {
  std::string out;
  for (size_t line = 0; line < bytes.size(); line += 16) {
    char buffer[32];
    std::snprintf(buffer, sizeof(buffer), "%04zx:", line);
    out += buffer;
    const std::string_view row = bytes.substr(line, 16);
    for (const char c : row) {
      std::snprintf(buffer, sizeof(buffer), " %02x", static_cast<unsigned char>(c));
      out += buffer;
    }
    out.append(3 * (16 - row.size()) + 2, ' ');
    for (const char c : row) out += c >= ' ' && c <= '~' ? c : '.';
    out += '\n';
  }
  return out;
}

std::string ExampleOfDocument() {
  std::ifstream file(TARN_CACHE_DOC);
  std::string line, example;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line.starts_with("```")) {
      inside = line == "```hex";
    } else if (inside) {
      example += line + "\n";
    }
  }
  return example;
}

TEST(CacheSegment, IsTheExample) {
  const BlobKey blob{"table/1", 7};
  const std::string contents = EncodeContents({{blob, 1, 0, 5, ExtentChecksum(blob, 1, 512, "hello")}});
  const std::string segment = "hello" + contents + EncodeTrailer(contents, 5, 512, 1);
  EXPECT_EQ(Dump(segment), ExampleOfDocument());
  EXPECT_EQ(NameOfSegment({Part::kProbation, 1}), "probation/0000000000000001");
}

TEST(CacheSegment, NamesAreExact) {
  EXPECT_EQ(ParseSegmentName("main/00000000000000ff")->number, 255u);
  EXPECT_EQ(ParseSegmentName("main/00000000000000ff")->part, Part::kMain);
  EXPECT_EQ(*ParseIndexName("index/0000000000000010"), 16u);
  for (const char* name : {"main/00000000000000fF", "main/0ff", "main/00000000000000ff0", "mein/00000000000000ff",
                           "index/000000000000000g", "main/", ""}) {
    EXPECT_FALSE(ParseSegmentName(name)) << name;
    EXPECT_FALSE(ParseIndexName(name)) << name;
  }
}

TEST(CacheSegment, AnIndexComesBack) {
  const std::vector<IndexEntry> segments = {{3, "contents", "\1\2"}, {9, "", ""}};
  const std::string bytes = EncodeIndex(segments, 512, 4);
  const auto back = DecodeIndex(bytes, 512, 4);
  ASSERT_TRUE(back && back->size() == 2);
  EXPECT_EQ((*back)[0].contents, "contents");
  EXPECT_EQ((*back)[0].hits, "\1\2");
  EXPECT_EQ((*back)[1].number, 9u);
  EXPECT_FALSE(DecodeIndex(bytes, 512, 5)) << "another index";
  EXPECT_FALSE(DecodeIndex(bytes, 1024, 4)) << "other extents";
}

// Contents that verify may still come from a writer that is broken.
TEST(CacheSegment, HostileContentsAreNothing) {
  const BlobKey blob{"table/1", 7};
  const auto decode = [&](ContentsEntry entry) { return DecodeContents(EncodeContents({entry}), 512, 1000); };
  EXPECT_TRUE(decode({blob, 1, 500, 500, 0}));
  EXPECT_FALSE(decode({blob, 1, 500, 501, 0})) << "behind the data";
  EXPECT_FALSE(decode({blob, 1, 4'000'000'000, 512, 0}));
  EXPECT_FALSE(decode({blob, 1, 0, 513, 0})) << "longer than an extent";
  EXPECT_FALSE(decode({blob, 1, 0, 0, 0}));
  test::SeededRandom random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random.Below(60), '\0');
    for (char& c : bytes) c = static_cast<char>(random.OneIn(3) ? 255 : random.Below(20));
    const auto entries = DecodeContents(bytes, 512, 1000);
    for (const ContentsEntry& entry : entries.value_or(std::vector<ContentsEntry>())) {
      ASSERT_LE(uint64_t{entry.offset} + entry.bytes, 1000u);
    }
    DecodeIndex(bytes, 512, 1);
    if (bytes.size() == kTrailerBytes) ContentsBytes(bytes, 100, 512);
  }
}

}  // namespace
}  // namespace tarn::cached
