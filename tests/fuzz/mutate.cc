#include "tests/fuzz/mutate.h"

#include <algorithm>

#include "tests/support/sim_effects.h"

namespace tarn::fuzz {
namespace {

constexpr size_t kMostSections = 16;

void MutateSections(test::SeededRandom* random, size_t most, const MutateBytes& mutate, std::string* input) {
  std::vector<std::string> sections = SplitSections(*input, kMostSections);
  if (sections.empty() || random->OneIn(16)) sections.emplace_back();
  const size_t chosen = random->Below(sections.size());
  switch (random->Below(16)) {
    case 0: sections.erase(sections.begin() + static_cast<ptrdiff_t>(chosen)); break;
    case 1: sections.insert(sections.begin() + static_cast<ptrdiff_t>(chosen), std::string(sections[chosen])); break;
    case 2: std::swap(sections[chosen], sections[random->Below(sections.size())]); break;
    default: {
      const size_t others = input->size() - std::min(input->size(), sections[chosen].size()) + 2;
      mutate(&sections[chosen], others < most ? most - others : 1);
    }
  }
  *input = JoinSections(sections);
}

}  // namespace

void Mutate(const Target& target, uint64_t seed, size_t most, const MutateBytes& mutate, std::string* input) {
  test::SeededRandom random(seed);
  if (target.sections && !random.OneIn(8)) {
    MutateSections(&random, most, mutate, input);
  } else {
    mutate(input, most);
  }
  // Now and then wrong checksums stay: they are inputs too.
  if (target.reseal != nullptr && !random.OneIn(8)) target.reseal(input, random.Next());
  if (input->size() > most) input->resize(most);
}

}  // namespace tarn::fuzz
