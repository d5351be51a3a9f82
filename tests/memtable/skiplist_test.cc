// The skip list itself: places between entries, determinism of heights, what a small memtable costs.
#include "memtable/skiplist.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <vector>

#include "memtable/builtin.h"

namespace tarn {
namespace {

TEST(SkipListTest, PlacesBetweenEntries) {
  Arena arena;
  SkipList list(&arena, 1);
  EXPECT_EQ(list.First(), nullptr);
  EXPECT_EQ(list.Last(), nullptr);
  for (const char* key : {"d", "b", "f"}) list.Insert(key, 7, Kind::kPut, key);

  auto user_key = [](const SkipList::Node* node) {
    return node == nullptr ? std::string("none") : std::string(UserKeyOf(node->key()));
  };
  auto at = [](std::string_view key, Sequence sequence) { return SkipList::Position(key, sequence << 8 | 0xff); };
  EXPECT_EQ(user_key(list.First()), "b");
  EXPECT_EQ(user_key(list.Last()), "f");
  EXPECT_EQ(user_key(list.FirstAtOrAfter(at("a", 7))), "b");
  EXPECT_EQ(user_key(list.FirstAtOrAfter(at("b", 7))), "b");
  EXPECT_EQ(user_key(list.FirstAtOrAfter(at("b", 6))), "d");  // b@7 is newer, so it stands before b@6
  EXPECT_EQ(user_key(list.FirstAtOrAfter(at("g", 7))), "none");
  EXPECT_EQ(user_key(list.LastBefore(at("b", 7))), "none");
  EXPECT_EQ(user_key(list.LastBefore(at("b", 6))), "b");
  EXPECT_EQ(user_key(list.LastBefore(at("e", 7))), "d");
  EXPECT_EQ(user_key(list.LastBefore(at("z", 7))), "f");
}

// Within one block the distances of nodes depend on the towers and nothing else: equal keys, equal order, other
// seeds.
TEST(SkipListTest, TheSeedFixesTheTowers) {
  auto distances = [](uint64_t seed) {
    Arena arena;
    SkipList list(&arena, seed);
    constexpr Sequence kEntries = Arena::kFirstBlockBytes / 64;
    for (Sequence i = 1; i <= kEntries; ++i) list.Insert(std::to_string(i), i, Kind::kPut, "v");
    std::vector<ptrdiff_t> result;
    for (const SkipList::Node* node = list.First(); node->Next(0) != nullptr; node = node->Next(0)) {
      result.push_back(reinterpret_cast<const char*>(node->Next(0)) - reinterpret_cast<const char*>(node));
    }
    return result;
  };
  EXPECT_EQ(distances(1), distances(1));
  EXPECT_NE(distances(1), distances(2));
}

TEST(SkipListTest, ANewMemtableCostsLittle) {
  const auto table = NewSkipListStrategy(1)->Create();
  EXPECT_LE(table->memory_bytes(), 1024u);
  table->Add("k", 1, Kind::kPut, "v");
  EXPECT_LE(table->memory_bytes(), Arena::kFirstBlockBytes + 1024);
}

TEST(SkipListTest, ShortEntriesCostLittleMoreThanTheirBytes) {
  const auto table = NewSkipListStrategy(1)->Create();
  constexpr size_t kEntries = 100000, kBytes = 16 + 8 + 100;
  for (Sequence i = 1; i <= kEntries; ++i) {
    std::string key = std::to_string(i);
    key.insert(0, 16 - key.size(), '0');
    table->Add(key, i, Kind::kPut, std::string(100, 'v'));
  }
  // Fixed part 16, tower 8 * 4/3 on average, at most one block unused.
  EXPECT_LE(table->memory_bytes(), kEntries * (kBytes + 32) + Arena::kLargestBlockBytes);
}

}  // namespace
}  // namespace tarn
