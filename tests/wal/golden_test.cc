// The worked example of docs/formats/wal.md, read from the document itself: what the code writes is what it says.
#include <cstdio>
#include <fstream>

#include "base/coding.h"
#include "tarn/sdk/internal_key.h"
#include "tests/wal/wal_fixture.h"

namespace tarn::wal {
namespace {

// Lines of "offset: 16 bytes  text", as the document shows them.
std::string Dump(std::string_view bytes) {
  std::string out;
  for (size_t line = 0; line < bytes.size(); line += 16) {
    char buf[32];
    std::snprintf(buf, sizeof(buf), "%04zx:", line);
    out += buf;
    const std::string_view row = bytes.substr(line, 16);
    for (const char c : row) {
      std::snprintf(buf, sizeof(buf), " %02x", static_cast<unsigned char>(c));
      out += buf;
    }
    out.append(3 * (16 - row.size()) + 2, ' ');
    for (const char c : row) out += c >= ' ' && c <= '~' ? c : '.';
    out += '\n';
  }
  return out;
}

std::string ExampleOfDocument() {
  std::ifstream file(TARN_WAL_DOC);
  std::string line, example;
  bool inside = false;
  while (std::getline(file, line)) {
    if (line == "```hex") {
      inside = true;
    } else if (line == "```") {
      inside = false;
    } else if (inside) {
      example += line + "\n";
    }
  }
  return example;
}

class WalGoldenTest : public WalFixture {
 protected:
  // A payload as the section "batch" describes it.
  static std::string Batch(Sequence first, Kind kind, std::string_view key, std::string_view value) {
    std::string payload;
    PutFixed64(&payload, first);
    PutVarint(&payload, 2);  // manifest
    PutVarint(&payload, 1);  // count
    payload += static_cast<char>(kind);
    PutVarint(&payload, 0);
    PutBytes(&payload, key);
    if (kind != Kind::kDelete) PutBytes(&payload, value);
    return payload;
  }
};

TEST_F(WalGoldenTest, TheWriterWritesTheExample) {
  const auto writer = OpenAt(1);
  ASSERT_TRUE(writer->Append(Batch(1, Kind::kPut, "k", "v"), Durability::kPower).ok());
  ASSERT_TRUE(writer->Append(Batch(2, Kind::kDelete, "k", ""), Durability::kProcess).ok());
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(Dump(BytesOf(1)), ExampleOfDocument());
  EXPECT_EQ(Replay().payloads.size(), 2u);
}

}  // namespace
}  // namespace tarn::wal
