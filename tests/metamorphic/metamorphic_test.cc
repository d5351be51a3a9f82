// One list of operations, played under many recipes (axes.h): every answer must be the same. What a memtable, a log,
// a compaction policy, a compression, a backend, a cache or a thread may change is how long an answer takes.
//
// Short form: a cover of all pairs of choices, a few seeds. All recipes for one seed: TARN_METAMORPHIC=full, with
// TARN_SEED=n and TARN_OPS=n (a failure prints both).
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "base/hash.h"
#include "tests/metamorphic/axes.h"
#include "tests/metamorphic/performance.h"
#include "tests/support/from_environment.h"
#include "tests/support/mem_backend.h"
#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

std::vector<size_t> Sizes() {
  std::vector<size_t> sizes;
  for (const Axis& axis : Axes()) sizes.push_back(axis.choices.size());
  return sizes;
}

struct Digest {
  uint64_t operations = 0, answers = 0;
};

// Plays the list under each of the recipes and compares with the first.
void Compare(const std::vector<Combination>& combinations, uint64_t seed, uint64_t operations, Digest* digest) {
  const Recipe first = MakeRecipe(combinations.front());
  const std::vector<std::string> expected = Performance(first, seed).Play(operations);
  for (const std::string& answer : expected) digest->answers = digest->answers * 31 + Hash64(answer);
  digest->operations += operations;
  for (size_t i = 1; i < combinations.size(); ++i) {
    const Recipe other = MakeRecipe(combinations[i]);
    const std::vector<std::string> answers = Performance(other, seed).Play(operations);
    digest->operations += operations;
    ASSERT_EQ(answers.size(), expected.size());
    for (size_t n = 0; n < answers.size(); ++n) {
      ASSERT_EQ(answers[n], expected[n]) << "TARN_SEED=" << seed << " TARN_OPS=" << operations << ": answer " << n + 1
                                         << " differs\n  of " << other.text << "\n  from " << first.text;
    }
  }
}

void PrintRun(size_t recipes, uint64_t seeds, const Digest& digest) {
  std::printf("%zu recipes, %llu seeds, %llu operations, digest of the answers %016llx\n", recipes,
              static_cast<unsigned long long>(seeds), static_cast<unsigned long long>(digest.operations),
              static_cast<unsigned long long>(digest.answers));
}

TEST(Metamorphic, NoChoiceChangesAnAnswer) {
  const char* form = std::getenv("TARN_METAMORPHIC");
  const bool full = form != nullptr && std::string(form) == "full";
  const uint64_t only = FromEnvironment("TARN_SEED", 0);
  const uint64_t operations = FromEnvironment("TARN_OPS", 1000);
  const auto combinations = full ? AllCombinations(Sizes()) : PairwiseCover(Sizes());
  const uint64_t seeds = full || only != 0 ? 1 : 6;
  Digest digest;
  for (uint64_t seed = only != 0 ? only : 1, n = 0; n < seeds; ++n, ++seed) {
    ASSERT_NO_FATAL_FAILURE(Compare(combinations, seed, operations, &digest));
  }
  PrintRun(combinations.size(), seeds, digest);
}

// Seed 7 once: a key that came and went during a transaction made it Busy, unless a merge had forgotten the key.
TEST(Metamorphic, AMergeDoesNotDecideWhetherATransactionConflicts) {
  for (const bool merged : {false, true}) {
    for (const bool range : {false, true}) {
      Components parts;
      parts.backend = std::make_shared<MemBackend>();
      parts.scheduler = std::make_shared<SimScheduler>(1);
      const auto db = DB::Open({}, std::move(parts));
      ASSERT_TRUE(db.ok());
      ASSERT_TRUE((*db)->Put("there", "1").ok());
      const auto absent = (*db)->Begin(), there = (*db)->Begin(), comes = (*db)->Begin();
      absent->Put({}, "absent", "2");
      there->Put({}, "there", "2");
      comes->Put({}, "comes", "2");
      ASSERT_TRUE((*db)->Put("comes", "1").ok());
      for (const char* key : {"absent", "there"}) {
        ASSERT_TRUE((*db)->Put(key, "3").ok());
        ASSERT_TRUE((range ? (*db)->DeleteRange(key, std::string(key) + "z") : (*db)->Delete(key)).ok());
      }
      if (merged) {
        ASSERT_TRUE((*db)->Compact().ok());
      }
      EXPECT_TRUE(absent->Commit().ok()) << "merged " << merged << ", range " << range;
      EXPECT_EQ(there->Commit().code(), Code::kBusy) << "merged " << merged << ", range " << range;
      EXPECT_EQ(comes->Commit().code(), Code::kBusy) << "merged " << merged << ", range " << range;
    }
  }
}

TEST(Axes, TheCoverHasEveryPairAndIsSmall) {
  const std::vector<size_t> sizes = Sizes();
  const auto cover = PairwiseCover(sizes);
  for (size_t a = 0; a < sizes.size(); ++a) {
    for (size_t b = a + 1; b < sizes.size(); ++b) {
      std::set<std::pair<size_t, size_t>> seen;
      for (const Combination& row : cover) seen.insert({row[a], row[b]});
      EXPECT_EQ(seen.size(), sizes[a] * sizes[b]) << Axes()[a].name << " and " << Axes()[b].name;
    }
  }
  EXPECT_LT(cover.size() * 20, AllCombinations(sizes).size());
}

TEST(Axes, AllCombinationsAreAllAndDistinct) {
  const auto all = AllCombinations({2, 1, 3});
  EXPECT_EQ(all.size(), 6u);
  EXPECT_EQ(std::set<Combination>(all.begin(), all.end()).size(), 6u);
}

}  // namespace
}  // namespace tarn::test
