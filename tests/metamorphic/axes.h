// The axes of the metamorphic test: every choice that must not change an answer, as tables of named factories.
//
// A strategy that is added to memtable/builtin.h, wal/builtin.h or compaction/builtin.h joins by one line in axes.cc.
// A *recipe* is one choice of each axis. Some cover of the recipes is run: all of them, or a set in which each pair
// of choices of two axes occurs.
//
// Threads: none; a recipe may be used again and again, each use makes a store of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tarn/components.h"
#include "tarn/settings.h"

namespace tarn::test {

// Where a store lives between openings; gone with the object.
class Home {
 public:
  virtual ~Home() = default;
  // The backend for one opening; `reading`: for a read-only one, beside a writer.
  virtual std::shared_ptr<Backend> Open(bool reading) = 0;
};

struct Recipe {
  std::string text;  // the choices, by name
  Settings settings;
  std::function<std::shared_ptr<MemtableStrategy>(uint64_t seed)> memtable;
  std::function<std::shared_ptr<WalStrategy>()> wal;
  std::function<std::shared_ptr<CompactionPolicy>(uint64_t seed, uint64_t first_level_bytes)> compaction;
  std::function<std::unique_ptr<Home>()> home;
  bool real_threads = false;
  uint32_t least_dead_row = 0;  // of dead keys that iterators remember
};

struct Choice {
  std::string name;
  std::function<void(Recipe&)> apply;
};
struct Axis {
  std::string name;
  std::vector<Choice> choices;
};
const std::vector<Axis>& Axes();

// One index into the choices of each axis.
using Combination = std::vector<size_t>;
Recipe MakeRecipe(const Combination& combination);

// For axes with these numbers of choices.
std::vector<Combination> AllCombinations(const std::vector<size_t>& sizes);
// Combinations in which every pair of choices of two axes occurs; few, by greed. The first is all zeroes.
std::vector<Combination> PairwiseCover(const std::vector<size_t>& sizes);

}  // namespace tarn::test
