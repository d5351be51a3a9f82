#include "tests/fuzz/targets.h"

#include <cstdio>
#include <cstdlib>

#include "tests/fuzz/target.h"

namespace tarn::fuzz {
namespace {

// A compressed block may reach 32768 times its size (docs/formats/table.md), so where blocks are decompressed the
// input is kept so short that the honest bound stays below the limit of one allocation.
constexpr Target kTargets[] = {
    {"coding", RunCoding, 512, 16, false, nullptr},
    {"internal_key", RunInternalKey, 512, 16, false, nullptr},
    {"payload", RunPayload, 4096, 16, false, nullptr},
    {"block", RunBlock, 2048, 16, false, nullptr},
    {"compressed", RunCompressed, 1024, 64, false, nullptr},
    {"filter", RunFilter, 4096, 16, false, nullptr},
    {"properties", RunProperties, 1024, 16, false, nullptr},
    {"ranges", RunRanges, 1024, 16, false, nullptr},
    {"table", RunTable, 8192, 300, false, ResealTable},
    {"table_parts", RunTableParts, 4096, 300, true, nullptr},
    {"wal", RunWal, 8192, 16, true, ResealWal},
    {"wal_damage", RunWalDamage, 512, 16, false, nullptr},
    {"manifest", RunManifest, 8192, 16, true, ResealManifest},
    {"backup", RunBackup, 4096, 32, true, ResealBackup},
    {"lake_rows", RunLakeRows, 1024, 16, false, nullptr},
    {"paths", RunPaths, 2048, 16, false, nullptr},
    {"text", RunText, 2048, 16, false, nullptr},
    {"location", RunLocation, 512, 16, false, nullptr},
    {"wire", RunWire, 8192, 16, false, nullptr},
    {"wire_arguments", RunWireArguments, 4096, 16, true, nullptr},
    {"s3_answers", RunS3Answers, 4096, 16, false, nullptr},
    {"s3_text", RunS3Text, 2048, 16, false, nullptr},
    {"store", RunStore, 512, 64, false, nullptr},
    {"repair", RunRepair, 128, 64, false, nullptr},
};

}  // namespace

std::span<const Target> Targets() { return kTargets; }

const Target* FindTarget(std::string_view name) {
  for (const Target& target : kTargets) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

void Fail(const char* file, int line, std::string_view what) {
  std::fprintf(stderr, "%s:%d: does not hold: %.*s\n", file, line, static_cast<int>(what.size()), what.data());
  std::abort();
}

uint8_t Input::Byte() {
  const std::string_view one = Bytes(1);
  return one.empty() ? 0 : static_cast<uint8_t>(one[0]);
}

uint32_t Input::Below(uint32_t bound) {
  uint32_t value = Byte();
  if (bound > 256) value |= static_cast<uint32_t>(Byte()) << 8;
  return value % bound;
}

std::string_view Input::Bytes(size_t n) {
  const std::string_view taken = rest_.substr(0, n);
  rest_.remove_prefix(taken.size());
  return taken;
}

std::vector<std::string> SplitSections(std::string_view input, size_t most) {
  std::vector<std::string> sections;
  Input in(input);
  while (!in.empty() && sections.size() < most) {
    const size_t low = in.Byte();
    sections.emplace_back(in.Bytes(low | static_cast<size_t>(in.Byte()) << 8));
  }
  return sections;
}

std::string JoinSections(const std::vector<std::string>& sections) {
  std::string out;
  for (const std::string& section : sections) {
    const size_t n = section.size() < 65535 ? section.size() : 65535;
    out += static_cast<char>(n & 0xff);
    out += static_cast<char>(n >> 8);
    out += section.substr(0, n);
  }
  return out;
}

}  // namespace tarn::fuzz
