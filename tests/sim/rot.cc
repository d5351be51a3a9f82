#include "tests/sim/rot.h"

#include <algorithm>

#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

constexpr uint64_t kSectorBytes = 512;
constexpr int kAttempts = 8;

std::string Misdirected(std::string bytes, const std::vector<std::string>& names, const RotAccess& access,
                        SeededRandom& random, uint64_t* offset) {
  const std::string source = access.read(names[random.Below(names.size())]);
  if (source.empty()) return bytes;
  const uint64_t from = random.Below(source.size());
  *offset = random.Below(bytes.size());
  const uint64_t most = std::min({source.size() - from, bytes.size() - *offset, uint64_t{4096}});
  const uint64_t count = 1 + random.Below(most);
  return bytes.replace(*offset, count, source, from, count);
}

std::string Damaged(std::string bytes, const std::vector<std::string>& names, const RotAccess& access,
                    SeededRandom& random, uint64_t* offset, std::string* what) {
  switch (random.Below(5)) {
    case 0: *what = "misdirected write"; return Misdirected(std::move(bytes), names, access, random, offset);
    case 1: {
      *what = "lost write";
      *offset = random.Below(bytes.size()) / kSectorBytes * kSectorBytes;
      const uint64_t count = std::min(bytes.size() - *offset, kSectorBytes * (1 + random.Below(8)));
      return bytes.replace(*offset, count, count, '\0');
    }
    case 2:
      *what = "truncated";
      *offset = random.Below(bytes.size());
      return bytes.substr(0, *offset);
    default: {
      *what = "bit rot";
      *offset = random.Below(bytes.size());
      for (uint64_t n = 1 + random.Below(4); n > 0; --n) bytes[*offset] ^= static_cast<char>(1u << random.Below(8));
      return bytes;
    }
  }
}

}  // namespace

std::optional<Damage> MakeRot(uint64_t seed, const std::vector<std::string>& names, const RotAccess& access) {
  if (names.empty()) return std::nullopt;
  SeededRandom random(seed);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const std::string name = names[random.Below(names.size())];
    const std::string before = access.read(name);
    if (before.empty()) continue;
    Damage damage{.name = name};
    std::string after = Damaged(before, names, access, random, &damage.offset, &damage.what);
    if (after == before) continue;
    access.write(name, after);
    damage.mend = [access, name, before] {
      std::string now = access.read(name);
      const std::string grown = now.size() > before.size() ? now.substr(before.size()) : std::string();
      access.write(name, before + grown);
    };
    return damage;
  }
  return std::nullopt;
}

}  // namespace tarn::test
