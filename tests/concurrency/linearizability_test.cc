// The checker itself: histories with a known answer, and agreement with a search that tries every order.
#include "tests/concurrency/linearizability.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "tests/support/sim_effects.h"

namespace tarn::test {
namespace {

Operation Read(uint64_t invoke, uint64_t response, uint64_t value, uint32_t key = 0) {
  return {invoke, response, {{key, value}}, {}, "read"};
}
Operation Write(uint64_t invoke, uint64_t response, uint64_t value, uint32_t key = 0) {
  return {invoke, response, {}, {{key, value}}, "write"};
}
Operation Cas(uint64_t invoke, uint64_t response, uint64_t from, uint64_t to) {
  return {invoke, response, {{0, from}}, {{0, to}}, "cas"};
}

void ExpectGood(const std::vector<Operation>& history) { EXPECT_EQ(CheckLinearizable(history), ""); }
void ExpectBad(const std::vector<Operation>& history) { EXPECT_NE(CheckLinearizable(history), ""); }

TEST(Linearizability, AcceptsWhatOneOrderExplains) {
  ExpectGood({});
  ExpectGood({Write(1, 2, 7), Read(3, 4, 7)});
  ExpectGood({Write(1, 4, 7), Read(2, 3, 7)});
  ExpectGood({Write(1, 4, 7), Read(2, 3, kAbsent), Read(5, 6, 7)});
  ExpectGood({Write(1, 10, 7), Write(2, 9, 8), Read(3, 4, 7), Read(5, 6, 8)});
  ExpectGood({Write(1, 2, 7), Write(3, 4, kAbsent), Read(5, 6, kAbsent)});
  ExpectGood({Write(1, 2, 1), Cas(3, 8, 1, 2), Cas(4, 7, 2, 3), Read(9, 10, 3)});
}

TEST(Linearizability, RejectsAStaleRead) {
  ExpectBad({Write(1, 2, 7), Read(3, 4, kAbsent)});
  ExpectBad({Write(1, 2, 7), Write(3, 4, 8), Read(5, 6, 7)});
  ExpectBad({Write(1, 2, 7), Write(3, 4, kAbsent), Read(5, 6, 7)});
}

TEST(Linearizability, RejectsAValueNobodyWrote) { ExpectBad({Write(1, 4, 7), Read(2, 3, 8)}); }

// Once a reader has seen the new value, no later reader sees the old one.
TEST(Linearizability, RejectsReadsThatGoBack) {
  ExpectBad({Write(1, 2, 1), Write(3, 10, 2), Read(4, 5, 2), Read(6, 7, 1)});
  ExpectGood({Write(1, 2, 1), Write(3, 10, 2), Read(4, 7, 2), Read(5, 6, 1)});
}

TEST(Linearizability, RejectsALostUpdate) {
  ExpectBad({Write(1, 2, 1), Cas(3, 6, 1, 2), Cas(4, 5, 1, 3)});
  ExpectBad({Cas(1, 4, kAbsent, 1), Cas(2, 3, kAbsent, 2), Read(5, 6, 2)});
  ExpectBad({Write(1, 6, 1), Write(2, 3, 2), Read(4, 5, 2), Read(7, 8, 2), Cas(9, 10, 1, 3)});
}

// Two readers that disagree about the order of two writes.
TEST(Linearizability, RejectsReordering) {
  ExpectBad({Write(1, 20, 1), Write(2, 19, 2), Read(3, 4, 1), Read(5, 8, 2), Read(6, 10, 2), Read(11, 12, 1)});
  ExpectBad({Write(1, 2, 1, 0), Write(3, 4, 1, 1), {5, 6, {{0, kAbsent}, {1, 1}}, {}, "both"}});
}

TEST(Linearizability, RejectsATornBatch) {
  const Operation batch{1, 6, {}, {{0, 1}, {1, 1}}, "batch"};
  ExpectGood({batch, {2, 3, {{0, 1}, {1, 1}}, {}, "both"}});
  ExpectBad({batch, {2, 3, {{0, 1}, {1, kAbsent}}, {}, "both"}});
  ExpectBad({batch, Read(2, 3, 1, 0), Read(4, 5, kAbsent, 1)});
}

// Registers that nothing ties together are apart, and each is looked at.
TEST(Linearizability, LooksAtEveryPartition) {
  ExpectGood({Write(1, 2, 1, 0), Write(3, 4, 2, 1), Read(5, 6, 2, 1), Read(7, 8, 1, 0)});
  ExpectBad({Write(1, 2, 1, 0), Write(3, 4, 2, 1), Read(5, 6, 2, 1), Read(7, 8, 2, 0)});
  ExpectBad({Write(1, 2, 1, 0), Write(3, 4, 2, 1), Read(5, 6, 1, 1), Read(7, 8, 1, 0)});
}

TEST(Linearizability, SaysWhatItCouldNotPlace) {
  const std::string text = CheckLinearizable({Write(1, 2, 7), Read(3, 4, kAbsent)});
  EXPECT_NE(text.find("placed 1"), std::string::npos) << text;
  EXPECT_NE(text.find("[3, 4] read saw k0=absent"), std::string::npos) << text;
}

bool SomeOrderExplains(const std::vector<Operation>& history) {
  std::vector<size_t> order(history.size());
  std::iota(order.begin(), order.end(), 0);
  do {
    bool good = true;
    std::map<uint32_t, uint64_t> state;
    for (size_t i = 0; i < order.size() && good; ++i) {
      const Operation& op = history[order[i]];
      for (size_t j = i + 1; j < order.size(); ++j) good = good && history[order[j]].response > op.invoke;
      for (const Cell& cell : op.saw) good = good && state[cell.key] == cell.value;
      for (const Cell& cell : op.wrote) state[cell.key] = cell.value;
    }
    if (good) return true;
  } while (std::next_permutation(order.begin(), order.end()));
  return false;
}

TEST(Linearizability, AgreesWithTheSearchOfAllOrders) {
  int good = 0, bad = 0;
  for (uint64_t seed = 1; seed <= 3000; ++seed) {
    SeededRandom random(seed);
    std::vector<uint64_t> stamps(12);
    std::iota(stamps.begin(), stamps.end(), 1);
    for (size_t i = stamps.size() - 1; i > 0; --i) std::swap(stamps[i], stamps[random.Below(i + 1)]);
    std::vector<Operation> history;
    for (size_t i = 0; i < 6; ++i) {
      Operation op{
          std::min(stamps[2 * i], stamps[2 * i + 1]), std::max(stamps[2 * i], stamps[2 * i + 1]), {}, {}, ""};
      for (uint32_t key = 0; key < 2; ++key) {
        if (random.OneIn(2)) op.saw.push_back({key, random.Below(3)});
        if (random.OneIn(2)) op.wrote.push_back({key, random.Below(3)});
      }
      history.push_back(std::move(op));
    }
    const bool expected = SomeOrderExplains(history);
    ++(expected ? good : bad);
    ASSERT_EQ(CheckLinearizable(history).empty(), expected) << "seed " << seed;
  }
  EXPECT_GT(good, 100);
  EXPECT_GT(bad, 100);
}

}  // namespace
}  // namespace tarn::test
