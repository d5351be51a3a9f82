#include "tests/metamorphic/axes.h"

#include <unistd.h>

#include <array>
#include <set>

#include "backends/local/local.h"
#include "base/assert.h"
#include "compaction/builtin.h"
#include "memtable/builtin.h"
#include "tests/local/temp_directory.h"
#include "tests/support/mem_backend.h"
#include "tests/support/random_policy.h"
#include "tests/support/reference_memtable.h"
#include "wal/builtin.h"

namespace tarn::test {
namespace {

class MemHome final : public Home {
 public:
  explicit MemHome(MemOptions options) : backend_(std::make_shared<MemBackend>(options)) {}
  std::shared_ptr<Backend> Open(bool) override { return backend_; }

 private:
  const std::shared_ptr<MemBackend> backend_;
};

class LocalHome final : public Home {
 public:
  explicit LocalHome(bool allow_io_uring) : allow_io_uring_(allow_io_uring) {}
  std::shared_ptr<Backend> Open(bool reading) override {
    auto backend = local::OpenLocal(directory_.path(), {.read_only = reading, .allow_io_uring = allow_io_uring_});
    CHECK(backend.ok());
    return *backend;
  }

 private:
  // Files in memory where the machine has such a place: nothing is cut off here, so nobody need wait for a disk.
  static std::string Parent() {
    constexpr char kMemory[] = "/dev/shm";
    return access(kMemory, W_OK) == 0 ? kMemory : testing::TempDir();
  }

  const bool allow_io_uring_;
  const TempDirectory directory_{Parent()};
};

Choice Memtable(std::string name, std::function<std::shared_ptr<MemtableStrategy>(uint64_t)> make) {
  return {std::move(name), [make = std::move(make)](Recipe& r) { r.memtable = make; }};
}

Choice Wal(std::string name, std::function<std::shared_ptr<WalStrategy>()> make) {
  return {std::move(name), [make = std::move(make)](Recipe& r) { r.wal = make; }};
}

Choice Tiered(std::string name, uint32_t ratio, uint32_t runs_per_level, uint32_t runs_last_level) {
  return {std::move(name), [=](Recipe& r) {
            r.compaction = [=](uint64_t, uint64_t first_level_bytes) {
              return NewTieredPolicy({.size_ratio = ratio,
                                      .runs_per_level = runs_per_level,
                                      .runs_last_level = runs_last_level,
                                      .first_level_bytes = first_level_bytes});
            };
          }};
}

Choice Compress(std::string name, Compression above, Compression last) {
  return {std::move(name), [=](Recipe& r) {
            r.settings.compression = above;
            r.settings.last_level_compression = last;
          }};
}

Choice Place(std::string name, std::function<std::unique_ptr<Home>()> make) {
  return {std::move(name), [make = std::move(make)](Recipe& r) { r.home = make; }};
}

// A small budget with small memtables flushes all the time and evicts blocks; a large one hardly ever.
Choice Memory(std::string name, uint64_t memory_bytes, uint64_t memtable_bytes) {
  return {std::move(name), [=](Recipe& r) {
            r.settings.memory_bytes = memory_bytes;
            r.settings.memtable_bytes = memtable_bytes;
          }};
}

Choice BlockBytes(uint32_t bytes) {
  return {"block " + std::to_string(bytes), [=](Recipe& r) { r.settings.block_bytes = bytes; }};
}
Choice FilterBits(uint32_t bits) {
  return {"filter " + std::to_string(bits), [=](Recipe& r) { r.settings.filter_bits_per_key = bits; }};
}

}  // namespace

const std::vector<Axis>& Axes() {
  static const std::vector<Axis> kAxes = {
      {"memtable",
       {Memtable("skiplist", NewSkipListStrategy),
        Memtable("reference", [](uint64_t) { return NewReferenceMemtable(); })}},
      {"wal", {Wal("segmented", NewSegmentedWal)}},
      {"compaction",
       {Tiered("lazy-leveled 4", 4, 3, 1),
        Tiered("lazy-leveled 2", 2, 1, 1),
        Tiered("lazy-leveled 10", 10, 9, 1),
        Tiered("leveled 4", 4, 1, 1),
        Tiered("tiered 3", 3, 2, 2),
        Tiered("tiered 8", 8, 7, 7),
        {"random", [](Recipe& r) { r.compaction = [](uint64_t seed, uint64_t) { return NewRandomPolicy(seed); }; }}}},
      {"compression",
       {Compress("lz4+zstd", Compression::kLz4, Compression::kZstd),
        Compress("none", Compression::kNone, Compression::kNone),
        Compress("lz4", Compression::kLz4, Compression::kLz4),
        Compress("zstd", Compression::kZstd, Compression::kZstd)}},
      {"backend",
       {Place("mem", [] { return std::make_unique<MemHome>(MemOptions{}); }),
        Place("mem without queues", [] { return std::make_unique<MemHome>(MemOptions{.queues = false}); }),
        Place("local io_uring", [] { return std::make_unique<LocalHome>(true); }),
        Place("local without io_uring", [] { return std::make_unique<LocalHome>(false); })}},
      {"memory", {Memory("8 MiB", 8ull << 20, 64ull << 10), Memory("256 MiB", 256ull << 20, 0)}},
      {"block", {BlockBytes(4096), BlockBytes(512), BlockBytes(65536)}},
      {"filter", {FilterBits(10), FilterBits(0)}},
      {"effects",
       {{"simulated", [](Recipe& r) { r.real_threads = false; }},
        {"threads", [](Recipe& r) { r.real_threads = true; }}}},
      {"dead rows",
       {{"forgotten", [](Recipe& r) { r.least_dead_row = UINT32_MAX; }},
        {"remembered", [](Recipe& r) { r.least_dead_row = 1; }}}},
  };
  return kAxes;
}

Recipe MakeRecipe(const Combination& combination) {
  Recipe recipe;
  recipe.settings.table_bytes = 64ull << 10;
  for (size_t axis = 0; axis < Axes().size(); ++axis) {
    const Choice& choice = Axes()[axis].choices.at(combination.at(axis));
    choice.apply(recipe);
    recipe.text += (axis == 0 ? "" : ", ") + choice.name;
  }
  return recipe;
}

std::vector<Combination> AllCombinations(const std::vector<size_t>& sizes) {
  std::vector<Combination> all = {Combination(sizes.size(), 0)};
  for (;;) {
    Combination next = all.back();
    size_t axis = 0;
    while (axis < sizes.size() && ++next[axis] == sizes[axis]) next[axis++] = 0;
    if (axis == sizes.size()) return all;
    all.push_back(std::move(next));
  }
}

std::vector<Combination> PairwiseCover(const std::vector<size_t>& sizes) {
  using Pair = std::array<size_t, 4>;  // axis, choice, later axis, choice
  std::set<Pair> open;
  for (size_t a = 0; a < sizes.size(); ++a) {
    for (size_t b = a + 1; b < sizes.size(); ++b) {
      for (size_t i = 0; i < sizes[a]; ++i) {
        for (size_t j = 0; j < sizes[b]; ++j) open.insert({a, i, b, j});
      }
    }
  }
  const auto pair = [](size_t a, size_t i, size_t b, size_t j) {
    return a < b ? Pair{a, i, b, j} : Pair{b, j, a, i};
  };
  std::vector<Combination> cover;
  const auto take = [&](const Combination& row) {
    for (size_t a = 0; a < row.size(); ++a) {
      for (size_t b = a + 1; b < row.size(); ++b) open.erase({a, row[a], b, row[b]});
    }
    cover.push_back(row);
  };
  take(Combination(sizes.size(), 0));
  while (!open.empty()) {
    // A row begins with a pair that is still open; each other axis then takes the choice that closes most pairs.
    constexpr size_t kUnset = SIZE_MAX;
    const Pair first = *open.begin();
    Combination row(sizes.size(), kUnset);
    row[first[0]] = first[1];
    row[first[2]] = first[3];
    for (size_t axis = 0; axis < sizes.size(); ++axis) {
      if (row[axis] != kUnset) continue;
      size_t best = 0, most = 0;
      for (size_t choice = 0; choice < sizes[axis]; ++choice) {
        size_t closes = 0;
        for (size_t other = 0; other < sizes.size(); ++other) {
          if (other != axis && row[other] != kUnset) closes += open.contains(pair(axis, choice, other, row[other]));
        }
        if (closes > most) best = choice, most = closes;
      }
      row[axis] = best;
    }
    take(row);
  }
  return cover;
}

}  // namespace tarn::test
